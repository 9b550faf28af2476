//! The people of the shop: they give money back, here and in the provider's own console.

use checkout_api::Learned;
use domain::PaymentKey;
use reqwest::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{ADMIN_TOKEN, Answer, OpenShop, Shop};

/// A person of the shop.
#[derive(Clone)]
pub struct Operator {
    url: String,
    sandbox: String,
    secret_key: String,
    client: Client,
}

impl OpenShop {
    /// Somebody who knows the admin token.
    pub fn operator(&self) -> Operator {
        Operator::new(&self.url, self.sandbox_url(), &self.sandbox.settings().secret_key)
    }
}

impl Shop {
    /// Has the provider asked about one attempt to pay an order, as a webhook would.
    pub async fn learn(&self, order: &str, attempt: i16) -> Learned {
        self.api.checkout.learn(self.payment(order, attempt).await).await
    }
}

impl Operator {
    /// Somebody at this storefront, who signs in at this sandbox with the shop's own key.
    ///
    /// # Panics
    /// When there is no HTTP client to be had.
    pub fn new(url: &str, sandbox: &str, secret_key: &str) -> Self {
        let client = Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
        Self { url: url.to_owned(), sandbox: sandbox.to_owned(), secret_key: secret_key.to_owned(), client }
    }

    /// The same person at another storefront of the same shop.
    #[must_use]
    pub fn at(self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self }
    }

    /// Asks for a refund; `terms` are the request's other fields.
    pub async fn refund(&self, order: &str, terms: Value) -> Answer {
        self.refund_with_key(order, terms, &Uuid::new_v4().to_string()).await
    }

    /// Asks for a refund under an idempotency key.
    pub async fn refund_with_key(&self, order: &str, terms: Value, key: &str) -> Answer {
        self.try_refund(order, terms, key).await.expect("an answer")
    }

    /// Asks a shop for a refund that may die of it.
    ///
    /// # Errors
    /// When no answer comes back.
    pub async fn try_refund(&self, order: &str, mut terms: Value, key: &str) -> reqwest::Result<Answer> {
        terms.as_object_mut().expect("terms").entry("reason").or_insert_with(|| json!("고객 변심"));
        self.try_send(order, ADMIN_TOKEN, key, &terms).await
    }

    /// Asks with whatever token.
    pub async fn send(&self, order: &str, token: &str, key: &str, body: &Value) -> Answer {
        self.try_send(order, token, key, body).await.expect("an answer")
    }

    async fn try_send(&self, order: &str, token: &str, key: &str, body: &Value) -> reqwest::Result<Answer> {
        let url = format!("{}/admin/api/orders/{order}/refunds", self.url);
        let request = self.client.post(url).bearer_auth(token).header("idempotency-key", key).json(body);
        Answer::read(request.send().await?).await
    }

    /// The refunds of an order.
    pub async fn refunds(&self, order: &str) -> Vec<Value> {
        let url = format!("{}/admin/api/orders/{order}/refunds", self.url);
        let answer = self.client.get(url).bearer_auth(ADMIN_TOKEN).send().await.expect("an answer");
        Answer::read(answer).await.expect("an answer").expect(200).as_array().expect("a list").clone()
    }

    /// Gives money back in the provider's console, past the shop.
    pub async fn cancel_at_console(&self, payment_key: &str, amount: i64) {
        self.try_cancel_at_console(payment_key, amount).await.expect("an answer").expect(200);
    }

    /// The same, at a provider that may refuse, or not answer.
    ///
    /// # Errors
    /// When no answer comes back.
    pub async fn try_cancel_at_console(&self, payment_key: &str, amount: i64) -> reqwest::Result<Answer> {
        let key: PaymentKey = payment_key.parse().expect("a key");
        let url = format!("{}/toss/v1/payments/{}/cancel", self.sandbox, key.as_str());
        let request = self.client.post(url).basic_auth(self.secret_key.clone(), Some(""));
        let body = json!({"cancelReason": "콘솔에서 취소", "cancelAmount": amount});
        Answer::read(request.json(&body).send().await?).await
    }
}
