//! What only a real connection shows: closed sockets, HTTP/2, and the control API from outside.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{Endpoint, FaultOrder, Sandbox, Settings, router};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Version};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Running {
    sandbox: Sandbox,
    address: SocketAddr,
    client: Client,
}

impl Running {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Settings { public_url: format!("http://{address}"), ..Settings::default() };
        let sandbox = Sandbox::new(settings);
        tokio::spawn(axum::serve(listener, router(sandbox.clone())).into_future());
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { sandbox, address, client }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn authenticated(&self, order_id: &str) -> String {
        let payment = json!({
            "clientKey": self.sandbox.settings().client_key, "customerKey": "@@ANONYMOUS",
            "orderId": order_id, "orderName": "mug", "amount": {"value": 15_000, "currency": "KRW"},
            "successUrl": "http://shop.test/ok", "failUrl": "http://shop.test/fail",
        });
        let opened = self.client.post(self.url("/toss/browser/payments")).json(&payment).send().await.unwrap();
        let opened: Value = opened.json().await.unwrap();
        let window = opened["windowUrl"].as_str().unwrap();
        let back = self.client.post(window).form(&[("choice", "card")]).send().await.unwrap();
        assert_eq!(back.status(), StatusCode::SEE_OTHER);
        opened["paymentKey"].as_str().unwrap().to_owned()
    }

    fn confirm(&self, payment_key: &str, order_id: &str) -> reqwest::RequestBuilder {
        self.client
            .post(self.url("/toss/v1/payments/confirm"))
            .basic_auth(&self.sandbox.settings().secret_key, Some(""))
            .json(&json!({"paymentKey": payment_key, "orderId": order_id, "amount": 15_000}))
    }

    async fn control(&self, path: &str, body: Value) -> StatusCode {
        self.client.post(self.url(path)).json(&body).send().await.unwrap().status()
    }
}

#[tokio::test]
async fn a_lost_answer_is_a_closed_socket_without_one_byte() {
    let running = Running::start().await;
    let key = running.authenticated("order-1").await;
    let body = json!({"paymentKey": key, "orderId": "order-1", "amount": 15_000}).to_string();
    let request = running.confirm(&key, "order-1").build().unwrap();
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let text = format!(
        "POST /toss/v1/payments/confirm HTTP/1.1\r\nhost: sandbox\r\nauthorization: {authorization}\r\n\
         sandbox-fault: answer-lost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
    assert_eq!(running.sandbox.money_taken("order-1"), 15_000);
}

#[tokio::test]
async fn a_client_sees_no_response_at_all() {
    let running = Running::start().await;
    let key = running.authenticated("order-1").await;
    for (fault, taken) in [("reset", 0), ("answer-lost", 15_000)] {
        let fault = fault.parse().unwrap();
        running.sandbox.fault(FaultOrder { endpoint: Endpoint::Confirm, fault, order_id: None, times: 1 });
        let lost = running.confirm(&key, "order-1").send().await.unwrap_err();
        assert!(lost.is_request() && lost.status().is_none(), "{lost:?}");
        assert_eq!(running.sandbox.money_taken("order-1"), taken);
    }
}

#[tokio::test]
async fn a_hang_outlasts_the_client_and_leaves_the_sandbox_well() {
    let running = Running::start().await;
    let key = running.authenticated("order-1").await;
    let hang = json!({"endpoint": "confirm", "fault": "hang-after", "orderId": "order-1"});
    assert_eq!(running.control("/sandbox/faults", hang).await, StatusCode::NO_CONTENT);
    let patience = Duration::from_millis(200);
    let timed_out = running.confirm(&key, "order-1").header("idempotency-key", "k").timeout(patience).send().await;
    assert!(timed_out.unwrap_err().is_timeout());
    let again = running.confirm(&key, "order-1").header("idempotency-key", "k").send().await.unwrap();
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(running.sandbox.approvals("order-1"), 1);
}

#[tokio::test]
async fn the_control_api_drives_and_shows_everything() {
    let running = Running::start().await;
    let key = running.authenticated("order-1").await;
    let refused = running.control("/sandbox/faults", json!({"endpoint": "confirm", "fault": "no-such"})).await;
    assert_eq!(refused, StatusCode::UNPROCESSABLE_ENTITY);
    let script = json!({"token": "phone-1", "steps": ["unavailable:1", "ok"]});
    assert_eq!(running.control("/sandbox/fcm/scripts", script).await, StatusCode::NO_CONTENT);
    assert_eq!(running.control("/sandbox/fcm/revoke", json!({"expiresIn": 5})).await, StatusCode::NO_CONTENT);
    assert_eq!(running.control("/sandbox/deposits", json!({"orderId": "order-1"})).await, StatusCode::NOT_FOUND);
    running.confirm(&key, "order-1").send().await.unwrap();
    let book = running.client.get(running.url("/sandbox/book?orderId=order-1")).send().await.unwrap();
    let book: Value = book.json().await.unwrap();
    assert_eq!(book["totals"], json!({"payments": 1, "approved": 15_000, "canceled": 0, "kept": 15_000}));
    assert_eq!(book["payments"][0]["status"], "DONE");
    assert_eq!(book["payments"][0]["confirmCalls"], 1);
    assert_eq!(running.control("/sandbox/reset", json!({})).await, StatusCode::NO_CONTENT);
    assert_eq!(running.sandbox.totals().payments, 0);
}

#[tokio::test]
async fn one_port_speaks_http_2_without_being_asked_twice() {
    let running = Running::start().await;
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let page = client.get(running.url("/")).send().await.unwrap();
    assert_eq!(page.version(), Version::HTTP_2);
    let reset = client
        .get(running.url("/toss/v1/payments/orders/order-1"))
        .basic_auth(&running.sandbox.settings().secret_key, Some(""))
        .header("sandbox-fault", "reset");
    let answer = match reset.send().await {
        Ok(response) => response.bytes().await,
        Err(error) => Err(error),
    };
    assert!(answer.is_err());
}
