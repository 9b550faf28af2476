use std::fmt;

use google_cloud_pubsub::model::Subscription;

/// What has to be done for something to be as wanted.
#[derive(Debug, Clone)]
pub enum Change {
    /// The topic of this full name is missing.
    CreateTopic(String),
    /// The subscription is missing.
    CreateSubscription(Box<Subscription>),
    /// The subscription is there, but not like this.
    UpdateSubscription {
        /// How it should be.
        wanted: Box<Subscription>,
        /// Where it differs.
        differences: Vec<Difference>,
    },
}

/// A setting of a subscription that is not as it should be.
#[derive(Debug, Clone)]
pub struct Difference {
    setting: &'static Setting,
    is: String,
    should_be: String,
}

/// A setting that can be changed, compared by what a reader is told of it.
#[derive(Debug)]
struct Setting {
    name: &'static str,
    /// The field that an update must name.
    field: &'static str,
    show: fn(&Subscription) -> Option<String>,
}

static SETTINGS: [Setting; 8] = [
    Setting {
        name: "endpoint",
        field: "push_config",
        show: |it| it.push_config.as_ref().map(|push| push.push_endpoint.clone()).filter(|url| !url.is_empty()),
    },
    Setting {
        name: "service account",
        field: "push_config",
        show: |it| Some(it.push_config.as_ref()?.oidc_token()?.service_account_email.clone()),
    },
    Setting {
        name: "audience",
        field: "push_config",
        show: |it| Some(it.push_config.as_ref()?.oidc_token()?.audience.clone()),
    },
    Setting {
        name: "ack deadline",
        field: "ack_deadline_seconds",
        show: |it| Some(format!("{}s", it.ack_deadline_seconds)),
    },
    Setting {
        name: "retention",
        field: "message_retention_duration",
        show: |it| it.message_retention_duration.map(String::from),
    },
    Setting {
        name: "expiry",
        field: "expiration_policy",
        show: |it| match &it.expiration_policy {
            Some(policy) => policy.ttl.map(String::from),
            None => Some("by default".to_owned()),
        },
    },
    Setting {
        name: "backoff",
        field: "retry_policy",
        show: |it| {
            let policy = it.retry_policy.as_ref()?;
            let (least, most) = (policy.minimum_backoff?, policy.maximum_backoff?);
            Some(format!("{} to {}", String::from(least), String::from(most)))
        },
    },
    Setting {
        name: "dead letters",
        field: "dead_letter_policy",
        show: |it| {
            let policy = it.dead_letter_policy.as_ref()?;
            Some(format!("to {} after {} attempts", policy.dead_letter_topic, policy.max_delivery_attempts))
        },
    },
];

impl Change {
    /// How to make what is there as it is wanted, if it is not.
    pub(crate) fn between(is: &Subscription, wanted: Subscription) -> Option<Self> {
        let show = |setting: &Setting, it| (setting.show)(it).unwrap_or_else(|| "none".to_owned());
        let differences: Vec<_> = SETTINGS
            .iter()
            .map(|setting| Difference { setting, is: show(setting, is), should_be: show(setting, &wanted) })
            .filter(|difference| difference.is != difference.should_be)
            .collect();
        (!differences.is_empty()).then(|| Self::UpdateSubscription { wanted: Box::new(wanted), differences })
    }
}

impl Difference {
    pub(crate) fn field(&self) -> &'static str {
        self.setting.field
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateTopic(name) => write!(f, "+ {name}"),
            Self::CreateSubscription(subscription) => {
                write!(f, "+ {} of {}", subscription.name, subscription.topic)?;
                for setting in &SETTINGS {
                    if let Some(value) = (setting.show)(subscription) {
                        write!(f, "\n    {}: {value}", setting.name)?;
                    }
                }
                Ok(())
            }
            Self::UpdateSubscription { wanted, differences } => {
                write!(f, "~ {}", wanted.name)?;
                for Difference { setting, is, should_be } in differences {
                    write!(f, "\n    {}: {is} -> {should_be}", setting.name)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_pubsub::model::{DeadLetterPolicy, ExpirationPolicy, PushConfig};

    use super::*;

    fn subscription() -> Subscription {
        let push = PushConfig::new().set_push_endpoint("http://one/");
        let subscription = Subscription::new().set_name("sub").set_topic("topic").set_push_config(push);
        subscription.set_ack_deadline_seconds(60).set_expiration_policy(ExpirationPolicy::new())
    }

    #[test]
    fn what_is_as_wanted_needs_no_change() {
        let with_more = subscription().set_labels([("team", "checkout")]).set_detached(false);
        assert!(Change::between(&with_more, subscription()).is_none());
    }

    #[test]
    fn every_difference_is_told() {
        let policy = DeadLetterPolicy::new().set_dead_letter_topic("letters").set_max_delivery_attempts(7);
        let push = PushConfig::new().set_push_endpoint("http://two/");
        let is = subscription().set_push_config(push).set_dead_letter_policy(policy);
        let change = Change::between(&is, subscription()).unwrap();
        assert_eq!(
            change.to_string(),
            "~ sub\n    endpoint: http://two/ -> http://one/\n    dead letters: to letters after 7 attempts -> none"
        );
    }

    #[test]
    fn a_new_subscription_is_shown_whole() {
        let change = Change::CreateSubscription(Box::new(subscription()));
        assert_eq!(change.to_string(), "+ sub of topic\n    endpoint: http://one/\n    ack deadline: 60s");
    }
}
