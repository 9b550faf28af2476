//! `POST /fcm/v1/projects/{project}/messages:send`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::Utc;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use super::check::{self, Violation};
use super::{Notification, Step, not_found};
use crate::{Sandbox, faults, ids};

const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

#[derive(Serialize)]
struct Accepted<'a> {
    name: &'a str,
}

pub(super) async fn handle(
    State(sandbox): State<Sandbox>,
    Path(project): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    sandbox.fcm().count_send();
    if !is_authorized(&sandbox, &headers) {
        let message = "Request had invalid authentication credentials. Expected OAuth 2 access token.";
        return error(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message, json!([]));
    }
    if project != sandbox.settings().project_id {
        let message = "Permission 'cloudmessaging.messages.create' denied on the project.";
        return error(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message, json!([]));
    }
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return bad_request(&[Violation {
            field: String::new(),
            description: "Invalid JSON payload received.".to_owned(),
        }]);
    };
    let violations = check::violations(&request);
    if !violations.is_empty() {
        return bad_request(&violations);
    }
    let notification = notification(&project, &request["message"]);
    let is_rehearsal = request["validate_only"].as_bool().unwrap_or_default();
    let step = sandbox.fcm().next_step(&notification.token);
    perform(&sandbox, step, notification, is_rehearsal).await
}

fn is_authorized(sandbox: &Sandbox, headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .is_some_and(|token| sandbox.fcm().knows(token, Utc::now()))
}

async fn perform(sandbox: &Sandbox, step: Step, notification: Notification, is_rehearsal: bool) -> Response {
    let accept = || {
        let response = Json(Accepted { name: &notification.name }).into_response();
        if !is_rehearsal {
            sandbox.fcm().deliver(notification);
        }
        response
    };
    let retry_later = |mut response: Response, retry_after: Option<HeaderValue>| {
        if let Some(retry_after) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, retry_after);
        }
        response
    };
    match step {
        Step::Ok => accept(),
        Step::Unregistered => {
            fcm_error(StatusCode::NOT_FOUND, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found.")
        }
        Step::Invalid => {
            let message = "The registration token is not a valid FCM registration token";
            fcm_error(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "INVALID_ARGUMENT", message)
        }
        Step::InvalidField => bad_request(&[Violation {
            field: "message.token".to_owned(),
            description: "Invalid registration token".to_owned(),
        }]),
        Step::InvalidPayload => bad_request(&[Violation {
            field: "message.data[0].value".to_owned(),
            description: "Invalid value".to_owned(),
        }]),
        Step::Mismatch => {
            fcm_error(StatusCode::FORBIDDEN, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch")
        }
        Step::ThirdParty => {
            let message = "Auth error from APNS or Web Push Service";
            fcm_error(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", message)
        }
        Step::Quota(retry_after) => {
            let message = "Quota exceeded.";
            let response = fcm_error(StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", message);
            retry_later(response, retry_after)
        }
        Step::Unavailable(retry_after) => retry_later(unavailable(), retry_after),
        Step::Internal => {
            fcm_error(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "INTERNAL", "Internal error encountered.")
        }
        Step::Html502 => faults::gateway_page(),
        Step::Bare404 => not_found().await,
        Step::Hang => sandbox.hang().await,
        Step::Reset => faults::closed_connection(),
        Step::DeliverThen503 => {
            accept();
            unavailable()
        }
        Step::DeliverThenReset => {
            accept();
            faults::closed_connection()
        }
    }
}

fn notification(project: &str, message: &Value) -> Notification {
    let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
    let target = ["/token", "/fid", "/topic", "/condition"].into_iter().find_map(text).unwrap_or_default();
    let tag = ["/android/notification/tag", "/webpush/notification/tag", "/apns/headers/apns-collapse-id"];
    let title = ["/notification/title", "/webpush/notification/title", "/android/notification/title"];
    let body = ["/notification/body", "/webpush/notification/body", "/android/notification/body"];
    let first = |pointers: [&str; 3]| pointers.into_iter().find_map(text).map(str::to_owned);
    let data = message.get("data").and_then(Value::as_object).into_iter().flatten();
    Notification {
        name: format!("projects/{project}/messages/{}", ids::message_id()),
        token: target.into(),
        tag: first(tag),
        title: first(title),
        body: first(body),
        data: data
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect::<BTreeMap<_, _>>(),
        received_at: Utc::now(),
    }
}

fn unavailable() -> Response {
    fcm_error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable.")
}

fn fcm_error(code: StatusCode, status: &str, error_code: &str, message: &str) -> Response {
    error(code, status, message, json!([{"@type": FCM_ERROR, "errorCode": error_code}]))
}

fn bad_request(violations: &[Violation]) -> Response {
    let message = violations.first().map_or("", |violation| violation.description.as_str());
    let details = json!([{"@type": BAD_REQUEST, "fieldViolations": violations}]);
    error(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message, details)
}

fn error(code: StatusCode, status: &str, message: &str, details: Value) -> Response {
    let mut error = json!({"code": code.as_u16(), "message": message, "status": status});
    if details.as_array().is_some_and(|details| !details.is_empty()) {
        error["details"] = details;
    }
    (code, Json(json!({"error": error}))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use crate::Settings;
    use crate::fcm::oauth::signing;
    use crate::testing::{Desk, Reply};

    const SEND: &str = "/fcm/v1/projects/jumun-sandbox/messages:send";

    async fn access_token(desk: &Desk) -> String {
        let assertion = signing::assertion(&signing::claims(&Settings::default()));
        let form = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let request = Request::post("/fcm/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form));
        let token = desk.send(request.unwrap()).await.json();
        assert_eq!((&token["expires_in"], &token["token_type"]), (&json!(3599), &json!("Bearer")));
        token["access_token"].as_str().unwrap().to_owned()
    }

    fn request(path: &str, access_token: &str, message: &Value) -> Request<Body> {
        Request::post(path)
            .header("authorization", format!("Bearer {access_token}"))
            .body(Body::from(json!({"message": message}).to_string()))
            .unwrap()
    }

    fn error_code(reply: &Reply) -> String {
        reply.json()["error"]["details"][0]["errorCode"].as_str().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_message_reaches_the_phone() {
        let desk = Desk::new();
        let token = access_token(&desk).await;
        let message = json!({"token": "phone-1", "notification": {"title": "결제 완료", "body": "감사합니다"},
            "data": {"event_id": "e-1"}, "android": {"notification": {"tag": "order-1"}}});
        let accepted = desk.send(request(SEND, &token, &message)).await.json();
        let notifications = desk.sandbox.notifications("phone-1");
        assert_eq!(notifications.len(), 1);
        assert_eq!(accepted["name"], notifications[0].name);
        assert_eq!(notifications[0].tag.as_deref(), Some("order-1"));
        assert_eq!(notifications[0].title.as_deref(), Some("결제 완료"));
        assert_eq!(notifications[0].data["event_id"], "e-1");
        let rehearsal = json!({"message": message, "validate_only": true});
        let rehearsal = Request::post(SEND)
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(rehearsal.to_string()));
        assert_eq!(desk.send(rehearsal.unwrap()).await.status.as_u16(), 200);
        assert_eq!(desk.sandbox.all_notifications().len(), 1);
        assert_eq!((desk.sandbox.token_exchanges(), desk.sandbox.sends()), (1, 2));
    }

    #[tokio::test]
    async fn only_a_good_token_for_the_project_may_send() {
        let desk = Desk::new();
        let message = json!({"token": "phone-1"});
        let unknown = desk.send(request(SEND, "made-up", &message)).await;
        assert_eq!((unknown.status.as_u16(), error_code(&unknown).as_str()), (401, ""));
        let token = access_token(&desk).await;
        let elsewhere = desk.send(request("/fcm/v1/projects/other/messages:send", &token, &message)).await;
        assert_eq!(elsewhere.status.as_u16(), 403);
        let refused = desk.send(request(SEND, &token, &json!({"token": "phone-1", "to": "x"}))).await;
        assert_eq!(refused.status.as_u16(), 400);
        assert_eq!(refused.json()["error"]["details"][0]["fieldViolations"][0]["field"], "message");
        desk.sandbox.revoke_access_tokens();
        assert_eq!(desk.send(request(SEND, &token, &message)).await.status.as_u16(), 401);
        assert_eq!(desk.sandbox.all_notifications(), []);
    }

    #[tokio::test]
    async fn every_step_answers_as_its_table_says() {
        let desk = Desk::new();
        let token = access_token(&desk).await;
        for (step, status, code, delivered) in [
            ("ok", 200, "", 1),
            ("unregistered", 404, "UNREGISTERED", 0),
            ("invalid", 400, "INVALID_ARGUMENT", 0),
            ("invalid-field", 400, "", 0),
            ("invalid-payload", 400, "", 0),
            ("mismatch", 403, "SENDER_ID_MISMATCH", 0),
            ("thirdparty", 401, "THIRD_PARTY_AUTH_ERROR", 0),
            ("quota:7", 429, "QUOTA_EXCEEDED", 0),
            ("unavailable:7", 503, "UNAVAILABLE", 0),
            ("internal", 500, "INTERNAL", 0),
            ("deliver_then_503", 503, "UNAVAILABLE", 1),
        ] {
            desk.sandbox.fcm_script(step, vec![step.parse().unwrap()]);
            let reply = desk.send(request(SEND, &token, &json!({"token": step}))).await;
            assert_eq!((reply.status.as_u16(), error_code(&reply).as_str()), (status, code), "{step}");
            assert_eq!(reply.header("retry-after"), if step.ends_with(":7") { "7" } else { "" });
            assert_eq!(desk.sandbox.notifications(step).len(), delivered, "{step}");
        }
        for (step, status) in [("html502", 502), ("bare404", 404)] {
            desk.sandbox.fcm_script(step, vec![step.parse().unwrap()]);
            let reply = desk.send(request(SEND, &token, &json!({"token": step}))).await;
            assert_eq!(reply.status.as_u16(), status);
            assert!(reply.text().starts_with("<html>"));
        }
        for (step, delivered) in [("reset", 0), ("deliver_then_reset", 1)] {
            desk.sandbox.fcm_script(step, vec![step.parse().unwrap()]);
            let response = desk.respond(request(SEND, &token, &json!({"token": step}))).await;
            assert!(response.into_body().collect().await.is_err());
            assert_eq!(desk.sandbox.notifications(step).len(), delivered);
        }
    }
}
