//! What every API call passes through: key check, fault, test code, idempotency, then the call itself.

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::answer::Answer;
use super::idempotency::{Claim, Slot};
use super::refusal::{self, Refusal};
use crate::Sandbox;
use crate::faults::{self, Endpoint, Fault, UnknownFault};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const LONGEST_IDEMPOTENCY_KEY: usize = 300;

/// One authenticated request.
pub(super) struct Call<'a> {
    sandbox: &'a Sandbox,
    endpoint: Endpoint,
    path: &'a str,
    headers: &'a HeaderMap,
}

impl<'a> Call<'a> {
    pub(super) fn open(
        sandbox: &'a Sandbox,
        endpoint: Endpoint,
        path: &'a str,
        headers: &'a HeaderMap,
    ) -> Result<Self, Answer> {
        sandbox.count_request();
        check_key(&sandbox.settings().secret_key, headers)?;
        Ok(Self { sandbox, endpoint, path, headers })
    }

    /// Answers through whatever fault is due. `work` runs at most once and never waits.
    pub(super) async fn answer<W>(self, order_id: Option<&str>, work: W) -> Response
    where
        W: FnOnce() -> Result<Answer, &'static Refusal> + Send,
    {
        let fault = match self.fault(order_id) {
            Ok(fault) => fault,
            Err(unknown) => return (StatusCode::BAD_REQUEST, format!("{unknown}\n")).into_response(),
        };
        let mut response = match fault {
            None => self.perform(work).0.into_response(),
            Some(Fault::Reset) => faults::closed_connection(),
            Some(Fault::Hang) => self.sandbox.hang().await,
            Some(Fault::ErrorBefore(refusal)) => Answer::from(refusal).into_response(),
            Some(Fault::GatewayPage) => faults::gateway_page(),
            Some(Fault::Decline(refusal)) => {
                if let Some(order_id) = order_id {
                    self.sandbox.book().decline(order_id, refusal);
                }
                self.perform(work).0.into_response()
            }
            Some(Fault::Slow(delay)) => {
                let (answer, _busy) = self.perform(work);
                tokio::time::sleep(delay).await;
                answer.into_response()
            }
            Some(Fault::AnswerLost) => {
                self.perform(work);
                faults::closed_connection()
            }
            Some(Fault::HangAfter) => {
                self.perform(work);
                self.sandbox.hang().await
            }
            Some(Fault::ErrorAfter(refusal)) => self.perform(|| work().and(Err(refusal))).0.into_response(),
            Some(Fault::GatewayPageAfter) => {
                self.perform(work);
                faults::gateway_page()
            }
            Some(Fault::LyingAmount(won)) => lie(self.perform(work).0, won).into_response(),
        };
        if let Some(key) = self.idempotency_key() {
            response.headers_mut().insert(IDEMPOTENCY_KEY, key.clone());
        }
        response
    }

    /// The key stays busy for as long as the slot is held.
    fn perform(&self, work: impl FnOnce() -> Result<Answer, &'static Refusal>) -> (Answer, Option<Slot<'a>>) {
        if let Some(refusal) = self.test_code() {
            return (refusal.into(), None);
        }
        let mut slot = match self.claim() {
            Ok(slot) => slot,
            Err(answer) => return (answer, None),
        };
        let answer = work().unwrap_or_else(Answer::from);
        if let Some(slot) = &mut slot {
            slot.keep(&answer);
        }
        (answer, slot)
    }

    fn fault(&self, order_id: Option<&str>) -> Result<Option<Fault>, UnknownFault> {
        match self.headers.get("sandbox-fault") {
            Some(text) => text.to_str().unwrap_or_default().parse().map(Some),
            None => Ok(self.sandbox.faults().take(self.endpoint, order_id)),
        }
    }

    fn test_code(&self) -> Option<&'static Refusal> {
        let code = self.headers.get("tosspayments-test-code")?;
        Some(Refusal::of(code.to_str().unwrap_or_default()).unwrap_or(&refusal::INVALID_TEST_CODE))
    }

    /// Idempotency is for POSTs; a GET's key is ignored.
    fn idempotency_key(&self) -> Option<&HeaderValue> {
        match self.endpoint {
            Endpoint::Query => None,
            Endpoint::Confirm | Endpoint::Cancel => self.headers.get(IDEMPOTENCY_KEY),
        }
    }

    fn claim(&self) -> Result<Option<Slot<'a>>, Answer> {
        let Some(key) = self.idempotency_key() else { return Ok(None) };
        let key = key.to_str().map_err(|_| &refusal::INVALID_IDEMPOTENCY_KEY)?;
        if key.len() > LONGEST_IDEMPOTENCY_KEY {
            return Err((&refusal::INVALID_IDEMPOTENCY_KEY).into());
        }
        match self.sandbox.idempotency().claim(self.path, key, self.sandbox.now()) {
            Claim::Fresh(slot) => Ok(Some(slot)),
            Claim::Busy => Err((&refusal::IDEMPOTENT_REQUEST_PROCESSING).into()),
            Claim::Answered(answer) => Err(answer.replayed()),
        }
    }
}

/// The key is the user name, the password is empty, and the colon between them must be there.
fn check_key(secret_key: &str, headers: &HeaderMap) -> Result<(), &'static Refusal> {
    let credentials = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
        .ok_or(&refusal::INCORRECT_BASIC_AUTH_FORMAT)?;
    let mut parts = credentials.splitn(2, |byte| *byte == b':');
    match (parts.next(), parts.next()) {
        (Some(user), Some(_)) if user == secret_key.as_bytes() => Ok(()),
        (Some(_), Some(_)) => Err(&refusal::UNAUTHORIZED_KEY),
        _ => Err(&refusal::INCORRECT_BASIC_AUTH_FORMAT),
    }
}

/// The same answer about another sum. Refusals have no sum to lie about.
fn lie(answer: Answer, won: Option<i64>) -> Answer {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
    let Some(total) = body.get_mut("totalAmount") else { return answer };
    *total = won.unwrap_or_else(|| total.as_i64().unwrap_or_default() + 1_000).into();
    Answer { body: body.to_string().into(), ..answer }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use http::{Request, StatusCode};
    use http_body_util::BodyExt;

    use crate::testing::{Desk, confirm, with};

    #[tokio::test]
    async fn only_the_secret_key_opens() {
        let desk = Desk::new();
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        for (header, status, code) in [
            (None, 403, "INCORRECT_BASIC_AUTH_FORMAT"),
            (Some(basic("test_gsk_docs_OaPz8L5KdmQXkzRz3y47BMw6")), 403, "INCORRECT_BASIC_AUTH_FORMAT"),
            (Some("Basic ???".to_owned()), 403, "INCORRECT_BASIC_AUTH_FORMAT"),
            (Some("Bearer x".to_owned()), 403, "INCORRECT_BASIC_AUTH_FORMAT"),
            (Some(basic("somebody:")), 401, "UNAUTHORIZED_KEY"),
        ] {
            let mut request = Request::get("/toss/v1/payments/x").body(Body::empty()).unwrap();
            if let Some(header) = &header {
                request.headers_mut().insert("authorization", header.parse().unwrap());
            }
            assert_eq!(desk.send(request).await.refusal(), (status, code.to_owned()), "{header:?}");
        }
        assert_eq!(desk.get("/toss/v1/payments/x").await.refusal(), (404, "NOT_FOUND_PAYMENT".to_owned()));
        assert_eq!(desk.get("/toss/v1/nothing").await.refusal(), (404, "NOT_FOUND".to_owned()));
        assert_eq!(desk.sandbox.total_requests(), 6);
    }

    #[tokio::test]
    async fn a_key_replays_its_first_answer_whatever_the_body() {
        let desk = Desk::new();
        let key = desk.authenticated("order-1", 15_000, "choice=card").await;
        let other = desk.authenticated("order-2", 15_000, "choice=card").await;
        let send = |request| desk.send(with(request, "idempotency-key", "k-1"));
        let first = send(confirm(&key, "order-1", 15_000)).await;
        assert_eq!(first.header("idempotency-key"), "k-1");
        for request in [confirm(&key, "order-1", 15_000), confirm(&other, "order-2", 15_000)] {
            let replayed = send(request).await;
            assert_eq!((replayed.status, &replayed.body), (first.status, &first.body));
            assert!(replayed.header("x-tosspayments-trace-id").ends_with(first.header("x-tosspayments-trace-id")));
        }
        assert_eq!(desk.sandbox.approvals("order-1"), 1);
        assert_eq!(desk.sandbox.money_taken("order-2"), 0);
    }

    #[tokio::test]
    async fn refusals_are_kept_and_server_errors_are_not() {
        let desk = Desk::new();
        let key = desk.open("order-1", 15_000).await;
        let send = |idempotency_key: &'static str| {
            desk.send(with(confirm(&key, "order-1", 15_000), "idempotency-key", idempotency_key))
        };
        assert_eq!(send("early").await.refusal().1, "NOT_FOUND_PAYMENT_SESSION");
        desk.choose(&key, "choice=decline&code=COMMON_ERROR").await;
        assert_eq!(send("early").await.refusal().1, "NOT_FOUND_PAYMENT_SESSION");
        assert_eq!(send("k").await.refusal().1, "COMMON_ERROR");
        desk.sandbox.book().decline("order-1", crate::Refusal::of("REJECT_CARD_PAYMENT").unwrap());
        assert_eq!(send("k").await.refusal().1, "REJECT_CARD_PAYMENT");
        let long = "k".repeat(301);
        let refused = desk.send(with(confirm(&key, "order-1", 15_000), "idempotency-key", &long)).await;
        assert_eq!(refused.refusal(), (400, "INVALID_IDEMPOTENCY_KEY".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_key_is_a_conflict() {
        let desk = Desk::new();
        let key = desk.authenticated("order-1", 15_000, "choice=card").await;
        let keyed = || with(confirm(&key, "order-1", 15_000), "idempotency-key", "k");
        let slow = desk.send(with(keyed(), "sandbox-fault", "slow=1000"));
        let meanwhile = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            desk.send(keyed()).await
        };
        let (slow, meanwhile) = tokio::join!(slow, meanwhile);
        assert_eq!(slow.status, StatusCode::OK);
        assert_eq!(meanwhile.refusal(), (409, "IDEMPOTENT_REQUEST_PROCESSING".to_owned()));
        assert_eq!(desk.send(keyed()).await.body, slow.body);
    }

    #[tokio::test]
    async fn a_test_code_answers_before_anything_is_looked_at() {
        let desk = Desk::new();
        let send = |code: &'static str| desk.send(with(confirm("fake", "order-1", 1), "tosspayments-test-code", code));
        assert_eq!(send("REJECT_CARD_PAYMENT").await.refusal(), (403, "REJECT_CARD_PAYMENT".to_owned()));
        assert_eq!(send("NO_SUCH_CODE").await.refusal(), (400, "INVALID_TEST_CODE".to_owned()));
    }

    #[tokio::test]
    async fn a_fault_before_takes_no_money_and_a_fault_after_does() {
        for (fault, status, taken) in [
            ("reset", None, 0),
            ("before-500", Some(500), 0),
            ("html-502", Some(502), 0),
            ("answer-lost", None, 15_000),
            ("approve-then-500", Some(500), 15_000),
            ("html-502-after", Some(502), 15_000),
            ("lying-amount=1", Some(200), 15_000),
        ] {
            let desk = Desk::new();
            let key = desk.authenticated("order-1", 15_000, "choice=card").await;
            let keyed = || with(confirm(&key, "order-1", 15_000), "idempotency-key", "k");
            let response = desk.respond(with(keyed(), "sandbox-fault", fault)).await;
            let answered = response.status().as_u16();
            let body = response.into_body().collect().await.ok();
            assert_eq!(body.as_ref().map(|_| answered), status, "{fault}");
            assert_eq!(desk.sandbox.money_taken("order-1"), taken, "{fault}");
            let retried = desk.send(keyed()).await;
            let expected = if fault == "approve-then-500" { 400 } else { 200 };
            assert_eq!(retried.status.as_u16(), expected, "{fault}: the same key once more");
            assert_eq!(desk.sandbox.approvals("order-1"), 1, "{fault}");
        }
    }

    #[tokio::test]
    async fn a_lie_is_about_the_answer_only() {
        let desk = Desk::new();
        let key = desk.authenticated("order-1", 15_000, "choice=card").await;
        let lie = desk.send(with(confirm(&key, "order-1", 15_000), "sandbox-fault", "lying-amount")).await;
        assert_eq!(lie.json()["totalAmount"], 16_000);
        let truth = desk.get(&format!("/toss/v1/payments/{key}")).await.json();
        assert_eq!(truth["totalAmount"], 15_000);
        let unknown = desk.send(with(confirm(&key, "order-1", 15_000), "sandbox-fault", "no-such")).await;
        assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_hanging_call_ends_when_it_is_released() {
        let desk = Desk::new();
        let key = desk.authenticated("order-1", 15_000, "choice=card").await;
        let hanging = desk.respond(with(confirm(&key, "order-1", 15_000), "sandbox-fault", "hang-after"));
        let release = async {
            while desk.sandbox.approvals("order-1") == 0 {
                tokio::task::yield_now().await;
            }
            desk.sandbox.release_hanging_calls();
        };
        let (response, ()) = tokio::join!(hanging, release);
        assert!(response.into_body().collect().await.is_err());
    }
}
