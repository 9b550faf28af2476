//! The state that every handler gets.

use std::sync::Arc;

use database::customers::{Customer, TokenHash, find_by_sessions, open_guests};
use database::orders::{Created, Creation, create};
use database::products::{Product, find};
use database::webhook_inbox::{self, Webhook};
use database::{BatchError, Batcher};
use domain::ProductId;
use secrecy::SecretString;
use service::{Networks, Problem, Streams};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::browser::Rules;
use crate::checkout::Checkout;
use crate::members::{Offer, Provider};
use crate::pace::Pace;
use crate::settings::Settings;
use crate::stock_feed::StockFeed;

/// What every handler is given: the till, the shop's face, and the batched questions to the database.
#[derive(Clone)]
pub struct App {
    pub(crate) db: PgPool,
    pub(crate) checkout: Checkout,
    pub(crate) shop: Arc<Shop>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) admin_token: Option<SecretString>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) desk: Desk,
    pub(crate) webhooks: WebhookDoor,
    pub(crate) stock_feed: StockFeed,
    /// What pages may offer their readers.
    pub(crate) offer: Offer,
    /// Who vouches for members, if anybody does.
    pub(crate) provider: Option<Arc<Provider>>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) proxies: Arc<Networks>,
}

/// What the browser is told about the shop.
pub(crate) struct Shop {
    pub(crate) public_url: String,
    pub(crate) client_key: String,
    pub(crate) sdk_url: String,
}

/// Where webhooks come in.
#[derive(Clone)]
pub(crate) struct WebhookDoor {
    pub(crate) inbox: Batcher<Webhook, ()>,
    /// What a relay of ours seals them with, if there is one.
    pub(crate) secret: Option<SecretString>,
    /// Where they may come from; `None`: from anywhere, for they are only hints.
    pub(crate) sources: Option<Arc<Networks>>,
    /// Wakes whoever looks into them.
    pub(crate) arrived: Arc<Notify>,
}

/// What concurrent requests ask the database for, batched.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) sessions: Batcher<TokenHash, Option<Customer>>,
    pub(crate) guests: Batcher<TokenHash, Customer>,
    pub(crate) products: Batcher<Vec<ProductId>, Vec<Product>>,
    pub(crate) orders: Batcher<Creation, Created>,
}

impl App {
    /// Puts the parts together. Batches and confirms are worked on in `tasks`; `arrived` is told of stored webhooks.
    pub(crate) fn new(
        settings: &Settings,
        db: PgPool,
        checkout: Checkout,
        stock_feed: StockFeed,
        provider: Option<Provider>,
        arrived: Arc<Notify>,
        tasks: &TaskTracker,
    ) -> Self {
        let shop = Shop {
            public_url: settings.public_url.clone(),
            client_key: settings.toss_client_key.clone(),
            sdk_url: settings.toss_sdk_url.clone(),
        };
        let webhooks = WebhookDoor {
            inbox: Batcher::start(tasks, &db, |db, webhooks| Box::pin(webhook_inbox::store(db, webhooks))),
            secret: settings.toss_webhook_secret.clone(),
            sources: settings.toss_webhook_sources.clone().map(Arc::new),
            arrived,
        };
        let rules = Arc::new(Rules::new(settings));
        Self {
            desk: Desk::open(&db, tasks, i64::from(settings.open_orders)),
            db,
            checkout,
            shop: Arc::new(shop),
            rules,
            admin_token: settings.admin_token.clone(),
            pace: Arc::new(Pace::new(settings)),
            webhooks,
            stock_feed,
            offer: Offer { sign_in: provider.is_some(), push: settings.web_push.clone().map(Arc::new) },
            provider: provider.map(Arc::new),
            streams: Arc::new(Streams::new(settings.stock_streams, &settings.limits)),
            proxies: Arc::new(settings.limits.trusted_proxies.clone()),
        }
    }
}

impl Desk {
    fn open(db: &PgPool, tasks: &TaskTracker, most_open: i64) -> Self {
        Self {
            sessions: Batcher::start(tasks, db, |db, asked| Box::pin(find_by_sessions(db, asked))),
            guests: Batcher::start(tasks, db, |db, asked| Box::pin(open_guests(db, asked))),
            products: Batcher::start(tasks, db, |db, asked: &[Vec<ProductId>]| Box::pin(find_each(db, asked))),
            orders: Batcher::start(tasks, db, move |db, asked| Box::pin(create(db, asked, most_open))),
        }
    }
}

/// One query for all baskets; each gets back what it asked for.
async fn find_each(db: &mut PgConnection, baskets: &[Vec<ProductId>]) -> sqlx::Result<Vec<Vec<Product>>> {
    let mut ids = baskets.concat();
    ids.sort_unstable();
    ids.dedup();
    let found = find(db, &ids).await?;
    let wanted =
        |basket: &Vec<ProductId>| found.iter().filter(|product| basket.contains(&product.id)).cloned().collect();
    Ok(baskets.iter().map(wanted).collect())
}

/// 503, with the cause in the log.
pub(crate) fn unavailable(problem: &BatchError) -> Problem {
    error!(problem = problem as &dyn std::error::Error, "The database did not answer");
    Problem::unavailable(std::time::Duration::from_secs(1))
}

/// 503, with the cause in the log.
pub(crate) fn database_trouble(error: &sqlx::Error) -> Problem {
    error!(%error, "The database did not answer");
    Problem::unavailable(std::time::Duration::from_secs(1))
}
