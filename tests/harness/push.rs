//! Push requests made by hand: what a broker, or somebody who pretends to be one, may send.

use std::collections::BTreeMap;

use chrono::Utc;
use messaging::embedded::PROJECT;
use messaging::envelope::{CE_ID, Outgoing};
use messaging::topology::Subscription;
use reqwest::{Client, RequestBuilder};

use crate::{Placed, Shop};

/// A push request to the worker of a subscription.
#[derive(Clone)]
pub struct Push {
    subscription: String,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Raw(Vec<u8>),
    Message { id: String, event: String, data: Vec<u8> },
}

impl Push {
    /// Any body at all.
    pub fn raw(subscription: &str, body: Vec<u8>) -> Self {
        Self { subscription: subscription.to_owned(), content: Content::Raw(body) }
    }

    /// A well-formed push of a message with this event id and data.
    pub fn message(subscription: &str, event_id: &str, data: &[u8]) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        let content = Content::Message { id, event: event_id.to_owned(), data: data.to_owned() };
        Self { subscription: subscription.to_owned(), content }
    }

    /// The push of the event that an order announced.
    pub async fn of_event(shop: &Shop, order: &Placed, event_type: &str, subscription: &str) -> Self {
        let (id, data): (uuid::Uuid, String) =
            sqlx::query_as("SELECT id, data FROM outbox WHERE order_id = $1::uuid AND type = $2")
                .bind(&order.id)
                .bind(event_type)
                .fetch_one(&shop.db)
                .await
                .expect("an event");
        Self::message(subscription, &id.to_string(), data.as_bytes())
    }

    /// What is sent for a subscription of this project.
    pub fn body(&self, project: &str) -> Vec<u8> {
        let (message_id, event, data) = match &self.content {
            Content::Raw(body) => return body.clone(),
            Content::Message { id, event, data } => (id, event, data),
        };
        let push = Outgoing {
            subscription: &format!("projects/{project}/subscriptions/{}", self.subscription),
            message_id,
            publish_time: Utc::now(),
            data,
            attributes: &BTreeMap::from([(CE_ID, event)]),
            delivery_attempt: Some(1),
        };
        push.encode().expect("an envelope")
    }

    /// Delivers it, and returns the status of the answer.
    pub async fn deliver(&self, shop: &Shop) -> u16 {
        let request = self.request(shop.worker_url(self.known().worker), shop.project());
        let request = match shop.google() {
            Some(google) => request.bearer_auth(google.relay.keys().token(&self.known().resource(google.project()))),
            None => request,
        };
        request.send().await.expect("an answer").status().as_u16()
    }

    /// Delivers it to a worker of an embedded shop that may die of it.
    ///
    /// # Errors
    /// When no answer comes back.
    pub async fn try_deliver(&self, worker_url: &str) -> reqwest::Result<u16> {
        Ok(self.request(worker_url, PROJECT).send().await?.status().as_u16())
    }

    fn request(&self, worker_url: &str, project: &str) -> RequestBuilder {
        let client = Client::builder().no_proxy().build().expect("a client");
        let request = client.post(format!("{worker_url}{}", self.known().path));
        request.header("content-type", "application/json").body(self.body(project))
    }

    /// A subscription that we do not have is pushed to where ours go.
    fn known(&self) -> &'static Subscription {
        let known = Subscription::named(&self.subscription).or_else(|| Subscription::named("checkout-stock"));
        known.expect("a subscription")
    }
}
