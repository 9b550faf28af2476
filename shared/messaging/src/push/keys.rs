//! Google's public keys, fetched when needed and cached as long as allowed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
use reqwest::{Client, Response};
use tokio::sync::Mutex;
use tracing::warn;

/// How long Google may take to answer: pushes are waiting.
const PATIENCE: Duration = Duration::from_secs(3);

/// Google's set is 2 KB.
const SIZE_LIMIT: usize = 64 * 1024;

/// A set is asked for no more often than this, whatever its `max-age` or the tokens that come along say.
const SHORTEST_AGE: Duration = Duration::from_mins(1);

/// The last good set serves this long when Google does not answer.
const LONGEST_AGE: Duration = Duration::from_hours(24);

/// How long Google is left alone after it did not answer.
const REST: Duration = Duration::from_secs(5);

/// The keys at an address.
pub(super) struct KeySet {
    url: String,
    client: Client,
    cache: RwLock<Cache>,
    /// Held by the one who asks Google, so that the others wait for the answer instead of asking too.
    asking: Mutex<()>,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// Google does not know it.
    Unknown,
    /// Nobody can tell now.
    Unavailable,
}

type Keys = HashMap<String, Arc<DecodingKey>>;

/// A set as it was fetched.
struct Fetched {
    keys: Keys,
    max_age: Duration,
}

impl KeySet {
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub(super) fn new(url: String) -> reqwest::Result<Self> {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build()?;
        Ok(Self { url, client, cache: RwLock::new(Cache::new(Instant::now())), asking: Mutex::new(()) })
    }

    pub(super) async fn get(&self, kid: &str) -> Result<Arc<DecodingKey>, NoKey> {
        if let Some(answer) = self.look(kid) {
            return answer;
        }
        let _alone = self.asking.lock().await;
        if let Some(answer) = self.look(kid) {
            return answer;
        }
        let fetched = self.fetch().await;
        if let Err(error) = &fetched {
            let error: &dyn std::error::Error = error.as_ref();
            warn!(error, "Cannot fetch the keys that push requests are signed with");
        }
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        cache.take_in(fetched.ok(), Instant::now());
        cache.look(kid, Instant::now()).unwrap_or(Err(NoKey::Unknown))
    }

    fn look(&self, kid: &str) -> Option<Result<Arc<DecodingKey>, NoKey>> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner).look(kid, Instant::now())
    }

    async fn fetch(&self) -> Result<Fetched, Box<dyn std::error::Error + Send + Sync>> {
        let mut response = self.client.get(&self.url).send().await?;
        if response.status() != StatusCode::OK {
            return Err(format!("the answer is {}", response.status()).into());
        }
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        if !content_type.is_some_and(|it| it.starts_with("application/json")) {
            return Err("the answer is not JSON".into());
        }
        let max_age = max_age(&response);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > SIZE_LIMIT {
                return Err("the answer is too long".into());
            }
        }
        let keys = rsa_keys(&serde_json::from_slice(&body)?);
        if keys.is_empty() {
            return Err("the answer holds no RSA key".into());
        }
        Ok(Fetched { keys, max_age })
    }
}

fn rsa_keys(set: &JwkSet) -> Keys {
    let rsa = set.keys.iter().filter(|it| matches!(it.algorithm, AlgorithmParameters::RSA(_)));
    let key = |jwk: &jsonwebtoken::jwk::Jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?));
    rsa.filter_map(key).map(|(kid, key)| (kid, Arc::new(key))).collect()
}

fn max_age(response: &Response) -> Duration {
    let header = response.headers().get(CACHE_CONTROL).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let seconds = header.split(',').find_map(|it| it.trim().strip_prefix("max-age=")?.parse().ok());
    Duration::from_secs(seconds.unwrap_or_default())
}

/// What is known, and when to ask again.
struct Cache {
    keys: Keys,
    /// From then on Google is to be asked before the keys are believed.
    stale_at: Instant,
    /// From then on they are not believed at all.
    void_at: Instant,
    /// Until then Google rests.
    rests_until: Instant,
    /// Until then a key that is not in the set does not exist: else anybody could have us ask for every request.
    complete_until: Instant,
}

impl Cache {
    fn new(now: Instant) -> Self {
        Self { keys: Keys::new(), stale_at: now, void_at: now, rests_until: now, complete_until: now }
    }

    /// `None`: Google is to be asked.
    fn look(&self, kid: &str, now: Instant) -> Option<Result<Arc<DecodingKey>, NoKey>> {
        let key = self.keys.get(kid).cloned();
        if now < self.stale_at {
            match key {
                Some(key) => return Some(Ok(key)),
                None if now < self.complete_until => return Some(Err(NoKey::Unknown)),
                None => {}
            }
        }
        if now < self.rests_until {
            return Some(key.filter(|_| now < self.void_at).ok_or(NoKey::Unavailable));
        }
        None
    }

    /// Notes what Google answered, if it did.
    fn take_in(&mut self, fetched: Option<Fetched>, now: Instant) {
        let Some(Fetched { keys, max_age }) = fetched else {
            self.rests_until = now + REST;
            return;
        };
        if now < self.stale_at {
            // Asked before its time, for a key that was missing.
            self.complete_until = now + SHORTEST_AGE;
        }
        self.keys = keys;
        self.stale_at = now + max_age.clamp(SHORTEST_AGE, LONGEST_AGE);
        self.void_at = now + LONGEST_AGE;
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::LOCATION;
    use axum::http::{Response, Uri};
    use serde_json::json;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const SECOND: Duration = Duration::from_secs(1);

    /// What a key server may answer, by path.
    async fn answer(uri: Uri) -> Response<String> {
        let set = json!({"keys": [{"kty": "RSA", "kid": "a", "alg": "RS256", "use": "sig", "n": "sXch", "e": "AQAB"}]});
        let answer = Response::builder().header(CONTENT_TYPE, "application/json; charset=UTF-8");
        match uri.path() {
            "/certs" => answer.body(set.to_string()),
            "/500" => answer.status(500).body(set.to_string()),
            "/redirect" => answer.status(302).header(LOCATION, "/certs").body(set.to_string()),
            "/html" => Response::builder().header(CONTENT_TYPE, "text/html").body(set.to_string()),
            "/large" => answer.body(format!("{}{set}", " ".repeat(1024 * 1024))),
            "/empty" => answer.body(r#"{"keys": []}"#.into()),
            _ => answer.body("<html>".into()),
        }
        .unwrap()
    }

    #[tokio::test]
    async fn only_a_proper_answer_is_believed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
        let get = async |path: &str, kid: &str| KeySet::new(format!("{url}{path}")).unwrap().get(kid).await.map(drop);
        assert_eq!(get("/certs", "a").await, Ok(()));
        assert_eq!(get("/certs", "b").await, Err(NoKey::Unknown));
        for path in ["/500", "/redirect", "/html", "/large", "/empty", "/nonsense"] {
            assert_eq!(get(path, "a").await, Err(NoKey::Unavailable), "{path}");
        }
    }

    fn learn(cache: &mut Cache, kids: &[&str], now: Instant) {
        let key = Arc::new(DecodingKey::from_secret(b"stands for any key"));
        let keys = kids.iter().map(|kid| ((*kid).to_owned(), Arc::clone(&key))).collect();
        cache.take_in(Some(Fetched { keys, max_age: HOUR }), now);
    }

    /// What looking for a key comes to: `None` when Google is to be asked.
    fn look(cache: &Cache, kid: &str, now: Instant) -> Option<Result<(), NoKey>> {
        cache.look(kid, now).map(|answer| answer.map(drop))
    }

    #[test]
    fn a_set_is_asked_for_once_in_its_age() {
        let now = Instant::now();
        let mut cache = Cache::new(now);
        assert_eq!(look(&cache, "a", now), None);
        learn(&mut cache, &["a"], now);
        assert_eq!(look(&cache, "a", now + HOUR / 2), Some(Ok(())));
        assert_eq!(look(&cache, "a", now + HOUR), None);
    }

    #[test]
    fn keys_that_nobody_knows_have_google_asked_once_a_minute() {
        let now = Instant::now();
        let mut cache = Cache::new(now);
        learn(&mut cache, &["a"], now);
        assert_eq!(look(&cache, "b", now + SECOND), None, "it may be new");
        learn(&mut cache, &["a"], now + SECOND);
        for kid in ["b", "c", "d"] {
            assert_eq!(look(&cache, kid, now + 2 * SECOND), Some(Err(NoKey::Unknown)));
        }
        assert_eq!(look(&cache, "a", now + 2 * SECOND), Some(Ok(())));
        let later = now + SECOND + SHORTEST_AGE;
        assert_eq!(look(&cache, "b", later), None);
        learn(&mut cache, &["b"], later);
        assert_eq!(look(&cache, "b", later), Some(Ok(())));
        assert_eq!(look(&cache, "a", later), Some(Err(NoKey::Unknown)), "a key that was withdrawn");
    }

    #[test]
    fn the_last_good_keys_serve_a_day_when_google_is_down() {
        let now = Instant::now();
        let mut cache = Cache::new(now);
        cache.take_in(None, now);
        assert_eq!(look(&cache, "a", now), Some(Err(NoKey::Unavailable)), "fails closed");
        assert_eq!(look(&cache, "a", now + REST), None);
        learn(&mut cache, &["a"], now + REST);

        let stale = now + REST + HOUR;
        cache.take_in(None, stale);
        assert_eq!(look(&cache, "a", stale), Some(Ok(())));
        assert_eq!(look(&cache, "b", stale), Some(Err(NoKey::Unavailable)));
        assert_eq!(look(&cache, "a", stale + REST), None, "and asks on");

        let void = now + REST + LONGEST_AGE;
        cache.take_in(None, void);
        assert_eq!(look(&cache, "a", void), Some(Err(NoKey::Unavailable)));
    }
}
