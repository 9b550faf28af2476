//! Every answer that FCM is documented to give, and some that it has given.

use chrono::{TimeDelta, Utc};

use super::*;

const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const NOT_A_TOKEN: &str = "The registration token is not a valid FCM registration token";

fn refusal(code: u16, message: &str, details: &[Value]) -> Say {
    Say::json(code, &json!({"error": {"code": code, "message": message, "status": "SOME_STATUS", "details": details}}))
}

fn fcm_error(code: &str) -> Value {
    json!({"@type": FCM_ERROR, "errorCode": code})
}

fn violation(field: &str) -> Value {
    json!({"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": "Invalid value"}]})
}

fn html(status: u16) -> Say {
    Say::Reply { status, retry_after: None, body: "<!DOCTYPE html><title>Error</title>".into() }
}

fn busy(status: u16, retry_after: Option<&str>) -> Say {
    let body = json!({"error": {"code": status, "message": "busy", "status": "UNAVAILABLE"}}).to_string();
    Say::Reply { status, retry_after: retry_after.map(Into::into), body }
}

async fn told(say: Say) -> PushError {
    let google = FakeGoogle::open().await;
    let result = google.will(say).send(&device(), &paid()).await;
    assert_eq!(google.sends(), 1, "FCM was asked again");
    result.unwrap_err()
}

#[tokio::test]
async fn a_device_is_gone_only_on_exact_evidence() {
    let evidence = [
        (refusal(404, "Requested entity was not found.", &[fcm_error("UNREGISTERED")]), "UNREGISTERED"),
        (refusal(400, "Invalid", &[violation("message.token")]), "message.token"),
        (refusal(400, "Invalid", &[fcm_error("INVALID_ARGUMENT"), violation("message.fid")]), "message.fid"),
        (refusal(400, NOT_A_TOKEN, &[fcm_error("INVALID_ARGUMENT")]), "INVALID_ARGUMENT"),
    ];
    for (say, expected) in evidence {
        let error = told(say).await;
        assert!(matches!(&error, PushError::Gone { code } if code == expected), "{error:?}");
    }
    let no_evidence = [
        html(404),
        refusal(404, "Requested entity was not found.", &[]),
        refusal(404, "x", &[json!({"@type": "type.googleapis.com/other", "errorCode": "UNREGISTERED"})]),
        refusal(404, "x", &[fcm_error("INVALID_ARGUMENT")]),
        refusal(410, "x", &[fcm_error("UNREGISTERED")]),
        html(410),
    ];
    for say in no_evidence {
        let error = told(say).await;
        assert!(matches!(error, PushError::Unexpected { status: 404 | 410, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_bad_payload_does_not_blame_the_device() {
    let payloads = [
        refusal(400, "Invalid", &[fcm_error("INVALID_ARGUMENT"), violation("message.data")]),
        refusal(400, "Invalid", &[violation("message.token_of_mine")]),
        refusal(400, NOT_A_TOKEN, &[]),
        refusal(400, &format!("{NOT_A_TOKEN}s"), &[fcm_error("INVALID_ARGUMENT")]),
        refusal(400, "Message too big", &[fcm_error("INVALID_ARGUMENT")]),
    ];
    for say in payloads {
        let error = told(say).await;
        assert!(matches!(error, PushError::Payload(_)), "{error:?}");
    }
    let error = told(refusal(400, "Invalid", &[violation("message.data")])).await;
    assert!(matches!(&error, PushError::Payload(complaint) if complaint == "Invalid message.data"), "{error:?}");
}

#[tokio::test]
async fn each_missing_right_has_a_name() {
    let error = told(refusal(403, "SenderId mismatch", &[fcm_error("SENDER_ID_MISMATCH")])).await;
    assert!(matches!(error, PushError::SenderMismatch), "{error:?}");
    let error = told(refusal(401, "no APNs key", &[fcm_error("THIRD_PARTY_AUTH_ERROR")])).await;
    assert!(matches!(&error, PushError::ThirdPartyAuth(message) if message == "no APNs key"), "{error:?}");
    let error = told(refusal(403, "the API is disabled", &[])).await;
    assert!(matches!(&error, PushError::Auth(message) if message == "the API is disabled"), "{error:?}");
}

#[tokio::test]
async fn a_busy_fcm_says_how_long_to_wait() {
    let minute = Some(Duration::from_mins(1));
    let hour = Some(Duration::from_hours(1));
    let waits = [
        (busy(429, Some("7")), Some(Duration::from_secs(7))),
        (busy(429, None), minute),
        (busy(429, Some("soon")), minute),
        (busy(503, Some(" 30 ")), Some(Duration::from_secs(30))),
        (busy(503, Some("99999999999999")), hour),
        (busy(503, Some("Sun, 06 Nov 1994 08:49:37 GMT")), Some(Duration::ZERO)),
        (busy(503, Some("Fri, 01 Jan 2100 00:00:00 GMT")), hour),
        (busy(503, Some("-1")), None),
        (busy(503, None), None),
        (refusal(500, "internal", &[fcm_error("INTERNAL")]), None),
        (html(502), None),
        (html(503), None),
    ];
    for (say, expected) in waits {
        let error = told(say).await;
        assert!(matches!(&error, PushError::Retry { after } if *after == expected), "{error:?}, not {expected:?}");
    }
    let date = (Utc::now() + TimeDelta::seconds(90)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let PushError::Retry { after: Some(wait) } = told(busy(503, Some(&date))).await else { panic!() };
    assert!((60..=90).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn an_undocumented_answer_is_quoted_without_the_device() {
    let answers = [
        (200, "<html>Welcome to the hotel's network</html>"),
        (200, ""),
        (204, ""),
        (302, ""),
        (401, "<html>Proxy</html>"),
        (403, "<html>Proxy</html>"),
        (400, "not JSON about device-token-1\u{0}\n"),
        (
            500,
            r#"{"error":{"details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNSPECIFIED_ERROR"}]}}"#,
        ),
    ];
    for (status, body) in answers {
        let error = told(Say::Reply { status, retry_after: None, body: body.into() }).await;
        let PushError::Unexpected { status: shown, excerpt } = error else { panic!("{status}: {error:?}") };
        assert_eq!(shown, status);
        assert!(!excerpt.contains("device-token-1") && !excerpt.contains(char::is_control), "{excerpt}");
    }
    let endless = told(Say::Reply { status: 400, retry_after: None, body: "길".repeat(1_000_000) }).await;
    assert!(matches!(endless, PushError::Unexpected { excerpt, .. } if excerpt.chars().count() == 200));
    let quoted = told(refusal(403, "device-token-1 is not yours", &[])).await;
    assert!(matches!(&quoted, PushError::Auth(message) if message == "[token] is not yours"), "{quoted:?}");
}

#[tokio::test]
async fn no_answer_may_mean_that_it_arrived() {
    let google = FakeGoogle::open().await;
    google.will(Say::Nothing);
    let hasty = FcmSettings { timeout: Duration::from_millis(200), ..settings(&google.base_url) };
    let error = Fcm::new(hasty).unwrap().send(&device(), &paid()).await.unwrap_err();
    assert!(matches!(error, PushError::Unknown(_)), "{error:?}");
    assert_eq!(google.sends(), 1);

    let error = told(Say::BreakOff).await;
    assert!(matches!(error, PushError::Unknown(_)), "{error:?}");
}

#[tokio::test]
async fn nothing_arrives_where_nobody_listens() {
    let google = FakeGoogle::open().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = FcmSettings { base_url: format!("http://{nobody}"), ..settings(&google.base_url) };
    let error = Fcm::new(nobody).unwrap().send(&device(), &paid()).await.unwrap_err();
    assert!(matches!(error, PushError::Retry { after: None }), "{error:?}");
}
