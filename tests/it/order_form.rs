//! Ordering by the page's form, as a browser without scripts does.

use harness::{Buyer, OpenShop};
use reqwest::Response;
use reqwest::header::LOCATION;

/// The product's page, with what its form holds.
struct Form {
    page: String,
    price: String,
    attempt: String,
}

impl Form {
    async fn open(shop: &OpenShop, buyer: &Buyer, product: &str) -> Self {
        let page = format!("/checkout/{}", shop.product(product));
        let text = buyer.page(&page).await;
        let hidden = |name: &str| {
            let (_, rest) = text.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        Self { page, price: hidden("price"), attempt: hidden("attempt") }
    }

    async fn press(&self, buyer: &Buyer, quantity: &str, email: &str) -> Response {
        let fields = [("quantity", quantity), ("email", email), ("price", &self.price), ("attempt", &self.attempt)];
        let body = fields.map(|(name, value)| format!("{name}={}", value.replace('@', "%40").replace('<', "%3C")));
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers = [("sec-fetch-site", "same-origin"), ("accept", "text/html"), kind];
        buyer.send("POST", &self.page, &headers, body.join("&").as_bytes()).await
    }
}

fn leads_to(answer: &Response) -> String {
    assert_eq!(answer.status(), 303);
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

const ORDERS: &str = "SELECT count(*) FROM orders";

#[tokio::test]
async fn a_form_orders_once_however_often_it_is_sent() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let form = Form::open(&shop, &buyer, "mug").await;
    let (one, two) = tokio::join!(form.press(&buyer, "2", "a@b.kr"), form.press(&buyer, "2", "a@b.kr"));
    let pay = leads_to(&one);
    assert_eq!(leads_to(&two), pay);
    let order = pay.strip_prefix("/orders/").and_then(|it| it.strip_suffix("/pay")).unwrap();
    assert!(buyer.page(&pay).await.contains("data-amount=\"30000\""));
    assert_eq!(shop.count(&format!("{ORDERS} WHERE customer_email = 'a@b.kr' AND id = '{order}'")).await, 1);

    assert_ne!(leads_to(&form.press(&buyer, "3", "a@b.kr").await), pay, "something else was typed meanwhile");
    buyer.post(&format!("/api/orders/{order}/cancel"), &serde_json::json!({})).await.expect(200);
    assert_eq!(
        leads_to(&form.press(&buyer, "2", "a@b.kr").await),
        pay,
        "the same form means the same order, whatever became of it"
    );
    let afresh = Form::open(&shop, &buyer, "mug").await;
    assert_ne!(leads_to(&afresh.press(&buyer, "2", "a@b.kr").await), pay);
    let again = buyer.post("/api/orders", &buyer.basket(&[("mug", 3)])).await;
    assert_eq!(again.status, 201, "another cart: without an address");
    assert_eq!(shop.count(ORDERS).await, 4);
}

#[tokio::test]
async fn a_form_and_a_program_mean_the_same_cart() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let made = buyer.place_order(&[("mug", 1)]).await;
    let form = Form::open(&shop, &buyer, "mug").await;
    assert_eq!(leads_to(&form.press(&buyer, "1", "").await), format!("/orders/{}/pay", made.id));
    assert_eq!(shop.count(ORDERS).await, 1);
}

#[tokio::test]
async fn what_is_wrong_is_said_beside_it_and_nothing_typed_is_lost() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let form = Form::open(&shop, &buyer, "rare").await;
    for (quantity, email, problem) in [
        ("0", "a@b.kr", "quantity-problem"),
        ("-1", "a@b.kr", "quantity-problem"),
        ("6", "a@b.kr", "quantity-problem"),
        ("1.5", "", "quantity-problem"),
        ("99999999999999999999", "", "quantity-problem"),
        ("", "a@b.kr", "quantity-problem"),
        ("2", "nobody", "email-problem"),
        ("2", "<script>@b.kr c", "email-problem"),
    ] {
        let answer = form.press(&buyer, quantity, email).await;
        assert_eq!(answer.status(), 422, "{quantity} {email}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(&format!("id=\"{problem}\"")), "{quantity} {email}: {page}");
        assert!(page.contains(&format!("value=\"{quantity}\"")) && !page.contains("<script>"), "{page}");
        let email = email.replace('<', "&#60;").replace('>', "&#62;");
        assert!(page.contains(&format!("value=\"{email}\"")), "{email} in {page}");
    }
    let told = form.press(&buyer, "6", "").await.text().await.unwrap();
    assert!(told.contains("1개부터 5개까지 주문할 수 있습니다"), "{told}");
    assert_eq!(shop.count(ORDERS).await, 0);
}

#[tokio::test]
async fn a_buyer_is_told_before_they_order_at_another_price() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let form = Form::open(&shop, &buyer, "mug").await;
    shop.execute(&format!("UPDATE products SET price = 16000 WHERE id = '{}'", shop.product("mug"))).await;
    let answer = form.press(&buyer, "2", "a@b.kr").await;
    assert_eq!(answer.status(), 409);
    let page = answer.text().await.unwrap();
    assert!(
        page.contains("지금은 ₩16,000입니다") && page.contains("₩32,000") && page.contains("value=\"a@b.kr\""),
        "{page}"
    );
    assert!(page.contains("name=\"price\" value=\"16000\""), "pressing again is agreeing");
    assert_eq!(shop.count(ORDERS).await, 0);

    shop.execute("UPDATE stock SET reserved = on_hand").await;
    let answer = form.press(&buyer, "2", "").await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("data-awaits="), "sold out meanwhile");
    let elsewhere = Form { page: format!("/checkout/{}", uuid::Uuid::nil()), ..form };
    assert_eq!(elsewhere.press(&buyer, "1", "").await.status(), 404);
}

#[tokio::test]
async fn who_has_too_many_unpaid_orders_is_told_so_on_the_page() {
    let shop = OpenShop::open_with(&[("OPEN_ORDERS_PER_BUYER", "1")]).await;
    let buyer = shop.visitor().await;
    let form = Form::open(&shop, &buyer, "mug").await;
    leads_to(&form.press(&buyer, "1", "").await);
    let answer = form.press(&buyer, "2", "").await;
    assert_eq!(answer.status(), 409);
    let page = answer.text().await.unwrap();
    assert!(
        page.contains("role=\"alert\">결제하지 않은 주문이 너무 많습니다") && page.contains("value=\"2\""),
        "{page}"
    );
}
