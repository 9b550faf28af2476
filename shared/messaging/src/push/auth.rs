//! How a worker knows that a push request comes from the message engine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use service::{Env, Mode, Problem, Setting};
use tracing::warn;

use super::token::{BadToken, Sender, TokenVerifier};

/// Where Google publishes the keys of its accounts' tokens.
const GOOGLE_KEYS: &str = "https://www.googleapis.com/oauth2/v3/certs";

/// How a push request proves that it comes from the message engine.
#[derive(Debug, Clone)]
pub enum PushAuth {
    /// Hardly: for a worker that only this machine can reach. A page in a browser on this machine can reach it too, and
    /// browsers, unlike engines, say where a request originates.
    Loopback,
    /// By a token that Google signed for the service account of our subscriptions.
    Oidc(Arc<TokenVerifier>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Loopback,
    Oidc,
}

impl Setting for Name {
    const EXPECTED: &'static str = "oidc or loopback";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "loopback" => Some(Self::Loopback),
            "oidc" => Some(Self::Oidc),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Loopback => "loopback",
            Self::Oidc => "oidc",
        }
        .to_owned()
    }
}

impl PushAuth {
    /// By tokens of this sender.
    ///
    /// # Errors
    /// When the HTTP client that fetches the keys cannot be set up.
    pub fn oidc(sender: Sender) -> reqwest::Result<Self> {
        Ok(Self::Oidc(Arc::new(TokenVerifier::new(sender)?)))
    }

    /// Reads the settings of a worker that listens on `bind`; what is wrong with them is refused by `env.finish()`.
    pub fn read(env: &mut Env, bind: SocketAddr) -> Self {
        let name = env.required_in_production(
            "PUSH_AUTH",
            Name::Loopback,
            "how pushes are authenticated: oidc, or loopback, which is not at all, for development on this machine",
        );
        let service_account = env
            .optional("PUSH_SERVICE_ACCOUNT", "e-mail address of the service account that the subscriptions push as");
        let audience =
            env.optional("PUSH_AUDIENCE", "the audience of the subscriptions' tokens: this worker's endpoint");
        let jwks_url: String =
            env.or("PUSH_JWKS_URL", GOOGLE_KEYS.to_owned(), "the keys that the tokens are signed with");
        if name == Name::Loopback {
            if env.mode() == Mode::Production {
                env.refuse("PUSH_AUTH", "production takes pushes with a token only: oidc");
            }
            if !bind.ip().is_loopback() {
                env.refuse("PUSH_AUTH", format_args!("oidc is required to listen on {bind}"));
            }
            return Self::Loopback;
        }
        if !jwks_url.starts_with("https://") && env.mode() == Mode::Production {
            env.refuse("PUSH_JWKS_URL", "expected https, since this is production");
        }
        let (Some(service_account), Some(audience)) = (service_account, audience) else {
            env.refuse("PUSH_AUTH", "oidc requires PUSH_SERVICE_ACCOUNT and PUSH_AUDIENCE");
            return Self::Loopback;
        };
        Self::oidc(Sender { service_account, audience, jwks_url }).unwrap_or_else(|error| {
            env.refuse("PUSH_AUTH", error);
            Self::Loopback
        })
    }

    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let verifier = match self {
            Self::Loopback if headers.contains_key(ORIGIN) => return Err(refused(StatusCode::FORBIDDEN)),
            Self::Loopback => return Ok(()),
            Self::Oidc(verifier) => verifier,
        };
        let token = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
        let Some(token) = token else { return Err(refused(StatusCode::UNAUTHORIZED)) };
        verifier.verify(token).await.map_err(|bad| {
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

    #[test]
    fn without_tokens_there_is_only_development_on_this_machine() {
        let production = ("JUMUN_ENV", "production");
        let loopback = ("PUSH_AUTH", "loopback");
        assert!(matches!(read("127.0.0.1:8081", &[]), Ok(PushAuth::Loopback)));
        assert!(matches!(read("[::1]:8081", &[loopback]), Ok(PushAuth::Loopback)));
        for (bind, pairs) in [
            ("0.0.0.0:8081", [].as_slice()),
            ("10.0.0.1:8081", &[loopback]),
            ("127.0.0.1:8081", &[production]),
            ("127.0.0.1:8081", &[production, loopback]),
            ("127.0.0.1:8081", &[("PUSH_AUTH", "none")]),
        ] {
            assert!(read(bind, pairs).unwrap_err().contains("PUSH_AUTH"), "{bind} {pairs:?}");
        }
    }

    #[test]
    fn with_tokens_any_address_will_do_if_it_is_known_whose() {
        let whole = [
            ("PUSH_AUTH", "oidc"),
            ("JUMUN_ENV", "production"),
            ("PUSH_SERVICE_ACCOUNT", "pusher@shop.iam.gserviceaccount.com"),
            ("PUSH_AUDIENCE", "https://stock.shop.example/api/checkout/stock"),
        ];
        assert!(matches!(read("0.0.0.0:8081", &whole), Ok(PushAuth::Oidc(_))));
        for missing in [&whole[..2], &whole[..3]] {
            assert!(read("0.0.0.0:8081", missing).unwrap_err().contains("PUSH_AUDIENCE"));
        }
        let plain = [whole.as_slice(), &[("PUSH_JWKS_URL", "http://keys.example")]].concat();
        assert!(read("0.0.0.0:8081", &plain).unwrap_err().contains("PUSH_JWKS_URL"));
    }
}
