use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{Currency, Decline, EventId, OrderId, PaymentId, PaymentKey, RefundId, Won};

/// What an event announces. Also the name of the topic it is published to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// An order was paid.
    CheckoutSuccess,
    /// A payment was refused and the order may be paid another way; or a deposit was taken back and is awaited again.
    CheckoutFailed,
    /// Money went back to the buyer.
    CheckoutRefunded,
}

impl EventType {
    /// Every type there is.
    pub const ALL: [Self; 3] = [Self::CheckoutSuccess, Self::CheckoutFailed, Self::CheckoutRefunded];

    /// The topic, and the event's `type` attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckoutSuccess => "checkout-success",
            Self::CheckoutFailed => "checkout-failed",
            Self::CheckoutRefunded => "checkout-refunded",
        }
    }

    /// The type of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }
}

/// Something that happened to an order and that others act upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The provider took the money.
    CheckoutSuccess {
        /// The order.
        order: OrderId,
        /// The payment that paid it.
        payment: PaymentId,
        /// Its key at the provider.
        key: PaymentKey,
        /// `NORMAL`, `BRANDPAY`, ...
        payment_type: String,
        /// How much.
        amount: Won,
        /// When.
        paid_at: DateTime<Utc>,
        /// Which decision about the payment this is: a deposit that is taken back may come again.
        version: i32,
    },
    /// The provider refused, or the bank took a deposit back ([`Decline::reversed`]).
    CheckoutFailed {
        /// The order, payable again.
        order: OrderId,
        /// The payment that failed.
        payment: PaymentId,
        /// Why.
        decline: Decline,
        /// How much was asked for.
        amount: Won,
        /// Which decision about the payment this is.
        version: i32,
    },
    /// Money went back.
    CheckoutRefunded {
        /// The order.
        order: OrderId,
        /// The payment that it was taken from.
        payment: PaymentId,
        /// The refund.
        refund: RefundId,
        /// How much.
        amount: Won,
        /// Why.
        reason: String,
        /// When.
        refunded_at: DateTime<Utc>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SuccessBody<'a> {
    order_id: OrderId,
    payment_key: &'a PaymentKey,
    payment_type: &'a str,
    amount: Won,
    currency: Currency,
    paid_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailedBody<'a> {
    order_id: OrderId,
    code: &'a str,
    reason: &'a str,
    amount: Won,
    currency: Currency,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundedBody<'a> {
    order_id: OrderId,
    refund_id: RefundId,
    amount: Won,
    currency: Currency,
    reason: &'a str,
    refunded_at: DateTime<Utc>,
}

impl Event {
    /// What it announces.
    pub const fn event_type(&self) -> EventType {
        match self {
            Self::CheckoutSuccess { .. } => EventType::CheckoutSuccess,
            Self::CheckoutFailed { .. } => EventType::CheckoutFailed,
            Self::CheckoutRefunded { .. } => EventType::CheckoutRefunded,
        }
    }

    /// The order it is about.
    pub const fn order(&self) -> OrderId {
        match self {
            Self::CheckoutSuccess { order, .. }
            | Self::CheckoutFailed { order, .. }
            | Self::CheckoutRefunded { order, .. } => *order,
        }
    }

    /// The payment it is about.
    pub const fn payment(&self) -> PaymentId {
        match self {
            Self::CheckoutSuccess { payment, .. }
            | Self::CheckoutFailed { payment, .. }
            | Self::CheckoutRefunded { payment, .. } => *payment,
        }
    }

    /// Its id, the same for the same announcement however often it is derived.
    pub fn id(&self) -> EventId {
        match self {
            // A deposit that is taken back and comes again is paid again, perhaps within the same second: another event.
            Self::CheckoutSuccess { payment, version, .. } => {
                EventId::derived(payment.uuid(), &format!("checkout-success@{version}"))
            }
            Self::CheckoutFailed { payment, version, .. } => {
                EventId::derived(payment.uuid(), &format!("checkout-failed@{version}"))
            }
            Self::CheckoutRefunded { refund, .. } => EventId::derived(refund.uuid(), "checkout-refunded"),
        }
    }

    /// The JSON body, in the shape that shops already consume.
    pub fn body(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::CheckoutSuccess { order, key, payment_type, amount, paid_at, .. } => {
                serde_json::to_string(&SuccessBody {
                    order_id: *order,
                    payment_key: key,
                    payment_type,
                    amount: *amount,
                    currency: Currency::Krw,
                    paid_at: *paid_at,
                })
            }
            Self::CheckoutFailed { order, decline, amount, .. } => serde_json::to_string(&FailedBody {
                order_id: *order,
                code: &decline.code,
                reason: decline.told(),
                amount: *amount,
                currency: Currency::Krw,
            }),
            Self::CheckoutRefunded { order, refund, amount, reason, refunded_at, .. } => {
                serde_json::to_string(&RefundedBody {
                    order_id: *order,
                    refund_id: *refund,
                    amount: *amount,
                    currency: Currency::Krw,
                    reason,
                    refunded_at: *refunded_at,
                })
            }
        }
    }
}

/// An event on its way: what the outbox holds and a publisher sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventEnvelope {
    /// The event's own id; survives redelivery, dead letter and replay.
    pub id: EventId,
    /// What it announces, and its topic.
    pub event_type: EventType,
    /// The order it is about.
    pub order: OrderId,
    /// When it happened, by the database's clock.
    pub occurred_at: DateTime<Utc>,
    /// The JSON body.
    pub data: String,
    /// W3C trace context of the request that caused it.
    pub traceparent: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkout_success_keeps_the_shape_that_shops_consume() {
        let event = Event::CheckoutSuccess {
            order: OrderId::from(uuid::Uuid::nil()),
            payment: PaymentId::new(),
            key: "key".parse().unwrap(),
            payment_type: "NORMAL".into(),
            amount: Won::new(39_000).unwrap(),
            paid_at: DateTime::from_timestamp(1_767_236_400, 0).unwrap(),
            version: 0,
        };
        assert_eq!(
            event.body().unwrap(),
            r#"{"orderId":"00000000-0000-0000-0000-000000000000","paymentKey":"key","paymentType":"NORMAL","amount":39000,"currency":"KRW","paidAt":"2026-01-01T03:00:00Z"}"#
        );
        assert_eq!(event.id(), event.clone().id());
    }
}
