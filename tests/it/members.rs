//! Members, who sign in at the shop's own identity provider; and those who would like to be somebody else.

use harness::{Buyer, OpenShop, Placed};
use reqwest::StatusCode;
use reqwest::header::{COOKIE, LOCATION, REFRESH, SET_COOKIE};
use sandbox::IdTokenLie;

const KIM: &str = "jumun-kim";
const LEE: &str = "baesong-lee";

/// Whether that order is this buyer's.
async fn owns(buyer: &Buyer, order: &Placed) -> bool {
    let status = buyer.get(&format!("/api/orders/{}", order.id)).await.status();
    assert!(matches!(status, StatusCode::OK | StatusCode::NOT_FOUND), "{status}");
    status == StatusCode::OK
}

async fn members(shop: &OpenShop) -> i64 {
    shop.count("SELECT count(*) FROM sessions WHERE member").await
}

#[tokio::test]
async fn a_guests_orders_follow_them_when_they_sign_in() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    let paid = buyer.buy(&[("mug", 1)]).await;
    let open = buyer.place_order(&[("poster", 1)]).await;
    assert!(buyer.page("/").await.contains("로그인"));
    assert_eq!(buyer.sign_in(KIM, "/checkout/success?orderId=1").await, "/checkout/success?orderId=1");
    assert!(buyer.page("/").await.contains("로그아웃"));
    assert!(owns(&buyer, &paid).await && owns(&buyer, &open).await);

    let elsewhere = shop.visitor().await;
    assert!(!owns(&elsewhere, &paid).await);
    let theirs = elsewhere.place_order(&[("poster", 1)]).await;
    elsewhere.sign_in(KIM, "/").await;
    assert!(owns(&elsewhere, &paid).await && owns(&elsewhere, &theirs).await, "the member's second browser");
    assert!(owns(&buyer, &theirs).await);

    // Begun as a guest, paid as a member, told on the device that came along.
    let payment = buyer.authenticate(&open).await;
    buyer.confirm(&payment).await.expect(200);
    shop.deliver_events().await;
    assert_eq!(shop.sandbox.notifications("phone").len(), 2);
    shop.execute("UPDATE orders SET expires_at = now() WHERE status = 'pending'").await;
    shop.verify().await;
}

#[tokio::test]
async fn nobody_sees_what_is_somebody_elses() {
    let shop = OpenShop::open().await;
    let (kim, lee, guest) = (shop.visitor().await, shop.visitor().await, shop.visitor().await);
    kim.sign_in(KIM, "/").await;
    let order = kim.buy(&[("mug", 1)]).await;
    lee.sign_in(LEE, "/").await;
    for stranger in [&lee, &guest, &shop.nobody()] {
        assert!(!owns(stranger, &order).await);
    }
    lee.sign_in(KIM, "/").await;
    assert!(owns(&lee, &order).await, "now it is Kim at that browser");
    kim.sign_in(LEE, "/").await;
    assert!(!owns(&kim, &order).await, "and here no more: a member's orders follow nobody else");
}

#[tokio::test]
async fn no_lie_about_a_person_is_believed() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    for lie in IdTokenLie::ALL {
        shop.sandbox.lie_about_identity(lie);
        let back = buyer.leave_to_sign_in(KIM, "/").await;
        let answer = buyer.client().get(&back).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{lie:?}");
        assert!(answer.text().await.unwrap().contains("로그인하지 못했습니다"), "{lie:?}");
        assert_eq!(members(&shop).await, 0, "{lie:?}");
        assert!(owns(&buyer, &order).await, "the guest goes on");
    }
    buyer.sign_in(KIM, "/").await;
    assert_eq!(members(&shop).await, 1, "and the truth is");
}

#[tokio::test]
async fn a_sign_in_comes_back_once_to_the_browser_that_it_left() {
    let shop = OpenShop::open().await;
    let (buyer, other) = (shop.visitor().await, shop.visitor().await);
    let back = buyer.leave_to_sign_in(KIM, "/").await;
    let status = async |who: &Buyer, address: &str| who.client().get(address).send().await.unwrap().status();

    // What an attacker sends a victim to have them buy in the attacker's name.
    assert_eq!(status(&other, &back).await, StatusCode::BAD_REQUEST);
    assert_eq!(status(&shop.nobody(), &back).await, StatusCode::BAD_REQUEST);
    let (before, _) = back.split_once("&state=").unwrap();
    for forged in [format!("{before}&state=forged"), format!("{before}&state=")] {
        assert_eq!(status(&buyer, &forged).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(members(&shop).await, 0);
    assert_eq!(status(&buyer, &back).await, StatusCode::SEE_OTHER, "none of that has spoiled it");
    assert_eq!(status(&buyer, &back).await, StatusCode::BAD_REQUEST, "but it is good once");
    assert_eq!(members(&shop).await, 1);

    // A code of one's own in somebody else's sign-in: PKCE and nonce.
    let victim = shop.visitor().await;
    let (theirs, attackers) = (victim.leave_to_sign_in(KIM, "/").await, other.leave_to_sign_in(LEE, "/").await);
    let state = theirs.split_once("&state=").unwrap().1;
    let code = attackers.split_once("&state=").unwrap().0;
    assert_eq!(status(&victim, &format!("{code}&state={state}")).await, StatusCode::BAD_REQUEST);
    assert_eq!(members(&shop).await, 1);

    // Who thinks better of it goes on as a guest.
    let home = victim.leave_to_sign_in("", "/checkout/cancel").await;
    assert!(home.contains("error=access%5Fdenied"), "{home}");
    let answer = victim.client().get(home).send().await.unwrap();
    assert_eq!(answer.headers()[LOCATION], "/checkout/cancel");
}

#[tokio::test]
async fn a_session_that_somebody_planted_is_worth_nothing_after_signing_in() {
    let shop = OpenShop::open().await;
    let attacker = shop.nobody();
    let opened = attacker.get("/").await;
    let planted = opened.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    // The victim's browser is the attacker's session from here on.
    let victim = attacker;
    victim.sign_in(KIM, "/").await;
    let order = victim.buy(&[("mug", 1)]).await;
    let stolen = |path: String| {
        let request = shop.nobody().client().get(format!("{}{path}", shop.url)).header(COOKIE, &planted);
        async move { request.send().await.unwrap().status() }
    };
    assert_eq!(stolen(format!("/api/orders/{}", order.id)).await, StatusCode::NOT_FOUND);
    assert_eq!(shop.count("SELECT count(*) FROM sessions WHERE NOT member").await, 0);
}

#[tokio::test]
async fn signing_in_leads_to_our_own_pages_only() {
    let shop = OpenShop::open().await;
    for foreign in ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "evil", ""] {
        let buyer = shop.visitor().await;
        assert_eq!(buyer.sign_in(KIM, foreign).await, "/", "{foreign:?}");
    }
}

#[tokio::test]
async fn who_signs_out_is_a_guest_and_hears_no_more_on_that_device() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    buyer.sign_in(KIM, "/").await;
    buyer.register_device("phone").await;
    let order = buyer.buy(&[("mug", 1)]).await;
    let answer = buyer.sign_out("phone").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let onward = answer.headers()[REFRESH].to_str().unwrap();
    assert!(onward.starts_with(&format!("0; url={}/oidc/sign-out?", shop.sandbox_url())), "{onward}");
    assert!(!owns(&buyer, &order).await);
    assert_eq!((members(&shop).await, shop.count("SELECT count(*) FROM messaging_tokens").await), (0, 0));
    shop.deliver_events().await;
    assert!(shop.sandbox.notifications("phone").is_empty());

    let guest = shop.visitor().await;
    let theirs = guest.place_order(&[("mug", 1)]).await;
    assert!(!guest.sign_out("").await.headers().contains_key(SET_COOKIE), "the cookie stays");
    assert_eq!(
        shop.count(&format!(
            "SELECT count(*) FROM sessions s JOIN orders o USING (customer_id) WHERE o.id = '{}'",
            theirs.id
        ))
        .await,
        1,
        "a guest has nothing to sign out of, and too much to lose"
    );
}

#[tokio::test]
async fn without_the_provider_guests_go_on_buying() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    shop.sandbox.set_identity_provider_down(true);
    for _ in 0..5 {
        let answer = buyer.get("/sign-in?return=/").await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.text().await.unwrap().contains("지금은 로그인할 수 없습니다"));
    }
    assert_eq!(shop.sandbox.identity_requests(), 1, "who does not answer is left alone for a while");
    buyer.buy(&[("mug", 1)]).await;
    shop.sandbox.set_identity_provider_down(false);
    let back = async || buyer.get("/sign-in?return=/").await.status() == StatusCode::SEE_OTHER;
    shop.eventually("the provider to be asked again", back).await;

    let asked = shop.sandbox.identity_requests();
    let leaving = buyer.leave_to_sign_in(KIM, "/").await;
    assert_eq!(shop.sandbox.identity_requests(), asked + 1, "what it says of itself is remembered");
    shop.sandbox.set_identity_provider_down(true);
    let answer = buyer.client().get(leaving).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    shop.sandbox.set_identity_provider_down(false);
    assert_eq!(members(&shop).await, 0);
    shop.sandbox.rotate_identity_keys();
    buyer.sign_in(KIM, "/").await;
    assert_eq!(members(&shop).await, 1, "by a key that was unknown until then");
}
