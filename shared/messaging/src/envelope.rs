//! Pub/Sub's push request: what the message engine posts to a worker, and what our events look like in it.

use std::collections::BTreeMap;

use axum::body::Bytes;
use base64::Engine as _;
use base64::display::Base64Display;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use domain::EventEnvelope;
use serde::{Deserialize, Serialize, Serializer};

/// The event's own id.
pub const CE_ID: &str = "ce-id";
/// What it announces.
pub const CE_TYPE: &str = "ce-type";
/// Who announces it.
pub const CE_SOURCE: &str = "ce-source";
/// Which version of `CloudEvents` these names follow.
pub const CE_SPECVERSION: &str = "ce-specversion";
/// When it happened.
pub const CE_TIME: &str = "ce-time";
/// The order it is about.
pub const ORDER_ID: &str = "orderId";
/// W3C trace context of the click that caused it.
pub const TRACEPARENT: &str = "traceparent";

/// On a dead letter: how many attempts were made.
pub const DEAD_LETTER_COUNT: &str = "CloudPubSubDeadLetterSourceDeliveryCount";
/// On a dead letter: the subscription that gave it up.
pub const DEAD_LETTER_SUBSCRIPTION: &str = "CloudPubSubDeadLetterSourceSubscription";
/// On a dead letter: that subscription's project.
pub const DEAD_LETTER_PROJECT: &str = "CloudPubSubDeadLetterSourceSubscriptionProject";
/// On a dead letter: when the message was first published.
pub const DEAD_LETTER_PUBLISHED: &str = "CloudPubSubDeadLetterSourceTopicPublishTime";

/// The attributes that an event is published with, on whichever engine.
pub fn attributes(event: &EventEnvelope) -> BTreeMap<&'static str, String> {
    let mut attributes = BTreeMap::from([
        (CE_ID, event.id.to_string()),
        (CE_TYPE, event.event_type.name().to_owned()),
        (CE_SOURCE, "/jumun/checkout".to_owned()),
        (CE_SPECVERSION, "1.0".to_owned()),
        (CE_TIME, time(event.occurred_at)),
        (ORDER_ID, event.order.to_string()),
    ]);
    if let Some(traceparent) = &event.traceparent {
        attributes.insert(TRACEPARENT, traceparent.clone());
    }
    attributes
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A push request to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a, A> {
    /// The subscription's full name.
    pub subscription: &'a str,
    /// The message's id.
    pub message_id: &'a str,
    /// When it was published.
    pub publish_time: DateTime<Utc>,
    /// What it carries.
    pub data: &'a [u8],
    /// Its attributes: whatever serializes as an object of strings.
    pub attributes: A,
    /// Which attempt this is; only said for subscriptions that give up.
    pub delivery_attempt: Option<i32>,
}

impl<A: Serialize> Outgoing<'_, A> {
    /// The request's body. Ids and times come twice, in both spellings, as Pub/Sub sends them.
    ///
    /// # Errors
    /// When the attributes do not serialize.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Request<'a, A> {
            message: Wrapped<'a, A>,
            subscription: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            delivery_attempt: Option<i32>,
        }
        #[derive(Serialize)]
        struct Wrapped<'a, A> {
            attributes: A,
            #[serde(serialize_with = "base64")]
            data: &'a [u8],
            #[serde(rename = "messageId")]
            message_id: &'a str,
            #[serde(rename = "message_id")]
            message_id_again: &'a str,
            #[serde(rename = "publishTime")]
            publish_time: &'a str,
            #[serde(rename = "publish_time")]
            publish_time_again: &'a str,
        }
        let publish_time = time(self.publish_time);
        serde_json::to_vec(&Request {
            message: Wrapped {
                attributes: &self.attributes,
                data: self.data,
                message_id: self.message_id,
                message_id_again: self.message_id,
                publish_time: &publish_time,
                publish_time_again: &publish_time,
            },
            subscription: self.subscription,
            delivery_attempt: self.delivery_attempt,
        })
    }
}

fn base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(data, &BASE64_STANDARD))
}

/// A push request that arrived. Google's emulator leaves out what is optional here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The subscription's full name.
    pub subscription: Option<String>,
    /// The message's id: of no use for de-duplication, a message that is published again has another.
    pub message_id: String,
    /// When it was published.
    pub publish_time: Option<DateTime<Utc>>,
    /// What it carries.
    pub data: Vec<u8>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// Which attempt this is.
    pub delivery_attempt: Option<u32>,
}

/// Why a request is not one that carries a message, with what could still be read of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    /// What is wrong. Repeats nothing of the request.
    pub reason: String,
    /// The subscription's full name.
    pub subscription: Option<String>,
    /// The message's id.
    pub message_id: Option<String>,
}

/// Reads a push request, leniently: only the message's id and data must be there, and what is not known is ignored.
///
/// # Errors
/// [`Undecodable`], for whatever the engine would never send.
pub fn decode(request: &Bytes) -> Result<Incoming, Undecodable> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request {
        message: Option<Wrapped>,
        subscription: Option<String>,
        delivery_attempt: Option<u32>,
    }
    #[derive(Deserialize, Default)]
    struct Wrapped {
        attributes: Option<BTreeMap<String, String>>,
        data: Option<String>,
        #[serde(rename = "messageId")]
        message_id: Option<String>,
        #[serde(rename = "message_id")]
        message_id_again: Option<String>,
        #[serde(rename = "publishTime")]
        publish_time: Option<String>,
        #[serde(rename = "publish_time")]
        publish_time_again: Option<String>,
    }
    let request: Request = serde_json::from_slice(request)
        .map_err(|error| Undecodable { reason: misshapen("a push request", &error), ..Undecodable::default() })?;
    let message = request.message.unwrap_or_default();
    let message_id = message.message_id.or(message.message_id_again);
    let publish_time = message.publish_time.or(message.publish_time_again);
    let data = message.data.map(|it| BASE64_STANDARD.decode(it));
    match (message_id, data) {
        (Some(message_id), Some(Ok(data))) => Ok(Incoming {
            subscription: request.subscription,
            message_id,
            publish_time: publish_time.and_then(|it| it.parse().ok()),
            data,
            attributes: message.attributes.unwrap_or_default(),
            delivery_attempt: request.delivery_attempt,
        }),
        (message_id, data) => {
            let reason = match data {
                None => "a push request without data",
                Some(Err(_)) => "a push request whose data is not base64",
                Some(Ok(_)) => "a push request without a message id",
            };
            Err(Undecodable { reason: reason.to_owned(), subscription: request.subscription, message_id })
        }
    }
}

/// What is wrong with foreign JSON, without repeating any of it.
pub(crate) fn misshapen(what: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => format!("JSON, but not {what}: line {line}, column {column}"),
        _ => format!("not JSON: line {line}, column {column}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sent_is_received(
            subscription in ".*",
            message_id in ".*",
            millis in 0i64..4_000_000_000_000,
            data in prop::collection::vec(any::<u8>(), 0..200),
            attributes in prop::collection::btree_map(".*", ".*", 0..5),
            attempt in prop::option::of(1..=100u32),
        ) {
            let incoming = Incoming {
                subscription: Some(subscription),
                message_id,
                publish_time: DateTime::from_timestamp_millis(millis),
                data,
                attributes,
                delivery_attempt: attempt,
            };
            let outgoing = Outgoing {
                subscription: incoming.subscription.as_deref().unwrap(),
                message_id: &incoming.message_id,
                publish_time: incoming.publish_time.unwrap(),
                data: &incoming.data,
                attributes: &incoming.attributes,
                delivery_attempt: attempt.map(|it| i32::try_from(it).unwrap()),
            };
            prop_assert_eq!(decode(&outgoing.encode().unwrap().into()), Ok(incoming));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode(&bytes.into()).is_err());
        }

        /// Like a push request, but for the parts that somebody got wrong.
        #[test]
        fn any_json_is_read_without_panic(
            key in "(message|subscription|deliveryAttempt|other)",
            inner in "(data|messageId|attributes|publishTime)",
            value in r#"(null|1|-1|1e99|""|"x"|"\\u0000"|"AA=="|\[\]|\{"a":1\}|\{"a":"b"\})"#,
        ) {
            let _ = decode(&format!(r#"{{"{key}":{value}}}"#).into());
            let _ = decode(&format!(r#"{{"{key}":{{"{inner}":{value}}}}}"#).into());
        }
    }

    #[test]
    fn the_emulators_request_is_read() {
        let request = br#"{"subscription":"projects\/demo\/subscriptions\/checkout-stock","message":{"publishTime":"2026-11-20T21:04:05.410Z","data":"eyJvcmRlcl9pZCI6MX0=","publish_time":"2026-11-20T21:04:05.410Z","messageId":"1","attributes":{"event":"checkout-success","k":"v"},"message_id":"1"}}"#;
        let incoming = decode(&Bytes::from_static(request)).unwrap();
        assert_eq!(incoming.subscription.as_deref(), Some("projects/demo/subscriptions/checkout-stock"));
        assert_eq!((incoming.message_id.as_str(), incoming.data.as_slice()), ("1", br#"{"order_id":1}"#.as_slice()));
        assert_eq!(incoming.attributes["k"], "v");
        assert_eq!(incoming.delivery_attempt, None);
    }

    #[test]
    fn the_smallest_request_is_read_and_says_what_it_lacks() {
        let read = |request: &'static str| decode(&Bytes::from_static(request.as_bytes()));
        assert!(read(r#"{"message":{"data":"","message_id":"7"},"later":{"added":[]}}"#).is_ok());
        for (request, reason) in [
            (r#"{"message":{"messageId":"7"}}"#, "without data"),
            (r#"{"message":{"messageId":"7","data":"%%"}}"#, "not base64"),
            (r#"{"message":{"data":"AA=="}}"#, "without a message id"),
            (r#"{"subscription":"s"}"#, "without data"),
            (r#"{"message":[1]}"#, "not a push request"),
            ("\0", "not JSON"),
        ] {
            let refusal = read(request).unwrap_err();
            assert!(refusal.reason.contains(reason), "{request}: {refusal}");
        }
        let known = read(r#"{"subscription":"s","message":{"messageId":"7"}}"#).unwrap_err();
        assert_eq!((known.subscription.as_deref(), known.message_id.as_deref()), (Some("s"), Some("7")));
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        let deep = format!(r#"{{"message":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(decode(&deep.into()).is_err());
    }
}
