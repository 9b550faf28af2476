//! The directed crash matrix: every point of the crate `crash`, died at on purpose, one order each.
//!
//! A process of the role in question is started with `CRASH` set and brought to the point: when the request or message
//! comes for the first time, when it comes again, and while a twin of it is worked on elsewhere. Its successors are the
//! shop's own services in the test's process. Every case ends with the books checked, the provider's too.

mod loops;
mod money_back;
mod storefront;
mod workers;

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{OpenShop, Role, ServiceProcess};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(20);

const SERVICE: &str = env!("CARGO_BIN_EXE_service-process");

/// What becomes of the process at its point, and of what it was working on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It dies, and nobody repeats the request: what it left behind is all there is to go on.
    Dies,
    /// It dies, and the same comes again elsewhere.
    DiesAndAgain,
    /// It stands still while a twin is served elsewhere and its leases run out, and then goes on.
    Freezes,
}

const FATES: [Fate; 3] = [Fate::Dies, Fate::DiesAndAgain, Fate::Freezes];

/// A process that will not get past its point.
struct Doomed {
    process: ServiceProcess,
    fate: Fate,
    case: String,
}

impl Doomed {
    async fn start(shop: &OpenShop, role: Role, point: &str, hit: u32, fate: Fate) -> Self {
        let action = if fate == Fate::Freezes { "freeze" } else { "kill" };
        let crash = format!("{point}@{hit}:{action}");
        let process = ServiceProcess::start(shop, SERVICE, role, Some(&crash)).await;
        Self { process, fate, case: format!("{crash} {fate:?}") }
    }

    /// Insists that it comes to its point: nobody else sends it these signals.
    async fn meets_its_fate(&mut self, shop: &OpenShop) {
        let case = &self.case;
        if self.fate == Fate::Freezes {
            return shop.eventually(case, async || self.process.is_frozen()).await;
        }
        let end = tokio::time::timeout(PATIENCE, self.process.end()).await;
        let signal = end.unwrap_or_else(|_| panic!("{case}: it never came there")).unwrap();
        assert_eq!(signal, Some(Signal::KILL.as_raw()), "{case}");
    }

    fn goes_on(&self) {
        self.process.signal(Signal::CONT).unwrap();
    }

    /// Lets a frozen process finish what it was at; there is nothing left of a dead one.
    async fn ends(mut self) {
        if self.fate == Fate::Freezes {
            self.goes_on();
            self.process.signal(Signal::TERM).unwrap();
            assert_eq!(self.process.end().await.unwrap(), None, "{}: it ends by itself", self.case);
        }
    }
}

/// Whatever a dead process has leased is due again: time has passed.
async fn leases_run_out(shop: &OpenShop) {
    shop.execute("UPDATE outbox SET claimed_until = now() WHERE published_at IS NULL").await;
    shop.execute("UPDATE deliveries SET due_at = now()").await;
    shop.execute("UPDATE push_attempts SET due_at = now() WHERE due_at IS NOT NULL").await;
    shop.execute("UPDATE webhook_inbox SET due_at = now() WHERE due_at IS NOT NULL").await;
}

/// The successors deliver what the dead have left. They leased some of it until a moment ago: the database may still be
/// at their last statement.
async fn successors_deliver(shop: &OpenShop) {
    let delivered = async || {
        leases_run_out(shop).await;
        shop.deliver_round().await
    };
    shop.eventually("everything to be delivered", delivered).await;
}

/// The successors finish what is left, and the books are in order.
async fn recovers(shop: &OpenShop) {
    shop.reconcile().await;
    let heard = async || {
        leases_run_out(shop).await;
        while shop.api.webhooks.step().await.unwrap() > 0 {}
        shop.count("SELECT count(*) FROM webhook_inbox WHERE status = 'pending'").await == 0
    };
    shop.eventually("every webhook to be looked into", heard).await;
    successors_deliver(shop).await;
    shop.verify().await;
}

/// The phone showed the order once; a crash in the middle of a send may repeat it under the same tag, and is on record.
async fn told_once(shop: &OpenShop, token: &str, case: &str) {
    let shown = shop.sandbox.notifications(token);
    let unknowns =
        "SELECT coalesce(sum(a.unknowns), 0) FROM push_attempts a JOIN messaging_tokens t ON t.id = a.device_id";
    let unknowns = shop.count(&format!("{unknowns} WHERE t.token = '{token}'")).await;
    assert!((1..=1 + unknowns).contains(&i64::try_from(shown.len()).unwrap()), "{case}: {} times", shown.len());
    assert!(shown.iter().all(|one| one.tag == shown[0].tag), "{case}");
}

#[test]
fn every_point_is_died_at() {
    let died_at: BTreeSet<_> = [storefront::POINTS, loops::POINTS, workers::POINTS, money_back::POINTS]
        .concat()
        .concat()
        .into_iter()
        .collect();
    assert_eq!(died_at, crash::POINTS.iter().copied().collect());
}
