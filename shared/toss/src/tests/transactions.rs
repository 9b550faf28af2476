//! The list of transactions.

use serde_json::{Value, json};

use super::*;

fn within() -> std::ops::Range<DateTime<Utc>> {
    "2026-01-30T15:00:00Z".parse().unwrap().."2026-01-31T15:00:00Z".parse().unwrap()
}

/// As Toss writes it; more fields than we read.
fn transaction(status: &str, amount: &Value, at: &str) -> Value {
    json!({
        "mId": "tvivarepublica", "transactionKey": "txrd_1", "paymentKey": KEY, "orderId": "ord_0123456789",
        "method": "카드", "customerKey": "ANONYMOUS", "useEscrow": false, "receiptUrl": "https://toss.example/receipt",
        "status": status, "transactionAt": at, "currency": "KRW", "amount": amount,
    })
}

async fn won(fake: &FakeToss, list: Value) -> Result<Vec<i64>, Unanswered> {
    let movements = fake.says(200, list.to_string()).movements(within()).await?;
    Ok(movements.into_iter().map(|it| it.won).collect())
}

#[tokio::test]
async fn a_day_is_asked_for_in_korean_time_and_told_in_won() {
    let fake = FakeToss::open().await;
    let at = "2026-01-31T12:00:00+09:00";
    let list = json!([
        transaction("DONE", &json!(15_000), at),
        transaction("PARTIAL_CANCELED", &json!(5_000), at),
        transaction("CANCELED", &json!(-10_000), at),
        transaction("WAITING_FOR_DEPOSIT", &json!(0), at),
        transaction("SOMETHING_NEW", &json!(700.0), at),
        transaction("DONE", &json!(9_999), "2026-02-01T00:00:00+09:00"),
    ]);
    assert_eq!(won(&fake, list).await.unwrap(), [15_000, -5_000, -10_000, 700]);
    let asked = fake.asked();
    let expected = "/v1/transactions?startDate=2026-01-31T00%3A00%3A00&endDate=2026-01-31T23%3A59%3A59&limit=1000";
    assert_eq!((asked.method, asked.uri.to_string().as_str()), (Method::GET, expected));
    assert!(asked.headers.contains_key("authorization"));
}

#[tokio::test]
async fn half_a_list_is_no_list() {
    let fake = FakeToss::open().await;
    let at = "2026-01-31T12:00:00+09:00";
    let foreign = |currency: &str| {
        let mut foreign = transaction("DONE", &json!(10), at);
        foreign["currency"] = currency.into();
        foreign
    };
    for bad in [
        json!({}),
        json!([{"orderId": "x"}]),
        json!([transaction("DONE", &json!(1.5), at)]),
        json!([transaction("DONE", &json!(1), "yesterday")]),
        json!([foreign("USD")]),
        // The same full page for ever.
        vec![transaction("DONE", &json!(1), at); 1_000].into(),
    ] {
        assert!(matches!(won(&fake, bad).await, Err(Unanswered::Inconclusive { status: 200, .. })));
    }
    let refused = fake.says(401, r#"{"code":"UNAUTHORIZED_KEY","message":"x"}"#).movements(within()).await;
    assert!(matches!(refused, Err(Unanswered::Inconclusive { status: 401, code }) if code == "UNAUTHORIZED_KEY"));
}
