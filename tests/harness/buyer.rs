//! A buyer with a browser: cookies, pages, the payment window.

use std::collections::HashMap;
use std::sync::Arc;

use domain::ProductId;
use reqwest::header::LOCATION;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

/// A buyer. Clones are the same browser.
#[derive(Clone)]
pub struct Buyer {
    url: String,
    sandbox: String,
    products: Arc<HashMap<&'static str, ProductId>>,
    pub(crate) client: Client,
}

/// What `POST /api/orders` answered.
#[derive(Debug, Clone)]
pub struct Placed {
    /// What the payment window is opened for: names the attempt as well.
    pub window_id: String,
    /// The order's own id.
    pub id: String,
    /// Won.
    pub amount: i64,
    /// The whole answer.
    pub body: Value,
}

/// What the buyer brings back from the payment window.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// The provider's key.
    pub payment_key: String,
    /// The order id the window was opened for.
    pub window_id: String,
    /// Won.
    pub amount: i64,
    /// The address that the browser is sent to.
    pub location: String,
}

/// An answer, read.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON body, or null.
    pub body: Value,
    /// `Content-Type`.
    pub content_type: String,
}

impl Answer {
    pub(crate) async fn read(response: Response) -> reqwest::Result<Self> {
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type").map(|it| it.to_str().unwrap().to_owned());
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null);
        Ok(Self { status, body, content_type: content_type.unwrap_or_default() })
    }

    /// Insists on a status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Insists on a problem of that status and code.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.content_type, "application/problem+json");
    }
}

impl Buyer {
    /// A browser that has never been to this shop. It pays at this sandbox.
    ///
    /// # Panics
    /// When there is no HTTP client to be had.
    pub fn new(url: &str, sandbox: &str, products: Arc<HashMap<&'static str, ProductId>>) -> Self {
        let client = Client::builder()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only([]) // nothing here is https, and reading the system's certificates takes its time
            .build()
            .expect("a client");
        Self { url: url.to_owned(), sandbox: sandbox.to_owned(), products, client }
    }

    /// The same buyer at another storefront of the same shop.
    #[must_use]
    pub fn at(self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self }
    }

    /// The browser itself, for requests to whole addresses.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Asks for a page or an API resource.
    pub async fn get(&self, path: &str) -> Response {
        self.try_get(path).await.expect("an answer")
    }

    /// Asks a shop that may be away.
    ///
    /// # Errors
    /// When no answer comes back.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Response> {
        self.client.get(self.address(path)).send().await
    }

    /// Reads JSON from a shop that may be away.
    ///
    /// # Errors
    /// When no answer comes back.
    pub async fn try_read(&self, path: &str) -> reqwest::Result<Answer> {
        Answer::read(self.try_get(path).await?).await
    }

    /// Asks for a page and returns its text.
    pub async fn page(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.text().await.expect("a page")
    }

    /// Reads JSON.
    pub async fn read(&self, path: &str) -> Answer {
        self.try_read(path).await.expect("an answer")
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with_key(path, body, &uuid::Uuid::new_v4().to_string()).await
    }

    /// Posts JSON under an idempotency key.
    pub async fn post_with_key(&self, path: &str, body: &Value, key: &str) -> Answer {
        self.try_post(path, body, key).await.expect("an answer")
    }

    /// Posts JSON under an idempotency key to a shop that may die of it.
    ///
    /// # Errors
    /// When no answer comes back.
    pub async fn try_post(&self, path: &str, body: &Value, key: &str) -> reqwest::Result<Answer> {
        let request = self.client.post(self.address(path)).header("idempotency-key", key).json(body);
        Answer::read(request.send().await?).await
    }

    /// Sends exactly these headers and this body, as a page of anybody's might.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let request = self.client.request(method.parse().expect("a method"), self.address(path)).body(body.to_vec());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.expect("an answer")
    }

    /// Sends JSON with DELETE.
    pub async fn delete(&self, path: &str, body: &Value) -> Answer {
        let answer = self.client.delete(self.address(path)).json(body).send().await.expect("an answer");
        Answer::read(answer).await.expect("a body")
    }

    /// The body that orders `items`, each a product's name and how many.
    pub fn basket(&self, items: &[(&str, i64)]) -> Value {
        let item = |(name, quantity): &(&str, i64)| json!({"productId": self.products[name], "quantity": quantity});
        json!({"items": items.iter().map(item).collect::<Vec<_>>()})
    }

    /// Orders.
    pub async fn place_order(&self, items: &[(&str, i64)]) -> Placed {
        let answer = self.post("/api/orders", &self.basket(items)).await;
        assert!(matches!(answer.status, 200 | 201), "{}: {}", answer.status, answer.body);
        Placed::from(answer.body)
    }

    /// Goes through the payment window by card, up to the redirect back to the shop.
    pub async fn authenticate(&self, order: &Placed) -> Authenticated {
        self.authenticate_by(order, &[("choice", "card")]).await
    }

    /// Goes through the payment window with these choices.
    pub async fn authenticate_by(&self, order: &Placed, choices: &[(&str, &str)]) -> Authenticated {
        self.try_authenticate(order, choices).await.expect("an answer")
    }

    /// As [`Buyer::authenticate_by`], at a provider that may not answer.
    ///
    /// # Errors
    /// When no answer comes back.
    pub async fn try_authenticate(&self, order: &Placed, choices: &[(&str, &str)]) -> reqwest::Result<Authenticated> {
        let window = json!({
            "clientKey": order.body["clientKey"], "customerKey": order.body["customerKey"],
            "orderId": order.window_id, "orderName": order.body["orderName"],
            "amount": {"value": order.amount, "currency": "KRW"},
            "successUrl": order.body["successUrl"], "failUrl": order.body["failUrl"],
        });
        let opened = self.client.post(format!("{}/toss/browser/payments", self.sandbox)).json(&window);
        let opened = Answer::read(opened.send().await?).await?.expect(200);
        let window_url = opened["windowUrl"].as_str().expect("a window");
        let back = self.client.post(window_url).form(choices).send().await?;
        assert_eq!(back.status(), StatusCode::SEE_OTHER);
        let location = back.headers()[LOCATION].to_str().expect("an address").to_owned();
        Ok(Authenticated {
            payment_key: opened["paymentKey"].as_str().expect("a key").to_owned(),
            window_id: order.window_id.clone(),
            amount: order.amount,
            location,
        })
    }

    /// Brings a payment back as a JSON client does.
    pub async fn confirm(&self, payment: &Authenticated) -> Answer {
        self.try_confirm(payment).await.expect("an answer")
    }

    /// Brings a payment back to a shop that may die of it.
    ///
    /// # Errors
    /// When no answer comes back.
    pub async fn try_confirm(&self, payment: &Authenticated) -> reqwest::Result<Answer> {
        let body = json!({"paymentKey": payment.payment_key, "orderId": payment.window_id, "amount": payment.amount});
        self.try_post("/api/payments/confirm", &body, &uuid::Uuid::new_v4().to_string()).await
    }

    /// Brings a payment back as a browser does, and returns where the shop sends it.
    pub async fn follow_back(&self, payment: &Authenticated) -> String {
        let response = self.try_follow_back(payment).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        response.headers()[LOCATION].to_str().expect("an address").to_owned()
    }

    /// Brings a payment back as a browser does, to a shop that may die of it.
    ///
    /// # Errors
    /// When no answer comes back.
    pub async fn try_follow_back(&self, payment: &Authenticated) -> reqwest::Result<Response> {
        self.client.get(&payment.location).send().await
    }

    /// Orders, authenticates and pays.
    pub async fn buy(&self, items: &[(&str, i64)]) -> Placed {
        let order = self.place_order(items).await;
        let payment = self.authenticate(&order).await;
        self.confirm(&payment).await.expect(200);
        order
    }

    /// Registers a device for notifications.
    pub async fn register_device(&self, token: &str) {
        self.post("/api/messaging-tokens", &json!({"token": token})).await.expect(204);
    }

    /// Signs in at the shop's provider as one of its people, and returns where the shop sends the buyer then.
    pub async fn sign_in(&self, person: &str, return_to: &str) -> String {
        let back = self.leave_to_sign_in(person, return_to).await;
        let response = self.client.get(back).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        location(&response)
    }

    /// Goes to the shop's provider and says who it is there. Returns the address that the browser is sent back to.
    pub async fn leave_to_sign_in(&self, person: &str, return_to: &str) -> String {
        let leaving = self.client.get(self.address("/sign-in")).query(&[("return", return_to)]);
        let leaving = leaving.send().await.expect("an answer");
        assert_eq!(leaving.status(), StatusCode::SEE_OTHER);
        let choice = self.client.post(location(&leaving)).form(&[("person", person)]);
        location(&choice.send().await.expect("an answer"))
    }

    /// Presses the button that signs out, on a page of the shop's.
    pub async fn sign_out(&self, device: &str) -> Response {
        let form = self.client.post(self.address("/sign-out")).header("origin", &self.url);
        form.form(&[("device", device)]).send().await.expect("an answer")
    }

    /// The order's status, as its owner sees it.
    pub async fn status(&self, order: &Placed) -> String {
        let body = self.read(&format!("/api/orders/{}", order.id)).await.expect(200);
        body["status"].as_str().expect("a status").to_owned()
    }
}

fn location(response: &Response) -> String {
    response.headers()[LOCATION].to_str().expect("an address").to_owned()
}

impl From<Value> for Placed {
    fn from(body: Value) -> Self {
        let window_id = body["orderId"].as_str().expect("an order id").to_owned();
        Self { id: window_id[..36].to_owned(), window_id, amount: body["amount"].as_i64().expect("an amount"), body }
    }
}
