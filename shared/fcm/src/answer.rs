//! What FCM's answers mean.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::PushError;
use serde::Deserialize;

/// What an answer comes to.
pub(crate) enum Verdict {
    /// Nothing more can be done about this try.
    Final(Result<(), PushError>),
    /// FCM does not like our access token, in its own words. Another one may help.
    Unauthenticated(String),
}

/// An answer of FCM, or of something in front of it.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// The `Retry-After` header.
    pub(crate) retry_after: Option<&'a str>,
    pub(crate) body: &'a [u8],
    /// The device that the message was for. What is quoted from the body must not give it away.
    pub(crate) token: &'a str,
}

#[derive(Deserialize)]
struct Accepted {
    #[serde(rename = "name")]
    _name: String,
}

#[derive(Deserialize)]
struct Envelope {
    error: Status,
}

/// `google.rpc.Status`, with the two kinds of detail that FCM explains itself by.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(tag = "@type")]
enum Detail {
    #[serde(rename = "type.googleapis.com/google.firebase.fcm.v1.FcmError", rename_all = "camelCase")]
    FcmError { error_code: String },
    #[serde(rename = "type.googleapis.com/google.rpc.BadRequest", rename_all = "camelCase")]
    BadRequest {
        #[serde(default)]
        field_violations: Vec<FieldViolation>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct FieldViolation {
    #[serde(default)]
    field: String,
}

impl Status {
    fn fcm_code(&self) -> Option<&str> {
        self.details.iter().find_map(|detail| match detail {
            Detail::FcmError { error_code } => Some(error_code.as_str()),
            Detail::BadRequest { .. } | Detail::Other => None,
        })
    }

    fn violated_fields(&self) -> impl Iterator<Item = &str> {
        let violations = self.details.iter().flat_map(|detail| match detail {
            Detail::BadRequest { field_violations } => field_violations.as_slice(),
            Detail::FcmError { .. } | Detail::Other => &[],
        });
        violations.map(|violation| violation.field.as_str())
    }

    /// The evidence that the token is at fault and not the rest of the message: one of two shapes, both seen in the wild.
    fn blames_token(&self) -> Option<&str> {
        const MESSAGE: &str = "The registration token is not a valid FCM registration token";
        let field = self.violated_fields().find(|field| matches!(*field, "message.token" | "message.fid"));
        let invalid = self.fcm_code() == Some("INVALID_ARGUMENT");
        field.or((invalid && self.message == MESSAGE).then_some("INVALID_ARGUMENT"))
    }
}

impl Answer<'_> {
    /// A device counts as gone only on FCM's exact word. A bare 404 may be a wrong address or a broken front end,
    /// and whoever believes it deletes every token of the shop.
    pub(crate) fn judge(&self) -> Verdict {
        if self.status == 200 {
            let accepted = serde_json::from_slice::<Accepted>(self.body).is_ok();
            return Verdict::Final(if accepted { Ok(()) } else { Err(self.unexpected()) });
        }
        let error = serde_json::from_slice::<Envelope>(self.body).ok().map(|envelope| envelope.error);
        let code = error.as_ref().and_then(Status::fcm_code);
        Verdict::Final(Err(match (self.status, code, &error) {
            (404, Some(code @ "UNREGISTERED"), _) => PushError::Gone { code: code.into() },
            (400, _, Some(error)) => match error.blames_token() {
                Some(evidence) => PushError::Gone { code: evidence.into() },
                None => PushError::Payload(self.complaint(error)),
            },
            (401, Some("THIRD_PARTY_AUTH_ERROR"), Some(error)) => PushError::ThirdPartyAuth(self.quote(&error.message)),
            (401, None, Some(error)) => return Verdict::Unauthenticated(self.quote(&error.message)),
            (403, Some("SENDER_ID_MISMATCH"), _) => PushError::SenderMismatch,
            (403, None, Some(error)) => PushError::Auth(self.quote(&error.message)),
            // Documented as: wait as long as it says, otherwise a minute.
            (429, _, _) => PushError::Retry { after: self.wait().or(Some(Duration::from_mins(1))) },
            (500.., code, _) if code != Some("UNSPECIFIED_ERROR") => PushError::Retry { after: self.wait() },
            _ => self.unexpected(),
        }))
    }

    fn unexpected(&self) -> PushError {
        PushError::Unexpected { status: self.status, excerpt: self.quote(&String::from_utf8_lossy(self.body)) }
    }

    fn complaint(&self, error: &Status) -> String {
        let fields: Vec<_> = error.violated_fields().collect();
        self.quote(&format!("{} {}", error.message, fields.join(", ")))
    }

    fn quote(&self, text: &str) -> String {
        excerpt(&text.replace(self.token, "[token]"))
    }

    fn wait(&self) -> Option<Duration> {
        // Nobody waits for a notification longer than that, whatever the header says.
        const LONGEST: Duration = Duration::from_hours(1);
        let text = self.retry_after?.trim();
        let wait = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            // An HTTP date is RFC 2822's with GMT for its zone. One that has passed means now.
            Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - Utc::now()).to_std().unwrap_or_default(),
        };
        Some(wait.min(LONGEST))
    }
}

/// The beginning of a foreign text, on one line.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect::<String>().trim().to_owned()
}
