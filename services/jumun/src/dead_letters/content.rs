//! The content of a dead letter, shown without its secrets.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use database::dead_letters::Content;
use messaging::envelope::{
    CE_ID, CE_SOURCE, CE_SPECVERSION, CE_TIME, CE_TYPE, DEAD_LETTER_COUNT, DEAD_LETTER_PROJECT, DEAD_LETTER_PUBLISHED,
    DEAD_LETTER_SUBSCRIPTION, ORDER_ID, TRACEPARENT,
};
use serde_json::Value;

/// Texts under these names are harmless. All others are hidden: nobody knows where somebody else puts a payment key, a device
/// token or an e-mail address.
const HARMLESS: [&str; 23] = [
    CE_ID,
    CE_SOURCE,
    CE_SPECVERSION,
    CE_TIME,
    CE_TYPE,
    DEAD_LETTER_COUNT,
    DEAD_LETTER_PROJECT,
    DEAD_LETTER_PUBLISHED,
    DEAD_LETTER_SUBSCRIPTION,
    ORDER_ID,
    TRACEPARENT,
    "paymentType",
    "pamentType",
    "currency",
    "paidAt",
    "code",
    "reason",
    "subscription",
    "messageId",
    "message_id",
    "publishTime",
    "publish_time",
    "googclient_schemaencoding",
];

const HIDDEN: &str = "***";

/// The content of a letter, as far as it may be seen.
pub(super) struct Shown {
    /// The engine's id of the message.
    pub(super) message_id: Option<String>,
    pub(super) attributes: Value,
    /// The body, if it is JSON.
    pub(super) body: Option<Value>,
    /// The body's length in bytes.
    pub(super) length: usize,
    /// The body as it came, if everything is to be seen.
    pub(super) raw: Option<Vec<u8>>,
}

impl Shown {
    /// All of it if it is to be `raw`.
    pub(super) fn new(content: Content, raw: bool) -> Self {
        let Content { message_id, data, mut attributes } = content;
        let mut body: Option<Value> = serde_json::from_slice(&data).ok();
        if !raw {
            hide(&mut attributes);
            if let Some(body) = &mut body {
                hide(body);
            }
        }
        Self { message_id, attributes, body, length: data.len(), raw: raw.then_some(data) }
    }

    /// The body for people.
    pub(super) fn text(&self) -> serde_json::Result<String> {
        Ok(match (&self.body, &self.raw) {
            (Some(body), _) => serde_json::to_string_pretty(body)?,
            (None, Some(raw)) => String::from_utf8_lossy(raw).into_owned(),
            (None, None) => format!("{} bytes that are no JSON; --raw shows them", self.length),
        })
    }

    /// The body as it came, for programs.
    pub(super) fn base64(&self) -> Option<String> {
        self.raw.as_ref().map(|raw| BASE64_STANDARD.encode(raw))
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => HIDDEN.clone_into(text),
        Value::Array(values) => values.iter_mut().for_each(hide),
        Value::Object(fields) => {
            for (name, value) in fields {
                if !(value.is_string() && HARMLESS.contains(&name.as_str())) {
                    hide(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn content(data: &[u8]) -> Content {
        let attributes = json!({"ce-id": "1", "orderId": "2", "token": "SECRET"});
        Content { message_id: Some("7".to_owned()), data: data.to_vec(), attributes }
    }

    #[test]
    fn only_what_is_known_to_be_harmless_is_shown() {
        for body in [
            json!({"paymentKey": "SECRET", "orderId": "o-1", "amount": 39_000}),
            json!({"orderId": "o-1", "payment_key": "SECRET", "nested": [{"fcmToken": "SECRET"}, "SECRET"]}),
            json!({"orderId": {"paymentKey": "SECRET"}, "reason": ["SECRET"], "was": "o-1 SECRET", "code": "o-1"}),
            json!({"message": {"data": "SECRET", "attributes": {"ce-id": "o-1"}}}),
        ] {
            let shown = Shown::new(content(body.to_string().as_bytes()), false);
            let told = format!("{}{}", shown.text().unwrap(), shown.attributes);
            assert!(!told.contains("SECRET") && told.contains("***") && told.contains("o-1"), "{told}");
            assert_eq!(shown.base64(), None);
        }
        assert_eq!(Shown::new(content(b"{}"), false).attributes, json!({"ce-id": "1", "orderId": "2", "token": "***"}));
    }

    #[test]
    fn what_is_no_json_is_only_measured() {
        assert_eq!(Shown::new(content(b"SECRET"), false).text().unwrap(), "6 bytes that are no JSON; --raw shows them");
        assert_eq!(Shown::new(content(b"\"SECRET\""), false).text().unwrap(), "\"***\"");
    }

    #[test]
    fn raw_hides_nothing() {
        let shown = Shown::new(content(b"SECRET\xff"), true);
        assert_eq!(shown.text().unwrap(), "SECRET\u{fffd}");
        assert_eq!(shown.base64().unwrap(), "U0VDUkVU/w==");
        assert_eq!(shown.attributes["token"], "SECRET");
    }
}
