//! The HTTP side: one connection, one token, at most two tries.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::Utc;
use domain::{DeviceToken, PushError, PushNotification, PushSender};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url, redirect};
use secrecy::ExposeSecret;
use tracing::debug;

use crate::answer::{Answer, Verdict};
use crate::message;
use crate::oauth::{ServiceAccount, Tokens};

/// How to reach FCM, and as whom.
#[derive(Debug)]
pub struct FcmSettings {
    /// `https://fcm.googleapis.com`, or the sandbox on this machine.
    pub base_url: String,
    /// The sender; it also names the project.
    pub service_account: ServiceAccount,
    /// FCM checks the messages and delivers none.
    pub validate_only: bool,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long a send, or the exchange for an access token, may take. Google asks for at least 10 s.
    pub timeout: Duration,
}

impl FcmSettings {
    /// The real FCM, with its usual patience.
    pub fn new(service_account: ServiceAccount) -> Self {
        Self {
            base_url: "https://fcm.googleapis.com".into(),
            service_account,
            validate_only: false,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Why there can be no client with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Access tokens would cross the network in clear text, or nowhere at all.
    #[error("the base URL of FCM must be https, or http on this machine: {0}")]
    BaseUrl(String),
    /// The service account's `private_key` is not a PEM-encoded RSA key.
    #[error("the service account's private key cannot sign")]
    PrivateKey(#[source] jsonwebtoken::errors::Error),
    /// The TLS set-up of this machine is unusable.
    #[error("no HTTP client for FCM")]
    Client(#[from] reqwest::Error),
}

/// Firebase Cloud Messaging.
pub struct Fcm {
    http: Client,
    send_url: Url,
    tokens: Tokens,
    validate_only: bool,
}

/// More than FCM has ever had to say; the rest is cut off.
const MAX_BODY: usize = 64 * 1024;

impl Fcm {
    /// A client; it connects when it is first used.
    pub fn new(settings: FcmSettings) -> Result<Self, SetupError> {
        let account = settings.service_account;
        let base = settings.base_url.trim_end_matches('/');
        let send_url = Url::parse(&format!("{base}/v1/projects/{}/messages:send", account.project_id));
        let Some(send_url) = send_url.ok().filter(|url| url.scheme() == "https" || on_this_machine(url)) else {
            return Err(SetupError::BaseUrl(settings.base_url));
        };
        let http = Client::builder()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            // The access token goes to Google and to nobody that an answer or the environment names.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            // All sends share one connection. Should it die silently, it must not swallow more than a few of them.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(5));
        // Without TLS there is no ALPN to agree on HTTP/2.
        let http = if send_url.scheme() == "http" { http.http2_prior_knowledge() } else { http }.build()?;
        let key = account.key().map_err(SetupError::PrivateKey)?;
        let tokens = Tokens::new(http.clone(), account, key);
        Ok(Self { http, send_url, tokens, validate_only: settings.validate_only })
    }

    async fn post(&self, bearer: &HeaderValue, body: Bytes, token: &str) -> Result<Verdict, PushError> {
        let request = self
            .http
            .post(self.send_url.clone())
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body);
        let response = request.send().await.map_err(unsent)?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).cloned();
        let body = read(response).await.map_err(|error| PushError::Unknown(error.into()))?;
        let retry_after = retry_after.as_ref().and_then(|value| value.to_str().ok());
        Ok(Answer { status, retry_after, body: &body, token }.judge())
    }
}

#[async_trait]
impl PushSender for Fcm {
    async fn send(&self, device: &DeviceToken, notification: &PushNotification) -> Result<(), PushError> {
        let body = message::write(device, notification, self.validate_only, Utc::now())
            .map_err(|error| PushError::Payload(error.to_string()))?;
        let (body, token) = (Bytes::from(body), device.token.expose_secret());
        let bearer = self.tokens.bearer().await?;
        if let Verdict::Final(result) = self.post(&bearer, body.clone(), token).await? {
            return result;
        }
        // Revoked, or expired early: worth one new token.
        self.tokens.reject(&bearer).await;
        let bearer = self.tokens.bearer().await?;
        match self.post(&bearer, body, token).await? {
            Verdict::Final(result) => result,
            Verdict::Unauthenticated(message) => Err(PushError::Auth(message)),
        }
    }
}

/// Without a connection nothing can have arrived; any later failure leaves that open.
fn unsent(error: reqwest::Error) -> PushError {
    if error.is_connect() {
        debug!("No connection to FCM: {error}");
        return PushError::Retry { after: None };
    }
    PushError::Unknown(error.into())
}

/// The beginning of the body, which is all of it unless something is wrong.
pub(crate) async fn read(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while body.len() < MAX_BODY
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_BODY - body.len())]);
    }
    Ok(body)
}

/// Plain HTTP, to where nobody listens in.
pub(crate) fn on_this_machine(url: &Url) -> bool {
    url.scheme() == "http" && matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
}
