//! W3C Trace Context: connects all work that one request caused, from click to notification.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;

const SAMPLED: u8 = 1;

/// A position in a distributed trace, as the `traceparent` header carries it.
///
/// As an extractor it is the running request's own position, which the standard layers note down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

impl TraceParent {
    /// Starts a trace.
    #[expect(clippy::new_without_default, reason = "every new one is another; a default is not")]
    pub fn new() -> Self {
        Self { trace_id: rand::random_range(1..=u128::MAX), parent_id: random_parent(), flags: SAMPLED }
    }

    /// The next position in the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self { parent_id: random_parent(), ..self }
    }

    /// The trace that all positions share.
    pub fn trace_id(self) -> impl Display {
        fmt::from_fn(move |f| write!(f, "{:032x}", self.trace_id))
    }

    /// The position of a request that came with these headers: below its caller's, else a new trace.
    pub(crate) fn of_request(headers: &HeaderMap) -> Self {
        let header = headers.get("traceparent").and_then(|it| it.to_str().ok());
        match header.map(str::parse::<Self>) {
            Some(Ok(caller)) => caller.child(),
            Some(Err(InvalidTraceParent)) | None => Self::new(),
        }
    }
}

fn random_parent() -> u64 {
    rand::random_range(1..=u64::MAX)
}

impl Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, parent_id, flags } = self;
        write!(f, "00-{trace_id:032x}-{parent_id:016x}-{flags:02x}")
    }
}

/// Not a `traceparent`; the specification says to start a new trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct InvalidTraceParent;

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut fields = text.split('-');
        let mut next = |digits| hex(fields.next(), digits).ok_or(InvalidTraceParent);
        let version = next(2)?;
        let parsed = Self {
            trace_id: next(32)?,
            parent_id: u64::try_from(next(16)?).map_err(|_| InvalidTraceParent)?,
            flags: u8::try_from(next(2)?).map_err(|_| InvalidTraceParent)?,
        };
        // Later versions may append fields; version 255 is forbidden, and so are zero ids.
        let surplus = version == 0 && fields.next().is_some();
        if surplus || version == 0xff || parsed.trace_id == 0 || parsed.parent_id == 0 {
            return Err(InvalidTraceParent);
        }
        Ok(parsed)
    }
}

fn hex(field: Option<&str>, digits: usize) -> Option<u128> {
    let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let field = field.filter(|it| it.len() == digits && it.bytes().all(lower_hex))?;
    u128::from_str_radix(field, 16).ok()
}

impl<S: Sync> FromRequestParts<S> for TraceParent {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let noted = parts.extensions.get().copied();
        Ok(noted.unwrap_or_else(|| Self::of_request(&parts.headers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_written_is_read_back() {
        let parsed: TraceParent = EXAMPLE.parse().unwrap();
        assert_eq!(parsed.to_string(), EXAMPLE);
        assert_eq!(parsed.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let new = TraceParent::new();
        assert_eq!(new.to_string().parse(), Ok(new));
    }

    #[test]
    fn a_child_stays_in_the_trace() {
        let parent = TraceParent::new();
        let child = parent.child();
        assert_eq!(child.trace_id, parent.trace_id);
        assert_ne!(child.parent_id, parent.parent_id);
    }

    #[test]
    fn only_what_the_specification_allows_is_taken() {
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert!(later.parse::<TraceParent>().is_ok());
        for bad in [
            "",
            "00",
            &EXAMPLE[..54],
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replacen("00-", "ff-", 1),
            &format!("{EXAMPLE}-more"),
            &EXAMPLE.replace("00f067aa0ba902b7", "0000000000000000"),
            &EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &EXAMPLE.replace("4bf9", "+bf9"),
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(InvalidTraceParent), "{bad}");
        }
    }
}
