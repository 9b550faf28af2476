//! Who may push: Google, on behalf of our service account, to the worker that the token is for.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Utc;
use futures_util::future::join_all;
use harness::Guarded;
use harness::tokens::claims;
use jsonwebtoken::jwk::AlgorithmParameters;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use messaging::topology::Worker;
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

#[tokio::test]
async fn no_forged_token_gets_in_anywhere() {
    let shop = Guarded::open().await;
    for worker in Worker::ALL {
        let audience = Guarded::audience(worker);
        assert_eq!(shop.push(worker, None).await, 401, "no header at all");
        for (what, authorization, status) in forged(&shop, &audience) {
            assert_eq!(shop.push(worker, Some(&authorization)).await, status, "{what}, at {worker:?}");
        }
    }
    assert_eq!(shop.let_in().await, 0);
}

#[tokio::test]
async fn a_good_token_opens_one_workers_door_and_is_no_authority() {
    let shop = Guarded::open().await;
    for token_of in Worker::ALL {
        let token = bearer(&shop.keys.token(&Guarded::audience(token_of)));
        for worker in Worker::ALL {
            let status = if worker == token_of { 204 } else { 403 };
            assert_eq!(shop.push(worker, Some(&token)).await, status, "the token of {token_of:?} at {worker:?}");
        }
    }
    // Each was about an event that is not in our outbox.
    assert_eq!(shop.let_in().await, 3);

    let now = Utc::now().timestamp();
    let audience = Guarded::audience(Worker::Stock);
    for changes in [
        json!({"iss": "accounts.google.com"}),
        json!({"iat": now - 3_630, "exp": now - 30}),
        json!({"iat": now + 30, "exp": now + 3_630}),
    ] {
        let token = shop.keys.sign(&shop.keys.header(), &but(&audience, &changes));
        assert_eq!(shop.push(Worker::Stock, Some(&bearer(&token))).await, 204, "{changes}");
    }
}

#[tokio::test]
async fn keys_are_asked_for_together_and_rotated_without_a_refusal() {
    let shop = Guarded::open().await;
    let audience = Guarded::audience(Worker::Stock);
    let push = async |token: String| shop.push(Worker::Stock, Some(&bearer(&token))).await;
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
    let shop = Guarded::open().await;
    let token = |worker| bearer(&shop.keys.token(&Guarded::audience(worker)));
    assert_eq!(shop.push(Worker::Stock, Some(&token(Worker::Stock))).await, 204);
    shop.lose_key_server().await;
    assert_eq!(shop.push(Worker::Stock, Some(&token(Worker::Stock))).await, 204, "its keys are good for an hour");
    assert_eq!(shop.push(Worker::Push, Some(&token(Worker::Push))).await, 503, "this one never had any");
}
