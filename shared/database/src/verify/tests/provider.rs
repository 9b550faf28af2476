use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use domain::{
    Attempt, CancelAnswer, CancelRequest, Evidence, Payment, PaymentGateway, PaymentId, ProviderPayment,
    ProviderStatus, Unanswered, Won,
};

use super::shop::{Shop, approval, seen};
use crate::verify::{BookEntry, Money, audit_provider, unknown_money};

/// A provider that answers what it is told to, the last answer again and again.
#[derive(Default)]
struct Provider(Mutex<HashMap<PaymentId, Vec<Evidence>>>);

impl Provider {
    fn says(&self, attempt: &Attempt, answers: &[Evidence]) {
        self.0.lock().unwrap().insert(attempt.payment.id, answers.iter().rev().cloned().collect());
    }
}

#[async_trait]
impl PaymentGateway for Provider {
    async fn confirm(&self, _: &Payment) -> Result<Evidence, Unanswered> {
        unreachable!("an audit moves no money")
    }

    async fn find(&self, payment: &Payment) -> Result<Evidence, Unanswered> {
        let mut answers = self.0.lock().unwrap();
        let silence = Unanswered::Inconclusive { status: 500, code: "DOWN".into() };
        let answers = answers.get_mut(&payment.id).ok_or(silence)?;
        Ok(if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() })
    }

    async fn cancel(&self, _: &CancelRequest) -> Result<CancelAnswer, Unanswered> {
        unreachable!("an audit moves no money")
    }
}

fn done(attempt: &Attempt) -> Evidence {
    seen(attempt, ProviderStatus::Done(approval()))
}

async fn violations(shop: &Shop, provider: &Provider) -> (Money, Vec<(&'static str, String)>) {
    let audit = audit_provider(&shop.db, provider, None).await.unwrap();
    let named = audit.violations.into_iter().map(|it| (it.name, it.examples[0].detail.clone()));
    (audit.money, named.collect())
}

#[tokio::test]
async fn two_books_that_agree() {
    let (shop, provider) = (Shop::open().await, Provider::default());
    let (paid, declined) = (shop.pay().await, shop.decline().await);
    let (confirming, waiting) = (shop.begin_payment().await, shop.await_deposit().await);
    provider.says(&paid, &[done(&paid)]);
    provider.says(&declined, &[Evidence::NotFound]);
    // Taken already, and we have not heard of it yet.
    provider.says(&confirming, &[done(&confirming)]);
    provider.says(&waiting, &[seen(&waiting, ProviderStatus::Open)]);
    let money = Money { payments: 4, ours: 63_000, theirs: 126_000, in_flight: 63_000 };
    assert_eq!(violations(&shop, &provider).await, (money, vec![]));
}

#[tokio::test]
async fn every_way_to_disagree() {
    let seen_as = |paid: &Attempt, change: fn(&mut ProviderPayment)| match done(paid) {
        Evidence::Seen(mut seen) => {
            change(&mut seen);
            Evidence::Seen(seen)
        }
        other => other,
    };
    let (agrees, total) = ("provider_agrees", "provider_total");
    let shop = Shop::open().await;
    let paid = shop.pay().await;
    let cases = [
        (Evidence::NotFound, vec![agrees, total]),
        (seen(&paid, ProviderStatus::Canceled { approved_at: None }), vec![agrees, total]),
        (seen_as(&paid, |seen| seen.balance = Won::ZERO), vec![agrees, total]),
        (seen_as(&paid, |seen| seen.total = Won::ZERO), vec![agrees]),
        (seen_as(&paid, |seen| seen.order_id = "x".into()), vec![agrees]),
        (seen_as(&paid, |seen| seen.currency = None), vec![agrees]),
    ];
    for (answer, expected) in cases {
        let provider = Provider::default();
        provider.says(&paid, std::slice::from_ref(&answer));
        let names: Vec<_> = violations(&shop, &provider).await.1.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn money_for_a_declined_payment_is_noticed() {
    let (shop, provider) = (Shop::open().await, Provider::default());
    let declined = shop.decline().await;
    provider.says(&declined, &[done(&declined)]);
    let (_, named) = violations(&shop, &provider).await;
    assert_eq!(named[0].1, "declined, 0 of 63000 won kept; there done, 63000 won");
}

#[tokio::test]
async fn silence_is_not_agreement() {
    let (shop, provider) = (Shop::open().await, Provider::default());
    shop.pay().await;
    let (money, named) = violations(&shop, &provider).await;
    assert_eq!(money, Money { payments: 1, ..Money::default() });
    assert_eq!(named, [("provider_answers", "done: the provider answered HTTP 500 DOWN".to_owned())]);
}

#[tokio::test]
async fn what_changed_while_we_asked_is_asked_again() {
    let (shop, provider) = (Shop::open().await, Provider::default());
    let paid = shop.pay().await;
    provider.says(&paid, &[Evidence::NotFound, done(&paid)]);
    assert_eq!(violations(&shop, &provider).await.1, []);
}

#[tokio::test]
async fn a_sandbox_is_not_asked_about_the_time_before_it() {
    let (shop, provider) = (Shop::open().await, Provider::default());
    shop.pay().await;
    let audit =
        audit_provider(&shop.db, &provider, Some(chrono::Utc::now() + chrono::TimeDelta::hours(1))).await.unwrap();
    assert_eq!((audit.money, audit.violations.len()), (Money::default(), 0));
}

#[tokio::test]
async fn money_that_only_the_provider_knows_of_is_found() {
    let shop = Shop::open().await;
    let (paid, declined, confirming) = (shop.pay().await, shop.decline().await, shop.begin_payment().await);
    let entry = |attempt: &Attempt, kept| BookEntry {
        order_id: attempt.payment.provider_order_id().to_string(),
        payment_key: attempt.payment.key.as_str().to_owned(),
        kept,
    };
    let agreed = [entry(&paid, 63_000), entry(&declined, 0), entry(&confirming, 63_000)];
    assert!(unknown_money(&shop.db, &agreed).await.unwrap().is_none());

    let stranger = BookEntry { order_id: "a-stranger".into(), payment_key: "unheard-of".into(), kept: 500 };
    let book = [entry(&paid, 62_000), entry(&declined, 63_000), stranger];
    let violation = unknown_money(&shop.db, &book).await.unwrap().unwrap();
    assert_eq!((violation.name, violation.total), ("provider_book", 3));
    let stranger = violation.examples.iter().find(|it| it.subject == "a-stranger").unwrap();
    assert_eq!(stranger.detail, "500 won kept by the provider, here unknown");
}
