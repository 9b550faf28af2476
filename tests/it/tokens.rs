//! Push tokens: only Google for our service account, or the broker with our key, and for one subscription each.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Utc;
use futures_util::future::join_all;
use harness::Guarded;
use harness::tokens::claims;
use jsonwebtoken::jwk::AlgorithmParameters;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use messaging::push::PushKey;
use messaging::topology::{SUBSCRIPTIONS, Subscription};
use serde_json::{Value, json};

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Good claims, but for some.
fn but(audience: &str, changes: &Value) -> Value {
    let mut claims = claims(audience);
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// What somebody may send instead of a token, and how it is answered.
fn forged(shop: &Guarded, audience: &str) -> Vec<(&'static str, String, u16)> {
    let keys = &shop.keys;
    let good = keys.token(audience);
    let with = |header: Header| bearer(&keys.sign(&header, &claims(audience)));
    let saying = |changes: Value| bearer(&keys.sign(&keys.header(), &but(audience, &changes)));
    let AlgorithmParameters::RSA(public) = &keys.public_key().algorithm else { panic!("an RSA key") };
    let hmac = Header { alg: Algorithm::HS256, ..keys.header() };
    let hmac = encode(&hmac, &claims(audience), &EncodingKey::from_secret(public.n.as_bytes())).unwrap();
    let none = json!({"alg": "none", "kid": keys.header().kid}).to_string();
    let none = [none, claims(audience).to_string()].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
    let (signed, _) = good.rsplit_once('.').unwrap();
    let now = Utc::now().timestamp();
    vec![
        ("nothing", String::new(), 401),
        ("another scheme", format!("Basic {good}"), 401),
        ("no token", "Bearer ".into(), 401),
        ("no JSON web token", bearer("ya29.opaque"), 401),
        ("no signature", bearer(&format!("{signed}.")), 401),
        ("alg none", bearer(&format!("{none}.")), 401),
        ("alg none, with a signature", bearer(&format!("{none}.AAAA")), 401),
        ("HS256 with the public key", bearer(&hmac), 401),
        ("RS384", with(Header { alg: Algorithm::RS384, ..keys.header() }), 401),
        ("PS256", with(Header { alg: Algorithm::PS256, ..keys.header() }), 401),
        ("no key id", with(Header { kid: None, ..keys.header() }), 401),
        ("an unknown key id", with(Header { kid: Some("unknown".into()), ..keys.header() }), 401),
        ("another key", bearer(&keys.forge(&keys.header(), &claims(audience))), 401),
        ("another audience", saying(json!({"aud": "https://other.example"})), 403),
        ("no audience", saying(json!({"aud": null})), 401),
        ("another issuer", saying(json!({"iss": "https://accounts.google.com.evil.example"})), 403),
        ("no issuer", saying(json!({"iss": null})), 401),
        ("another e-mail address", saying(json!({"email": "pusher@other.iam.gserviceaccount.com"})), 403),
        ("no e-mail address", saying(json!({"email": null})), 403),
        ("an e-mail address not verified", saying(json!({"email_verified": false})), 403),
        ("an e-mail address perhaps verified", saying(json!({"email_verified": null})), 403),
        ("expired", saying(json!({"iat": now - 3_700, "exp": now - 70})), 401),
        ("no expiry", saying(json!({"exp": null})), 401),
        ("not yet valid", saying(json!({"nbf": now + 90})), 401),
        ("issued in the future", saying(json!({"iat": now + 90})), 401),
        ("no time of issue", saying(json!({"iat": null})), 401),
        ("oversized", saying(json!({"note": "x".repeat(8 * 1024)})), 401),
    ]
}

/// A subscription of ours.
fn named(name: &str) -> &'static Subscription {
    Subscription::named(name).unwrap()
}

#[tokio::test]
async fn no_forged_token_gets_in_anywhere() {
    let shop = Guarded::by_google().await;
    for subscription in &SUBSCRIPTIONS {
        let audience = subscription.resource(shop.project);
        assert_eq!(shop.push(subscription, None).await, 401, "no header at all");
        for (what, authorization, status) in forged(&shop, &audience) {
            let name = subscription.name;
            assert_eq!(shop.push(subscription, Some(&authorization)).await, status, "{what}, at {name}");
        }
    }
    assert_eq!(shop.let_in().await, 0);
}

/// Whatever signs them, tokens are good for the one subscription that they were made for, in our project.
async fn each_token_opens_one_door(shop: &Guarded, token: impl Fn(&str) -> String) {
    for token_of in &SUBSCRIPTIONS {
        let own = bearer(&token(&token_of.resource(shop.project)));
        for subscription in &SUBSCRIPTIONS {
            let status = if subscription == token_of { 204 } else { 403 };
            let names = (token_of.name, subscription.name);
            assert_eq!(shop.push(subscription, Some(&own)).await, status, "the token of {names:?}");
        }
        assert_eq!(shop.push_as("another-shop", token_of, Some(&own)).await, 403, "{}", token_of.name);
        let foreign = bearer(&token(&token_of.resource("another-shop")));
        for project in [shop.project, "another-shop"] {
            assert_eq!(shop.push_as(project, token_of, Some(&foreign)).await, 403, "{}", token_of.name);
        }
    }
    // Each was about an event that is not in our outbox.
    assert_eq!(shop.let_in().await, 5);
}

#[tokio::test]
async fn a_good_token_opens_one_subscriptions_door_and_is_no_authority() {
    let shop = Guarded::by_google().await;
    each_token_opens_one_door(&shop, |audience| shop.keys.token(audience)).await;

    let now = Utc::now().timestamp();
    let stock = named("checkout-stock");
    for changes in [
        json!({"iss": "accounts.google.com"}),
        json!({"iat": now - 3_630, "exp": now - 30}),
        json!({"iat": now + 30, "exp": now + 3_630}),
    ] {
        let token = shop.keys.sign(&shop.keys.header(), &but(&stock.resource(shop.project), &changes));
        assert_eq!(shop.push(stock, Some(&bearer(&token))).await, 204, "{changes}");
    }
}

const KEY: &str = "the key that the broker shares with its workers";

fn by_key(header: &Header, key: &str, claims: &Value) -> String {
    encode(header, claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

fn brokers_claims(audience: &str) -> Value {
    let now = Utc::now().timestamp();
    json!({"iss": "jumun", "aud": audience, "iat": now, "exp": now + 300})
}

#[tokio::test]
async fn only_the_broker_who_has_the_key_pushes_to_workers_of_the_embedded_engine() {
    let shop = Guarded::by_key(&PushKey::new(KEY.into()).unwrap()).await;
    let hs256 = Header::new(Algorithm::HS256);
    each_token_opens_one_door(&shop, |audience| by_key(&hs256, KEY, &brokers_claims(audience))).await;

    let stock = named("checkout-stock");
    let good = brokers_claims(&stock.resource(shop.project));
    let saying = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        by_key(&hs256, KEY, &claims)
    };
    let none = [json!({"alg": "none"}).to_string(), good.to_string()].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let now = Utc::now().timestamp();
    for (what, token, status) in [
        ("nothing", String::new(), 401),
        ("alg none", format!("{}.", none.join(".")), 401),
        ("another key", by_key(&hs256, "a key that somebody else made up, as long", &good), 401),
        ("HS512 with the key", by_key(&Header::new(Algorithm::HS512), KEY, &good), 401),
        ("RS256 by Google's key", shop.keys.sign(&shop.keys.header(), &good), 401),
        ("another issuer", saying("iss", json!("https://accounts.google.com")), 403),
        ("expired", saying("exp", json!(now - 70)), 401),
        ("issued in the future", saying("iat", json!(now + 90)), 401),
        ("several audiences", saying("aud", json!([good["aud"], "us"])), 401),
    ] {
        assert_eq!(shop.push(stock, Some(&bearer(&token))).await, status, "{what}");
    }
    assert_eq!(shop.push(stock, None).await, 401);
    assert_eq!(shop.let_in().await, 5, "those from before");
}

#[tokio::test]
async fn keys_are_asked_for_together_and_rotated_without_a_refusal() {
    let shop = Guarded::by_google().await;
    let audience = named("checkout-stock").resource(shop.project);
    let push = async |token: String| shop.push(named("checkout-stock"), Some(&bearer(&token))).await;
    let statuses = join_all((0..50).map(|_| push(shop.keys.token(&audience)))).await;
    assert_eq!((statuses, shop.keys.asked()), (vec![204; 50], 1));

    let old = shop.keys.token(&audience);
    shop.keys.rotate();
    let statuses = join_all((0..50).map(|_| push(shop.keys.token(&audience)))).await;
    assert_eq!((statuses, shop.keys.asked()), (vec![204; 50], 2));
    assert_eq!(push(old).await, 401, "its key was withdrawn");

    let unknown = |n: i32| {
        let header = Header { kid: Some(format!("unknown-{n}")), ..shop.keys.header() };
        shop.keys.sign(&header, &claims(&audience))
    };
    let statuses = join_all((0..200).map(|n| push(unknown(n)))).await;
    assert_eq!((statuses, shop.keys.asked()), (vec![401; 200], 2), "nobody makes us ask");
}

#[tokio::test]
async fn without_googles_keys_nobody_gets_in_who_was_not_known() {
    let shop = Guarded::by_google().await;
    let push = async |subscription: &Subscription| {
        let token = shop.keys.token(&subscription.resource(shop.project));
        shop.push(subscription, Some(&bearer(&token))).await
    };
    let (stock, phone) = (named("checkout-stock"), named("checkout-push"));
    assert_eq!(push(stock).await, 204);
    shop.lose_key_server().await;
    assert_eq!(push(stock).await, 204, "its keys are good for an hour");
    assert_eq!(push(phone).await, 503, "this one never had any");
}
