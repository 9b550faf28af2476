//! Authentication of push requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use service::{Env, Mode, Problem, Setting};
use tracing::warn;

use super::key::PushKey;
use super::token::{BadToken, Sender, TokenVerifier};
use crate::embedded::PROJECT;
use crate::engine::Engine;
use crate::topology::Subscription;

/// Where Google publishes the keys of its accounts' tokens.
const GOOGLE_KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";

/// Whose pushes a worker takes.
#[derive(Debug, Clone)]
pub struct PushAuth {
    /// Of the subscriptions.
    project: String,
    proof: Proof,
}

/// How a push request proves that it comes from the message engine.
#[derive(Debug, Clone)]
enum Proof {
    /// Hardly: for a worker that only this machine can reach. A page in a browser on this machine can reach it too, and
    /// browsers, unlike engines, say where a request originates.
    Loopback,
    /// By a token for its subscription.
    Token(Arc<TokenVerifier>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Loopback,
    Token,
}

impl Setting for Name {
    const EXPECTED: &'static str = "token or loopback";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "loopback" => Some(Self::Loopback),
            "token" => Some(Self::Token),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Loopback => "loopback",
            Self::Token => "token",
        }
        .to_owned()
    }
}

impl PushAuth {
    /// Anybody's who reaches the worker. For development on this machine.
    pub fn loopback(project: impl Into<String>) -> Self {
        Self { project: project.into(), proof: Proof::Loopback }
    }

    /// Google's, with its token for this sender.
    ///
    /// # Errors
    /// When the HTTP client that fetches the keys cannot be set up.
    pub fn google(project: impl Into<String>, sender: Sender) -> reqwest::Result<Self> {
        let project = project.into();
        let verifier = TokenVerifier::google(&project, sender)?;
        Ok(Self { project, proof: Proof::Token(Arc::new(verifier)) })
    }

    /// The embedded broker's, with its token by this key.
    pub fn embedded(key: &PushKey) -> Self {
        Self { project: PROJECT.to_owned(), proof: Proof::Token(Arc::new(TokenVerifier::broker(key))) }
    }

    /// Reads the settings of a worker that listens on `bind`; what is wrong with them is refused by `env.finish()`.
    pub fn read(env: &mut Env, bind: SocketAddr) -> Self {
        let engine = Engine::read(env);
        let name = env.or(
            "PUSH_AUTH",
            Name::Token,
            "how pushes are authenticated: token (by the message engine's token) or loopback (no authentication; \
             development only)",
        );
        let key = PushKey::read(env);
        let service_account = env
            .optional("PUSH_SERVICE_ACCOUNT", "e-mail address of the service account that Pub/Sub signs its pushes as");
        let jwks_url: String =
            env.or("PUSH_JWKS_URL", GOOGLE_KEYS.to_owned(), "public keys that Pub/Sub's tokens are checked with");
        let unproven = Self::loopback(engine.project());
        if name == Name::Loopback {
            if env.mode() == Mode::Production {
                env.refuse("PUSH_AUTH", "must be token in production");
            }
            if !bind.ip().is_loopback() {
                env.refuse("PUSH_AUTH", format_args!("token is required to listen on {bind}"));
            }
            return unproven;
        }
        match (engine, key, service_account) {
            (Engine::Embedded, Some(key), _) => Self::embedded(&key),
            (Engine::Embedded, None, _) => {
                env.refuse("PUSH_KEY", "required with the embedded engine, unless PUSH_AUTH=loopback");
                unproven
            }
            (Engine::Google(access), _, Some(service_account)) => {
                if !jwks_url.starts_with("https://") && env.mode() == Mode::Production {
                    env.refuse("PUSH_JWKS_URL", "expected https, since this is production");
                }
                Self::google(access.project, Sender { service_account, jwks_url }).unwrap_or_else(|error| {
                    env.refuse("PUSH_AUTH", error);
                    unproven
                })
            }
            (Engine::Google(_), _, None) => {
                env.refuse("PUSH_SERVICE_ACCOUNT", "required with JUMUN_MESSAGING=pubsub, unless PUSH_AUTH=loopback");
                unproven
            }
        }
    }

    /// Whether anybody who reaches the worker may push.
    pub fn is_loopback(&self) -> bool {
        matches!(self.proof, Proof::Loopback)
    }

    /// The project of the subscriptions.
    pub(super) fn project(&self) -> &str {
        &self.project
    }

    /// Refuses what does not come from the message engine. Returns for which subscription the token is, if there must be one.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<Option<&'static Subscription>, Problem> {
        let verifier = match &self.proof {
            Proof::Loopback if headers.contains_key(ORIGIN) => return Err(refused(StatusCode::FORBIDDEN)),
            Proof::Loopback => return Ok(None),
            Proof::Token(verifier) => verifier,
        };
        let token = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
        let Some(token) = token else { return Err(refused(StatusCode::UNAUTHORIZED)) };
        verifier.verify(token).await.map(Some).map_err(|bad| {
            warn!(reason = %bad, "Refused a push request for its token: {bad}");
            match bad {
                BadToken::Unproven(_) => refused(StatusCode::UNAUTHORIZED),
                BadToken::Foreign(_) => refused(StatusCode::FORBIDDEN),
                BadToken::NotNow => Problem::unavailable(Duration::from_secs(5)),
            }
        })
    }
}

fn refused(status: StatusCode) -> Problem {
    Problem::of(status).detail("only the message engine may push")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bind: &str, pairs: &[(&str, &str)]) -> Result<PushAuth, String> {
        let mut env = Env::from_pairs(pairs.iter().copied());
        let auth = PushAuth::read(&mut env, bind.parse().unwrap());
        env.finish().map(|()| auth).map_err(|refusals| refusals.to_string())
    }

    const PRODUCTION: (&str, &str) = ("JUMUN_ENV", "production");
    const LOOPBACK: (&str, &str) = ("PUSH_AUTH", "loopback");
    const KEY: (&str, &str) = ("PUSH_KEY", "a key that is long enough to sign with");
    const PUBSUB: [(&str, &str); 2] = [("JUMUN_MESSAGING", "pubsub"), ("PUBSUB_PROJECT_ID", "shop")];
    const ACCOUNT: (&str, &str) = ("PUSH_SERVICE_ACCOUNT", "pusher@shop.iam.gserviceaccount.com");

    #[test]
    fn without_tokens_there_is_only_development_on_this_machine() {
        for bind in ["127.0.0.1:8081", "[::1]:8081"] {
            assert!(read(bind, &[LOOPBACK]).unwrap().is_loopback());
        }
        assert!(read("127.0.0.1:8081", &[PUBSUB.as_slice(), &[LOOPBACK]].concat()).unwrap().is_loopback());
        for (bind, pairs) in [
            ("0.0.0.0:8081", [LOOPBACK].as_slice()),
            ("10.0.0.1:8081", &[LOOPBACK]),
            ("127.0.0.1:8081", &[PRODUCTION, LOOPBACK]),
            ("127.0.0.1:8081", &[("PUSH_AUTH", "none")]),
        ] {
            assert!(read(bind, pairs).unwrap_err().contains("PUSH_AUTH"), "{bind} {pairs:?}");
        }
    }

    #[test]
    fn nothing_said_means_tokens_and_they_must_be_somebodys() {
        let anywhere = "0.0.0.0:8081";
        for pairs in [[].as_slice(), &[PRODUCTION], &[("PUSH_KEY", "short")], &[ACCOUNT]] {
            assert!(read(anywhere, pairs).unwrap_err().contains("PUSH_KEY"), "{pairs:?}");
        }
        assert!(read(anywhere, &PUBSUB).unwrap_err().contains("PUSH_SERVICE_ACCOUNT"));
        assert!(read(anywhere, &[PUBSUB.as_slice(), &[KEY]].concat()).unwrap_err().contains("PUSH_SERVICE_ACCOUNT"));
        for pairs in [[KEY].as_slice(), &[KEY, PRODUCTION]] {
            assert!(!read(anywhere, pairs).unwrap().is_loopback());
        }
        let google = [PUBSUB[0], PUBSUB[1], ACCOUNT, PRODUCTION];
        assert!(!read(anywhere, &google).unwrap().is_loopback());
        let plain = [google.as_slice(), &[("PUSH_JWKS_URL", "http://keys.example")]].concat();
        assert!(read(anywhere, &plain).unwrap_err().contains("PUSH_JWKS_URL"));
    }
}
