//! The strict check of a send request: what Google would refuse must not pass here.

use serde::Serialize;
use serde_json::{Map, Value};

const LARGEST_PAYLOAD: usize = 4096;
const LONGEST_TTL_SECONDS: f64 = 2_419_200.0;
const LONGEST_APNS_COLLAPSE_ID: usize = 64;
const LONGEST_WEB_TOPIC: usize = 32;

/// One thing wrong, as `google.rpc.BadRequest` lists it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    pub(super) field: String,
    pub(super) description: String,
}

/// What a field may hold.
enum Shape {
    Text,
    Flag,
    Count,
    Texts,
    TextMap,
    OneOf(&'static [&'static str]),
    /// Google's `Struct`: any object.
    Struct,
    Fields(&'static [(&'static str, Shape)]),
}

use Shape::{Count, Fields, Flag, OneOf, Struct, Text, TextMap, Texts};

static REQUEST: Shape = Fields(&[("validate_only", Flag), ("message", Fields(MESSAGE))]);

const MESSAGE: &[(&str, Shape)] = &[
    ("name", Text),
    ("data", TextMap),
    ("notification", Fields(&[("title", Text), ("body", Text), ("image", Text)])),
    ("android", Fields(ANDROID)),
    ("webpush", Fields(WEBPUSH)),
    (
        "apns",
        Fields(&[
            ("headers", TextMap),
            ("payload", Struct),
            ("fcm_options", Fields(APNS_OPTIONS)),
            ("live_activity_token", Text),
        ]),
    ),
    ("fcm_options", Fields(OPTIONS)),
    ("fid", Text),
    ("token", Text),
    ("topic", Text),
    ("condition", Text),
];

const OPTIONS: &[(&str, Shape)] = &[("analytics_label", Text)];
const APNS_OPTIONS: &[(&str, Shape)] = &[("analytics_label", Text), ("image", Text)];

const ANDROID: &[(&str, Shape)] = &[
    ("collapse_key", Text),
    ("priority", OneOf(&["NORMAL", "HIGH", "normal", "high"])),
    ("ttl", Text),
    ("restricted_package_name", Text),
    ("data", TextMap),
    ("notification", Fields(ANDROID_NOTIFICATION)),
    ("fcm_options", Fields(OPTIONS)),
    ("direct_boot_ok", Flag),
];

const ANDROID_NOTIFICATION: &[(&str, Shape)] = &[
    ("title", Text),
    ("body", Text),
    ("icon", Text),
    ("color", Text),
    ("sound", Text),
    ("tag", Text),
    ("click_action", Text),
    ("body_loc_key", Text),
    ("body_loc_args", Texts),
    ("title_loc_key", Text),
    ("title_loc_args", Texts),
    ("channel_id", Text),
    ("ticker", Text),
    ("sticky", Flag),
    ("event_time", Text),
    ("local_only", Flag),
    ("notification_priority", Text),
    ("default_sound", Flag),
    ("default_vibrate_timings", Flag),
    ("default_light_settings", Flag),
    ("vibrate_timings", Texts),
    ("visibility", Text),
    ("notification_count", Count),
    ("light_settings", Struct),
    ("image", Text),
];

const WEBPUSH: &[(&str, Shape)] = &[
    ("headers", TextMap),
    ("data", TextMap),
    ("notification", Struct),
    ("fcm_options", Fields(&[("link", Text), ("analytics_label", Text)])),
];

/// Everything wrong with the request; empty when Google would take it.
pub(super) fn violations(request: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    check_shape(request, &REQUEST, "", &mut found);
    match request.get("message") {
        Some(Value::Object(message)) => check_message(message, &mut found),
        Some(_) => {}
        None => found.push(violation("message", "The message is not set.")),
    }
    found
}

fn violation(field: &str, description: impl Into<String>) -> Violation {
    Violation { field: field.to_owned(), description: description.into() }
}

fn check_shape(value: &Value, shape: &Shape, path: &str, found: &mut Vec<Violation>) {
    let fits = match shape {
        Text => value.is_string(),
        Flag => value.is_boolean(),
        Count => value.is_i64(),
        Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Struct => value.is_object(),
        TextMap => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        Fields(fields) => {
            let Some(object) = value.as_object() else {
                return found.push(violation(path, "Invalid value: an object is expected."));
            };
            for (name, value) in object {
                match fields.iter().find(|(known, _)| known == name) {
                    Some((_, shape)) => {
                        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                        check_shape(value, shape, &path, found);
                    }
                    None => found.push(violation(
                        path,
                        format!(
                            "Invalid JSON payload received. Unknown name \"{name}\" at '{path}': Cannot find field."
                        ),
                    )),
                }
            }
            true
        }
    };
    if !fits {
        found.push(violation(path, format!("Invalid value at '{path}'.")));
    }
}

fn check_message(message: &Map<String, Value>, found: &mut Vec<Violation>) {
    let targets: Vec<_> =
        ["fid", "token", "topic", "condition"].into_iter().filter(|target| message.contains_key(*target)).collect();
    match targets.as_slice() {
        [target] if message[*target].as_str().is_some_and(str::is_empty) => {
            found.push(violation(&format!("message.{target}"), "The target is empty."));
        }
        [_] => {}
        _ => found.push(violation("message", "Exactly one of token, topic or condition is required.")),
    }
    if let Some(data) = message.get("data").and_then(Value::as_object) {
        for key in data.keys() {
            if key == "from" || key.starts_with("gcm") || key.starts_with("google") {
                found.push(violation(&format!("message.data[{key}]"), "Invalid data payload key: it is reserved."));
            }
        }
    }
    if payload_size(message) > LARGEST_PAYLOAD {
        found.push(violation("message", "Message payload is too big: at most 4096 bytes are allowed."));
    }
    let text = |path: &[&str]| {
        let mut steps = path.iter();
        let first = message.get(*steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(*step))?.as_str()
    };
    if text(&["android", "ttl"]).is_some_and(|ttl| !is_ttl(ttl)) {
        found.push(violation(
            "message.android.ttl",
            "Illegal duration format; duration must end with 's' and be at most 4 weeks.",
        ));
    }
    if text(&["webpush", "fcm_options", "link"]).is_some_and(|link| !link.starts_with("https://")) {
        found.push(violation("message.webpush.fcm_options.link", "The link must be an HTTPS address."));
    }
    if text(&["webpush", "headers", "Topic"]).is_some_and(|topic| !is_web_topic(topic)) {
        found.push(violation("message.webpush.headers", "Topic must be at most 32 base64url characters."));
    }
    if text(&["apns", "headers", "apns-collapse-id"]).is_some_and(|id| id.len() > LONGEST_APNS_COLLAPSE_ID) {
        found.push(violation("message.apns.headers", "apns-collapse-id must be at most 64 bytes."));
    }
}

/// Google counts keys and values of what the device receives.
fn payload_size(message: &Map<String, Value>) -> usize {
    ["notification", "data"]
        .into_iter()
        .filter_map(|part| message.get(part)?.as_object())
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum()
}

fn is_ttl(text: &str) -> bool {
    text.strip_suffix('s')
        .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
        .and_then(|number| number.parse::<f64>().ok())
        .is_some_and(|seconds| seconds <= LONGEST_TTL_SECONDS)
}

fn is_web_topic(topic: &str) -> bool {
    (1..=LONGEST_WEB_TOPIC).contains(&topic.len())
        && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(request: &Value) -> Vec<String> {
        violations(request).into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn the_reference_message_is_accepted() {
        let message = json!({"message": {"token": "t", "notification": {"title": "Payment received", "body": "Order 42 was paid"},
            "data": {"order_id": "42", "event_id": "e"},
            "android": {"collapse_key": "order-42", "priority": "HIGH", "ttl": "3600s", "notification": {"tag": "order-42"}},
            "apns": {"headers": {"apns-collapse-id": "order-42", "apns-expiration": "1795212939", "apns-priority": "10"},
                     "payload": {"aps": {"thread-id": "order-42"}}},
            "webpush": {"headers": {"TTL": "3600", "Topic": "order-42", "Urgency": "high"},
                        "notification": {"tag": "order-42"}, "fcm_options": {"link": "https://shop.example/orders/42"}}},
            "validate_only": false});
        assert_eq!(violations(&message), []);
    }

    #[test]
    fn what_google_refuses_is_refused() {
        let big = "x".repeat(4097);
        for (message, field) in [
            (json!({"token": "t", "to": "t"}), "message"),
            (json!({"token": "t", "topic": "news"}), "message"),
            (json!({}), "message"),
            (json!({"token": ""}), "message.token"),
            (json!({"token": 5}), "message.token"),
            (json!({"token": "t", "data": {"amount": 5}}), "message.data"),
            (json!({"token": "t", "data": {"google.x": "5"}}), "message.data[google.x]"),
            (json!({"token": "t", "data": {"from": "5"}}), "message.data[from]"),
            (json!({"token": "t", "data": {"k": big}}), "message"),
            (json!({"token": "t", "notification": {"tag": "x"}}), "message.notification"),
            (json!({"token": "t", "android": {"ttl": "3600"}}), "message.android.ttl"),
            (json!({"token": "t", "android": {"ttl": "2419201s"}}), "message.android.ttl"),
            (json!({"token": "t", "android": {"priority": "URGENT"}}), "message.android.priority"),
            (
                json!({"token": "t", "webpush": {"fcm_options": {"link": "http://shop"}}}),
                "message.webpush.fcm_options.link",
            ),
            (
                json!({"token": "t", "webpush": {"headers": {"Topic": "550e8400-e29b-41d4-a716-446655440000"}}}),
                "message.webpush.headers",
            ),
        ] {
            assert_eq!(fields(&json!({"message": message})), [field], "{message}");
        }
        assert_eq!(fields(&json!({"to": "t"})), ["", "message"]);
    }
}
