//! The bodies of events, as consumers read them: what they need must be there, all else may come and go.

use domain::{OrderId, PaymentKey, Won};
use serde::Deserialize;

use crate::envelope::misshapen;

/// The body of `checkout-success`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutSuccess {
    /// The order that was paid.
    pub order_id: OrderId,
    /// The payment's key at the provider.
    pub payment_key: PaymentKey,
    /// `NORMAL`, `BRANDPAY`, ... Old publishers leave it out or misspell it.
    pub payment_type: Option<String>,
    /// How much was paid.
    pub amount: Won,
}

/// A body that is not what its event type promises. No later attempt will make it so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misshapen(String);

impl CheckoutSuccess {
    /// Reads the body, of this and of every earlier version.
    ///
    /// # Errors
    /// [`Misshapen`]: park the message.
    pub fn parse(data: &[u8]) -> Result<Self, Misshapen> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Body {
            order_id: OrderId,
            payment_key: PaymentKey,
            payment_type: Option<String>,
            // The shops' first version wrote it so, and some still do.
            pament_type: Option<String>,
            amount: Won,
        }
        let body: Body =
            serde_json::from_slice(data).map_err(|error| Misshapen(misshapen("a checkout-success", &error)))?;
        Ok(Self {
            order_id: body.order_id,
            payment_key: body.payment_key,
            payment_type: body.payment_type.or(body.pament_type),
            amount: body.amount,
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::{Event, PaymentId};

    use super::*;

    #[test]
    fn what_we_publish_is_read() {
        let event = Event::CheckoutSuccess {
            order: OrderId::new(),
            payment: PaymentId::new(),
            key: "key".parse().unwrap(),
            payment_type: "NORMAL".into(),
            amount: Won::new(39_000).unwrap(),
            paid_at: DateTime::UNIX_EPOCH,
        };
        let read = CheckoutSuccess::parse(event.body().unwrap().as_bytes()).unwrap();
        assert_eq!((read.order_id, read.amount.get()), (event.order(), 39_000));
        assert_eq!(read.payment_type.as_deref(), Some("NORMAL"));
    }

    #[test]
    fn old_and_new_bodies_are_read() {
        let read = |more: &str| {
            let body =
                format!(r#"{{"orderId":"0198c1a2-7b3c-7def-8123-456789abcdef","paymentKey":"k","amount":1{more}}}"#);
            CheckoutSuccess::parse(body.as_bytes()).unwrap().payment_type
        };
        assert_eq!(read(r#","pamentType":"NORMAL""#).as_deref(), Some("NORMAL"));
        assert_eq!(read(r#","pamentType":"OLD","paymentType":"NEW","v":2"#).as_deref(), Some("NEW"));
        assert_eq!(read(""), None);
    }

    #[test]
    fn a_refusal_repeats_nothing_of_the_body() {
        for body in ["", "[]", r#"{"orderId":"secret"}"#, r#"{"amount":-1}"#, "{\"orderId\":\"\0\"}", "secret"] {
            let refusal = CheckoutSuccess::parse(body.as_bytes()).unwrap_err();
            assert!(!refusal.to_string().contains("secret"), "{refusal}");
        }
    }
}
