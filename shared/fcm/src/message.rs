//! The body of `messages:send`.

use chrono::{DateTime, Utc};
use domain::{DeviceToken, EventId, OrderId, PushNotification, TokenKind};
use secrecy::ExposeSecret;
use serde::Serialize;

/// How long a phone that is off may stay off and still be told: a day, in each platform's spelling.
const TTL_SECONDS: i64 = 24 * 60 * 60;
const TTL: &str = "86400";
const ANDROID_TTL: &str = "86400s";

#[derive(Serialize)]
struct SendRequest<'a> {
    validate_only: bool,
    message: Message<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(flatten)]
    target: Target<'a>,
    notification: Notification<'a>,
    data: Data,
    android: Android,
    apns: Apns,
    webpush: Webpush<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Target<'a> {
    Token(&'a str),
    Fid(&'a str),
}

#[derive(Serialize)]
struct Notification<'a> {
    title: &'a str,
    body: &'a str,
}

/// For the app's own code: which page to open, and whether it has seen this already.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    order_id: OrderId,
    event_id: EventId,
}

#[derive(Serialize)]
struct Tag {
    tag: OrderId,
}

#[derive(Serialize)]
struct Android {
    collapse_key: OrderId,
    priority: &'static str,
    ttl: &'static str,
    notification: Tag,
}

#[derive(Serialize)]
struct Apns {
    headers: ApnsHeaders,
    payload: ApnsPayload,
}

#[derive(Serialize)]
struct ApnsHeaders {
    #[serde(rename = "apns-collapse-id")]
    collapse_id: OrderId,
    #[serde(rename = "apns-expiration")]
    expiration: String,
    #[serde(rename = "apns-priority")]
    priority: &'static str,
}

#[derive(Serialize)]
struct ApnsPayload {
    aps: Aps,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Aps {
    thread_id: OrderId,
}

#[derive(Serialize)]
struct Webpush<'a> {
    headers: WebpushHeaders,
    notification: Tag,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcm_options: Option<WebpushOptions<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WebpushHeaders {
    #[serde(rename = "TTL")]
    ttl: &'static str,
    topic: String,
    urgency: &'static str,
}

#[derive(Serialize)]
struct WebpushOptions<'a> {
    link: &'a str,
}

/// Writes the request body. `at` is when it is sent.
pub(crate) fn write(
    device: &DeviceToken,
    notification: &PushNotification,
    validate_only: bool,
    at: DateTime<Utc>,
) -> serde_json::Result<Vec<u8>> {
    let order = notification.order;
    let token = device.token.expose_secret();
    let message = Message {
        target: match device.kind {
            TokenKind::Token => Target::Token(token),
            TokenKind::Fid => Target::Fid(token),
        },
        notification: Notification { title: &notification.title, body: &notification.body },
        data: Data { order_id: order, event_id: notification.event },
        android: Android { collapse_key: order, priority: "HIGH", ttl: ANDROID_TTL, notification: Tag { tag: order } },
        apns: Apns {
            headers: ApnsHeaders {
                collapse_id: order,
                expiration: (at.timestamp() + TTL_SECONDS).to_string(),
                priority: "10",
            },
            payload: ApnsPayload { aps: Aps { thread_id: order } },
        },
        webpush: Webpush {
            headers: WebpushHeaders {
                ttl: TTL,
                // At most 32 characters of base64url: a UUID fits without its dashes.
                topic: order.uuid().simple().to_string(),
                urgency: "high",
            },
            notification: Tag { tag: order },
            // FCM refuses the whole message over a link that is not HTTPS, as on a developer's machine.
            fcm_options: notification
                .link
                .as_deref()
                .filter(|link| link.starts_with("https://"))
                .map(|link| WebpushOptions { link }),
        },
    };
    let mut body = Vec::with_capacity(2048);
    serde_json::to_writer(&mut body, &SendRequest { validate_only, message })?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(kind: TokenKind, link: Option<&str>) -> Value {
        let notification = PushNotification {
            title: "결제 완료".into(),
            body: "머그컵 \"2\"개".into(),
            event: "0198c1a2-7b3c-7def-8123-456789abcdef".parse().unwrap(),
            order: "0198c1a2-0000-7000-8000-000000000042".parse().unwrap(),
            link: link.map(Into::into),
        };
        let device = DeviceToken { kind, token: "device-1".into() };
        let at = DateTime::from_timestamp(1_795_212_939, 0).unwrap();
        serde_json::from_slice(&write(&device, &notification, kind == TokenKind::Fid, at).unwrap()).unwrap()
    }

    #[test]
    fn a_message_is_one_notification_however_often_it_arrives() {
        let order = "0198c1a2-0000-7000-8000-000000000042";
        let expected = json!({
            "validate_only": false,
            "message": {
                "token": "device-1",
                "notification": {"title": "결제 완료", "body": "머그컵 \"2\"개"},
                "data": {"orderId": order, "eventId": "0198c1a2-7b3c-7def-8123-456789abcdef"},
                "android": {"collapse_key": order, "priority": "HIGH", "ttl": "86400s", "notification": {"tag": order}},
                "apns": {
                    "headers": {"apns-collapse-id": order, "apns-expiration": "1795299339", "apns-priority": "10"},
                    "payload": {"aps": {"thread-id": order}},
                },
                "webpush": {
                    "headers": {"TTL": "86400", "Topic": "0198c1a2000070008000000000000042", "Urgency": "high"},
                    "notification": {"tag": order},
                    "fcm_options": {"link": "https://shop.example/orders/42"},
                },
            },
        });
        assert_eq!(written(TokenKind::Token, Some("https://shop.example/orders/42")), expected);
    }

    #[test]
    fn a_device_is_named_in_one_way() {
        let body = written(TokenKind::Fid, None);
        assert_eq!((&body["message"]["fid"], &body["message"]["token"]), (&json!("device-1"), &Value::Null));
        assert_eq!(body["validate_only"], json!(true));
    }

    #[test]
    fn a_link_that_fcm_would_refuse_is_left_out() {
        for link in [None, Some("http://127.0.0.1:8080/orders/42"), Some("/orders/42")] {
            assert_eq!(written(TokenKind::Token, link)["message"]["webpush"].get("fcm_options"), None);
        }
    }
}
