use std::collections::HashMap;
use std::time::Duration;

use google_cloud_pubsub::model::push_config::OidcToken;
use google_cloud_pubsub::model::{DeadLetterPolicy, ExpirationPolicy, PushConfig, RetryPolicy, Subscription};
use google_cloud_wkt as wkt;
use messaging::google::Access;
use messaging::topology::{self, Policy, SUBSCRIPTIONS, TOPICS, Worker};

/// What should be there.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where.
    pub access: Access,
    /// Each worker's base address.
    pub workers: HashMap<Worker, String>,
    /// The service account of the project, by its e-mail address, that the pushes come from. Their tokens are each for one
    /// subscription: its full name is the audience. `None`: there are none, which only workers on loopback may take.
    pub service_account: Option<String>,
    /// In place of the topology's policies: tests cannot wait as long.
    pub policy: Option<Policy>,
}

impl Wanted {
    /// The full names of all topics.
    pub(crate) fn topics(&self) -> impl Iterator<Item = String> {
        TOPICS.iter().map(|name| self.access.topic(name))
    }

    /// All subscriptions of workers whose address is known.
    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = Subscription> {
        SUBSCRIPTIONS.iter().filter_map(|it| Some(self.subscription(it, self.workers.get(&it.worker)?)))
    }

    fn subscription(&self, of: &topology::Subscription, worker: &str) -> Subscription {
        let policy = self.policy.unwrap_or(of.policy);
        let dead_letters = of.dead_letter_topic.map(|topic| {
            let policy = DeadLetterPolicy::new().set_max_delivery_attempts(policy.max_attempts);
            policy.set_dead_letter_topic(self.access.topic(topic))
        });
        Subscription::new()
            .set_name(of.resource(&self.access.project))
            .set_topic(self.access.topic(of.topic))
            .set_push_config(self.push_config(of, worker))
            .set_ack_deadline_seconds(i32::try_from(policy.ack_deadline.as_secs()).unwrap_or(i32::MAX))
            .set_message_retention_duration(duration(policy.retention))
            // By default a subscription that nobody uses for 31 days is deleted, and with it what is published later.
            .set_expiration_policy(ExpirationPolicy::new())
            .set_or_clear_dead_letter_policy(dead_letters)
            .set_or_clear_retry_policy(self.retry_policy(&policy))
    }

    fn push_config(&self, of: &topology::Subscription, worker: &str) -> PushConfig {
        let endpoint = format!("{}{}", worker.trim_end_matches('/'), of.path);
        let config = PushConfig::new().set_push_endpoint(endpoint);
        let Some(service_account) = &self.service_account else { return config };
        let token = OidcToken::new().set_service_account_email(service_account);
        config.set_oidc_token(token.set_audience(of.resource(&self.access.project)))
    }

    /// Google's emulator stops retrying a subscription for good when two of its messages fail together under a retry
    /// policy. Without one it retries every second.
    fn retry_policy(&self, policy: &Policy) -> Option<RetryPolicy> {
        let backoff = RetryPolicy::new()
            .set_minimum_backoff(duration(policy.min_backoff))
            .set_maximum_backoff(duration(policy.max_backoff));
        self.access.emulator.is_none().then_some(backoff)
    }
}

fn duration(time: Duration) -> wkt::Duration {
    wkt::Duration::clamp(time.as_secs().cast_signed(), time.subsec_nanos().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(emulator: Option<&str>) -> Vec<Subscription> {
        let wanted = Wanted {
            access: Access { project: "shop".into(), emulator: emulator.map(Into::into) },
            workers: HashMap::from(Worker::ALL.map(|it| (it, format!("https://{}.shop.example/", it.name())))),
            service_account: Some("pusher".into()),
            policy: None,
        };
        wanted.subscriptions().collect()
    }

    #[test]
    fn each_subscription_has_an_endpoint_and_tokens_for_itself_alone() {
        for subscription in wanted(None) {
            let audience = &subscription.push_config.as_ref().unwrap().oidc_token().unwrap().audience;
            assert_eq!(audience, &subscription.name);
        }
        let stock = &wanted(None)[0];
        assert_eq!(stock.name, "projects/shop/subscriptions/checkout-stock");
        let endpoint = &stock.push_config.as_ref().unwrap().push_endpoint;
        assert_eq!(endpoint, "https://stock-worker.shop.example/api/checkout/stock");
    }

    #[test]
    fn only_the_real_service_is_given_a_retry_policy() {
        assert!(wanted(None).iter().all(|it| it.retry_policy.is_some()));
        assert!(wanted(Some("127.0.0.1:8085")).iter().all(|it| it.retry_policy.is_none()));
    }

    #[test]
    fn only_dead_letters_are_never_given_up() {
        for subscription in wanted(None) {
            let given_up = subscription.dead_letter_policy.is_some();
            assert_eq!(given_up, !subscription.topic.ends_with("/dead-letter"), "{}", subscription.name);
        }
    }

    #[test]
    fn a_worker_without_an_address_has_no_subscription() {
        let access = Access { project: "shop".into(), emulator: None };
        let nobody = Wanted { access, workers: HashMap::new(), service_account: None, policy: None };
        assert_eq!((nobody.subscriptions().count(), nobody.topics().count()), (0, 4));
    }
}
