//! The topics, their subscriptions, and how long the message engine retries.

use std::time::Duration;

/// The topic of events that no attempt could deliver.
pub const DEAD_LETTER_TOPIC: &str = "dead-letter";

/// Every topic. All but the last are named after the event type that is published to them.
pub const TOPICS: [&str; 4] = ["checkout-success", "checkout-failed", "checkout-refunded", DEAD_LETTER_TOPIC];

/// Who receives pushes. Each role is a service with an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Worker {
    /// Takes what was sold out of stock.
    Stock,
    /// Notifies phones.
    Push,
    /// Keeps what nobody else could take.
    DeadLetter,
}

impl Worker {
    /// Every worker.
    pub const ALL: [Self; 3] = [Self::Stock, Self::Push, Self::DeadLetter];

    /// The service's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock-worker",
            Self::Push => "push-worker",
            Self::DeadLetter => "dead-letter-worker",
        }
    }
}

/// How patient the message engine is with a subscription's worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a worker may take to answer.
    pub ack_deadline: Duration,
    /// The wait before the second attempt; it doubles from there.
    pub min_backoff: Duration,
    /// The longest wait between attempts.
    pub max_backoff: Duration,
    /// After this many the message is a dead letter.
    pub max_attempts: u16,
    /// How long an engine keeps what nobody acknowledges. The embedded one keeps it for good.
    pub retention: Duration,
}

/// The only policy so far: a worker may be down for a night without dead-lettering anything. What each number is made of is
/// told in `docs/decisions/patient-subscriptions.md`.
const PATIENT: Policy = Policy {
    ack_deadline: Duration::from_mins(1),
    min_backoff: Duration::from_secs(10),
    max_backoff: Duration::from_mins(10),
    max_attempts: 100,
    retention: Duration::from_hours(7 * 24),
};

/// One consumer's view of a topic, pushed to its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    /// Its name, unique in the project.
    pub name: &'static str,
    /// What it is subscribed to.
    pub topic: &'static str,
    /// Who receives it.
    pub worker: Worker,
    /// Where, below the worker's address.
    pub path: &'static str,
    /// Where its messages go after the last attempt; `None`: they are never given up.
    pub dead_letter_topic: Option<&'static str>,
    /// How patient the engine is.
    pub policy: Policy,
}

/// The stock worker's endpoint.
pub const STOCK_PATH: &str = "/api/checkout/stock";
/// The push worker's endpoint, for all it is subscribed to: the request names the subscription.
pub const PUSH_PATH: &str = "/api/checkout/push";
/// The dead-letter worker's endpoint.
pub const DEAD_LETTER_PATH: &str = "/api/pubsub/dead-letter";

/// Every subscription.
pub static SUBSCRIPTIONS: [Subscription; 5] = [
    checkout("checkout-stock", "checkout-success", Worker::Stock, STOCK_PATH),
    checkout("checkout-push", "checkout-success", Worker::Push, PUSH_PATH),
    checkout("checkout-failed-push", "checkout-failed", Worker::Push, PUSH_PATH),
    checkout("checkout-refunded-push", "checkout-refunded", Worker::Push, PUSH_PATH),
    Subscription {
        name: "dead-letter-sub",
        topic: DEAD_LETTER_TOPIC,
        worker: Worker::DeadLetter,
        path: DEAD_LETTER_PATH,
        dead_letter_topic: None,
        policy: PATIENT,
    },
];

const fn checkout(name: &'static str, topic: &'static str, worker: Worker, path: &'static str) -> Subscription {
    Subscription { name, topic, worker, path, dead_letter_topic: Some(DEAD_LETTER_TOPIC), policy: PATIENT }
}

impl Subscription {
    /// The subscription of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SUBSCRIPTIONS.iter().find(|it| it.name == name)
    }

    /// Its full name, as Pub/Sub writes it.
    pub fn resource(&self, project: &str) -> String {
        format!("projects/{project}/subscriptions/{}", self.name)
    }

    /// The subscription of that full name, in whatever project.
    pub fn of_resource(resource: &str) -> Option<&'static Self> {
        let ["projects", _, "subscriptions", name] = resource.split('/').collect::<Vec<_>>()[..] else { return None };
        Self::named(name)
    }
}

#[cfg(test)]
mod tests {
    use domain::EventType;

    use super::*;

    /// Pub/Sub's rule: 3 to 255 characters, a letter first, not beginning with `goog`.
    fn valid(name: &str) -> bool {
        let rest = |b: u8| b.is_ascii_alphanumeric() || b"-_.~+%".contains(&b);
        (3..=255).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(rest)
            && !name.starts_with("goog")
    }

    #[test]
    fn every_event_has_a_topic_and_every_topic_a_subscriber() {
        let mut topics: Vec<_> = EventType::ALL.iter().map(|it| it.name()).collect();
        topics.push(DEAD_LETTER_TOPIC);
        assert_eq!(topics, TOPICS);
        for topic in TOPICS {
            assert!(valid(topic), "{topic}");
            assert!(SUBSCRIPTIONS.iter().any(|it| it.topic == topic), "{topic} is published to nobody");
        }
    }

    #[test]
    fn every_subscription_can_exist() {
        for subscription in &SUBSCRIPTIONS {
            assert!(valid(subscription.name), "{}", subscription.name);
            assert_eq!(Subscription::named(subscription.name), Some(subscription), "names are unique");
            assert!(TOPICS.contains(&subscription.topic));
            assert!(subscription.dead_letter_topic.is_none_or(|it| TOPICS.contains(&it)));
            assert_eq!(subscription.dead_letter_topic.is_none(), subscription.topic == DEAD_LETTER_TOPIC);
            assert!(subscription.path.starts_with("/api/"));
        }
        for worker in Worker::ALL {
            assert!(SUBSCRIPTIONS.iter().any(|it| it.worker == worker), "{worker:?} has nothing to do");
        }
    }

    #[test]
    fn every_policy_is_one_that_pubsub_takes() {
        for Subscription { policy, .. } in &SUBSCRIPTIONS {
            assert!((10..=600).contains(&policy.ack_deadline.as_secs()));
            assert!(policy.min_backoff <= policy.max_backoff && policy.max_backoff.as_secs() <= 600);
            assert!((5..=100).contains(&policy.max_attempts));
            assert!((600..=31 * 86_400).contains(&policy.retention.as_secs()));
        }
    }

    /// How long a worker may refuse everything before the first message is given up, if waits grow by `factor` and come
    /// at this `share` of their time.
    fn outage(policy: &Policy, factor: f64, share: f64) -> Duration {
        let (first, longest) = (policy.min_backoff.as_secs_f64(), policy.max_backoff.as_secs_f64());
        let waits = (1..i32::from(policy.max_attempts)).map(|n| share * (first * factor.powi(n - 1)).min(longest));
        Duration::from_secs_f64(waits.sum())
    }

    /// Pub/Sub's curve is not published, so the slowest that was seen is reckoned with: the emulator's, which grows by 1.3
    /// and may come at 0.6 of its time.
    #[test]
    fn a_worker_that_is_down_for_an_hour_dead_letters_nothing() {
        for subscription in SUBSCRIPTIONS.iter().filter(|it| it.dead_letter_topic.is_some()) {
            let policy = subscription.policy;
            let (ours, slowest) = (outage(&policy, 2.0, 1.0), outage(&policy, 1.3, 0.6));
            assert!(ours > Duration::from_hours(15), "{ours:?}");
            assert!(slowest > Duration::from_hours(8), "{slowest:?}");
            assert!(policy.retention > ours, "it must not be forgotten before it is given up");
        }
    }

    #[test]
    fn a_full_name_leads_back_to_the_subscription() {
        let subscription = &SUBSCRIPTIONS[1];
        assert_eq!(Subscription::of_resource(&subscription.resource("shop")), Some(subscription));
        for bad in ["", "checkout-push", "projects/shop/topics/checkout-push", "projects/a/subscriptions/other"] {
            assert_eq!(Subscription::of_resource(bad), None, "{bad}");
        }
    }
}
