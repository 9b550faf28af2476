use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, ordered by time so that rows made together are stored together.
            #[expect(clippy::new_without_default, reason = "a default id would hide that it is a new one")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The bare UUID, for the database.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                // The hyphenated form only: one order has one spelling.
                match Uuid::try_parse(text) {
                    Ok(uuid) if text.len() == 36 => Ok(Self(uuid)),
                    _ => Err(IdError::NotAUuid),
                }
            }
        }
    };
}

uuid_id!(
    /// An order. Not a secret: every route that takes one also checks its owner.
    OrderId
);
uuid_id!(
    /// A payment: one attempt to pay an order.
    PaymentId
);
uuid_id!(
    /// A refund: money going back.
    RefundId
);
uuid_id!(
    /// A customer, guest or member.
    CustomerId
);
uuid_id!(
    /// A product of the catalogue.
    ProductId
);
uuid_id!(
    /// A device that receives push notifications.
    DeviceId
);
uuid_id!(
    /// An event. Stays the same through redelivery, dead letter and replay: consumers de-duplicate on it.
    EventId
);

impl EventId {
    /// The id of the event that announces `what` about a payment or a refund. Derived, so that announcing the same
    /// thing twice is a conflict in the outbox instead of a second event.
    pub fn derived(about: Uuid, what: &str) -> Self {
        Self(Uuid::new_v5(&about, what.as_bytes()))
    }
}

impl RefundId {
    /// The id of a refund of `payment` that nobody asked for here. Derived, so that deciding twice about the same
    /// thing gives one refund.
    pub fn derived(payment: PaymentId, what: &str) -> Self {
        Self(Uuid::new_v5(&payment.0, what.as_bytes()))
    }
}

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Ids are hyphenated UUIDs.
    #[error("expected a UUID such as 0198c1a2-7b3c-7def-8123-456789abcdef")]
    NotAUuid,
    /// Attempts count from 1; attempt 1 is written as the bare order id.
    #[error("expected an order id, optionally followed by -2, -3, ... for later payment attempts")]
    NotAnAttempt,
    /// Toss issues 1 to 200 visible ASCII characters.
    #[error("expected a payment key of 1 to 200 visible ASCII characters")]
    NotAPaymentKey,
}

/// The key under which the provider knows a payment (Toss: `paymentKey`, at most 200 characters,
/// opaque). Whoever holds it can ask for the payment to be confirmed, so it is not shown in logs.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaymentKey(String);

impl PaymentKey {
    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PaymentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentKey([REDACTED])")
    }
}

impl TryFrom<String> for PaymentKey {
    type Error = IdError;
    fn try_from(key: String) -> Result<Self, IdError> {
        if (1..=200).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(key))
        } else {
            Err(IdError::NotAPaymentKey)
        }
    }
}

impl FromStr for PaymentKey {
    type Err = IdError;
    fn from_str(key: &str) -> Result<Self, IdError> {
        key.to_owned().try_into()
    }
}

impl From<PaymentKey> for String {
    fn from(key: PaymentKey) -> Self {
        key.0
    }
}

/// The order id as the provider sees it: one per payment attempt, because Toss refuses an id that was
/// ever approved. Attempt 1 is the bare order id, attempt n is `{order}-{n}`: at most 42 characters of
/// Toss's 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProviderOrderId {
    /// The order that is being paid.
    pub order: OrderId,
    /// Which attempt, from 1.
    pub attempt: i16,
}

impl fmt::Display for ProviderOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempt {
            1 => self.order.fmt(f),
            n => write!(f, "{}-{n}", self.order),
        }
    }
}

impl FromStr for ProviderOrderId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (order, rest) = text.split_at_checked(36).ok_or(IdError::NotAUuid)?;
        let order = order.parse()?;
        let attempt = match rest.strip_prefix('-') {
            None if rest.is_empty() => 1,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0') => {
                digits.parse().ok().filter(|n| *n >= 2).ok_or(IdError::NotAnAttempt)?
            }
            _ => return Err(IdError::NotAnAttempt),
        };
        Ok(Self { order, attempt })
    }
}

impl Serialize for ProviderOrderId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProviderOrderId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_provider_order_id_survives_the_round_trip(bits in any::<u128>(), attempt in 1i16..) {
            let id = ProviderOrderId { order: Uuid::from_u128(bits).into(), attempt };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn any_text_is_parsed_without_panic(text in ".{0,60}") {
            if let Ok(id) = text.parse::<ProviderOrderId>() {
                prop_assert_eq!(id.to_string(), text.to_lowercase());
            }
        }
    }

    #[test]
    fn one_attempt_has_one_spelling() {
        let order = OrderId::new();
        for bad in ["-1", "-0", "-01", "-02", "-", "x", "-2x", "--2", "-+2", "-99999"] {
            assert!(format!("{order}{bad}").parse::<ProviderOrderId>().is_err(), "{bad}");
        }
        assert!(order.uuid().simple().to_string().parse::<OrderId>().is_err());
    }

    #[test]
    fn a_payment_key_is_visible_ascii_and_stays_out_of_debug() {
        let key: PaymentKey = "tgen_20260101120000AbCd1".parse().unwrap();
        assert!(!format!("{key:?}").contains("tgen"));
        for bad in [String::new(), "a".repeat(201), "a b".into(), "a\0".into(), "결제".into()] {
            assert!(PaymentKey::try_from(bad).is_err());
        }
    }
}
