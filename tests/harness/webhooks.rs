//! Toss's webhooks, brought when and as often as the test likes.

use reqwest::Response;
use sandbox::Webhook;

use crate::{Buyer, OpenShop, Shop};

impl OpenShop {
    /// Brings what Toss has told of an order so far, in the order in which it did.
    pub async fn bring_webhooks(&self, order_id: &str) {
        for webhook in self.sandbox.webhooks(Some(order_id)) {
            assert_eq!(self.bring(&webhook).await, 200);
        }
    }

    /// Brings a webhook of Toss's, and returns the status of the answer.
    pub async fn bring(&self, webhook: &Webhook) -> u16 {
        self.try_bring(webhook, &self.url).await.expect("an answer")
    }

    /// Brings a webhook of Toss's to a storefront that may die over it.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn try_bring(&self, webhook: &Webhook, url: &str) -> reqwest::Result<u16> {
        let headers = self.sandbox.webhook_headers(webhook);
        Ok(self.nobody().at(url).tell(webhook.body.clone(), &headers).await?.status().as_u16())
    }

    /// Brings a body that Toss never wrote.
    pub async fn forge(&self, body: impl Into<Vec<u8>>) -> u16 {
        self.forge_with(body, &[]).await.status().as_u16()
    }

    /// Brings a body that Toss never wrote, with these headers.
    pub async fn forge_with(&self, body: impl Into<Vec<u8>>, headers: &[(&'static str, String)]) -> Response {
        self.nobody().tell(body, headers).await.expect("an answer")
    }
}

impl Shop {
    /// Has all stored webhooks looked into, also those that were put off.
    pub async fn look_into_webhooks(&self) {
        self.execute("UPDATE webhook_inbox SET due_at = now() WHERE due_at IS NOT NULL").await;
        while self.api.webhooks.step().await.expect("the webhooks") > 0 {}
    }

    /// How many webhooks came to this.
    pub async fn webhooks_that(&self, status: &str, reason: &str) -> i64 {
        self.count(&format!("SELECT count(*) FROM webhook_inbox WHERE status = '{status}' AND reason = '{reason}'"))
            .await
    }
}

impl Buyer {
    async fn tell(&self, body: impl Into<Vec<u8>>, headers: &[(&'static str, String)]) -> reqwest::Result<Response> {
        let mut request =
            self.client.post(self.address("/api/webhooks/toss")).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.body(body.into()).send().await
    }
}
