//! What a sandbox is told at start.

use std::time::Duration;

/// Keys and addresses of one sandbox. The defaults are the keys Toss prints in its public documentation, so that
/// a development set-up needs no configuration at all.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The widget secret key every API call must present (`test_gsk_…`).
    pub secret_key: String,
    /// The widget client key the browser must present; the pair of `secret_key`.
    pub client_key: String,
    /// The sandbox's own address as browsers and services reach it, without a slash at the end.
    pub public_url: String,
    /// The Firebase project that sends are accepted for.
    pub project_id: String,
    /// The shop, as the identity provider knows it.
    pub oidc_client_id: String,
    /// Its secret there.
    pub oidc_client_secret: String,
    /// Where the shop takes webhooks; `None` sends none.
    pub webhook_url: Option<String>,
    /// How long a minute is for webhooks that are to be sent again.
    pub webhook_minute: Duration,
    /// The secret that a relay between Toss and the shop would seal webhooks with. Toss itself has none.
    pub webhook_secret: Option<String>,
    /// The security key that payout webhooks are signed with, decoded.
    pub security_key: [u8; 32],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secret_key: "test_gsk_docs_OaPz8L5KdmQXkzRz3y47BMw6".to_owned(),
            client_key: "test_gck_docs_Ovk5rk1EwkEbP0W43n07xlzm".to_owned(),
            public_url: "http://127.0.0.1:8090".to_owned(),
            project_id: "jumun-sandbox".to_owned(),
            oidc_client_id: "jumun-shop".to_owned(),
            oidc_client_secret: "sandbox-shop-secret".to_owned(),
            webhook_url: None,
            webhook_minute: Duration::from_mins(1),
            webhook_secret: None,
            security_key: [0x5a; 32],
        }
    }
}
