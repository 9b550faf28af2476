//! What is left of each product, kept up to date for the pages that are open: one listener for all of them.
//!
//! A page has no queue that could grow. It is woken when something has changed, and looks up what is left of its own
//! products: a slow reader gets the newest state and skips what came in between.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::response::sse::Event;
use database::stock_news::{Level, StockListener, levels};
use domain::ProductId;
use futures_util::stream::{Stream, unfold};
use service::StreamPlace;
use sqlx::PgPool;
use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Pages are woken no more often than this, however fast a product sells.
const PACE: Duration = Duration::from_millis(300);

/// All levels are read anew this often: what a broken connection swallowed unnoticed is wrong for no longer.
const REFRESH_EVERY: Duration = Duration::from_secs(30);

/// Wait before the database is asked for a listener again.
const PAUSE: Duration = Duration::from_secs(1);

/// Browsers come back this long after their stream ended, each at a time of its own.
const COME_BACK_MS: std::ops::Range<u64> = 1_000..5_000;

/// Keeps the levels.
#[derive(Clone)]
pub struct StockFeed {
    db: PgPool,
    shelf: Arc<RwLock<Shelf>>,
    news: watch::Sender<News>,
}

/// What the pages are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    /// The levels are not known, or are looked after no more.
    Closed,
    /// They are as of this version.
    Version(u64),
}

/// Every level, and the version in which it last changed.
#[derive(Default)]
struct Shelf {
    version: u64,
    levels: HashMap<ProductId, (i32, u64)>,
}

impl Shelf {
    /// Whether that was news.
    fn note(&mut self, Level { product, left }: Level) -> bool {
        let known = self.levels.get(&product).is_some_and(|(known, _)| *known == left);
        if !known {
            self.version += 1;
            self.levels.insert(product, (left, self.version));
        }
        !known
    }

    /// What is left of those products that changed after a version.
    fn since(&self, version: u64, products: &[ProductId]) -> HashMap<ProductId, i32> {
        let changed =
            |id: &ProductId| self.levels.get(id).filter(|(_, at)| *at > version).map(|(left, _)| (*id, *left));
        products.iter().filter_map(changed).collect()
    }
}

impl StockFeed {
    pub(crate) fn new(db: PgPool) -> Self {
        Self { db, shelf: Arc::default(), news: watch::Sender::new(News::Closed) }
    }

    /// Listens until `shutdown`, which ends the streams of all pages.
    pub async fn run(self, shutdown: CancellationToken) {
        while let Err(error) = self.listen(&shutdown).await {
            warn!(%error, "Lost the connection that listens for stock changes, trying again");
            if shutdown.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                break;
            }
        }
        self.news.send_replace(News::Closed);
    }

    async fn listen(&self, shutdown: &CancellationToken) -> sqlx::Result<()> {
        // Before the first look: what changes in between is heard as well, rather than not at all.
        let mut listener = StockListener::open(&self.db).await?;
        let mut looks = interval(REFRESH_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told_at = Instant::now();
        let mut untold = false;
        loop {
            let heard = select! {
                () = shutdown.cancelled() => return Ok(()),
                () = sleep_until(told_at + PACE), if untold => {
                    self.tell();
                    (told_at, untold) = (Instant::now(), false);
                    continue;
                }
                heard = listener.next() => heard?,
                _ = looks.tick() => None,
            };
            // Out here nothing is dropped half-way.
            untold |= match heard {
                Some(level) => self.note(&[level]),
                None => self.note(&levels(&self.db).await?),
            };
            // An empty shop is known, too.
            untold |= *self.news.borrow() == News::Closed;
        }
    }

    fn note(&self, levels: &[Level]) -> bool {
        let mut known = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        levels.iter().filter(|level| known.note(**level)).count() > 0
    }

    fn tell(&self) {
        let version = self.shelf.read().unwrap_or_else(PoisonError::into_inner).version;
        self.news.send_replace(News::Version(version));
    }

    /// A page's view: first what is left of its products, then what changes. `None` while nobody knows.
    pub(crate) fn follow(
        &self,
        products: Vec<ProductId>,
        place: StreamPlace,
    ) -> Option<impl Stream<Item = Result<Event, Infallible>> + Send + use<>> {
        let news = self.news.subscribe();
        if *news.borrow() == News::Closed {
            return None;
        }
        let page = Page { shelf: Arc::clone(&self.shelf), news, products: products.into(), seen: None, _place: place };
        Some(unfold(page, async |mut page| Some((Ok(page.next().await?), page))))
    }
}

/// A page that is open.
struct Page {
    shelf: Arc<RwLock<Shelf>>,
    news: watch::Receiver<News>,
    products: Box<[ProductId]>,
    /// The version it has seen.
    seen: Option<u64>,
    _place: StreamPlace,
}

impl Page {
    /// Waits for something that the page does not know. `None`: nothing will come any more.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let News::Version(version) = *self.news.borrow_and_update() else { return None };
            let changed = {
                let levels = self.shelf.read().unwrap_or_else(PoisonError::into_inner);
                levels.since(self.seen.unwrap_or(0), &self.products)
            };
            let first = self.seen.replace(version).is_none();
            if first || !changed.is_empty() {
                let event = Event::default().json_data(changed).ok()?;
                let come_back = Duration::from_millis(rand::random_range(COME_BACK_MS));
                return Some(if first { event.retry(come_back) } else { event });
            }
            self.news.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_hears_of_its_own_products_and_of_the_newest_only() {
        let (mug, shirt) = (ProductId::new(), ProductId::new());
        let mut shelf = Shelf::default();
        let mut note = |product, left| (shelf.note(Level { product, left }), shelf.version);
        assert_eq!(note(mug, 5), (true, 1));
        assert_eq!(note(mug, 5), (false, 1), "no news");
        assert_eq!(note(shirt, 9), (true, 2));
        assert_eq!(note(mug, 4), (true, 3));
        assert_eq!(note(mug, 3), (true, 4));
        assert_eq!(shelf.since(0, &[mug]), HashMap::from([(mug, 3)]));
        assert_eq!(shelf.since(2, &[mug, shirt]), HashMap::from([(mug, 3)]));
        assert_eq!(shelf.since(4, &[mug, shirt]), HashMap::new());
        assert_eq!(shelf.since(0, &[ProductId::new()]), HashMap::new());
    }
}
