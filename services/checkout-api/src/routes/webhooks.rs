use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::map_request;
use axum::routing::post;
use database::webhook_inbox::Webhook;
use http::{Extensions, HeaderMap, StatusCode};
use service::{ApiBytes, Problem, client_address, limit_body};
use toss::webhook::is_sealed;
use tracing::warn;

use crate::app::{App, unavailable};

/// Nothing that Toss sends comes near it, and what is stored is stored for two weeks.
const MOST_BYTES: usize = 64 * 1024;

pub(super) fn router() -> Router<App> {
    let limit = map_request(async |mut request: Request| {
        limit_body(&mut request, MOST_BYTES);
        request
    });
    Router::new().route("/api/webhooks/toss", post(toss)).layer(limit)
}

/// 200 once it is stored, whatever it says: anything else makes Toss send it again, for days. It is looked into afterwards.
async fn toss(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<StatusCode, Problem> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let webhooks = &app.webhooks;
    let source = client_address(&extensions, &headers, &app.proxies);
    if let Some(sources) = &webhooks.sources
        && !source.is_some_and(|source| sources.contains(source))
    {
        warn!("Refused a webhook from an address that is not in TOSS_WEBHOOK_SOURCES");
        return Err(Problem::of(StatusCode::FORBIDDEN));
    }
    if let Some(secret) = &webhooks.secret
        && !header("tosspayments-signature").is_some_and(|seal| is_sealed(secret, &body, seal))
    {
        warn!("Refused a webhook that is not sealed with TOSS_WEBHOOK_SECRET");
        return Err(Problem::of(StatusCode::UNAUTHORIZED));
    }
    let webhook = Webhook {
        transmission_id: header("tosspayments-webhook-transmission-id").map(str::to_owned),
        transmission_time: header("tosspayments-webhook-transmission-time").map(str::to_owned),
        signature: header("tosspayments-webhook-signature").map(str::to_owned),
        source,
        body: body.into(),
    };
    crash::point!("wh.store.before_commit");
    webhooks.inbox.submit(webhook).await.map_err(|problem| unavailable(&problem))?;
    crash::point!("wh.store.after_commit");
    webhooks.arrived.notify_one();
    Ok(StatusCode::OK)
}
