//! The command `jumun`, in a process of its own beside a shop that is open.

use checkout_api::Learned;
use chrono::{TimeDelta, Utc};
use domain::Day;
use harness::{OpenShop, jumun};
use sandbox::Endpoint;
use serde_json::{Value, json};

const SERVICE: &str = env!("CARGO_BIN_EXE_service-process");

/// Its exit code and what it printed, errors too.
async fn run(shop: &OpenShop, arguments: &[&str]) -> (Option<i32>, String) {
    let output = jumun(shop, SERVICE, arguments).await;
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), text.concat())
}

#[tokio::test]
async fn refund_gives_back_what_it_says() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    let order = buyer.buy(&[("mug", 2)]).await;
    shop.deliver_events().await;
    let refund = async |more: &[&str]| {
        let command = ["refund", &order.id, "--reason", "고객 변심", "--by", "사장님"];
        run(&shop, &[command.as_slice(), more].concat()).await
    };
    let (code, said) = refund(&["--dry-run"]).await;
    assert!(code == Some(0) && said.contains("₩30,000") && said.contains("Nothing was done"), "{said}");
    assert_eq!(shop.count("SELECT count(*) FROM refunds").await, 0);

    let (code, said) = refund(&["--amount", "5000"]).await;
    assert!(code == Some(0) && said.contains("₩5,000") && said.contains("went back"), "{said}");
    assert_eq!((shop.sandbox.money_taken(&order.id), buyer.status(&order).await.as_str()), (25_000, "paid"));
    let (code, said) = refund(&["--amount", "5000"]).await;
    assert!(code == Some(2) && said.contains("less than an hour ago") && said.contains("--again"), "{said}");
    assert_eq!(shop.sandbox.money_taken(&order.id), 25_000, "typed twice, given back once");
    assert_eq!(refund(&["--amount", "5000", "--again"]).await.0, Some(0));
    for _ in 0..2 {
        assert_eq!(refund(&["--amount", "5000", "--key", "case-17"]).await.0, Some(0), "tells what became of it");
    }
    assert_eq!(shop.sandbox.money_taken(&order.id), 15_000);
    let (code, said) = refund(&["--amount", "25001"]).await;
    assert!(code == Some(2) && said.contains("between 1 won and"), "{said}");

    assert_eq!(refund(&["--restock"]).await.0, Some(0));
    shop.deliver_events().await;
    assert_eq!((shop.sandbox.money_taken(&order.id), buyer.status(&order).await.as_str()), (0, "refunded"));
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((100, 0), 5));
    let (code, said) = refund(&[]).await;
    assert!(code == Some(2) && said.contains("all of it went back already"), "{said}");
    let by = shop.operator().refunds(&order.id).await;
    assert!(by.iter().all(|refund| refund["requestedBy"] == "사장님"), "{by:?}");
    shop.verify().await;
}

#[tokio::test]
async fn order_tells_it_in_the_order_of_causes_by_whatever_name() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.buy(&[("mug", 1)]).await;
    shop.operator().refund(&order.id, json!({})).await.expect(201);
    let key = shop.sandbox.payments(Some(&order.id)).remove(0).payment_key;
    for name in [order.id.as_str(), &format!("{}-2", order.id), &key] {
        let (code, said) = run(&shop, &["order", name]).await;
        let told = ["placed", "is asked for", "approved by the provider", "on record", "asked for by", "given back by"];
        let places: Vec<_> = told.iter().map(|what| said.find(what).expect(what)).collect();
        assert!(code == Some(0) && places.is_sorted(), "the provider's clock knows whole seconds only: {said}");
    }
    let (code, said) = run(&shop, &["order", "no-such-key"]).await;
    assert!(code == Some(1) && said.contains("no order") && !said.contains("no-such-key"), "{said}");
    assert_eq!(run(&shop, &["order", "a key"]).await.0, Some(2));

    let nobodys = uuid::Uuid::nil().to_string();
    let (code, said) = run(&shop, &["refund", &nobodys, "--reason", "?", "--by", "사장님"]).await;
    assert!(code == Some(2) && said.contains(&format!("there is no order {nobodys}")), "{said}");
    let (code, said) = run(&shop, &["refund", &order.id, "--reason", "?", "--by", "사장님", "--attempt", "2"]).await;
    assert!(code == Some(2) && said.contains("with a payment 2"), "{said}");
}

#[tokio::test]
async fn attention_names_what_waits_for_a_person() {
    let shop = OpenShop::open().await;
    let order = shop.visitor().await.buy(&[("mug", 1)]).await;
    let (code, said) = run(&shop, &["attention"]).await;
    assert!(code == Some(0) && said.contains("Nothing needs"), "{said}");
    shop.spoil(Endpoint::Query, "lying-amount", 1);
    assert_eq!(shop.learn(&order.id, 1).await, Learned::Disputed);
    let (code, said) = run(&shop, &["attention"]).await;
    assert!(code == Some(1) && said.contains(&order.id), "{said}");
    let (code, said) = run(&shop, &["attention", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, listed["waiting"][0]["id"].as_str()), (Some(1), Some(order.id.as_str())));

    // Nothing is expected of a payment that is done; it is looked at again all the same.
    shop.spoil(Endpoint::Query, "lying-amount", 1);
    shop.api.reconciler.look_at_disputes().await.unwrap();
    assert_eq!(run(&shop, &["attention"]).await.0, Some(1), "the provider says the same");
    shop.api.reconciler.look_at_disputes().await.unwrap();
    let (code, said) = run(&shop, &["attention"]).await;
    assert!(code == Some(0) && said.contains("Nothing needs"), "{said}");
}

#[tokio::test]
async fn statement_compares_a_day_with_the_providers_list() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    buyer.confirm(&payment).await.expect(200);
    let Day(yesterday) = Day::yesterday(Utc::now());
    let today = (yesterday + TimeDelta::days(1)).to_string();
    let (code, said) = run(&shop, &["statement", "--date", &today]).await;
    assert!(code == Some(0) && said.contains("15,000 won") && said.contains("The two agree"), "{said}");
    shop.operator().cancel_at_console(&payment.payment_key, 4_000).await;
    let (code, said) = run(&shop, &["statement", "--date", &today]).await;
    assert!(code == Some(1) && said.contains(&order.id) && said.contains("-4,000"), "{said}");
}

#[tokio::test]
async fn products_are_put_on_sale_counted_and_hidden() {
    let shop = OpenShop::open().await;
    let add =
        ["products", "add", "--name", "백자 접시", "--name-en", "Porcelain plate", "--price", "27000", "--stock", "3"];
    let (code, id) = run(&shop, &add).await;
    assert_eq!(code, Some(0), "{id}");
    let id = id.trim();
    let page = format!("/api/products/{id}");
    let buyer = shop.visitor().await;
    let product: Value = buyer.get(&page).await.json().await.unwrap();
    assert_eq!((&product["price"], &product["available"]), (&json!(27_000), &json!(3)));

    let (code, said) = run(&shop, &["products", "receive", id, "2"]).await;
    assert!(code == Some(0) && said.contains("5 on hand, 0 of them promised"), "{said}");
    let (code, said) = run(&shop, &["products", "adjust", id, "-6"]).await;
    assert!(code == Some(2) && said.contains("nothing was changed: 5 are on hand"), "{said}");
    assert_eq!(run(&shop, &["products", "adjust", id, "-1"]).await.0, Some(0));
    assert_eq!(run(&shop, &["products", "change", id, "--price", "29000", "--max-per-order", "2"]).await.0, Some(0));
    let product: Value = buyer.get(&page).await.json().await.unwrap();
    assert_eq!((&product["price"], &product["available"]), (&json!(29_000), &json!(4)));
    let (code, said) = run(&shop, &["products", "list"]).await;
    assert!(code == Some(0) && said.contains("백자 접시") && said.contains("₩29,000"), "{said}");

    assert_eq!(run(&shop, &["products", "change", id, "--on-sale", "false"]).await.0, Some(0));
    assert_eq!(buyer.get(&page).await.status(), 404);
    let nobody = uuid::Uuid::nil().to_string();
    let (code, said) = run(&shop, &["products", "receive", &nobody, "1"]).await;
    assert!(code == Some(2) && said.contains("there is no product"), "{said}");
    assert_eq!(run(&shop, &["products", "change", id]).await.0, Some(2), "nothing to change");
    shop.verify().await;
}
