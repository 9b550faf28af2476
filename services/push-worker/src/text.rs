//! What the buyer reads: the catalogues in `locales`, in Project Fluent's format, compiled into the program.

use std::sync::LazyLock;

use database::messaging_tokens::Locale;
use database::push_attempts::Leased;
use domain::{EventType, PushNotification, Won};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};

/// A reason longer than this is cut: FCM takes 4 KiB for everything.
const MAX_REASON: usize = 200;

type Catalogue = FluentBundle<FluentResource>;

fn catalogue(locale: Locale) -> &'static Catalogue {
    static CATALOGUES: LazyLock<[Catalogue; 2]> = LazyLock::new(|| {
        [(Locale::Ko, include_str!("../locales/ko.ftl")), (Locale::En, include_str!("../locales/en.ftl"))].map(
            |(locale, text)| {
                let mut catalogue = Catalogue::new_concurrent(locale.name().parse().into_iter().collect());
                // Both languages run from left to right: what is put into a text needs no marks around it.
                catalogue.set_use_isolating(false);
                let texts = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(rest, _)| rest);
                catalogue.add_resource_overriding(texts);
                catalogue
            },
        )
    });
    match locale {
        Locale::Ko => &CATALOGUES[0],
        Locale::En => &CATALOGUES[1],
    }
}

/// The message of that key, with these values in it. A key that no catalogue has is shown as it is.
fn say(locale: Locale, key: &str, values: &[(&'static str, &str)]) -> String {
    let catalogue = catalogue(locale);
    let arguments: FluentArgs<'_> = values.iter().copied().collect();
    let message = catalogue.get_message(key).and_then(|message| message.value());
    let said = message.map(|it| catalogue.format_pattern(it, Some(&arguments), &mut Vec::new()).into_owned());
    said.unwrap_or_else(|| key.to_owned())
}

/// The notification of an attempt, in the language of its device. It leads to the order's page if that is https:
/// browsers open no other.
pub(crate) fn notification(leased: &Leased, public_url: &str) -> PushNotification {
    let (title, body) = words(leased);
    let link = public_url.starts_with("https://").then(|| format!("{public_url}/orders/{}", leased.order));
    PushNotification { title, body, event: leased.lease.event, order: leased.order, link }
}

fn words(leased: &Leased) -> (String, String) {
    let say = |key, values: &[_]| say(leased.locale, key, values);
    let (order, amount) = (("order", leased.order_name.as_str()), won(leased.amount));
    match leased.event_type {
        EventType::CheckoutSuccess => (say("paid", &[]), say("paid-text", &[order, ("amount", &amount)])),
        EventType::CheckoutFailed => {
            // Why a payment failed is known in the provider's words only.
            let reason = leased.decline_message.clone().unwrap_or_else(|| say("failed-for-no-reason", &[]));
            let reason: String = reason.chars().take(MAX_REASON).collect();
            (say("failed", &[]), say("failed-text", &[order, ("reason", &reason)]))
        }
        EventType::CheckoutRefunded => (say("refunded", &[]), say("refunded-text", &[order, ("amount", &amount)])),
    }
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
        assert_eq!(say(EventType::CheckoutSuccess, Locale::Ko), ("결제가 완료되었습니다".to_owned(), body.clone()));
        assert_eq!(say(EventType::CheckoutSuccess, Locale::En), ("Payment received".to_owned(), body));
        for event_type in EventType::ALL {
            assert!(say(event_type, Locale::En).0.is_ascii());
            assert!(!say(event_type, Locale::Ko).0.is_ascii());
        }
    }

    #[test]
    fn both_catalogues_say_the_same() {
        let keys = |text: &str| -> Vec<String> {
            let entries = text.lines().filter_map(|line| line.split_once(" = "));
            entries.map(|(key, _)| key.to_owned()).collect()
        };
        let (ko, en) = (keys(include_str!("../locales/ko.ftl")), keys(include_str!("../locales/en.ftl")));
        assert_eq!(ko, en);
        for key in &ko {
            for locale in [Locale::Ko, Locale::En] {
                assert_ne!(super::say(locale, key, &[]), *key, "{locale:?} cannot be read");
            }
        }
    }

    #[test]
    fn a_failure_says_why() {
        let mut failed = leased(EventType::CheckoutFailed, Locale::Ko);
        failed.decline_message = Some("한도초과".into());
        assert_eq!(words(&failed), ("결제가 완료되지 않았습니다".to_owned(), "머그컵 외 1건 · 한도초과".to_owned()));
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
