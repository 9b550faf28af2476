//! Rate limits by buyer and by address: 429 before anything is read from the database.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use database::customers::TokenHash;
use http::{Extensions, HeaderMap, Method, StatusCode};
use service::{Networks, Problem, Rate, RateLimiter, client_address, household};

use crate::browser::CSP_REPORTS;
use crate::session::session;
use crate::settings::Settings;

/// Holds buyers and addresses to their rates.
pub(crate) fn limited(router: Router, pace: Arc<Pace>) -> Router {
    router.layer(from_fn_with_state(pace, hold))
}

/// What is counted, each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Writes an order.
    Create,
    /// Claims stock, and may ask the provider.
    Confirm,
    /// Asks about an order, or changes something small.
    Poll,
    Webhook,
    /// With whatever token: wrong ones are guesses.
    Admin,
    /// Sent by a page, of which its buyer knows nothing.
    Report,
}

impl Action {
    /// `None`: costs next to nothing, and is not counted.
    fn of(method: &Method, route: &str) -> Option<Self> {
        match (method.is_safe(), route) {
            (_, route) if route.starts_with("/admin/") => Some(Self::Admin),
            (false, "/api/orders" | "/checkout/{product_id}") => Some(Self::Create),
            (false, "/api/payments/confirm") | (true, "/api/checkout/callback" | "/api/checkout/callback/{token}") => {
                Some(Self::Confirm)
            }
            (false, "/api/webhooks/toss") => Some(Self::Webhook),
            (false, CSP_REPORTS) => Some(Self::Report),
            (true, "/api/orders/{id}" | "/orders/{id}" | "/checkout/success" | "/sign-in" | "/sign-in/callback")
            | (false, _) => Some(Self::Poll),
            (true, _) => None,
        }
    }
}

/// Toss sends webhooks from about so many addresses.
const SOURCES: u32 = 11;

/// Everybody's buckets.
pub(crate) struct Pace {
    create: Buckets,
    confirm: Buckets,
    poll: Buckets,
    webhook: Buckets,
    /// From all addresses together: each is stored.
    webhooks: RateLimiter<()>,
    admin: Buckets,
    reports: Buckets,
    proxies: Networks,
    unlimited: Networks,
    public_url: String,
}

struct Buckets {
    /// By session and not by customer: that is known before the database is asked. Whoever makes sessions up meets the
    /// limit of their address, which comes first, so that made-up ones push nobody's out of memory.
    buyers: RateLimiter<TokenHash>,
    addresses: RateLimiter<IpAddr>,
}

impl Buckets {
    fn new(rate: Rate, address_factor: u32) -> Self {
        Self { buyers: RateLimiter::new(rate), addresses: RateLimiter::new(rate.times(address_factor)) }
    }

    fn take(&self, buyer: Option<TokenHash>, address: Option<IpAddr>) -> Result<(), Duration> {
        address.map_or(Ok(()), |address| self.addresses.take(household(address)))?;
        buyer.map_or(Ok(()), |buyer| self.buyers.take(buyer))
    }
}

impl Pace {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (rates, limits) = (settings.rates, &settings.limits);
        Self {
            create: Buckets::new(rates.create, rates.address_factor),
            confirm: Buckets::new(rates.confirm, rates.address_factor),
            poll: Buckets::new(rates.poll, rates.address_factor),
            webhook: Buckets::new(rates.webhook, 1),
            webhooks: RateLimiter::new(rates.webhook.times(SOURCES)),
            admin: Buckets::new(rates.admin, 1),
            reports: Buckets::new(rates.poll, 1),
            proxies: limits.trusted_proxies.clone(),
            unlimited: limits.unlimited.clone(),
            public_url: settings.public_url.clone(),
        }
    }

    fn take(&self, request: &Request) -> Result<(), Duration> {
        let session = session(request.headers(), &self.public_url);
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let Some(action) = Action::of(request.method(), route) else { return Ok(()) };
        let address = self.address(request.extensions(), request.headers());
        match action {
            Action::Create => self.create.take(session, address),
            Action::Confirm => self.confirm.take(session, address),
            Action::Poll => self.poll.take(session, address),
            Action::Webhook => {
                self.webhook.take(None, address)?;
                address.map_or(Ok(()), |_| self.webhooks.take(()))
            }
            Action::Admin => self.admin.take(None, address),
            Action::Report => self.reports.take(None, address),
        }
    }

    /// A session is about to be opened. Whoever shows none, or one that is made up, has no bucket of their own.
    pub(crate) fn newcomer(&self, extensions: &Extensions, headers: &HeaderMap) -> Result<(), Problem> {
        self.poll.take(None, self.address(extensions, headers)).map_err(too_fast)
    }

    fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        client_address(extensions, headers, &self.proxies).filter(|address| !self.unlimited.contains(*address))
    }
}

async fn hold(State(pace): State<Arc<Pace>>, request: Request, next: Next) -> Response {
    match pace.take(&request) {
        Ok(()) => next.run(request).await,
        Err(wait) => too_fast(wait).into_response(),
    }
}

fn too_fast(wait: Duration) -> Problem {
    let title = "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요 / Too many requests, please try again shortly";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", title).retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_writes_is_counted() {
        let of = |method, route| Action::of(&method, route);
        assert_eq!(of(Method::POST, "/api/orders"), Some(Action::Create));
        assert_eq!(of(Method::GET, "/"), None, "costs nothing but to newcomers, who are counted when they are let in");
        assert_eq!(of(Method::POST, "/api/payments/confirm"), Some(Action::Confirm));
        assert_eq!(of(Method::GET, "/api/checkout/callback"), Some(Action::Confirm));
        assert_eq!(of(Method::GET, "/api/orders/{id}"), Some(Action::Poll));
        assert_eq!(of(Method::POST, "/api/webhooks/toss"), Some(Action::Webhook));
        assert_eq!(of(Method::POST, CSP_REPORTS), Some(Action::Report));
        assert_eq!(of(Method::GET, "/admin/api/orders/{id}/refunds"), Some(Action::Admin));
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(of(method, "/api/made/up"), Some(Action::Poll), "a route that came later");
        }
        assert_eq!(of(Method::GET, "/sign-in"), Some(Action::Poll), "written down, and the provider may be asked");
        assert_eq!(of(Method::GET, "/assets/shop.css"), None);
    }
}
