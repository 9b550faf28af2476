//! Notifications in browsers: what pages need to register them, and the service worker that shows notifications.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::TokenKind;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde_json::{Map, Value};
use service::{Env, Problem};

use crate::app::App;

/// Firebase's own scripts. They are asked for by version, since they are trusted as if they were ours.
const FIREBASE: &str = "https://www.gstatic.com/firebasejs/12.19.0";

/// Where they register a browser.
const FIREBASE_SERVICES: &str = "https://firebaseinstallations.googleapis.com https://fcmregistrations.googleapis.com";

/// Without these the scripts refuse to begin.
const NEEDED: [&str; 4] = ["apiKey", "projectId", "messagingSenderId", "appId"];

/// What a browser needs to register with Firebase. All of it is public.
#[derive(Debug, Clone)]
pub struct WebPush {
    /// `FIREBASE_CONFIG`: the web configuration, JSON.
    pub config: String,
    /// `FIREBASE_VAPID_KEY`: the public half.
    pub vapid_key: String,
    /// `FIREBASE_SDK_URL`: where the scripts are.
    pub sdk_url: String,
    /// `FIREBASE_REGISTRATION`: what a browser is known by afterwards.
    pub kind: TokenKind,
}

impl WebPush {
    /// `None`: no browser is asked whether it wants notifications.
    pub(crate) fn read(env: &mut Env) -> Option<Self> {
        let config: Option<String> = env.optional(
            "FIREBASE_CONFIG",
            "web app configuration from the Firebase console, as JSON; when unset browsers are not offered notifications",
        );
        let vapid_key: Option<String> =
            env.optional("FIREBASE_VAPID_KEY", "public key of the web push certificate from the Firebase console");
        let sdk_url = env.or("FIREBASE_SDK_URL", FIREBASE.to_owned(), "where browsers load Firebase's scripts from");
        let kind = env.or(
            "FIREBASE_REGISTRATION",
            TokenKind::Token.name().to_owned(),
            "how browsers register: token (registration token) or fid (Firebase installation id)",
        );
        let kind = TokenKind::parse(&kind).unwrap_or_else(|| {
            env.refuse("FIREBASE_REGISTRATION", "expected token or fid");
            TokenKind::Token
        });
        let config = config?;
        let Some(config) = read_config(&config) else {
            env.refuse("FIREBASE_CONFIG", format_args!("expected a JSON object with {}", NEEDED.join(", ")));
            return None;
        };
        let Some(vapid_key) = vapid_key else {
            env.refuse("FIREBASE_VAPID_KEY", "needed with FIREBASE_CONFIG");
            return None;
        };
        Some(Self { config, vapid_key, sdk_url, kind })
    }

    /// What a page has to be allowed: the scripts' host, and the hosts that they talk to.
    pub(crate) fn hosts(&self) -> (String, &'static str) {
        let host = crate::browser::origin(&self.sdk_url);
        (host, if self.sdk_url.starts_with("https://www.gstatic.com/") { FIREBASE_SERVICES } else { "" })
    }

    /// Shows what comes while no page of the shop is open: Firebase's script does that by itself, and opens the link.
    fn worker(&self) -> String {
        let Self { sdk_url, config, .. } = self;
        format!(
            "importScripts(\"{sdk_url}/firebase-app-compat.js\", \"{sdk_url}/firebase-messaging-compat.js\");\n\
             firebase.initializeApp({config});\nfirebase.messaging();\n"
        )
    }
}

/// As it will be written: the address ends up in a script, so nothing is taken that could end a text in it.
fn read_config(text: &str) -> Option<String> {
    let config: Map<String, Value> = serde_json::from_str(text).ok()?;
    let whole = NEEDED.iter().all(|name| config.get(*name).is_some_and(Value::is_string));
    whole.then(|| Value::Object(config).to_string())
}

pub(crate) fn router() -> Router<App> {
    // At the root, or it could not speak for all pages.
    Router::new().route("/firebase-messaging-sw.js", get(worker))
}

async fn worker(State(app): State<App>) -> Result<Response, Problem> {
    let push = app.offer.push.as_ref().ok_or_else(Problem::not_found)?;
    let (scripts, services) = push.hosts();
    let policy = format!("default-src 'none'; script-src {scripts}; connect-src 'self' {scripts} {services}");
    let policy = HeaderValue::try_from(policy).map_err(|_| Problem::internal())?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, policy),
    ];
    Ok((headers, push.worker()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"apiKey":"k","projectId":"p","messagingSenderId":"1","appId":"a"}"#;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<WebPush>, String> {
        let mut env = Env::from_pairs(pairs.iter().copied());
        let push = WebPush::read(&mut env);
        env.finish().map(|()| push).map_err(|refusals| refusals.to_string())
    }

    #[test]
    fn a_browser_is_told_all_or_nothing() {
        let (config, key) = (("FIREBASE_CONFIG", CONFIG), ("FIREBASE_VAPID_KEY", "BKey"));
        assert!(read(&[]).unwrap().is_none());
        let push = read(&[config, key, ("FIREBASE_REGISTRATION", "fid")]).unwrap().unwrap();
        assert_eq!((push.kind, push.sdk_url.as_str()), (TokenKind::Fid, FIREBASE));
        assert!(push.worker().contains(&format!("importScripts(\"{FIREBASE}/firebase-app-compat.js\"")));
        assert!(read(&[config]).unwrap_err().contains("FIREBASE_VAPID_KEY"));
        for bad in ["{}", "[]", "x", r#"{"apiKey":"k"}"#] {
            assert!(read(&[("FIREBASE_CONFIG", bad), key]).unwrap_err().contains("FIREBASE_CONFIG"), "{bad}");
        }
        assert!(read(&[("FIREBASE_REGISTRATION", "pigeon")]).unwrap_err().contains("FIREBASE_REGISTRATION"));
    }
}
