//! Webhooks: what Toss tells the shop unasked, and sends again for four days when the answer is not 200.

use std::collections::VecDeque;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use reqwest::{Client, redirect};
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tracing::{error, warn};

use super::payment::{Payment, Status};
use super::payment_json::PaymentJson;
use crate::lock::Lock;
use crate::{Sandbox, clock, ids};

/// How long the shop may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A webhook is sent this often again, the first time after a minute, then each time after four times as long.
const RETRIES: u32 = 7;

/// What is remembered for those who look, beside what is still to be sent.
const KEPT: usize = 1_000;

/// A webhook, as it was written once. Who sends it adds the headers of the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its transmission id, the same for every try.
    pub id: String,
    /// The order it is about; `None` for a payout.
    pub order_id: Option<String>,
    /// The body.
    pub body: String,
    /// What its tries were answered; 0 is no answer.
    pub answers: Vec<u16>,
}

impl Webhook {
    /// The shop took it, or has refused it for four days.
    fn is_over(&self) -> bool {
        self.answers.contains(&200) || self.answers.len() > RETRIES as usize
    }
}

/// The first envelope: an event about a payment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed<'a> {
    event_type: &'static str,
    created_at: &'a str,
    data: PaymentJson<'a>,
}

/// The second one: flat, and without a payment key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DepositCallback<'a> {
    created_at: &'a str,
    secret: &'a str,
    status: Status,
    transaction_key: Option<&'a str>,
    order_id: &'a str,
}

/// Where webhooks are written, kept and sent from.
#[derive(Debug)]
pub(crate) struct PostOffice {
    client: Client,
    /// More at once would be an attack.
    couriers: Semaphore,
    pile: Lock<Pile>,
}

#[derive(Debug, Default)]
struct Pile {
    webhooks: VecDeque<Webhook>,
    /// While it is held, what is written waits here in the order in which it was written.
    held: Option<Vec<String>>,
}

impl Default for PostOffice {
    fn default() -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(PATIENCE).build();
        Self { client: client.unwrap_or_default(), couriers: Semaphore::new(32), pile: Lock::default() }
    }
}

impl PostOffice {
    pub(crate) fn clear(&self) {
        *self.pile.lock() = Pile::default();
    }

    /// Takes a webhook in, of an office that `sends`. Returns whether it is to be sent now.
    fn post(&self, webhook: Webhook, sends: bool) -> bool {
        let mut pile = self.pile.lock();
        let now = match &mut pile.held {
            Some(held) => {
                held.push(webhook.id.clone());
                false
            }
            None => true,
        };
        let forgettable = |it: &Webhook| it.is_over() || !sends;
        if pile.webhooks.len() >= KEPT
            && let Some(oldest) = pile.webhooks.iter().position(forgettable)
        {
            pile.webhooks.remove(oldest);
        }
        pile.webhooks.push_back(webhook);
        now
    }

    fn find(&self, id: &str) -> Option<Webhook> {
        self.pile.lock().webhooks.iter().find(|it| it.id == id).cloned()
    }

    fn note(&self, id: &str, answer: u16) {
        if let Some(webhook) = self.pile.lock().webhooks.iter_mut().find(|it| it.id == id) {
            webhook.answers.push(answer);
        }
    }
}

impl Sandbox {
    /// The latest webhooks, sent or not, oldest first: of one order, or all.
    pub fn webhooks(&self, order_id: Option<&str>) -> Vec<Webhook> {
        let pile = self.post_office().pile.lock();
        let wanted = |it: &&Webhook| order_id.is_none() || it.order_id.as_deref() == order_id;
        pile.webhooks.iter().filter(wanted).cloned().collect()
    }

    /// How many webhooks the shop has not taken yet, and may still.
    pub fn untaken_webhooks(&self) -> usize {
        self.post_office().pile.lock().webhooks.iter().filter(|it| !it.is_over()).count()
    }

    /// The headers that a webhook would be sent with now.
    pub fn webhook_headers(&self, webhook: &Webhook) -> Vec<(&'static str, String)> {
        let settings = self.settings();
        let time = clock::in_korea(self.now());
        let mut headers = vec![
            ("tosspayments-webhook-transmission-id", webhook.id.clone()),
            ("tosspayments-webhook-transmission-retried-count", webhook.answers.len().to_string()),
        ];
        if webhook.order_id.is_none() {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &settings.security_key);
            let signature = hmac::sign(&key, format!("{}:{time}", webhook.body).as_bytes());
            headers.push(("tosspayments-webhook-signature", format!("v1:{}", BASE64_STANDARD.encode(signature))));
        }
        if let Some(secret) = &settings.webhook_secret {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let seal = hmac::sign(&key, webhook.body.as_bytes());
            headers.push(("tosspayments-signature", hex(seal.as_ref())));
        }
        headers.push(("tosspayments-webhook-transmission-time", time));
        headers
    }

    /// Webhooks wait from now on, until they are released.
    pub fn hold_webhooks(&self) {
        self.post_office().pile.lock().held.get_or_insert_default();
    }

    /// Sends what was held, in the order in which it was written or the other way round, one after the other.
    pub fn release_webhooks(&self, reversed: bool) {
        let mut held = self.post_office().pile.lock().held.take().unwrap_or_default();
        if reversed {
            held.reverse();
        }
        let sandbox = self.clone();
        self.spawn(async move {
            for id in held {
                if sandbox.transmit(&id).await {
                    let again = sandbox.clone();
                    sandbox.spawn(async move { again.send_again(&id).await });
                }
            }
        });
    }

    /// Sends a webhook so many times more, all at once. False when it is not remembered.
    pub fn repeat_webhook(&self, id: &str, times: u32) -> bool {
        for _ in 0..times {
            let (sandbox, id) = (self.clone(), id.to_owned());
            self.spawn(async move {
                sandbox.transmit(&id).await;
            });
        }
        self.post_office().find(id).is_some()
    }

    /// Sends what Toss never wrote, with Toss's headers and none of its secrets.
    pub fn forge_webhook(&self, body: String) {
        let forged = Webhook { id: ids::transmission_id(), order_id: Some(String::new()), body, answers: Vec::new() };
        let mut headers = self.webhook_headers(&forged);
        headers.retain(|(name, _)| *name != "tosspayments-signature");
        let sandbox = self.clone();
        self.spawn(async move {
            sandbox.post_to_shop(&forged, headers).await;
        });
    }

    /// Tells the shop of a payout: the third envelope, the one that is signed.
    pub fn announce_payout(&self, status: &str) {
        let body = json!({
            "eventType": "payout.changed", "createdAt": clock::in_korea(self.now()), "version": "2022-11-16",
            "eventId": ids::trace(), "entityType": "payout",
            "entityBody": {"id": ids::trace(), "status": status, "amount": {"currency": "KRW", "value": 5000.0}},
        });
        self.send_out(None, &body);
    }

    /// Tells the shop what became of a payment. A virtual account's news are told twice, in two envelopes.
    pub(crate) fn announce(&self, payment: &Payment, now: DateTime<Utc>) {
        let created_at = clock::local_in_korea(now);
        let data = PaymentJson::new(payment, &self.settings().public_url, now);
        let changed = Changed { event_type: "PAYMENT_STATUS_CHANGED", created_at: &created_at, data };
        self.send_out(Some(&payment.order_id), &changed);
        if let Some(account) = payment.account() {
            let callback = DepositCallback {
                created_at: &created_at,
                secret: &account.secret,
                status: payment.status(),
                transaction_key: payment.last_transaction_key.as_deref(),
                order_id: &payment.order_id,
            };
            self.send_out(Some(&payment.order_id), &callback);
        }
    }

    fn send_out(&self, order_id: Option<&str>, body: &impl Serialize) {
        let Ok(body) = serde_json::to_string(body) else { return error!("A webhook cannot be written") };
        let id = ids::transmission_id();
        let webhook = Webhook { id: id.clone(), order_id: order_id.map(str::to_owned), body, answers: Vec::new() };
        if self.post_office().post(webhook, self.settings().webhook_url.is_some()) {
            let sandbox = self.clone();
            self.spawn(async move { sandbox.send_until_taken(&id).await });
        }
    }

    async fn send_until_taken(&self, id: &str) {
        if self.transmit(id).await {
            self.send_again(id).await;
        }
    }

    async fn send_again(&self, id: &str) {
        let mut wait = self.settings().webhook_minute;
        for _ in 0..RETRIES {
            tokio::time::sleep(wait).await;
            if !self.transmit(id).await {
                return;
            }
            wait *= 4;
        }
    }

    /// One try. Returns whether there should be another one.
    async fn transmit(&self, id: &str) -> bool {
        let office = self.post_office();
        let Some(webhook) = office.find(id) else { return false };
        let headers = self.webhook_headers(&webhook);
        let answer = self.post_to_shop(&webhook, headers).await;
        office.note(id, answer);
        answer != 200
    }

    async fn post_to_shop(&self, webhook: &Webhook, headers: Vec<(&'static str, String)>) -> u16 {
        let (Some(url), Ok(_courier)) = (&self.settings().webhook_url, self.post_office().couriers.acquire().await)
        else {
            return 0;
        };
        let mut request = self.post_office().client.post(url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        match request.body(webhook.body.clone()).send().await {
            Ok(response) => response.status().as_u16(),
            Err(error) => {
                warn!(%error, "The shop did not take a webhook");
                0
            }
        }
    }

    /// Without an address there is nowhere to send anything, and perhaps no runtime to send it on.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if self.settings().webhook_url.is_some() {
            tokio::spawn(work);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::State;
    use chrono::TimeDelta;
    use http::{HeaderMap, StatusCode};
    use serde_json::Value;

    use super::*;
    use crate::Settings;
    use crate::testing::Desk;

    /// A shop that refuses the first few webhooks, and remembers all of them.
    #[derive(Default)]
    struct Shop {
        refuses: AtomicU32,
        received: Lock<Vec<(HeaderMap, String)>>,
    }

    impl Shop {
        async fn open(refuses: u32) -> (Arc<Self>, Desk) {
            let shop = Arc::new(Self { refuses: refuses.into(), received: Lock::default() });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new().fallback(take).with_state(Arc::clone(&shop));
            tokio::spawn(async move { axum::serve(listener, router).await });
            let settings = Settings {
                webhook_url: Some(format!("http://{address}/api/webhooks/toss")),
                webhook_minute: Duration::from_millis(1),
                webhook_secret: Some("seed-webhook-secret".into()),
                ..Settings::default()
            };
            (shop, Desk::with(settings))
        }

        /// Waits for so many webhooks.
        async fn received(&self, count: usize) -> Vec<(HeaderMap, String)> {
            let enough = async {
                while self.received.lock().len() < count {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), enough).await.unwrap();
            self.received.lock().clone()
        }
    }

    async fn take(State(shop): State<Arc<Shop>>, headers: HeaderMap, body: Bytes) -> StatusCode {
        shop.received.lock().push((headers, String::from_utf8(body.to_vec()).unwrap()));
        let refused = shop.refuses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if refused { StatusCode::NO_CONTENT } else { StatusCode::OK }
    }

    fn statuses(webhooks: &[(HeaderMap, String)]) -> Vec<String> {
        let status = |body: &str| {
            let body: Value = serde_json::from_str(body).unwrap();
            let status = if body["data"].is_null() { &body["status"] } else { &body["data"]["status"] };
            status.as_str().unwrap().to_owned()
        };
        webhooks.iter().map(|(_, body)| status(body)).collect()
    }

    #[tokio::test]
    async fn anything_but_200_is_sent_again_under_the_same_id() {
        let (shop, desk) = Shop::open(2).await;
        desk.paid("order-1", "choice=card").await;
        let tries = shop.received(3).await;
        let header = |headers: &HeaderMap, name: &str| headers[name].to_str().unwrap().to_owned();
        let id = header(&tries[0].0, "tosspayments-webhook-transmission-id");
        assert!(id.starts_with("whtrans_"));
        for (n, (headers, _)) in tries.iter().enumerate() {
            assert_eq!(header(headers, "tosspayments-webhook-transmission-retried-count"), n.to_string());
            assert_eq!(header(headers, "tosspayments-webhook-transmission-id"), id);
            assert!(header(headers, "tosspayments-webhook-transmission-time").ends_with("+09:00"));
            assert_eq!(header(headers, "tosspayments-signature").len(), 64);
            assert!(!headers.contains_key("tosspayments-webhook-signature"));
        }
        let body: Value = serde_json::from_str(&tries[2].1).unwrap();
        assert_eq!((&body["eventType"], &body["data"]["status"]), (&json!("PAYMENT_STATUS_CHANGED"), &json!("DONE")));
        assert!(!body["createdAt"].as_str().unwrap().contains('+'), "local time, as Toss writes it");
    }

    #[tokio::test]
    async fn seven_retries_are_all() {
        let (shop, desk) = Shop::open(100).await;
        desk.sandbox.announce_payout("COMPLETED");
        let tries = shop.received(8).await;
        assert!(tries[0].0.contains_key("tosspayments-webhook-signature"));
        assert_eq!(tries[7].0["tosspayments-webhook-transmission-retried-count"], "7");
        tokio::task::yield_now().await;
        assert_eq!(shop.received.lock().len(), 8);
    }

    #[tokio::test]
    async fn what_runs_out_of_time_is_told_of_once_and_an_overdue_account_is_not() {
        let desk = Desk::new();
        desk.open("window", 15_000).await;
        desk.authenticated("confirm", 15_000, "choice=card").await;
        desk.paid("account", "choice=virtual-account").await;
        let told = |order| desk.sandbox.webhooks(Some(order)).len();
        desk.sandbox.advance_clock(TimeDelta::minutes(10));
        assert_eq!((told("window"), told("confirm")), (0, 1));
        desk.sandbox.advance_clock(TimeDelta::minutes(20));
        desk.sandbox.advance_clock(TimeDelta::hours(200));
        assert_eq!((told("window"), told("confirm"), told("account")), (1, 1, 2));
        let webhook: Value = serde_json::from_str(&desk.sandbox.webhooks(Some("window"))[0].body).unwrap();
        assert_eq!(
            (&webhook["data"]["status"], &webhook["data"]["failure"]["code"]),
            (&json!("EXPIRED"), &json!("EXPIRED_PAYMENT"))
        );
    }

    #[tokio::test]
    async fn an_account_is_told_of_twice_and_held_webhooks_come_reversed() {
        let (shop, desk) = Shop::open(0).await;
        desk.sandbox.hold_webhooks();
        desk.paid("order-1", "choice=virtual-account").await;
        assert!(desk.sandbox.deposit("order-1"));
        assert!(desk.sandbox.reverse_deposit("order-1"));
        assert!(!desk.sandbox.reverse_deposit("order-1"), "nothing is deposited any more");
        assert_eq!(desk.sandbox.totals().kept, 0);
        desk.sandbox.release_webhooks(true);
        let told = shop.received(6).await;
        let (waiting, done) = ("WAITING_FOR_DEPOSIT", "DONE");
        assert_eq!(statuses(&told), [waiting, waiting, done, done, waiting, waiting]);
        let flat: Value = serde_json::from_str(&told[0].1).unwrap();
        assert!(flat["secret"].as_str().unwrap().starts_with("ps_"));
        assert_eq!(flat["orderId"], "order-1");
    }

    #[test]
    fn what_the_shop_may_still_take_is_not_forgotten() {
        let office = PostOffice::default();
        for n in 0..KEPT + 2 {
            let id = n.to_string();
            office.post(Webhook { id: id.clone(), order_id: None, body: String::new(), answers: Vec::new() }, true);
            office.note(&id, if n == 0 { 503 } else { 200 });
        }
        assert!(office.find("0").is_some_and(|it| !it.is_over()));
        assert!(office.find("1").is_none());
        assert_eq!(office.pile.lock().webhooks.len(), KEPT);
    }

    #[tokio::test]
    async fn a_forgery_has_no_seal_and_a_repetition_is_the_same() {
        let (shop, desk) = Shop::open(0).await;
        desk.sandbox.forge_webhook("{}".into());
        assert!(!shop.received(1).await[0].0.contains_key("tosspayments-signature"));
        desk.paid("order-1", "choice=card").await;
        shop.received(2).await;
        let webhook = desk.sandbox.webhooks(Some("order-1")).remove(0);
        assert!(desk.sandbox.repeat_webhook(&webhook.id, 3));
        let received = shop.received(5).await;
        assert!(received[1..].iter().all(|(_, body)| *body == webhook.body));
        assert!(!desk.sandbox.repeat_webhook("whtrans_none", 1));
    }
}
