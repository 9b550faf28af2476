use domain::TokenKind;

use super::*;
use crate::customers::{find_by_sessions, open_guests};
use crate::messaging_tokens::{Locale, Registration, register};

const PRODUCTS: &str = include_str!("../../fixtures/shop.sql");

fn hash(byte: u8) -> TokenHash {
    [byte; 32]
}

fn kim() -> Identity {
    Identity { issuer: "https://id.example".into(), subject: "kim".into() }
}

async fn guest(db: &PgPool, session: u8) -> CustomerId {
    open_guests(db, &[hash(session)]).await.unwrap()[0].id
}

async fn customer(db: &PgPool, session: u8) -> Option<CustomerId> {
    find_by_sessions(db, &[hash(session)]).await.unwrap()[0].map(|customer| customer.id)
}

/// An unpaid order of a cart.
async fn order(db: &PgPool, customer: CustomerId, cart: u8) -> Uuid {
    let id = Uuid::new_v4();
    sqlx::query(
        "INSERT INTO orders (id, customer_id, name, amount, cart_hash, expires_at)
        VALUES ($1, $2, '머그컵', 13000, $3, now() + interval '1 hour')",
    )
    .bind(id)
    .bind(customer.uuid())
    .bind(hash(cart).as_slice())
    .execute(db)
    .await
    .unwrap();
    id
}

async fn owner(db: &PgPool, order: Uuid) -> CustomerId {
    let owner: Uuid =
        sqlx::query_scalar("SELECT customer_id FROM orders WHERE id = $1").bind(order).fetch_one(db).await.unwrap();
    owner.into()
}

async fn device(db: &PgPool, customer: CustomerId, token: &str) {
    let token = DeviceToken { kind: TokenKind::Token, token: token.into() };
    register(db, &Registration { customer, token, locale: Locale::Ko, user_agent: None }).await.unwrap();
}

async fn devices(db: &PgPool, customer: CustomerId) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM messaging_tokens WHERE customer_id = $1");
    count.bind(customer.uuid()).fetch_one(db).await.unwrap()
}

#[tokio::test]
async fn a_sign_in_comes_back_once_to_the_browser_that_it_left() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    let leaving = SignIn { nonce: "n".into(), verifier: "v".into(), return_to: "/orders?a=b".into() };
    begin(&db, &hash(1), &hash(2), &leaving).await.unwrap();
    assert!(take(&db, &hash(1), &hash(3)).await.unwrap().is_none(), "another browser");
    assert!(take(&db, &hash(2), &hash(2)).await.unwrap().is_none(), "another state");
    let back = take(&db, &hash(1), &hash(2)).await.unwrap().unwrap();
    assert_eq!((back.nonce.as_str(), back.return_to.as_str()), ("n", "/orders?a=b"));
    assert!(take(&db, &hash(1), &hash(2)).await.unwrap().is_none(), "twice");

    begin(&db, &hash(4), &hash(2), &leaving).await.unwrap();
    sqlx::query("UPDATE sign_ins SET expires_at = now()").execute(&db).await.unwrap();
    assert!(take(&db, &hash(4), &hash(2)).await.unwrap().is_none(), "too late");
    prune(&db).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sign_ins").fetch_one(&db).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_a_guest_has_becomes_the_members_and_the_guests_session_ends() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    let (first, stranger) = (guest(&db, 1).await, guest(&db, 9).await);
    let (mine, other) = (order(&db, first, 1).await, order(&db, stranger, 1).await);
    device(&db, first, "phone").await;
    device(&db, stranger, "other").await;
    assert_eq!(sign_in(&db, &kim(), &hash(2), Some(&hash(1))).await.unwrap(), 1);
    let member = customer(&db, 2).await.unwrap();
    assert_ne!(member, first, "a customer of their own");
    assert_eq!(customer(&db, 1).await, None, "the cookie that the browser had is worth nothing");
    assert_eq!((owner(&db, mine).await, devices(&db, member).await), (member, 1));
    assert_eq!((owner(&db, other).await, devices(&db, stranger).await), (stranger, 1), "and nothing else moves");

    let again = guest(&db, 3).await;
    let more = order(&db, again, 2).await;
    assert_eq!(sign_in(&db, &kim(), &hash(4), Some(&hash(3))).await.unwrap(), 1);
    assert_eq!((customer(&db, 4).await, owner(&db, more).await), (Some(member), member), "the same member");
    assert_eq!(customer(&db, 2).await, Some(member), "on two devices");
}

#[tokio::test]
async fn an_open_cart_of_both_stays_two_orders() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    guest(&db, 1).await;
    sign_in(&db, &kim(), &hash(2), Some(&hash(1))).await.unwrap();
    let member = customer(&db, 2).await.unwrap();
    let before = order(&db, member, 7).await;
    let guest = guest(&db, 3).await;
    let brought = order(&db, guest, 7).await;
    assert_eq!(sign_in(&db, &kim(), &hash(4), Some(&hash(3))).await.unwrap(), 1);
    assert_eq!((owner(&db, before).await, owner(&db, brought).await), (member, member));
}

#[tokio::test]
async fn a_members_orders_do_not_follow_somebody_else() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    guest(&db, 1).await;
    sign_in(&db, &kim(), &hash(2), Some(&hash(1))).await.unwrap();
    let member = customer(&db, 2).await.unwrap();
    let theirs = order(&db, member, 1).await;
    let lee = Identity { subject: "lee".into(), ..kim() };
    assert_eq!(sign_in(&db, &lee, &hash(3), Some(&hash(2))).await.unwrap(), 0);
    assert_eq!(owner(&db, theirs).await, member);
    assert_eq!(customer(&db, 2).await, None, "who signed in on this browser before is signed out");
    let elsewhere = Identity { issuer: "https://other.example".into(), ..kim() };
    sign_in(&db, &elsewhere, &hash(4), None).await.unwrap();
    assert_ne!(customer(&db, 4).await, Some(member), "a subject means nothing without its issuer");
}

#[tokio::test]
async fn two_first_sign_ins_at_once_make_one_member_and_move_the_orders_once() {
    let db = postgres::fresh_with(&crate::MIGRATOR, PRODUCTS).await;
    let first = guest(&db, 1).await;
    for cart in 0..20 {
        order(&db, first, cart).await;
    }
    let sign_ins = (2..10).map(|session| {
        let db = db.clone();
        tokio::spawn(async move { sign_in(&db, &kim(), &hash(session), Some(&hash(1))).await.unwrap() })
    });
    let mut moved = 0;
    for sign_in in sign_ins.collect::<Vec<_>>() {
        moved += sign_in.await.unwrap();
    }
    assert_eq!(moved, 20);
    let members: i64 = sqlx::query_scalar("SELECT count(*) FROM members").fetch_one(&db).await.unwrap();
    assert_eq!(members, 1);
}

#[tokio::test]
async fn a_members_session_ends_when_it_is_not_used_and_after_half_a_day() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    sign_in(&db, &kim(), &hash(1), None).await.unwrap();
    let later = async |by: &str| {
        let change = format!(
            "UPDATE sessions SET expires_at = expires_at - interval '{by}', created_at = created_at - interval '{by}'"
        );
        sqlx::query(sqlx::AssertSqlSafe(change)).execute(&db).await.unwrap();
    };
    let due = async || find_by_sessions(&db, &[hash(1)]).await.unwrap()[0].map(|customer| customer.in_need_of_keeping);
    assert_eq!(due().await, Some(false), "just begun");
    later("20 minutes").await;
    assert_eq!(due().await, Some(true));
    keep(&db, &hash(1)).await.unwrap();
    later("25 minutes").await;
    assert_eq!(due().await, Some(true), "it was in use");
    later("6 minutes").await;
    assert_eq!(due().await, None, "and then not for half an hour");
    keep(&db, &hash(1)).await.unwrap();
    assert_eq!(due().await, None, "what is over is over");

    sign_in(&db, &kim(), &hash(1), None).await.unwrap_err();
    sign_in(&db, &kim(), &hash(2), None).await.unwrap();
    let due = async || find_by_sessions(&db, &[hash(2)]).await.unwrap()[0].is_some();
    for _ in 0..35 {
        later("20 minutes").await;
        keep(&db, &hash(2)).await.unwrap();
    }
    assert!(due().await, "after eleven hours and forty minutes of use");
    later("21 minutes").await;
    assert!(!due().await);
}

#[tokio::test]
async fn who_signs_out_hears_no_more_on_that_device_and_guests_lose_nothing() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    let phone = DeviceToken { kind: TokenKind::Token, token: "phone".into() };
    let visitor = guest(&db, 1).await;
    device(&db, visitor, "phone").await;
    assert!(!sign_out(&db, &hash(1), Some(&phone)).await.unwrap());
    assert_eq!((customer(&db, 1).await, devices(&db, visitor).await), (Some(visitor), 1));

    sign_in(&db, &kim(), &hash(2), Some(&hash(1))).await.unwrap();
    let member = customer(&db, 2).await.unwrap();
    device(&db, member, "tablet").await;
    assert!(sign_out(&db, &hash(2), Some(&phone)).await.unwrap());
    assert_eq!((customer(&db, 2).await, devices(&db, member).await), (None, 1), "the tablet is another device");
    assert!(sign_out(&db, &hash(2), None).await.unwrap(), "it is over");
}
