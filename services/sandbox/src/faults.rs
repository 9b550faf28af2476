//! Fault switches: what goes wrong with which call.
//!
//! A fault comes with the request itself (header `Sandbox-Fault`) or from a queue that tests and operators fill
//! ([`Sandbox::fault`](crate::Sandbox::fault), `POST /sandbox/faults`). It spoils one answer; what Toss keeps under the
//! idempotency key is the answer it meant to give.
//!
//! | Fault | Executed? | The caller sees |
//! |---|---|---|
//! | `reset` | no | the connection closes |
//! | `hang` | no | nothing, until it goes away |
//! | `before-500[=CODE]` | no | 500 with the code |
//! | `html-502` | no | a gateway's HTML page |
//! | `decline=CODE` | declined | the refusal (confirm only) |
//! | `slow=MILLISECONDS` | yes, at once | the answer, late; the key is busy until then |
//! | `answer-lost` | yes | the connection closes |
//! | `hang-after` | yes | nothing, until it goes away |
//! | `approve-then-500[=CODE]` | yes | 500 with the code, which Toss does not keep |
//! | `html-502-after` | yes | a gateway's HTML page |
//! | `lying-amount[=WON]` | yes | 200 with another `totalAmount` |
//!
//! # How a connection is closed without an answer
//!
//! A handler cannot refuse to answer, but a body can fail. hyper writes the head into its buffer, polls the body, and
//! when the first poll is an error gives up the connection before anything was flushed: the client reads an end of
//! stream and not one byte. On HTTP/2 the stream is reset instead.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use serde::Deserialize;

use crate::lock::Lock;
use crate::toss::Refusal;

/// The calls that can be spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// `POST /v1/payments/confirm`
    Confirm,
    /// `GET /v1/payments/…` and `GET /v1/transactions`
    Query,
    /// `POST /v1/payments/{paymentKey}/cancel`
    Cancel,
}

/// One thing that goes wrong. The table in the module's documentation says what each does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Fault {
    /// `reset`
    Reset,
    /// `hang`
    Hang,
    /// `before-500[=CODE]`
    ErrorBefore(&'static Refusal),
    /// `html-502`
    GatewayPage,
    /// `decline=CODE`
    Decline(&'static Refusal),
    /// `slow=MILLISECONDS`
    Slow(Duration),
    /// `answer-lost`
    AnswerLost,
    /// `hang-after`
    HangAfter,
    /// `approve-then-500[=CODE]`
    ErrorAfter(&'static Refusal),
    /// `html-502-after`
    GatewayPageAfter,
    /// `lying-amount[=WON]`
    LyingAmount(Option<i64>),
}

/// The text names no fault.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownFault(String);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such fault: {}", self.0)
    }
}

impl std::error::Error for UnknownFault {}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let refusal = |default| value.or(default).and_then(Refusal::of);
        let fault = match (name, value) {
            ("reset", None) => Some(Self::Reset),
            ("hang", None) => Some(Self::Hang),
            ("html-502", None) => Some(Self::GatewayPage),
            ("answer-lost", None) => Some(Self::AnswerLost),
            ("hang-after", None) => Some(Self::HangAfter),
            ("html-502-after", None) => Some(Self::GatewayPageAfter),
            ("lying-amount", None) => Some(Self::LyingAmount(None)),
            ("lying-amount", Some(won)) => won.parse().ok().map(|won| Self::LyingAmount(Some(won))),
            ("slow", Some(millis)) => millis.parse().ok().map(|millis| Self::Slow(Duration::from_millis(millis))),
            ("before-500", _) => refusal(Some("FAILED_INTERNAL_SYSTEM_PROCESSING")).map(Self::ErrorBefore),
            ("approve-then-500", _) => refusal(Some("FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING")).map(Self::ErrorAfter),
            ("decline", Some(_)) => refusal(None).map(Self::Decline),
            _ => None,
        };
        fault.ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

impl TryFrom<String> for Fault {
    type Error = UnknownFault;

    fn try_from(text: String) -> Result<Self, UnknownFault> {
        text.parse()
    }
}

/// A fault waiting for the calls it is meant for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultOrder {
    /// Which calls.
    pub endpoint: Endpoint,
    /// What happens to them.
    pub fault: Fault,
    /// Only calls about this order; `None` is any order.
    #[serde(default)]
    pub order_id: Option<String>,
    /// How many calls.
    #[serde(default = "once")]
    pub times: u32,
}

fn once() -> u32 {
    1
}

/// First come, first served, among the orders that match.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Lock<Vec<FaultOrder>>,
    // Lets the common call, with no fault about, pass without the lock.
    count: AtomicUsize,
}

impl Faults {
    pub(crate) fn push(&self, order: FaultOrder) {
        let mut waiting = self.waiting.lock();
        waiting.push(order);
        self.count.store(waiting.len(), Ordering::Release);
    }

    pub(crate) fn clear(&self) {
        self.waiting.lock().clear();
        self.count.store(0, Ordering::Release);
    }

    pub(crate) fn are_waiting(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    pub(crate) fn take(&self, endpoint: Endpoint, order_id: Option<&str>) -> Option<Fault> {
        if !self.are_waiting() {
            return None;
        }
        let mut waiting = self.waiting.lock();
        let index = waiting.iter().position(|order| {
            order.endpoint == endpoint && (order.order_id.is_none() || order.order_id.as_deref() == order_id)
        })?;
        let order = &mut waiting[index];
        let fault = order.fault;
        order.times = order.times.saturating_sub(1);
        if order.times == 0 {
            waiting.remove(index);
        }
        self.count.store(waiting.len(), Ordering::Release);
        Some(fault)
    }
}

/// Closes the connection without an answer; see the module's documentation.
pub(crate) fn closed_connection() -> Response {
    let failure = io::Error::new(io::ErrorKind::ConnectionReset, "closed on purpose");
    Body::from_stream(stream::once(async { Err::<Bytes, _>(failure) })).into_response()
}

/// The page of a gateway whose back end is away.
pub(crate) fn gateway_page() -> Response {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n";
    (StatusCode::BAD_GATEWAY, Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_in_the_table_can_be_written_down() {
        let names = [
            "reset",
            "hang",
            "before-500",
            "before-500=COMMON_ERROR",
            "html-502",
            "decline=REJECT_CARD_PAYMENT",
            "slow=20",
            "answer-lost",
            "hang-after",
            "approve-then-500",
            "html-502-after",
            "lying-amount",
            "lying-amount=1",
        ];
        for name in names {
            assert!(name.parse::<Fault>().is_ok(), "{name}");
        }
        for name in ["", "slow", "slow=soon", "decline", "decline=NO_SUCH_CODE", "before-500=NO_SUCH_CODE", "reset=1"] {
            assert_eq!(name.parse::<Fault>(), Err(UnknownFault(name.to_owned())));
        }
    }

    #[test]
    fn a_fault_waits_for_its_order_and_serves_its_times() {
        let faults = Faults::default();
        let order = |order_id: Option<&str>, times| FaultOrder {
            endpoint: Endpoint::Confirm,
            fault: Fault::Reset,
            order_id: order_id.map(str::to_owned),
            times,
        };
        faults.push(order(Some("order-1"), 2));
        assert_eq!(faults.take(Endpoint::Confirm, Some("order-2")), None);
        assert_eq!(faults.take(Endpoint::Query, Some("order-1")), None);
        assert_eq!(faults.take(Endpoint::Confirm, Some("order-1")), Some(Fault::Reset));
        assert_eq!(faults.take(Endpoint::Confirm, Some("order-1")), Some(Fault::Reset));
        assert_eq!(faults.take(Endpoint::Confirm, Some("order-1")), None);
        faults.push(order(None, 1));
        assert_eq!(faults.take(Endpoint::Confirm, Some("order-2")), Some(Fault::Reset));
        assert!(!faults.are_waiting());
    }
}
