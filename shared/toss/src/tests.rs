//! The client against a Toss that answers what the test wants.

mod codes;
mod transactions;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use chrono::{DateTime, Utc};
use domain::{
    CancelAnswer, CancelRequest, Evidence, OrderId, Payment, PaymentGateway, PaymentId, PaymentState, ProviderCancel,
    ProviderPayment, ProviderStatus, Unanswered, Won,
};
use futures_util::stream;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{SetupError, Toss, TossSettings};

const SECRET_KEY: &str = "test_gsk_docs_OaPz8L5KdmQXkzRz3y47BMw6";
const KEY: &str = "tgen_20260101120000AbCd1";

enum Say {
    Reply(u16, Vec<u8>),
    RedirectTo(String),
    BreakOff,
    Nothing,
}

struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

struct FakeToss {
    toss: Toss,
    base_url: String,
    desk: Arc<Desk>,
}

struct Desk {
    say: Mutex<Say>,
    asked: Mutex<Vec<Asked>>,
}

impl FakeToss {
    async fn open() -> Self {
        let desk = Arc::new(Desk { say: Mutex::new(Say::Nothing), asked: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(desk.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { toss: Toss::new(settings(&base_url)).unwrap(), base_url, desk }
    }

    fn says(&self, status: u16, body: impl Into<Vec<u8>>) -> &Toss {
        self.will(Say::Reply(status, body.into()))
    }

    fn will(&self, say: Say) -> &Toss {
        *self.desk.say.lock().unwrap() = say;
        &self.toss
    }

    fn asked(&self) -> Asked {
        self.desk.asked.lock().unwrap().pop().expect("Toss was not asked")
    }
}

async fn answer(State(desk): State<Arc<Desk>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    desk.asked.lock().unwrap().push(Asked { method, uri, headers, body });
    let response = Response::builder().header("x-tosspayments-trace-id", "newId, originalId");
    let response = match &*desk.say.lock().unwrap() {
        Say::Reply(status, body) => response.status(*status).body(Body::from(body.clone())),
        Say::RedirectTo(url) => response.status(302).header("location", url).body(Body::empty()),
        Say::BreakOff => {
            let body = [Ok("{\"paymentKey\":"), Err(io::Error::other("the line is cut"))];
            response.body(Body::from_stream(stream::iter(body)))
        }
        Say::Nothing => response.body(Body::from_stream(stream::pending::<io::Result<Bytes>>())),
    };
    response.unwrap()
}

fn settings(base_url: &str) -> TossSettings {
    TossSettings { base_url: base_url.into(), ..TossSettings::new(SECRET_KEY.into()) }
}

fn payment() -> Payment {
    Payment {
        id: PaymentId::new(),
        order: OrderId::new(),
        attempt: 2,
        key: KEY.parse().unwrap(),
        amount: Won::new(15_000).unwrap(),
        payment_type: "NORMAL".into(),
        asked_at: Utc::now(),
        state: PaymentState::Confirming,
    }
}

fn refund() -> CancelRequest {
    CancelRequest {
        key: KEY.parse().unwrap(),
        amount: Won::new(5_000).unwrap(),
        refundable: Won::new(15_000).unwrap(),
        reason: "품절".into(),
        account: None,
        idempotency_key: "cancel:17".into(),
    }
}

/// A Payment as Toss writes it, with more fields than we read, after `changes`.
fn book(changes: Value) -> Vec<u8> {
    let mut book = json!({
        "mId": "tvivarepublica", "version": "2022-11-16", "paymentKey": KEY, "orderId": "ord_0123456789",
        "orderName": "토스 티셔츠 외 2건", "currency": "KRW", "method": "카드", "status": "DONE", "type": "NORMAL",
        "requestedAt": "2026-01-01T12:00:00+09:00", "approvedAt": "2026-01-01T12:00:21+09:00", "useEscrow": false,
        "card": {"issuerCode": "61", "number": "43301234****123*", "amount": 15000}, "virtualAccount": null,
        "easyPay": "토스페이", "secret": null, "failure": null, "receipt": {"url": "https://toss.example/receipt"},
        "totalAmount": 15000, "balanceAmount": 15000, "cancels": null, "somethingNew": {"next": ["year"]},
    });
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    book.as_object_mut().unwrap().extend(changes);
    book.to_string().into_bytes()
}

fn error(code: &str) -> Vec<u8> {
    json!({"code": code, "message": "한도초과 혹은 잔액부족으로 결제에 실패했습니다."}).to_string().into_bytes()
}

fn korean(time: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(&format!("{time}+09:00")).unwrap().to_utc()
}

fn unanswered<T: std::fmt::Debug>(answer: Result<T, Unanswered>) -> (u16, String) {
    match answer {
        Err(Unanswered::Inconclusive { status, code } | Unanswered::Refused { status, code }) => (status, code),
        other => panic!("{other:?}"),
    }
}

async fn seen(book: Vec<u8>) -> ProviderPayment {
    match FakeToss::open().await.says(200, book).find(&payment()).await {
        Ok(Evidence::Seen(payment)) => payment,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_confirm_says_who_asks_and_for_what() {
    let (fake, payment) = (FakeToss::open().await, payment());
    let answer = fake.says(200, book(json!({}))).confirm(&payment).await;
    assert!(matches!(answer, Ok(Evidence::Seen(_))), "{answer:?}");

    let asked = fake.asked();
    assert_eq!((asked.method, asked.uri.path()), (Method::POST, "/v1/payments/confirm"));
    assert_eq!(asked.headers["content-type"], "application/json");
    // The vector of Toss's own page.
    let basic = "Basic dGVzdF9nc2tfZG9jc19PYVB6OEw1S2RtUVhrelJ6M3k0N0JNdzY6";
    assert_eq!(asked.headers["authorization"], basic);
    assert_eq!(asked.headers["idempotency-key"], format!("confirm:{KEY}"));
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    let order_id = format!("{}-2", payment.order);
    assert_eq!(body, json!({"paymentKey": KEY, "orderId": order_id, "amount": 15000}));
}

#[tokio::test]
async fn a_query_names_the_payment_or_the_order_and_changes_nothing() {
    let fake = FakeToss::open().await;
    let toss = fake.says(404, error("NOT_FOUND_PAYMENT"));
    let odd = Payment { key: "a/b?c=d#é".replace('é', "%").parse().unwrap(), ..payment() };
    assert!(matches!(toss.find(&odd).await, Ok(Evidence::NotFound)));
    let asked = fake.asked();
    assert_eq!((asked.method, asked.uri.to_string()), (Method::GET, "/v1/payments/a%2Fb%3Fc%3Dd%23%25".into()));
    assert!(!asked.headers.contains_key("idempotency-key"));

    assert!(matches!(toss.find_by_order(&odd.provider_order_id()).await, Ok(Evidence::NotFound)));
    assert_eq!(fake.asked().uri.path(), format!("/v1/payments/orders/{}-2", odd.order));
}

#[tokio::test]
async fn what_went_back_is_told_one_by_one() {
    let cancel = |key: &str, amount: Value, status: Value| {
        json!({"transactionKey": key, "cancelAmount": amount, "cancelReason": "변\u{0}심", "canceledAt": "2026-01-02T09:00:00+09:00",
            "cancelStatus": status, "refundableAmount": 1})
    };
    let cancels = json!([
        cancel("first", json!(4_000), json!("DONE")),
        cancel("old version", json!(1_000.0), Value::Null),
        cancel("foreign", json!(9_000), json!("IN_PROGRESS")),
        cancel("foreign", json!(9_000), json!("ABORTED")),
    ]);
    let payment = seen(book(json!({"status": "PARTIAL_CANCELED", "balanceAmount": 10_000, "cancels": cancels}))).await;
    let cancel = |key: &str, amount| ProviderCancel {
        transaction_key: key.into(),
        amount: Won::new(amount).unwrap(),
        reason: "변심".into(),
        at: korean("2026-01-02T09:00:00"),
    };
    assert_eq!(payment.cancels, [cancel("first", 4_000), cancel("old version", 1_000)]);

    for broken in [json!({"cancelAmount": 0.5}), json!({"canceledAt": "yesterday"}), json!({"transactionKey": null})] {
        let mut spoiled = json!({"transactionKey": "k", "cancelAmount": 1, "canceledAt": "2026-01-02T09:00:00+09:00"});
        spoiled.as_object_mut().unwrap().extend(broken.as_object().unwrap().clone());
        let book = book(json!({"status": "PARTIAL_CANCELED", "cancels": [spoiled]}));
        assert_eq!(unanswered(FakeToss::open().await.says(200, book).find(&self::payment()).await).0, 200, "{broken}");
    }
}

#[tokio::test]
async fn a_cancel_says_how_much_is_to_be_left() {
    let fake = FakeToss::open().await;
    let left = book(json!({"status": "PARTIAL_CANCELED", "balanceAmount": 10000}));
    let Ok(CancelAnswer::Canceled(payment)) = fake.says(200, left).cancel(&refund()).await else { panic!() };
    assert_eq!(payment.balance.get(), 10_000);

    let asked = fake.asked();
    assert_eq!((asked.method, asked.uri.to_string()), (Method::POST, format!("/v1/payments/{KEY}/cancel")));
    assert_eq!(asked.headers["idempotency-key"], "cancel:17");
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(body, json!({"cancelReason": "품절", "cancelAmount": 5000, "refundableAmount": 15000}));
}

#[tokio::test]
async fn a_payment_is_read_in_every_status() {
    let done = seen(book(json!({}))).await;
    assert_eq!((done.key.as_str(), done.order_id.as_str()), (KEY, "ord_0123456789"));
    assert_eq!((done.total.get(), done.currency), (15_000, Some(domain::Currency::Krw)));
    let ProviderStatus::Done(approval) = done.status else { panic!("{:?}", done.status) };
    assert_eq!(approval.approved_at, korean("2026-01-01T12:00:21"));
    assert_eq!(approval.method.as_deref(), Some("카드"));
    assert_eq!(approval.receipt_url.as_deref(), Some("https://toss.example/receipt"));

    for status in ["READY", "IN_PROGRESS"] {
        let open = seen(book(json!({"status": status, "approvedAt": null, "method": null}))).await;
        assert!(matches!(open.status, ProviderStatus::Open));
    }
    for due in ["2026-01-08T23:59:59", "2026-01-08T23:59:59+09:00"] {
        let account = json!({"bankCode": "20", "accountNumber": "X6505636518308", "dueDate": due});
        let waiting =
            json!({"status": "WAITING_FOR_DEPOSIT", "approvedAt": null, "virtualAccount": account, "secret": "ps_1"});
        let ProviderStatus::WaitingForDeposit(deposit) = seen(book(waiting)).await.status else { panic!() };
        assert_eq!((deposit.bank.as_str(), deposit.account.as_str()), ("20", "X6505636518308"));
        assert_eq!(deposit.due_at, korean("2026-01-08T23:59:59"));
        assert_eq!(deposit.secret.unwrap().expose_secret(), "ps_1");
    }
    for (status, balance) in [("CANCELED", 0), ("PARTIAL_CANCELED", 0), ("PARTIAL_CANCELED", 1)] {
        let canceled = seen(book(json!({"status": status, "balanceAmount": balance}))).await;
        assert_eq!(canceled.balance.get(), balance);
        let ProviderStatus::Canceled { approved_at } = canceled.status else { panic!() };
        assert_eq!(approved_at, Some(korean("2026-01-01T12:00:21")));
    }
    let failure = json!({"code": "EXPIRED_PAYMENT", "message": "결제가 만료되었습니다."});
    let ProviderStatus::Failed(decline) = seen(book(json!({"status": "EXPIRED", "failure": failure}))).await.status
    else {
        panic!()
    };
    assert_eq!((decline.code.as_str(), decline.message.as_str()), ("EXPIRED_PAYMENT", "결제가 만료되었습니다."));
    let ProviderStatus::Failed(decline) = seen(book(json!({"status": "ABORTED"}))).await.status else { panic!() };
    assert_eq!(decline.code, "ABORTED");
    let new = seen(book(json!({"status": "ON_THE_MOON"}))).await;
    assert!(matches!(new.status, ProviderStatus::Other(status) if status == "ON_THE_MOON"));
}

#[tokio::test]
async fn an_answer_that_lies_is_passed_on_for_the_domain_to_judge() {
    let lie = json!({"paymentKey": "another", "orderId": "other", "totalAmount": 15000.0, "currency": "USD"});
    let lie = seen(book(lie)).await;
    assert_eq!((lie.key.as_str(), lie.order_id.as_str(), lie.total.get()), ("another", "other", 15_000));
    assert_eq!(lie.currency, None);
}

#[tokio::test]
async fn a_200_that_is_no_payment_settles_nothing() {
    let fake = FakeToss::open().await;
    let lacking = |field: &str| book(json!({field: null}));
    let bodies = [
        b"<html>OK</html>".to_vec(),
        Vec::new(),
        error("REJECT_CARD_PAYMENT"),
        vec![0xff; 10],
        vec![b' '; 2 * 1024 * 1024],
        lacking("status"),
        lacking("totalAmount"),
        lacking("approvedAt"),
        book(json!({"totalAmount": 15000.5})),
        book(json!({"totalAmount": -1})),
        book(json!({"totalAmount": 1e30})),
        book(json!({"totalAmount": "15000"})),
        book(json!({"paymentKey": "with space"})),
        book(json!({"approvedAt": "yesterday"})),
        book(json!({"status": "WAITING_FOR_DEPOSIT"})),
    ];
    for body in bodies {
        let (status, code) = unanswered(fake.says(200, body).confirm(&payment()).await);
        assert_eq!(status, 200);
        assert!(!code.contains("with space") && !code.contains("15000"), "the log would show it: {code}");
    }
}

#[tokio::test]
async fn odd_texts_do_not_enter() {
    let failure = json!({"code": "X\u{0}".repeat(999), "message": format!("\u{0}{}", "길".repeat(999))});
    let book = book(json!({"status": "ABORTED", "failure": failure}));
    let ProviderStatus::Failed(decline) = seen(book).await.status else { panic!() };
    assert_eq!(decline.message, "길".repeat(510));
    assert_eq!(decline.code, "X".repeat(200));

    for url in ["javascript:alert(1)", &format!("https://toss.example/{}", "x".repeat(3000)), "https://a\u{0}b"] {
        let ProviderStatus::Done(approval) = seen(self::book(json!({"receipt": {"url": url}}))).await.status else {
            panic!()
        };
        assert_eq!(approval.receipt_url, None);
    }
}

#[tokio::test]
async fn a_query_knows_only_what_toss_says_about_the_payment() {
    let fake = FakeToss::open().await;
    for code in ["NOT_FOUND_PAYMENT", "NOT_FOUND"] {
        assert!(matches!(fake.says(404, error(code)).find(&payment()).await, Ok(Evidence::NotFound)));
    }
    let open = [
        (404, "NOT_FOUND_PAYMENT_SESSION"),
        (400, "NOT_FOUND"),
        (400, "NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN_BELOW_AMOUNT"),
        (401, "UNAUTHORIZED_KEY"),
        (403, "FORBIDDEN_CONSECUTIVE_REQUEST"),
        (403, "INCORRECT_BASIC_AUTH_FORMAT"),
        (403, "REJECT_CARD_PAYMENT"),
        (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING"),
    ];
    for (status, code) in open {
        let answer = fake.says(status, error(code)).find(&payment()).await;
        assert_eq!(unanswered(answer), (status, code.to_owned()));
    }
    unanswered(fake.says(404, "<html>404</html>").find(&payment()).await);
}

#[tokio::test]
async fn an_error_without_a_code_settles_nothing() {
    let fake = FakeToss::open().await;
    for (status, body) in [(502, "<html>Bad Gateway</html>"), (503, ""), (400, "{}"), (400, "[]"), (429, "{\"co")] {
        let answer = fake.says(status, body).confirm(&payment()).await;
        assert_eq!(unanswered(answer), (status, "without an error code".to_owned()));
    }
}

#[tokio::test]
async fn no_answer_is_no_answer_and_does_not_tell_the_key() {
    let fake = FakeToss::open().await;
    let hasty = Duration::from_millis(100);
    let hasty = Toss::new(TossSettings { confirm_timeout: hasty, query_timeout: hasty, ..settings(&fake.base_url) });
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = Toss::new(settings(&format!("http://{nobody}"))).unwrap();
    fake.will(Say::Nothing);
    let hanging = [hasty.as_ref().unwrap().confirm(&payment()).await, hasty.unwrap().find(&payment()).await];
    let cut = fake.will(Say::BreakOff).find(&payment()).await;
    for answer in hanging.into_iter().chain([cut, nobody.find(&payment()).await]) {
        let Err(Unanswered::Transport(cause)) = answer else { panic!("{answer:?}") };
        assert!(!format!("{cause:?} {cause}").contains(KEY), "{cause:?}");
    }
    let canceled = fake.will(Say::BreakOff).cancel(&refund()).await;
    assert!(matches!(canceled, Err(Unanswered::Transport(_))), "{canceled:?}");
}

#[tokio::test]
async fn the_secret_key_follows_no_redirect() {
    let (fake, stranger) = (FakeToss::open().await, FakeToss::open().await);
    stranger.says(200, book(json!({})));
    let answer = fake.will(Say::RedirectTo(stranger.base_url.clone())).find(&payment()).await;
    assert_eq!(unanswered(answer).0, 302);
    assert!(stranger.desk.asked.lock().unwrap().is_empty());
}

#[test]
fn the_secret_key_leaves_this_machine_encrypted_or_not_at_all() {
    for good in ["https://api.tosspayments.com/", "http://127.0.0.1:9", "http://[::1]:9", "http://localhost:9/toss"] {
        assert!(Toss::new(settings(good)).is_ok(), "{good}");
    }
    for bad in ["http://api.tosspayments.com", "http://127.0.0.1.example.com", "ftp://localhost", "localhost:9", ""] {
        assert!(matches!(Toss::new(settings(bad)), Err(SetupError::BaseUrl(_))), "{bad}");
    }
    for bad in ["", "key\n", "\u{feff}key"] {
        assert!(matches!(Toss::new(TossSettings::new(bad.into())), Err(SetupError::SecretKey)), "{bad:?}");
    }
}
