//! axe-core, which finds what keeps people from using a page.

use serde::Deserialize;

use crate::browser::Browser;

/// axe-core 4.14.1 as its makers publish it, under the Mozilla Public License 2.0; see `vendor/LICENSE`.
const SCRIPT: &str = include_str!("vendor/axe.min.js");

#[derive(Debug, Deserialize)]
struct Finding {
    id: String,
    impact: Option<String>,
    help: String,
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    html: String,
    failure_summary: Option<String>,
}

/// What is serious or critical about the page at this moment.
pub(crate) async fn findings(browser: &Browser) -> Vec<String> {
    browser.ask(SCRIPT, vec![]).await;
    let run =
        "const done = arguments[0]; axe.run({ resultTypes: ['violations'] }).then((found) => done(found.violations));";
    let found = browser.driver.execute_async(run, vec![]).await.expect("findings");
    let found: Vec<Finding> = found.convert().expect("findings");
    let grave = |it: &Finding| matches!(it.impact.as_deref(), Some("serious" | "critical"));
    let told = |it: Finding| {
        let nodes =
            it.nodes.iter().map(|node| format!("{}\n{}", node.html, node.failure_summary.as_deref().unwrap_or("")));
        format!("{}: {}\n{}", it.id, it.help, nodes.collect::<Vec<_>>().join("\n"))
    };
    found.into_iter().filter(grave).map(told).collect()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::Html;
    use axum::routing::get;

    use super::findings;
    use crate::browser::Browser;
    use crate::{driver, serve};

    const CLOSED: &str = "<!doctype html><html><title>closed</title><link rel=icon href=data:,><main><h1>Closed</h1>
            <input name=email><p style='color: #bbb; background: #fff'>hardly to be read</p></main>";

    #[tokio::test]
    async fn a_page_that_keeps_people_out_is_noticed() {
        if !driver::is_there().await {
            return;
        }
        let browser = Browser::open(&serve(Router::new().route("/", get(async || Html(CLOSED)))).await).await;
        browser.goto("/").await;
        let found = findings(&browser).await.join("\n");
        for finding in ["label:", "color-contrast:", "html-has-lang:"] {
            assert!(found.contains(finding), "{finding} in {found}");
        }
        browser.close().await;
    }
}
