//! What FCM answers for a device token: a queue of steps whose last one repeats.
//!
//! | Step | The caller sees | Delivered? |
//! |---|---|---|
//! | `ok` | 200 | yes |
//! | `unregistered` | 404 with FCM's UNREGISTERED | no |
//! | `invalid` | 400, INVALID_ARGUMENT with the sentence that blames the token | no |
//! | `invalid-field` | 400, a field violation that names `message.token` | no |
//! | `invalid-payload` | 400, a field violation that names something else | no |
//! | `mismatch` | 403 SENDER_ID_MISMATCH | no |
//! | `thirdparty` | 401 THIRD_PARTY_AUTH_ERROR | no |
//! | `quota[:RETRY-AFTER]` | 429 QUOTA_EXCEEDED | no |
//! | `unavailable[:RETRY-AFTER]` | 503 UNAVAILABLE; the value is seconds or an HTTP date | no |
//! | `internal` | 500 INTERNAL | no |
//! | `html502` | a gateway's page | no |
//! | `bare404` | a 404 page without FCM's error | no |
//! | `hang` | nothing | no |
//! | `reset` | the connection closes | no |
//! | `deliver_then_503` | 503 UNAVAILABLE | yes |
//! | `deliver_then_reset` | the connection closes | yes |

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use serde::Deserialize;

/// One answer of FCM; the module's table says what each looks like.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Step {
    /// `ok`
    Ok,
    /// `unregistered`
    Unregistered,
    /// `invalid`
    Invalid,
    /// `invalid-field`
    InvalidField,
    /// `invalid-payload`
    InvalidPayload,
    /// `mismatch`
    Mismatch,
    /// `thirdparty`
    ThirdParty,
    /// `quota[:RETRY-AFTER]`
    Quota(Option<HeaderValue>),
    /// `unavailable[:RETRY-AFTER]`
    Unavailable(Option<HeaderValue>),
    /// `internal`
    Internal,
    /// `html502`
    Html502,
    /// `bare404`
    Bare404,
    /// `hang`
    Hang,
    /// `reset`
    Reset,
    /// `deliver_then_503`
    DeliverThen503,
    /// `deliver_then_reset`
    DeliverThenReset,
}

/// The text names no step.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownStep(String);

impl fmt::Display for UnknownStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such step: {}", self.0)
    }
}

impl std::error::Error for UnknownStep {}

impl FromStr for Step {
    type Err = UnknownStep;

    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        let unknown = || UnknownStep(text.to_owned());
        // An HTTP date has colons of its own: only the first one separates.
        if let Some((name, retry_after)) = text.split_once(':') {
            let retry_after = HeaderValue::from_str(retry_after).map_err(|_| unknown())?;
            return match name {
                "quota" => Ok(Self::Quota(Some(retry_after))),
                "unavailable" => Ok(Self::Unavailable(Some(retry_after))),
                _ => Err(unknown()),
            };
        }
        Ok(match text {
            "ok" => Self::Ok,
            "unregistered" => Self::Unregistered,
            "invalid" => Self::Invalid,
            "invalid-field" => Self::InvalidField,
            "invalid-payload" => Self::InvalidPayload,
            "mismatch" => Self::Mismatch,
            "thirdparty" => Self::ThirdParty,
            "quota" => Self::Quota(None),
            "unavailable" => Self::Unavailable(None),
            "internal" => Self::Internal,
            "html502" => Self::Html502,
            "bare404" => Self::Bare404,
            "hang" => Self::Hang,
            "reset" => Self::Reset,
            "deliver_then_503" => Self::DeliverThen503,
            "deliver_then_reset" => Self::DeliverThenReset,
            _ => return Err(unknown()),
        })
    }
}

impl TryFrom<String> for Step {
    type Error = UnknownStep;

    fn try_from(text: String) -> Result<Self, UnknownStep> {
        text.parse()
    }
}

#[derive(Debug)]
pub(super) struct Script {
    steps: VecDeque<Step>,
}

impl Script {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        Self { steps: steps.into() }
    }

    pub(super) fn next(&mut self) -> Step {
        if self.steps.len() > 1 {
            return self.steps.pop_front().unwrap_or(Step::Ok);
        }
        self.steps.front().cloned().unwrap_or(Step::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_repeats() {
        let mut script = Script::new(vec![Step::Internal, Step::Ok]);
        assert_eq!([script.next(), script.next(), script.next()], [Step::Internal, Step::Ok, Step::Ok]);
    }

    #[test]
    fn a_retry_after_may_be_a_date() {
        let date = "Wed, 21 Oct 2026 07:28:00 GMT";
        let expected = Step::Unavailable(Some(HeaderValue::from_static(date)));
        assert_eq!(format!("unavailable:{date}").parse(), Ok(expected));
        assert!("ok:5".parse::<Step>().is_err());
        assert!("gone".parse::<Step>().is_err());
    }
}
