//! The storefront: pages rendered here, one small script on the checkout page.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use database::products::{self, Product};
use domain::{OrderState, PaymentKey, ProductId, ProviderOrderId, Won};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use serde::Deserialize;
use service::{ApiPath, ApiQuery, Problem, TraceParent};
use tracing::error;

use crate::app::{App, database_trouble};
use crate::checkout::{Outcome, Return};
use crate::language::Language;
use crate::routes;
use crate::session::{Guest, NewCookie, Visitor};

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/", get(shelf))
        .route("/checkout/{product_id}", get(checkout))
        .route("/api/checkout/callback", get(callback))
        .route("/checkout/success", get(success))
        .route("/checkout/error", get(failure))
        .route("/checkout/cancel", get(canceled))
        .route("/assets/checkout.js", get(async || asset("text/javascript", include_str!("../assets/checkout.js"))))
        .route("/assets/shop.css", get(async || asset("text/css", include_str!("../assets/shop.css"))))
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=3600")], text)
}

/// Renders a page and remembers the language it was asked for in.
fn page(status: StatusCode, language: Language, cookie: NewCookie, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let remember = format!("lang={}; Path=/; SameSite=Lax; Max-Age=31536000", language.tag());
            (status, [(SET_COOKIE, remember)], cookie, Html(html)).into_response()
        }
        Err(error) => {
            error!(%error, "A page could not be rendered");
            Problem::internal().into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "shelf.html")]
struct Shelf {
    language: Language,
    products: Vec<Product>,
}

async fn shelf(State(app): State<App>, language: Language, guest: Guest) -> Result<Response, Problem> {
    let products = products::list(&app.db).await.map_err(|error| database_trouble(&error))?;
    Ok(page(StatusCode::OK, language, guest.cookie, &Shelf { language, products }))
}

#[derive(Template)]
#[template(path = "checkout.html")]
struct CheckoutPage<'a> {
    language: Language,
    product: &'a Product,
    sdk_url: &'a str,
    client_key: &'a str,
}

async fn checkout(
    State(app): State<App>,
    language: Language,
    guest: Guest,
    ApiPath(id): ApiPath<ProductId>,
) -> Result<Response, Problem> {
    let found = products::find(&app.db, &[id]).await.map_err(|error| database_trouble(&error))?;
    let Some(product) = found.first() else {
        let notice = Notice::new(language, None, "상품을 찾을 수 없습니다", "No such product");
        return Ok(page(StatusCode::NOT_FOUND, language, guest.cookie, &notice));
    };
    let template = CheckoutPage { language, product, sdk_url: &app.shop.sdk_url, client_key: &app.shop.client_key };
    Ok(page(StatusCode::OK, language, guest.cookie, &template))
}

/// Toss's `successUrl`. The order of the parameters is no contract, and `paymentType` may be absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallbackQuery {
    payment_key: PaymentKey,
    order_id: ProviderOrderId,
    amount: Won,
    #[serde(default)]
    payment_type: Option<String>,
}

async fn callback(
    State(app): State<App>,
    Visitor(customer): Visitor,
    trace: TraceParent,
    ApiQuery(query): ApiQuery<CallbackQuery>,
) -> Redirect {
    let order = query.order_id;
    let outcome = match customer {
        Some(customer) => {
            let request = Return {
                customer: customer.id,
                order,
                key: query.payment_key,
                amount: query.amount,
                payment_type: routes::payment_type(query.payment_type),
            };
            app.checkout.confirm(request, Some(trace.to_string())).await
        }
        None => Outcome::NotFound,
    };
    // The payment key leaves the address bar here: the next pages know the order only.
    let order = order.order;
    match outcome {
        Outcome::Paid | Outcome::AwaitingDeposit | Outcome::Checking => {
            Redirect::to(&format!("/checkout/success?orderId={order}"))
        }
        refused => Redirect::to(&format!("/checkout/error?orderId={order}&reason={}", Reason::of(&refused).name())),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderQuery {
    order_id: ProviderOrderId,
}

#[derive(Template)]
#[template(path = "success.html")]
struct Success {
    language: Language,
    status: &'static str,
    name: String,
    amount: Won,
    order: domain::OrderId,
    method: Option<String>,
    receipt_url: Option<String>,
    deposit: Option<(String, String, String)>,
}

async fn success(
    State(app): State<App>,
    language: Language,
    Visitor(customer): Visitor,
    ApiQuery(query): ApiQuery<OrderQuery>,
) -> Result<Response, Problem> {
    let no_cookie = NewCookie::none();
    let found = match customer {
        Some(customer) => database::orders::find(&app.db, query.order_id.order, customer.id)
            .await
            .map_err(|error| database_trouble(&error))?,
        None => None,
    };
    let Some(found) = found else {
        let notice = Notice::new(language, None, "주문을 찾을 수 없습니다", "No such order");
        return Ok(page(StatusCode::NOT_FOUND, language, no_cookie, &notice));
    };
    if matches!(found.order.state, OrderState::Pending | OrderState::Expired | OrderState::Canceled) {
        let text = (
            "결제가 완료되지 않았습니다. 청구된 금액은 없습니다.",
            "The payment did not go through. Nothing was charged.",
        );
        let notice = Notice::new(language, found.lines.first().map(|line| line.product), text.0, text.1);
        return Ok(page(StatusCode::OK, language, no_cookie, &notice));
    }
    let payment = found.payment;
    let template = Success {
        language,
        status: found.order.state.name(),
        name: found.order.name,
        amount: found.order.amount,
        order: found.order.id,
        method: payment.as_ref().and_then(|payment| payment.method.clone()),
        receipt_url: payment.as_ref().and_then(|payment| payment.receipt_url.clone()),
        deposit: payment
            .and_then(|payment| payment.deposit)
            .map(|(bank, account, due_at)| (bank, account, korean_time(due_at))),
    };
    Ok(page(StatusCode::OK, language, no_cookie, &template))
}

fn korean_time(at: chrono::DateTime<chrono::Utc>) -> String {
    const KST: i32 = 9 * 60 * 60;
    let zone = chrono::FixedOffset::east_opt(KST);
    zone.map_or_else(|| at.to_rfc3339(), |zone| at.with_timezone(&zone).format("%Y-%m-%d %H:%M KST").to_string())
}

/// A page that says one thing and where to go from there.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    language: Language,
    title: &'a str,
    /// Where the same thing can be tried again.
    retry: Option<ProductId>,
}

impl<'a> Notice<'a> {
    fn new(language: Language, retry: Option<ProductId>, korean: &'a str, english: &'a str) -> Self {
        Self { language, title: language.say(korean, english), retry }
    }
}

/// What went wrong, as a word that may stand in an address. The text comes from here, never from the query.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Reason {
    Declined,
    SoldOut,
    Expired,
    Mismatch,
    NotFound,
    WrongState,
    GivenBack,
    #[serde(other)]
    Failed,
}

impl Reason {
    const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Declined(_) => Self::Declined,
            Outcome::SoldOut => Self::SoldOut,
            Outcome::Overdue => Self::Expired,
            Outcome::Refused(domain::OrderError::AmountMismatch { .. }) => Self::Mismatch,
            Outcome::Refused(_) => Self::WrongState,
            Outcome::NotFound => Self::NotFound,
            Outcome::GivenBack => Self::GivenBack,
            Outcome::GatewayFailed
            | Outcome::Unavailable
            | Outcome::Paid
            | Outcome::AwaitingDeposit
            | Outcome::Checking => Self::Failed,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::SoldOut => "sold-out",
            Self::Expired => "expired",
            Self::Mismatch => "mismatch",
            Self::NotFound => "not-found",
            Self::WrongState => "wrong-state",
            Self::GivenBack => "given-back",
            Self::Failed => "failed",
        }
    }

    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Declined => (
                "결제가 승인되지 않았습니다. 청구된 금액은 없습니다. 다른 결제 수단으로 다시 시도해 주세요.",
                "The payment was declined. Nothing was charged. Please try another way to pay.",
            ),
            Self::SoldOut => (
                "결제 직전에 품절되었습니다. 청구된 금액은 없습니다.",
                "It sold out just before your payment. Nothing was charged.",
            ),
            Self::Expired => (
                "주문 시간이 지났습니다. 청구된 금액은 없습니다. 다시 주문해 주세요.",
                "The order has expired. Nothing was charged. Please order again.",
            ),
            Self::Mismatch => (
                "결제 금액이 주문 금액과 다릅니다. 청구된 금액은 없습니다.",
                "The amount differs from your order's. Nothing was charged.",
            ),
            Self::NotFound => ("주문을 찾을 수 없습니다.", "No such order."),
            Self::WrongState => (
                "이 주문은 지금 결제할 수 없습니다. 이 시도로 청구된 금액은 없습니다.",
                "This order cannot be paid now. This attempt charged nothing.",
            ),
            Self::GivenBack => (
                "주문이 종료된 뒤의 결제입니다. 결제된 금액이 있으면 환불해 드립니다.",
                "The order had ended. Whatever you paid for it is returned.",
            ),
            Self::Failed => (
                "결제를 완료하지 못했습니다. 잠시 후 다시 시도해 주세요.",
                "The payment could not be completed. Please try again in a moment.",
            ),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailureQuery {
    #[serde(default)]
    order_id: Option<String>,
    #[serde(default)]
    reason: Option<Reason>,
}

/// Changes nothing and believes nothing: the order is shown to its owner only, to offer another try.
async fn failure(
    State(app): State<App>,
    language: Language,
    Visitor(customer): Visitor,
    ApiQuery(query): ApiQuery<FailureQuery>,
) -> Result<Response, Problem> {
    let (korean, english) = query.reason.unwrap_or(Reason::Failed).texts();
    let order = query.order_id.and_then(|id| id.parse::<ProviderOrderId>().ok());
    let retry = match (customer, order) {
        (Some(customer), Some(id)) => database::orders::find(&app.db, id.order, customer.id)
            .await
            .map_err(|error| database_trouble(&error))?
            .and_then(|found| found.lines.first().map(|line| line.product)),
        _ => None,
    };
    Ok(page(StatusCode::OK, language, NewCookie::none(), &Notice::new(language, retry, korean, english)))
}

/// Toss's `failUrl`. A forged visit changes nothing; the order stays payable until it expires.
async fn canceled(language: Language) -> Response {
    let notice = Notice::new(
        language,
        None,
        "결제를 취소했습니다. 청구된 금액은 없습니다.",
        "You canceled the payment. Nothing was charged.",
    );
    page(StatusCode::OK, language, NewCookie::none(), &notice)
}
