//! What Toss tells us unasked: a reason to ask, and nothing more.

use chrono::TimeDelta;
use futures_util::future::join_all;
use harness::{Authenticated, Buyer, OpenShop, Placed};
use sandbox::Endpoint;
use serde_json::json;

const BY_TRANSFER: [(&str, &str); 1] = [("choice", "virtual-account")];

/// An order that waits for the buyer's transfer.
async fn awaiting(buyer: &Buyer) -> (Placed, Authenticated) {
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &BY_TRANSFER).await;
    assert_eq!(buyer.confirm(&payment).await.expect(200)["status"], "awaiting_deposit");
    (order, payment)
}

fn changed(payment_key: &str, status: &str, n: usize) -> String {
    let created_at = format!("2026-01-02T14:46:59.{n:06}");
    let data = json!({"paymentKey": payment_key, "orderId": "whatever", "status": status});
    json!({"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": created_at, "data": data}).to_string()
}

#[tokio::test]
async fn a_deposit_is_told_of_and_pays_once_however_often_and_in_whichever_envelope() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let (order, _) = awaiting(&buyer).await;
    assert!(shop.sandbox.deposit(&order.id));
    assert_eq!(shop.sandbox.webhooks(Some(&order.id)).len(), 4, "two changes, two envelopes");
    let asked = shop.sandbox.total_requests();
    for _ in 0..3 {
        shop.bring_webhooks(&order.id).await;
        shop.look_into_webhooks().await;
    }
    shop.wait(TimeDelta::seconds(10)).await;
    shop.look_into_webhooks().await; // that it waits again, as the last of them said, might have been true
    let asked = shop.sandbox.total_requests() - asked;
    assert!((1..=4).contains(&asked), "{asked} questions for twelve webhooks");
    shop.deliver_events().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("paid", (99, 0)));
    assert_eq!(shop.count("SELECT count(*) FROM webhook_inbox").await, 4, "the same words are kept once");
    shop.verify().await;
}

#[tokio::test]
async fn a_deposit_that_nobody_tells_of_is_asked_about_within_the_hour() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let (order, _) = awaiting(&buyer).await;
    let within_the_hour = "SELECT count(*) FROM payments
        WHERE next_check_at BETWEEN now() + interval '50 minutes' AND now() + interval '1 hour' AND checks = 0";
    assert_eq!(shop.count(within_the_hour).await, 1);
    shop.reconcile().await;
    assert_eq!(shop.count(within_the_hour).await, 1, "again and again, as long as it is not due");
    shop.execute("UPDATE payments SET deposit_due_at = now() + interval '10 minutes'").await;
    shop.reconcile().await;
    assert_eq!(shop.count("SELECT count(*) FROM payments WHERE next_check_at = deposit_due_at").await, 1);
    assert_eq!(buyer.status(&order).await, "awaiting_deposit");

    assert!(shop.sandbox.deposit(&order.id)); // and its webhooks are lost
    shop.reconcile().await;
    assert_eq!(buyer.status(&order).await, "paid");
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_lost_answer_is_learnt_without_the_reconciler() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    shop.spoil(Endpoint::Confirm, "answer-lost", 1);
    shop.spoil(Endpoint::Query, "html-502", 1);
    buyer.confirm(&payment).await.expect(202);
    shop.bring_webhooks(&order.id).await;
    shop.look_into_webhooks().await;
    assert_eq!(buyer.status(&order).await, "confirming", "its own answer may be on the way still");
    shop.wait(TimeDelta::seconds(2)).await;
    shop.spoil(Endpoint::Query, "reset", 1);
    shop.look_into_webhooks().await;
    assert_eq!(buyer.status(&order).await, "confirming");
    shop.look_into_webhooks().await; // it was not forgotten
    assert_eq!(buyer.status(&order).await, "paid");
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_webhook_that_is_quicker_than_the_answer_leaves_the_order_to_it() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    shop.spoil(Endpoint::Confirm, "slow=300", 1);
    let early = async {
        shop.eventually("the webhook", async || !shop.sandbox.webhooks(Some(&order.id)).is_empty()).await;
        shop.bring_webhooks(&order.id).await;
        assert_eq!(shop.api.webhooks.step().await.unwrap(), 1);
    };
    let asked = shop.sandbox.total_requests();
    let (answer, ()) = tokio::join!(buyer.confirm(&payment), early);
    answer.expect(200);
    shop.look_into_webhooks().await;
    assert_eq!(shop.sandbox.total_requests() - asked, 1, "the confirm, and no query");
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_thousand_forged_payments_change_nothing_and_cost_a_few_questions() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let (order, payment) = awaiting(&buyer).await;
    let paid = buyer.buy(&[("shirt", 1)]).await;
    let paid_key = shop.sandbox.payments(Some(&paid.id)).remove(0).payment_key;
    let asked = shop.sandbox.total_requests();
    for hundred in 0..10 {
        let forged = (0..100).map(|n| match n % 3 {
            0 => shop.forge(changed(&payment.payment_key, "DONE", hundred * 100 + n)),
            1 => shop.forge(changed(&paid_key, "CANCELED", hundred * 100 + n)),
            _ => shop.forge(changed("tgen_nobody_knows", "DONE", hundred * 100 + n)),
        });
        assert!(join_all(forged).await.into_iter().all(|status| status == 200));
        shop.look_into_webhooks().await;
    }
    let asked = shop.sandbox.total_requests() - asked;
    assert!((1..=20).contains(&asked), "{asked} questions");
    assert_eq!(shop.webhooks_that("ignored", "names no payment of ours").await, 330);
    assert_eq!((buyer.status(&order).await.as_str(), buyer.status(&paid).await.as_str()), ("awaiting_deposit", "paid"));
    shop.wait(TimeDelta::seconds(10)).await;
    shop.look_into_webhooks().await;
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn many_payments_are_asked_about_at_a_bounded_rate() {
    let shop = OpenShop::open().await;
    let buyers = join_all((0..30).map(|_| shop.visitor())).await;
    let keys = join_all(buyers.iter().map(async |buyer| awaiting(buyer).await.1.payment_key)).await;
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(shop.forge(changed(key, "DONE", n)).await, 200);
    }
    let asked = shop.sandbox.total_requests();
    assert_eq!(shop.api.webhooks.step().await.unwrap(), 30);
    assert_eq!(shop.sandbox.total_requests() - asked, 20);
    shop.eventually("the others' turn, in the next second", async || {
        shop.look_into_webhooks().await;
        shop.sandbox.total_requests() - asked == 30
    })
    .await;
    shop.verify().await;
}

#[tokio::test]
async fn old_news_come_last_and_are_not_believed() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let (order, payment) = awaiting(&buyer).await;
    assert!(shop.sandbox.deposit(&order.id));
    let canceled = changed(&payment.payment_key, "CANCELED", 1);
    assert_eq!(shop.forge(canceled).await, 200, "before the deposit's own news");
    shop.look_into_webhooks().await;
    assert_eq!(buyer.status(&order).await, "paid", "as Toss says, not as the webhook does");
    for webhook in shop.sandbox.webhooks(Some(&order.id)).iter().rev() {
        assert_eq!(shop.bring(webhook).await, 200);
        shop.wait(TimeDelta::seconds(10)).await;
        shop.look_into_webhooks().await;
        assert_eq!(buyer.status(&order).await, "paid");
    }
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_deposit_without_the_secret_is_not_even_asked_about() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let (order, _) = awaiting(&buyer).await;
    let forged = |secret: &str, order_id: &str| json!({"createdAt": "2026-01-02T14:46:59+09:00", "secret": secret, "status": "DONE", "transactionKey": "t", "orderId": order_id});
    let asked = shop.sandbox.total_requests();
    assert_eq!(shop.forge(forged("ps_guessed", &order.id).to_string()).await, 200);
    assert_eq!(shop.forge(forged("", &order.id).to_string()).await, 200);
    assert_eq!(shop.forge(forged("ps_guessed", &format!("{}-2", order.id)).to_string()).await, 200);
    shop.look_into_webhooks().await;
    assert_eq!(shop.sandbox.total_requests(), asked);
    assert_eq!(shop.webhooks_that("ignored", "not the secret of this deposit").await, 2);
    assert_eq!(shop.webhooks_that("ignored", "names no payment of ours").await, 1);
    assert_eq!(buyer.status(&order).await, "awaiting_deposit");
    shop.verify().await;
}

#[tokio::test]
async fn whatever_comes_is_kept_and_answered() {
    let shop = OpenShop::open().await;
    let mut large = vec![b' '; 64 * 1024];
    let odd: [&[u8]; 6] =
        [b"", b"\0\xff", b"{\"eventType\":\"NEW\",\"data\":{\"x\":\"\\u0000\"}}", b"[]", b"payment.approved", &large];
    for body in odd {
        assert_eq!(shop.forge(body).await, 200);
    }
    let payout = json!({"eventType": "payout.changed", "entityType": "payout", "entityBody": {}}).to_string();
    assert_eq!(shop.forge(payout).await, 200);
    large.push(b' ');
    assert_eq!(shop.forge(large).await, 413);
    shop.look_into_webhooks().await;
    assert_eq!(shop.count("SELECT count(*) FROM webhook_inbox WHERE status = 'ignored'").await, 7);
    assert_eq!(shop.webhooks_that("ignored", "not about a payment").await, 2);
    shop.verify().await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_to_be_sent_again() {
    let shop = OpenShop::open().await;
    shop.execute("ALTER TABLE webhook_inbox RENAME TO gone").await;
    assert_eq!(shop.forge("{}").await, 503);
    shop.execute("ALTER TABLE gone RENAME TO webhook_inbox").await;
    assert_eq!(shop.forge("{}").await, 200);
}

#[tokio::test]
async fn an_overdue_account_is_closed_and_its_goods_are_free() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let (order, _) = awaiting(&buyer).await;
    shop.wait(TimeDelta::hours(168)).await;
    shop.reconcile().await;
    assert_eq!(buyer.status(&order).await, "awaiting_deposit", "a transfer of the last minute may be under way");
    shop.wait(TimeDelta::minutes(11)).await;
    shop.spoil(Endpoint::Cancel, "answer-lost", 1);
    shop.reconcile().await;
    shop.reconcile().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("expired", (100, 0)));
    assert!(!shop.sandbox.deposit(&order.id), "nobody can pay for it any more");
    shop.bring_webhooks(&order.id).await;
    shop.look_into_webhooks().await;
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_deposit_in_the_last_minute_pays_whether_or_not_it_was_told_of() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let (order, _) = awaiting(&buyer).await;
    shop.wait(TimeDelta::hours(169)).await;
    assert!(shop.sandbox.deposit(&order.id));
    shop.reconcile().await;
    shop.deliver_events().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("paid", (99, 0)));
    shop.verify().await;
}

/// The vector of Toss's shape and our secret, computed elsewhere.
const SEALED: (&str, &str) =
    (r#"{"eventType":"PAYMENT_STATUS_CHANGED"}"#, "bf73029891e0aab97cad4bcd8848429d0b222c1d51493faf7929e1cfe8397ead");

#[tokio::test]
async fn with_a_secret_only_what_is_sealed_with_it_is_taken() {
    let shop = OpenShop::open_with(&[("TOSS_WEBHOOK_SECRET", "seed-webhook-secret")]).await;
    let (body, seal) = SEALED;
    let sealed = |seal: &str| vec![("tosspayments-signature", seal.to_owned())];
    for wrong in [vec![], sealed(""), sealed(&seal.replace('b', "c")), sealed(&seal[..62]), sealed("not hex")] {
        assert_eq!(shop.forge_with(body, &wrong).await.status(), 401, "{wrong:?}");
    }
    assert_eq!(shop.forge_with("{}", &sealed(seal)).await.status(), 401, "the seal of another body");
    assert_eq!(shop.count("SELECT count(*) FROM webhook_inbox").await, 0);
    assert_eq!(shop.forge_with(body, &sealed(seal)).await.status(), 200);
}

/// The sandbox's.
const SECURITY_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

#[tokio::test]
async fn what_toss_signs_is_told_from_what_it_does_not() {
    let shop = OpenShop::open_with(&[("TOSS_SECURITY_KEY", SECURITY_KEY)]).await;
    shop.sandbox.announce_payout("COMPLETED");
    let signed = shop.sandbox.webhooks(None).remove(0);
    assert_eq!(shop.bring(&signed).await, 200);
    let seller = signed.body.replace("payout", "seller");
    assert_eq!(
        shop.forge_with(seller, &shop.sandbox.webhook_headers(&signed)).await.status(),
        200,
        "kept, not believed"
    );
    shop.look_into_webhooks().await;
    assert_eq!(shop.webhooks_that("done", "signed by Toss").await, 1);
    assert_eq!(shop.webhooks_that("ignored", "not signed by Toss").await, 1);
    shop.verify().await;
}

#[tokio::test]
async fn webhooks_come_from_where_the_shop_says_that_toss_is() {
    let settings = &[("TRUSTED_PROXIES", "127.0.0.1"), ("TOSS_WEBHOOK_SOURCES", "13.124.18.147,115.92.221.0/24")];
    let shop = OpenShop::open_with(settings).await;
    let from = async |address: &str| shop.forge_with("{}", &[("x-forwarded-for", address.to_owned())]).await.status();
    for stranger in ["203.0.113.9", "13.124.18.148", "13.124.18.147, 203.0.113.9"] {
        assert_eq!(from(stranger).await, 403, "{stranger}");
    }
    assert_eq!(shop.forge("{}").await, 403, "the proxy itself");
    assert_eq!(shop.count("SELECT count(*) FROM webhook_inbox").await, 0);
    for toss in ["13.124.18.147", "203.0.113.9, 115.92.221.127"] {
        assert_eq!(from(toss).await, 200, "{toss}");
    }
    assert_eq!(
        shop.count("SELECT count(*) FROM webhook_inbox WHERE source = '115.92.221.127'").await,
        1,
        "who brought it last"
    );
}
