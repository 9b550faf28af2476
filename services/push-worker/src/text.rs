//! What the buyer reads.

use database::messaging_tokens::Locale;
use database::push_attempts::Leased;
use domain::{EventType, PushNotification, Won};

/// A reason longer than this is cut: FCM takes 4 KiB for everything.
const MAX_REASON: usize = 200;

/// The notification of an attempt, in the language of its device. It leads to the order's page if that is https:
/// browsers open no other.
pub(crate) fn notification(leased: &Leased, public_url: &str) -> PushNotification {
    let (title, body) = words(leased);
    let link = public_url.starts_with("https://").then(|| format!("{public_url}/orders/{}", leased.order));
    PushNotification { title: title.to_owned(), body, event: leased.lease.event, order: leased.order, link }
}

fn words(leased: &Leased) -> (&'static str, String) {
    let (name, amount) = (&leased.order_name, won(leased.amount));
    match (leased.event_type, leased.locale) {
        (EventType::CheckoutSuccess, Locale::Ko) => ("결제가 완료되었습니다", format!("{name} · {amount}")),
        (EventType::CheckoutSuccess, Locale::En) => ("Payment received", format!("{name} · {amount}")),
        (EventType::CheckoutFailed, Locale::Ko) => {
            ("결제가 완료되지 않았습니다", with_reason(leased, "다른 방법으로 다시 시도해 주세요."))
        }
        (EventType::CheckoutFailed, Locale::En) => {
            ("Payment not completed", with_reason(leased, "Please try another way to pay."))
        }
        (EventType::CheckoutRefunded, Locale::Ko) => ("환불이 완료되었습니다", format!("{name} · {amount}")),
        (EventType::CheckoutRefunded, Locale::En) => ("Payment refunded", format!("{name} · {amount}")),
    }
}

/// Why a payment failed is known in the provider's words only.
fn with_reason(leased: &Leased, otherwise: &str) -> String {
    let reason = leased.decline_message.as_deref().unwrap_or(otherwise);
    let reason: String = reason.chars().take(MAX_REASON).collect();
    format!("{} · {reason}", leased.order_name)
}

fn won(amount: Won) -> String {
    let digits = amount.get().to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("₩{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use database::push_attempts::Lease;
    use domain::{DeviceId, DeviceToken, EventId, OrderId, TokenKind};

    use super::*;

    fn leased(event_type: EventType, locale: Locale) -> Leased {
        let at = DateTime::UNIX_EPOCH;
        Leased {
            lease: Lease { event: EventId::new(), device: DeviceId::new(), at, until: at },
            attempt: 1,
            order: OrderId::new(),
            event_type,
            order_name: "머그컵 외 1건".into(),
            amount: Won::new(39_000).unwrap(),
            decline_message: None,
            token: DeviceToken { kind: TokenKind::Token, token: "t".into() },
            locale,
            age: Duration::ZERO,
        }
    }

    #[test]
    fn the_buyer_reads_it_in_the_devices_language() {
        let say = |event_type, locale| words(&leased(event_type, locale));
        let body = "머그컵 외 1건 · ₩39,000".to_owned();
        assert_eq!(say(EventType::CheckoutSuccess, Locale::Ko), ("결제가 완료되었습니다", body.clone()));
        assert_eq!(say(EventType::CheckoutSuccess, Locale::En), ("Payment received", body));
        for event_type in EventType::ALL {
            assert!(say(event_type, Locale::En).0.is_ascii());
            assert!(!say(event_type, Locale::Ko).0.is_ascii());
        }
    }

    #[test]
    fn a_failure_says_why() {
        let mut failed = leased(EventType::CheckoutFailed, Locale::Ko);
        failed.decline_message = Some("한도초과".into());
        assert_eq!(words(&failed), ("결제가 완료되지 않았습니다", "머그컵 외 1건 · 한도초과".into()));
        failed.decline_message = Some("길".repeat(5_000));
        assert!(words(&failed).1.len() < 1_000);
        failed.decline_message = None;
        assert!(words(&failed).1.contains("다시 시도"));
    }

    #[test]
    fn it_leads_to_the_order_over_https_only() {
        let leased = leased(EventType::CheckoutSuccess, Locale::Ko);
        let link = notification(&leased, "https://shop.example").link;
        assert_eq!(link, Some(format!("https://shop.example/orders/{}", leased.order)));
        assert_eq!(notification(&leased, "http://localhost:8080").link, None);
    }

    #[test]
    fn won_are_grouped() {
        let shown = [0, 999, 1_000, 39_000, 1_234_567, 100_000_000_000].map(|n| won(Won::new(n).unwrap()));
        assert_eq!(shown, ["₩0", "₩999", "₩1,000", "₩39,000", "₩1,234,567", "₩100,000,000,000"]);
    }
}
