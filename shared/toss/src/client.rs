//! The HTTP side: what is sent, how long it may take, and which kind of answer came back.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::{
    CancelAnswer, CancelRequest, Evidence, Payment, PaymentGateway, PaymentKey, ProviderOrderId, ProviderPayment,
    Unanswered,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tracing::debug;

use crate::codes;
use crate::payment::{self, Refusal};

/// How to reach Toss, and as whom.
#[derive(Debug, Clone)]
pub struct TossSettings {
    /// `https://api.tosspayments.com`, or the sandbox on this machine.
    pub base_url: String,
    /// The secret key that belongs to the client key of the payment window.
    pub secret_key: SecretString,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long a confirm or a cancel may take as a whole. Toss documents none; it asks for 60 s where it documents one.
    pub confirm_timeout: Duration,
    /// How long a query may take as a whole.
    pub query_timeout: Duration,
}

impl TossSettings {
    /// The real Toss, with its usual patience.
    pub fn new(secret_key: SecretString) -> Self {
        Self {
            base_url: "https://api.tosspayments.com".into(),
            secret_key,
            connect_timeout: Duration::from_secs(5),
            confirm_timeout: Duration::from_mins(1),
            query_timeout: Duration::from_secs(10),
        }
    }
}

/// Why there can be no client with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The secret key would cross the network in clear text, or nowhere at all.
    #[error("the base URL of Toss must be https, or http on this machine: {0}")]
    BaseUrl(String),
    /// An empty key, or one with a line break or a byte order mark around it.
    #[error("the secret key of Toss must be visible ASCII characters")]
    SecretKey,
    /// The TLS set-up of this machine is unusable.
    #[error("no HTTP client for Toss")]
    Client(#[from] reqwest::Error),
}

/// Toss Payments.
pub struct Toss {
    pub(crate) http: Client,
    payments: String,
    pub(crate) transactions: String,
    authorization: HeaderValue,
    confirm_timeout: Duration,
    query_timeout: Duration,
}

/// A payment is a few kilobytes.
const MAX_BODY: usize = 1024 * 1024;

/// What may stand in a path segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfirmBody<'a> {
    payment_key: &'a PaymentKey,
    order_id: ProviderOrderId,
    amount: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CancelBody<'a> {
    cancel_reason: &'a str,
    cancel_amount: i64,
    refundable_amount: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_receive_account: Option<ReceiveAccount<'a>>,
}

/// `bank` here, `bankCode` in Toss's answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReceiveAccount<'a> {
    bank: &'a str,
    account_number: &'a str,
    holder_name: &'a str,
}

/// What came back, before it is known what that means for the call.
enum Answer {
    Payment(ProviderPayment),
    Error { status: u16, refusal: Refusal },
}

impl Toss {
    /// A client; it connects when it is first used.
    pub fn new(settings: TossSettings) -> Result<Self, SetupError> {
        let base = settings.base_url.trim_end_matches('/');
        if !Url::parse(base).is_ok_and(|url| keeps_secrets(&url)) {
            return Err(SetupError::BaseUrl(settings.base_url));
        }
        let key = settings.secret_key.expose_secret();
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SetupError::SecretKey);
        }
        let http = Client::builder()
            .connect_timeout(settings.connect_timeout)
            // The secret key goes to Toss and to nobody that an answer or the environment names.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .build()?;
        Ok(Self {
            http,
            payments: format!("{base}/v1/payments"),
            transactions: format!("{base}/v1/transactions"),
            authorization: basic(key)?,
            confirm_timeout: settings.confirm_timeout,
            query_timeout: settings.query_timeout,
        })
    }

    /// Asks what became of the payment of an order whose payment key we do not have. A buyer may have opened
    /// several payments for one order id; which one Toss shows then is not documented.
    ///
    /// # Errors
    /// [`Unanswered`] when Toss did not say.
    pub async fn find_by_order(&self, order: &ProviderOrderId) -> Result<Evidence, Unanswered> {
        self.find_at(format!("{}/orders/{order}", self.payments)).await
    }

    async fn find_at(&self, url: String) -> Result<Evidence, Unanswered> {
        match self.ask(self.http.get(url).timeout(self.query_timeout)).await? {
            Answer::Payment(payment) => Ok(Evidence::Seen(payment)),
            Answer::Error { status: 404, refusal } if codes::not_found(&refusal.code) => Ok(Evidence::NotFound),
            // A query that is refused, whatever for, says nothing about the payment.
            Answer::Error { status, refusal } => Err(refusal.inconclusive(status)),
        }
    }

    fn payment_url(&self, key: &PaymentKey) -> String {
        format!("{}/{}", self.payments, utf8_percent_encode(key.as_str(), SEGMENT))
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer, Unanswered> {
        let (status, body) = self.send(request).await?;
        if status == 200 {
            let inconclusive = |code: String| Unanswered::Inconclusive { status, code };
            return payment::parse(&body).map(Answer::Payment).map_err(inconclusive);
        }
        Ok(Answer::Error { status, refusal: refusal(status, &body)? })
    }

    /// The status of an answer and all of its body.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<(u16, Vec<u8>), Unanswered> {
        let request = request.header(AUTHORIZATION, &self.authorization);
        crash::point!("psp.before_send");
        let response = request.send().await.map_err(transport)?;
        crash::point!("psp.after_send");
        let status = response.status().as_u16();
        debug!(http.status = status, toss.trace_id = trace_id(response.headers()), "Toss answered HTTP {status}");
        let too_long = || Unanswered::Inconclusive { status, code: "with more than it should".into() };
        Ok((status, read(response).await?.ok_or_else(too_long)?))
    }
}

/// What an answer other than 200 says.
pub(crate) fn refusal(status: u16, body: &[u8]) -> Result<Refusal, Unanswered> {
    serde_json::from_slice(body).map_err(|_| Unanswered::Inconclusive { status, code: "without an error code".into() })
}

#[async_trait]
impl PaymentGateway for Toss {
    async fn confirm(&self, payment: &Payment) -> Result<Evidence, Unanswered> {
        let body = ConfirmBody {
            payment_key: &payment.key,
            order_id: payment.provider_order_id(),
            amount: payment.amount.get(),
        };
        let request = self
            .http
            .post(format!("{}/confirm", self.payments))
            .timeout(self.confirm_timeout)
            .header("Idempotency-Key", payment.confirm_key())
            .json(&body);
        match self.ask(request).await? {
            Answer::Payment(payment) => Ok(Evidence::Seen(payment)),
            Answer::Error { status, refusal } => match codes::confirm(&refusal.code) {
                Some(kind) => Ok(Evidence::Declined(refusal.decline(kind))),
                None if codes::turned_away(status, &refusal.code) => Err(refusal.refused(status)),
                None => Err(refusal.inconclusive(status)),
            },
        }
    }

    /// Asks by the payment key and by nothing else: the order id might show another payment of the same order,
    /// and a key that Toss does not know would then look like a contradiction instead of a payment that never was.
    async fn find(&self, payment: &Payment) -> Result<Evidence, Unanswered> {
        self.find_at(self.payment_url(&payment.key)).await
    }

    async fn cancel(&self, request: &CancelRequest) -> Result<CancelAnswer, Unanswered> {
        let body = CancelBody {
            cancel_reason: &request.reason,
            cancel_amount: request.amount.get(),
            refundable_amount: request.refundable.get(),
            refund_receive_account: request.account.as_ref().map(|account| ReceiveAccount {
                bank: &account.bank,
                account_number: account.number.expose_secret(),
                holder_name: &account.holder,
            }),
        };
        let http_request = self
            .http
            .post(format!("{}/cancel", self.payment_url(&request.key)))
            .timeout(self.confirm_timeout)
            .header("Idempotency-Key", &request.idempotency_key)
            .json(&body);
        match self.ask(http_request).await? {
            Answer::Payment(payment) => Ok(CancelAnswer::Canceled(payment)),
            Answer::Error { status, refusal } => match codes::cancel(&refusal.code) {
                Some(kind) => Ok(CancelAnswer::Refused(refusal.decline(kind))),
                None => Err(refusal.inconclusive(status)),
            },
        }
    }
}

fn keeps_secrets(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost")),
        _ => false,
    }
}

/// The key is the user name; the colon before the empty password is required.
fn basic(key: &str) -> Result<HeaderValue, SetupError> {
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(format!("{key}:"))))
        .map_err(|_| SetupError::SecretKey)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The whole body, or `None` when it is too long.
async fn read(mut response: Response) -> Result<Option<Vec<u8>>, Unanswered> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// The error would show the URL, and the URL holds the payment key.
fn transport(error: reqwest::Error) -> Unanswered {
    Unanswered::Transport(error.without_url().into())
}

/// What Toss's support asks for. A replayed answer carries two of them.
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-tosspayments-trace-id")?.to_str().ok()
}
