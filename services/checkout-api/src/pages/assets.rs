//! Stylesheet, scripts and pictures, compiled into the program.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use service::Problem;
use sha2::{Digest as _, Sha256};

use crate::app::App;

struct Asset {
    kind: &'static str,
    text: &'static str,
    /// What the address ends in, so that a browser never mixes two versions of the shop.
    version: String,
}

macro_rules! assets {
    ($($name:literal: $kind:literal),* $(,)?) => {
        [$(($name, $kind, include_str!(concat!("../../assets/", $name)))),*]
    };
}

static ASSETS: LazyLock<HashMap<&str, Asset>> = LazyLock::new(|| {
    let files = assets! {
        "shop.css": "text/css; charset=utf-8",
        "checkout.js": "text/javascript; charset=utf-8",
        "stock.js": "text/javascript; charset=utf-8",
        "notify.js": "text/javascript; charset=utf-8",
        "order.js": "text/javascript; charset=utf-8",
        "icon.svg": "image/svg+xml",
        "demo/brass-cutlery.svg": "image/svg+xml",
        "demo/green-tea.svg": "image/svg+xml",
        "demo/hanji-notebook.svg": "image/svg+xml",
        "demo/moon-jar-mug.svg": "image/svg+xml",
        "demo/ramie-cloth.svg": "image/svg+xml",
        "demo/silk-bookmark.svg": "image/svg+xml",
        "demo/tangerine-chocolate.svg": "image/svg+xml",
        "demo/wooden-spoon.svg": "image/svg+xml",
    };
    let asset = |(name, kind, text): (_, _, &'static str)| {
        let version = hex::encode(&Sha256::digest(text)[..6]);
        (name, Asset { kind, text, version })
    };
    files.into_iter().map(asset).collect()
});

pub(super) fn router() -> Router<App> {
    Router::new().route("/assets/{*name}", get(serve))
}

/// The address of a file, which changes with its content.
pub(super) fn address(name: &str) -> String {
    let version = ASSETS.get(name).map_or("", |asset| &asset.version);
    format!("/assets/{name}?v={version}")
}

async fn serve(Path(name): Path<String>, RawQuery(query): RawQuery) -> Response {
    let Some(asset) = ASSETS.get(name.as_str()) else { return Problem::not_found().into_response() };
    let asked = query.as_deref().and_then(|query| query.strip_prefix("v="));
    // Whoever asks without the right version is shown what is there, but not for ever.
    let keep =
        if asked == Some(&asset.version) { "public, max-age=31536000, immutable" } else { "public, max-age=3600" };
    ([(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, keep)], asset.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_with_the_right_version_is_kept_for_ever() {
        let kept = async |query: Option<&str>| {
            let answer = serve(Path("shop.css".into()), RawQuery(query.map(str::to_owned))).await;
            answer.headers()[CACHE_CONTROL].to_str().unwrap().to_owned()
        };
        let address = address("shop.css");
        assert!(kept(address.split_once('?').map(|(_, query)| query)).await.ends_with("immutable"));
        assert_eq!(kept(Some("v=0")).await, "public, max-age=3600");
        assert_eq!(kept(None).await, "public, max-age=3600");
        assert_eq!(serve(Path("../Cargo.toml".into()), RawQuery(None)).await.status(), 404);
    }
}
