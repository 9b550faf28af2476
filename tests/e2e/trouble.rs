//! What goes wrong in a browser without anybody saying so: script errors, violations of the content security policy,
//! failed requests. chromedriver keeps it in two logs.

use std::collections::HashMap;

use serde_json::Value;
use thirtyfour::WebDriver;

/// The browser's own words on requests that failed; `performance` knows them better.
const NETWORK: &str = "network";

/// A failed request that a test provokes: the status, and what the address contains.
pub(crate) type Expected = (u16, String);

/// All that went wrong since this was last asked, but for what was expected.
pub(crate) async fn since(driver: &WebDriver, expected: &[Expected]) -> Vec<String> {
    let console = driver.get_log("browser").await.expect("the browser's log");
    let complaints = console.into_iter().filter(|it| it.level == "SEVERE" && it.source.as_deref() != Some(NETWORK));
    let mut troubles: Vec<_> = complaints.map(|it| it.message).collect();
    let events = driver.get_log("performance").await.expect("the network's log");
    let mut addresses = HashMap::new();
    for event in events {
        let event: Value = serde_json::from_str(&event.message).expect("an event");
        let (event, params) = (&event["message"]["method"], &event["message"]["params"]);
        let id = params["requestId"].as_str().unwrap_or_default().to_owned();
        match event.as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                addresses.insert(id, params["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            "Network.responseReceived" => {
                let (status, address) = (&params["response"]["status"], params["response"]["url"].as_str());
                let (status, address) = (status.as_u64().unwrap_or_default(), address.unwrap_or_default());
                let is_expected =
                    expected.iter().any(|(code, part)| u64::from(*code) == status && address.contains(part.as_str()));
                if status >= 400 && !is_expected {
                    troubles.push(format!("{status} {address}"));
                }
            }
            // Whoever leaves a page cancels what it still was loading, which is no failure.
            "Network.loadingFailed" if params["canceled"] != true => {
                let address = addresses.get(&id).map_or("", String::as_str);
                troubles.push(format!("{} {address}", params["errorText"].as_str().unwrap_or_default()));
            }
            _ => {}
        }
    }
    troubles
}

/// The answers since the network's log was last looked at: status and address.
pub(crate) async fn answers(driver: &WebDriver) -> Vec<(u16, String)> {
    let events = driver.get_log("performance").await.expect("the network's log");
    let answer = |message: &str| {
        let event: Value = serde_json::from_str(message).expect("an event");
        let response = &event["message"]["params"]["response"];
        Some((u16::try_from(response["status"].as_u64()?).ok()?, response["url"].as_str()?.to_owned()))
    };
    events.iter().filter_map(|event| answer(&event.message)).collect()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::header::CONTENT_SECURITY_POLICY;
    use axum::response::Html;
    use axum::routing::get;

    use crate::browser::Browser;
    use crate::driver;

    #[tokio::test]
    async fn a_broken_page_is_noticed() {
        if !driver::is_there().await {
            return;
        }
        let page = async || {
            let policy = [(CONTENT_SECURITY_POLICY, "script-src 'self'; img-src 'self'")];
            let body = "<!doctype html><title>broken</title><link rel=icon href=data:,>
                <script src=/throws.js></script><script>forbidden()</script><img src=/missing.png>
                <script>inline()</script><img src=http://127.0.0.1:9/nobody.png>";
            (policy, Html(body))
        };
        let script = async || ([("content-type", "text/javascript")], "fetch('http://127.0.0.1:9/'); missing();");
        let router = Router::new().route("/", get(page)).route("/throws.js", get(script));
        let browser = Browser::open(&crate::serve(router).await).await;
        browser.goto("/").await;
        let mut found = browser.troubles().await.join("\n");
        browser
            .until("all of it", async || {
                found += &browser.troubles().await.join("\n");
                ["missing is not defined", "Content Security Policy", "404 http", "net::ERR"]
                    .iter()
                    .all(|it| found.contains(it))
            })
            .await;
        browser.close().await;
    }
}
