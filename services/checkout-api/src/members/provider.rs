//! The identity provider: the authorization code flow of `OpenID` Connect, with PKCE.
//!
//! What is believed of a person is an id token that the token endpoint gave us over a connection of our own, signed with a
//! key that the provider publishes, for this shop, by this issuer, for this very sign-in, and not expired. The crate
//! `openidconnect` checks all of that; what this file adds is when to ask, how long to wait, and what to remember.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use database::members::{Identity, SignIn};
use futures_util::future::BoxFuture;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, LogoutRequest, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl,
    RequestTokenError, SignatureVerificationError, TokenResponse as _,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tracing::warn;

use super::settings::ProviderSettings;

/// How long the provider may take: a buyer is waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// Discovery documents, key sets and tokens are some KB.
const SIZE_LIMIT: usize = 256 * 1024;

/// Discovery and keys are asked for again after this.
const FRESH_FOR: Duration = Duration::from_hours(1);

/// They serve this long when the provider does not answer.
const GOOD_FOR: Duration = Duration::from_hours(24);

/// An unknown key has the provider asked no more often than this.
const KEYS_STAND_FOR: Duration = Duration::from_mins(1);

/// How long the provider is left alone after it did not answer.
const REST: Duration = Duration::from_secs(5);

/// How far clocks may differ.
const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// Signatures that only the provider can make. Never `none`, and never a shared secret.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 3] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
];

/// Why somebody is not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoIdentity {
    /// The provider does not answer, or not with sense. Later it may.
    #[error("the identity provider is not available")]
    Unavailable,
    /// The provider, or we, do not believe it. A new sign-in may go better.
    #[error("the sign-in was refused")]
    Refused,
}

/// The shop's identity provider.
pub(crate) struct Provider {
    settings: ProviderSettings,
    /// Where it sends people back to.
    back: RedirectUrl,
    line: Line,
    known: RwLock<Known>,
    /// Held by the one who asks, so that the others wait for the answer instead of asking too.
    asking: Mutex<()>,
}

/// What the provider said of itself, and when to ask again.
#[derive(Default)]
struct Known {
    said: Option<Said>,
    rests_until: Option<Instant>,
}

#[derive(Clone)]
struct Said {
    /// With its keys.
    metadata: Arc<ProviderMetadataWithLogout>,
    at: Instant,
    /// It was asked before its time, for a key that was missing.
    early: bool,
}

/// A sign-in that is about to leave.
pub(crate) struct Departure {
    /// The provider's page.
    pub(crate) address: String,
    /// What it will send back.
    pub(crate) state: SecretString,
    /// What the shop keeps until then.
    pub(crate) sign_in: SignIn,
}

/// The shop, as a client of which we know where its users go, and perhaps where tokens are had.
type ShopClient =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// No answer that could be used.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Answer(#[from] http::Error),
    #[error("the answer is too long")]
    TooLong,
    #[error("an https provider names an address that is not")]
    Insecure,
}

impl Provider {
    /// # Errors
    /// When the shop's own address, or the HTTP client, cannot be used.
    pub(crate) fn new(settings: ProviderSettings, public_url: &str) -> anyhow::Result<Self> {
        let client =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build()?;
        let back = RedirectUrl::new(format!("{public_url}{}", super::CALLBACK))?;
        let line = Line { client, secure: settings.issuer.starts_with("https://") };
        Ok(Self { settings, back, line, known: RwLock::default(), asking: Mutex::default() })
    }

    /// Sends somebody off to the provider, who is to come back to `return_to` in the end.
    pub(crate) async fn depart(&self, return_to: &str) -> Result<Departure, NoIdentity> {
        let said = self.said().await?;
        let client = self.client(&said);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (address, state, nonce) = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge)
            .url();
        Ok(Departure {
            address: address.into(),
            state: state.into_secret().into(),
            sign_in: SignIn {
                nonce: nonce.secret().clone(),
                verifier: verifier.into_secret().into(),
                return_to: return_to.to_owned(),
            },
        })
    }

    /// Finds out who came back with this code.
    pub(crate) async fn identify(&self, code: String, sign_in: &SignIn) -> Result<Identity, NoIdentity> {
        let said = self.said().await?;
        let token = self.exchange(&said, code, sign_in).await?;
        let nonce = Nonce::new(sign_in.nonce.clone());
        match self.verify(&said, &token, &nonce) {
            // Signed with a key that we have never seen: a new one, perhaps.
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                let seen = said.at;
                let said =
                    self.said_if(|said| said.at != seen || (said.early && seen.elapsed() < KEYS_STAND_FOR)).await?;
                self.verify(&said, &token, &nonce)
            }
            verdict => verdict,
        }
        .map_err(|why| {
            warn!(%why, "Refused an id token of the identity provider");
            NoIdentity::Refused
        })
    }

    /// Where the provider ends its own session, if it offers that.
    pub(crate) async fn farewell(&self, public_url: &str) -> Option<String> {
        let said = self.said().await.ok()?;
        let end = said.metadata.additional_metadata().end_session_endpoint.clone()?;
        let back = PostLogoutRedirectUrl::new(format!("{public_url}/")).ok()?;
        let request = LogoutRequest::from(end).set_client_id(ClientId::new(self.settings.client_id.clone()));
        Some(request.set_post_logout_redirect_uri(back).http_get_url().into())
    }

    async fn exchange(&self, said: &Said, code: String, sign_in: &SignIn) -> Result<CoreIdToken, NoIdentity> {
        let client = self.client(said);
        let request = client.exchange_code(AuthorizationCode::new(code)).map_err(|error| {
            warn!(%error, "The identity provider names no token endpoint");
            NoIdentity::Unavailable
        })?;
        let verifier = PkceCodeVerifier::new(sign_in.verifier.expose_secret().to_owned());
        let answer =
            request.set_pkce_verifier(verifier).request_async(&self.line).await.map_err(|error| match error {
                // The error's description is the provider's own and may hold anything: its code is enough.
                RequestTokenError::ServerResponse(refusal) => {
                    warn!(code = ?refusal.error(), "The identity provider refused a code");
                    NoIdentity::Refused
                }
                RequestTokenError::Request(error) => self.no_answer(&error),
                error @ (RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => {
                    warn!(%error, "The identity provider's token answer cannot be read");
                    NoIdentity::Unavailable
                }
            })?;
        answer.id_token().cloned().ok_or_else(|| {
            warn!("The identity provider gave no id token");
            NoIdentity::Refused
        })
    }

    fn verify(&self, said: &Said, token: &CoreIdToken, nonce: &Nonce) -> Result<Identity, ClaimsVerificationError> {
        let client = self.client(said);
        let verifier =
            client.id_token_verifier().set_allowed_algs(ALGORITHMS).set_issue_time_verifier_fn(not_from_the_future);
        let claims = token.claims(&verifier, nonce)?;
        Ok(Identity { issuer: claims.issuer().to_string(), subject: claims.subject().to_string() })
    }

    /// The shop, as the provider knows it.
    fn client(&self, said: &Said) -> ShopClient {
        let metadata = said.metadata.as_ref().clone();
        let by_form = metadata.token_endpoint_auth_methods_supported().is_some_and(|ways| {
            !ways.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && ways.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        let secret = self.settings.client_secret.as_ref().map(|it| ClientSecret::new(it.expose_secret().to_owned()));
        CoreClient::from_provider_metadata(metadata, ClientId::new(self.settings.client_id.clone()), secret)
            .set_auth_type(if by_form { AuthType::RequestBody } else { AuthType::BasicAuth })
            .set_redirect_uri(self.back.clone())
    }

    /// What the provider says of itself.
    async fn said(&self) -> Result<Said, NoIdentity> {
        self.said_if(|said| said.at.elapsed() < FRESH_FOR).await
    }

    /// What the provider has said if that is good enough, else what it says now, or its last word if it does not answer.
    async fn said_if(&self, good: impl Fn(&Said) -> bool) -> Result<Said, NoIdentity> {
        if let Some(answer) = self.remembered(&good) {
            return answer;
        }
        let _alone = self.asking.lock().await;
        if let Some(answer) = self.remembered(&good) {
            return answer;
        }
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|_| NoIdentity::Unavailable)?;
        let discovered = ProviderMetadataWithLogout::discover_async(issuer, &self.line).await;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match discovered {
            Ok(metadata) => {
                let early = known.said.as_ref().is_some_and(|said| said.at.elapsed() < FRESH_FOR);
                let said = Said { metadata: Arc::new(metadata), at: Instant::now(), early };
                *known = Known { said: Some(said.clone()), rests_until: None };
                Ok(said)
            }
            Err(error) => {
                self.no_answer(&error);
                known.rests_until = Some(Instant::now() + REST);
                known.last_word()
            }
        }
    }

    /// `None`: the provider is to be asked.
    fn remembered(&self, good: impl Fn(&Said) -> bool) -> Option<Result<Said, NoIdentity>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(said) = known.said.as_ref().filter(|said| good(said)) {
            return Some(Ok(said.clone()));
        }
        known.rests_until.filter(|until| Instant::now() < *until).map(|_| known.last_word())
    }

    fn no_answer(&self, error: &(dyn std::error::Error + 'static)) -> NoIdentity {
        warn!(error, issuer = %self.settings.issuer, "The identity provider does not answer; guests go on buying");
        NoIdentity::Unavailable
    }
}

/// How the provider is asked: the crate brings no client of its own.
struct Line {
    client: reqwest::Client,
    /// The provider is reached by https, and so is all that it names.
    secure: bool,
}

impl<'c> AsyncHttpClient<'c> for Line {
    type Error = AskError;
    type Future = BoxFuture<'c, Result<HttpResponse, AskError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

impl Line {
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, AskError> {
        if self.secure && request.uri().scheme_str() != Some("https") {
            return Err(AskError::Insecure);
        }
        let mut answer = self.client.execute(request.try_into()?).await?;
        let mut response = http::Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > SIZE_LIMIT {
                return Err(AskError::TooLong);
            }
        }
        Ok(response.body(body)?)
    }
}

impl Known {
    fn last_word(&self) -> Result<Said, NoIdentity> {
        self.said.clone().filter(|said| said.at.elapsed() < GOOD_FOR).ok_or(NoIdentity::Unavailable)
    }
}

fn not_from_the_future(issued_at: DateTime<Utc>) -> Result<(), String> {
    if issued_at <= Utc::now() + LEEWAY { Ok(()) } else { Err("issued in the future".to_owned()) }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}
