//! The people of the shop: they give money back, here and in the provider's own console.

use std::sync::Arc;

use checkout_api::Learned;
use domain::PaymentKey;
use reqwest::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{ADMIN_TOKEN, Answer, OpenShop, Shop};

/// A person of the shop.
#[derive(Clone)]
pub struct Operator {
    shop: Arc<Shop>,
    url: String,
    client: Client,
}

impl OpenShop {
    /// Somebody who knows the admin token.
    pub fn operator(&self) -> Operator {
        let client = Client::builder().no_proxy().build().expect("a client");
        Operator { shop: Arc::clone(&self.0), url: self.url.clone(), client }
    }
}

impl Operator {
    /// The same person, at another storefront.
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

    /// Asks for a refund of a storefront that may die over it.
    ///
    /// # Errors
    /// When there is no answer.
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
        let key: PaymentKey = payment_key.parse().expect("a key");
        let url = format!("{}/toss/v1/payments/{}/cancel", self.shop.sandbox_url(), key.as_str());
        let request = self.client.post(url).basic_auth(self.shop.sandbox.settings().secret_key.clone(), Some(""));
        let body = json!({"cancelReason": "콘솔에서 취소", "cancelAmount": amount});
        let answer = request.json(&body).send().await.expect("an answer");
        Answer::read(answer).await.expect("an answer").expect(200);
    }

    /// Has the provider asked about one attempt to pay an order, as a webhook would.
    pub async fn learn(&self, order: &str, attempt: i16) -> Learned {
        self.shop.api.checkout.learn(self.shop.payment(order, attempt).await).await
    }
}
