use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::{EventId, OrderId};

/// A service that shows notifications on phones and in browsers.
#[async_trait]
pub trait PushSender: Send + Sync {
    /// Sends one notification to one device.
    ///
    /// # Errors
    /// See [`PushError`]: each variant is a different thing to do next.
    async fn send(&self, device: &DeviceToken, notification: &PushNotification) -> Result<(), PushError>;
}

/// Where a device is reached. As good as an address book entry: not shown in logs.
#[derive(Debug, Clone)]
pub struct DeviceToken {
    /// Which of the provider's two ways of naming a device this is.
    pub kind: TokenKind,
    /// The token itself.
    pub token: SecretString,
}

/// How FCM names a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A registration token (deprecated by FCM, still what most clients have).
    #[default]
    Token,
    /// A Firebase installation id.
    Fid,
}

impl TokenKind {
    /// The name in the database and of the field in FCM's message.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Fid => "fid",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "token" => Some(Self::Token),
            "fid" => Some(Self::Fid),
            _ => None,
        }
    }
}

/// What the buyer sees, and what the app needs to open the right page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushNotification {
    /// First line.
    pub title: String,
    /// Second line.
    pub body: String,
    /// The event it tells about; the device de-duplicates on it, since FCM has no idempotency key.
    pub event: EventId,
    /// The order it is about; later notifications about it replace earlier ones on the device.
    pub order: OrderId,
    /// The page to open; HTTPS and on the shop's own host, or none.
    pub link: Option<String>,
}

/// Why a notification did not (certainly) arrive.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The device is gone. Delete its token.
    #[error("the device is no longer registered ({code})")]
    Gone {
        /// The evidence, in the provider's words.
        code: String,
    },
    /// Our message is malformed. Repeating it is useless.
    #[error("the message was refused: {0}")]
    Payload(String),
    /// The token belongs to another project. Keep it: our own project may be the wrong one.
    #[error("the token belongs to another sender")]
    SenderMismatch,
    /// Our credentials are refused. Nothing will get through until that is repaired.
    #[error("the push service refused our credentials: {0}")]
    Auth(String),
    /// The certificate or key for Apple or web push is missing in the provider's console.
    #[error("the push service lacks credentials of a third party: {0}")]
    ThirdPartyAuth(String),
    /// Not now.
    #[error("the push service asks to wait")]
    Retry {
        /// How long, if it said.
        after: Option<Duration>,
    },
    /// No answer. The notification may have arrived.
    #[error("the push service did not answer")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An answer that nobody documented.
    #[error("the push service answered HTTP {status}: {excerpt}")]
    Unexpected {
        /// HTTP status.
        status: u16,
        /// The beginning of the body.
        excerpt: String,
    },
}
