use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use database::orders::{self, OrderDetails};
use domain::{OrderError, OrderId, OrderState, ProductId, ProviderOrderId, Quantity, Won};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use service::{ApiJson, ApiPath, Problem};

use super::payable::{Payable, another_window};
use crate::app::{App, database_trouble, unavailable};
use crate::ordering::{self, Cart, Email, NotPlaced, Placed};
use crate::session::{Guest, Visitor};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/orders", post(create))
        .route("/api/orders/{id}", get(show))
        .route("/api/orders/{id}/cancel", post(cancel))
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewOrderBody {
    items: Vec<Item>,
    #[serde(default)]
    customer_email: Option<String>,
    /// What the page showed. If the catalogue has moved on since, the buyer is asked again.
    #[serde(default)]
    expected_amount: Option<Won>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Item {
    product_id: ProductId,
    quantity: Quantity,
}

async fn create(
    State(app): State<App>,
    guest: Guest,
    headers: HeaderMap,
    ApiJson(body): ApiJson<NewOrderBody>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let email = body.customer_email.as_deref().map(parse_email).transpose()?;
    let items = body.items.iter().map(|item| (item.product_id, item.quantity)).collect();
    let cart = Cart { items, email, expected: body.expected_amount };
    let (status, known) = match ordering::place(&app, &guest, cart, key).await.map_err(refuse)? {
        Placed::New { order, window, return_token } => {
            let body = Payable::new(&app.shop, &guest, window, &return_token, &order.name, order.amount);
            return Ok((StatusCode::CREATED, guest.cookie, Json(body)).into_response());
        }
        Placed::Replayed(id) => (StatusCode::CREATED, id),
        Placed::StillOpen(id) => (StatusCode::OK, id),
    };
    let found = load(&app, known, guest.customer.id).await?;
    let body = another_window(&app, &guest, &found).await?;
    let replayed = [(REPLAYED, HeaderValue::from_static("true"))];
    Ok((status, replayed, guest.cookie, Json(body)).into_response())
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (code, title) = match (keys.next(), keys.next()) {
        (None, _) => ("idempotency-key-missing", "An Idempotency-Key header is needed"),
        (Some(key), None) => match key.to_str() {
            Ok(key) if (1..=255).contains(&key.len()) => return Ok(key.to_owned()),
            Ok(_) | Err(_) => ("idempotency-key-invalid", "This is no Idempotency-Key"),
        },
        (Some(_), Some(_)) => ("idempotency-key-invalid", "There must be one Idempotency-Key header"),
    };
    Err(Problem::new(StatusCode::BAD_REQUEST, code, title).detail(
        "send a fresh random value, 1 to 255 visible ASCII characters, and repeat it when you repeat the request",
    ))
}

fn parse_email(text: &str) -> Result<Email, Problem> {
    Email::parse(text)
        .ok_or_else(|| Problem::invalid("customerEmail: expected an e-mail address").with("field", "customerEmail"))
}

fn refuse(refusal: NotPlaced) -> Problem {
    match refusal {
        NotPlaced::NoSuchProduct(_) | NotPlaced::NoOrder(_) => {
            Problem::invalid(format!("items: {refusal}")).with("field", "items")
        }
        NotPlaced::TooManyPieces { product, most } => {
            let title = "한 번에 주문할 수 있는 수량을 넘었습니다 / More than one order may hold";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too-many-pieces", title)
                .detail(refusal.to_string())
                .with("field", "items")
                .with("productId", product.to_string())
                .with("most", most)
        }
        NotPlaced::PriceChanged { now, .. } => {
            Problem::new(StatusCode::CONFLICT, "price-changed", "가격이 변경되었습니다 / The price has changed")
                .detail(refusal.to_string())
                .with("amount", now.get())
        }
        NotPlaced::TooManyOpen => {
            let title = "결제하지 않은 주문이 너무 많습니다 / Too many unpaid orders";
            Problem::new(StatusCode::CONFLICT, "too-many-open-orders", title)
                .detail("pay or cancel one of them, or wait until it expires")
        }
        NotPlaced::KeyReused => {
            let title = "This Idempotency-Key was used for another request";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title)
        }
        NotPlaced::Unavailable(problem) => unavailable(&problem),
    }
}

/// An order as its owner sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderBody {
    order_id: OrderId,
    status: &'static str,
    order_name: String,
    amount: Won,
    currency: &'static str,
    refunded_amount: Won,
    items: Vec<LineBody>,
    created_at: chrono::DateTime<chrono::Utc>,
    expires_at: chrono::DateTime<chrono::Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_at: Option<chrono::DateTime<chrono::Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LineBody {
    product_id: ProductId,
    name: String,
    unit_price: Won,
    quantity: Quantity,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentBody {
    method: Option<String>,
    receipt_url: Option<String>,
    decline: Option<domain::Decline>,
    deposit: Option<DepositBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DepositBody {
    bank: String,
    account: String,
    due_at: chrono::DateTime<chrono::Utc>,
}

impl From<OrderDetails> for OrderBody {
    fn from(found: OrderDetails) -> Self {
        let (paid_at, refunded_amount) = match found.order.state {
            OrderState::Paid { paid_at, refunded, .. } | OrderState::Refunding { paid_at, refunded, .. } => {
                (Some(paid_at), refunded)
            }
            OrderState::Refunded { paid_at, .. } => (Some(paid_at), found.order.amount),
            _ => (None, Won::ZERO),
        };
        Self {
            order_id: found.order.id,
            status: found.order.state.name(),
            order_name: found.order.name,
            amount: found.order.amount,
            currency: "KRW",
            refunded_amount,
            items: found
                .lines
                .into_iter()
                .map(|line| LineBody {
                    product_id: line.product,
                    name: line.name,
                    unit_price: line.unit_price,
                    quantity: line.quantity,
                })
                .collect(),
            created_at: found.created_at,
            // Who was given an account has until then to transfer.
            expires_at: match found.order.state {
                OrderState::AwaitingDeposit { due_at, .. } => due_at,
                _ => found.expires_at,
            },
            paid_at,
            payment: found.payment.map(|payment| PaymentBody {
                method: payment.method,
                receipt_url: payment.receipt_url,
                decline: payment.decline.map(|it| domain::Decline { message: it.told().to_owned(), ..it }),
                deposit: payment.deposit.map(|(bank, account, due_at)| DepositBody { bank, account, due_at }),
            }),
        }
    }
}

/// A stranger's order is no order: which ids exist is nobody's business.
pub(super) async fn load(app: &App, id: OrderId, customer: domain::CustomerId) -> Result<OrderDetails, Problem> {
    let found = orders::find(&app.db, id, customer).await.map_err(|error| database_trouble(&error))?;
    found.ok_or_else(Problem::not_found)
}

async fn show(
    State(app): State<App>,
    Visitor(customer): Visitor,
    ApiPath(id): ApiPath<ProviderOrderId>,
) -> Result<Json<OrderBody>, Problem> {
    let customer = customer.ok_or_else(Problem::not_found)?;
    Ok(Json(load(&app, id.order, customer.id).await?.into()))
}

async fn cancel(
    State(app): State<App>,
    Visitor(customer): Visitor,
    ApiPath(id): ApiPath<ProviderOrderId>,
) -> Result<Json<OrderBody>, Problem> {
    let customer = customer.ok_or_else(Problem::not_found)?;
    let found = load(&app, id.order, customer.id).await?;
    found.order.cancel().map_err(|refusal| wrong_state(&refusal))?;
    let done = orders::cancel(&app.db, id.order, customer.id).await.map_err(|error| database_trouble(&error))?;
    let found = load(&app, id.order, customer.id).await?;
    if !done {
        // It began to be paid between our look and our word.
        let from = found.order.state.name();
        return Err(wrong_state(&OrderError::InvalidTransition { from, action: "canceled" }));
    }
    Ok(Json(found.into()))
}

/// 409: the order stands elsewhere.
pub(super) fn wrong_state(refusal: &OrderError) -> Problem {
    Problem::new(StatusCode::CONFLICT, "wrong-state", "주문 상태가 맞지 않습니다 / The order does not allow this now")
        .detail(refusal.to_string())
}
