//! Toss's webhooks: three envelopes, and a signature on two of the events. They are not evidence: one only
//! says which payment to ask about.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A webhook, as far as it is of use.
#[derive(Debug, Clone)]
pub enum Webhook {
    /// Something about a payment.
    Payment {
        /// Toss's key of it; deposits come without.
        key: Option<String>,
        /// The order id it was opened for.
        order_id: Option<String>,
        /// The status word it is said to have reached.
        status: Option<String>,
        /// Sent with deposits: what Toss told us, and nobody else, when it issued the account.
        secret: Option<SecretString>,
    },
    /// An event of the kind that Toss signs (`payout.changed`, `seller.changed`).
    Signed,
    /// Some other event; none of ours.
    Other,
    /// None of the three envelopes.
    Unreadable,
}

/// All three at once: (a) has `data`, (b) is flat, (c) has `entityBody`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    event_type: Option<String>,
    entity_body: Option<IgnoredAny>,
    data: Option<Data>,
    secret: Option<String>,
    status: Option<String>,
    transaction_key: Option<IgnoredAny>,
    order_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    payment_key: Option<String>,
    order_id: Option<String>,
    status: Option<String>,
}

impl Webhook {
    /// Reads a webhook's body. Whatever it is, there is something to say about it.
    pub fn parse(body: &[u8]) -> Self {
        let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else { return Self::Unreadable };
        let event = envelope.event_type.as_deref();
        match (envelope.entity_body, envelope.data, envelope.secret) {
            (Some(_), ..) if matches!(event, Some("payout.changed" | "seller.changed")) => Self::Signed,
            (None, Some(data), _) if event == Some("PAYMENT_STATUS_CHANGED") => {
                Self::Payment { key: data.payment_key, order_id: data.order_id, status: data.status, secret: None }
            }
            (Some(_), ..) | (None, Some(_), _) => Self::Other,
            (None, None, Some(secret)) if envelope.transaction_key.is_some() && envelope.order_id.is_some() => {
                Self::Payment {
                    key: None,
                    order_id: envelope.order_id,
                    status: envelope.status,
                    secret: Some(secret.into()),
                }
            }
            (None, None, _) => Self::Unreadable,
        }
    }
}

/// Whether any of the signatures in `header` (`v1:<base64>,v1:<base64>`) is the security key's over this body and time.
///
/// Toss's page just says "security key". Its 64 characters are hexadecimal, and the bytes they stand for are tried
/// first; whoever can sign with the characters themselves holds the key as well.
pub fn is_signed(security_key: &SecretString, body: &[u8], transmission_time: &str, header: &str) -> bool {
    let text = security_key.expose_secret();
    let keys = [hex_bytes(text), Some(text.as_bytes().to_vec())];
    let message = [body, b":", transmission_time.as_bytes()].concat();
    let signatures = header.split(',').filter_map(|it| BASE64_STANDARD.decode(it.trim().strip_prefix("v1:")?).ok());
    signatures.take(MOST_SIGNATURES).any(|signature| {
        keys.iter().flatten().any(|key| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            hmac::verify(&key, &message, &signature).is_ok()
        })
    })
}

/// A key and its successor make two.
const MOST_SIGNATURES: usize = 4;

/// Whether `header` is the hexadecimal HMAC-SHA256 of the body: a layer that Toss does not have and a relay of our own may add.
pub fn is_sealed(secret: &SecretString, body: &[u8], header: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    hex_bytes(header).is_some_and(|seal| hmac::verify(&key, body, &seal).is_ok())
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().map(|byte| char::from(byte).to_digit(16)).collect::<Option<Vec<_>>>()?;
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(body: &str) -> (Option<String>, Option<String>, Option<String>, Option<String>) {
        match Webhook::parse(body.as_bytes()) {
            Webhook::Payment { key, order_id, status, secret } => {
                (key, order_id, status, secret.map(|it| it.expose_secret().to_owned()))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_payment_is_named_by_both_envelopes_whenever_they_were_written() {
        let some = |text: &str| Some(text.to_owned());
        for at in ["2022-01-01T00:00:00.000000", "2026-01-02T14:46:59.65327", "2022-01-01T00:00:00+09:00", "someday"] {
            let named = payment(&format!(
                r#"{{"eventType":"PAYMENT_STATUS_CHANGED","createdAt":"{at}","data":{{"paymentKey":"k","orderId":"o","status":"DONE","new":[1]}}}}"#
            ));
            assert_eq!(named, (some("k"), some("o"), some("DONE"), None));
            let deposited = payment(&format!(
                r#"{{"createdAt":"{at}","secret":"ps_1","status":"DONE","transactionKey":"t","orderId":"o"}}"#
            ));
            assert_eq!(deposited, (None, some("o"), some("DONE"), some("ps_1")));
        }
    }

    #[test]
    fn what_is_no_payment_is_told_apart() {
        let signed = br#"{"eventType":"payout.changed","createdAt":"2024-09-05T12:19:21+09:00","version":"2022-11-16","eventId":"e","entityType":"payout","entityBody":{"id":"x","amount":{"value":5000.0}}}"#;
        assert!(matches!(Webhook::parse(signed), Webhook::Signed));
        for other in [
            r#"{"eventType":"BILLING_DELETED","createdAt":"2022-01-01T00:00:00.000000","data":{"billingKey":"b"}}"#,
            r#"{"eventType":"NEW_EVENT","data":{"paymentKey":"k"}}"#,
            r#"{"eventType":"ars-reservation.changed","entityBody":{}}"#,
        ] {
            assert!(matches!(Webhook::parse(other.as_bytes()), Webhook::Other), "{other}");
        }
        let deep = "[".repeat(100_000);
        for odd in ["", "null", "{}", "[]", "\0", r#"{"data":5}"#, r#"{"secret":"s","orderId":"o"}"#, &deep] {
            assert!(matches!(Webhook::parse(odd.as_bytes()), Webhook::Unreadable), "{odd:.20}");
        }
    }

    const SECURITY_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const TIME: &str = "2024-09-05T12:19:21+09:00";
    const PAYOUT: &[u8] = br#"{"eventType":"payout.changed"}"#;

    #[test]
    fn tosss_signature_is_over_body_and_time() {
        let key = SecretString::from(SECURITY_KEY);
        let of_bytes = "v1:C+hb0eEgKPE+argUzahWhY5yquxOcMLdJ7pgVzvYEXQ=";
        let of_text = "v1:lFljPma61RuD93eGOSRwNEHKZ8TzkWLpmZilyPS7w+M=";
        assert!(is_signed(&key, PAYOUT, TIME, of_bytes) && is_signed(&key, PAYOUT, TIME, of_text));
        assert!(is_signed(&key, PAYOUT, TIME, &format!("v1:AAAA, {of_bytes}")), "any of them may match");
        assert!(!is_signed(&key, PAYOUT, "2024-09-05T12:19:22+09:00", of_bytes));
        assert!(!is_signed(&key, br#"{"eventType":"payout.changed "}"#, TIME, of_bytes));
        assert!(!is_signed(&"another".into(), PAYOUT, TIME, of_bytes));
        for none in ["", "v1:", "C+hb0eEgKPE+argUzahWhY5yquxOcMLdJ7pgVzvYEXQ=", "v2:x"] {
            assert!(!is_signed(&key, PAYOUT, TIME, none), "{none}");
        }
    }

    #[test]
    fn a_seal_is_over_the_body() {
        let secret = SecretString::from("seed-webhook-secret");
        let body = br#"{"eventType":"PAYMENT_STATUS_CHANGED"}"#;
        let seal = "bf73029891e0aab97cad4bcd8848429d0b222c1d51493faf7929e1cfe8397ead";
        assert!(is_sealed(&secret, body, seal));
        assert!(!is_sealed(&secret, b"{}", seal));
        for none in ["", "bf", "bf7", "é", &seal[1..]] {
            assert!(!is_sealed(&secret, body, none), "{none}");
        }
    }
}
