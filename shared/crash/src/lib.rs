//! Named points in the code at which a test lets a process die: `crash::point!("cf.claim.after_commit")`.
//!
//! A process that a test starts with `CRASH=cf.claim.after_commit@2:kill` ends itself with SIGKILL when it comes to that
//! point for the second time; with `:freeze` it stops, all threads of it, until somebody sends SIGCONT. Without the
//! feature `armed`, and in every build without debug assertions, a point expands to nothing.

/// Every point there is. The tests in `tests/it/crash_matrix` insist that each one has been died at.
///
/// `before_commit`: nothing is written yet. `after_commit`: it is written, and nobody has been told.
pub const POINTS: &[&str] = &[
    // An order is created.
    "co.create.before_commit",
    "co.create.after_commit",
    // A buyer comes back: stock is reserved, Toss is asked, the answer is written down.
    "cf.claim.before_commit",
    "cf.claim.after_commit",
    "cf.psp.after_reply",
    "cf.apply.before_commit",
    "cf.apply.after_commit",
    // Any call to Toss. `after_send`: Toss has done it, and only the head of its answer was read.
    "psp.before_send",
    "psp.after_send",
    // The reconciler holds payments that nobody else will ask about for a while.
    "rc.take.after_commit",
    // Money goes back, or is taken back: the refund is on record, Toss is asked, its answer is written down.
    "rf.claim.after_commit",
    "rf.psp.before_send",
    "rf.psp.after_accept",
    "rf.apply.before_commit",
    "rf.apply.after_commit",
    // A webhook is stored, and what became of it is written down.
    "wh.store.before_commit",
    "wh.store.after_commit",
    "wh.apply.before_commit",
    // The relay: outbox to message engine.
    "ob.claim.after_commit",
    "ob.publish.after_ack",
    "ob.mark.after_commit",
    // The embedded broker: message engine to workers.
    "bk.lease.after_commit",
    "bk.push.after_ack",
    "bk.conclude.after_commit",
    // The stock worker.
    "st.before_commit",
    "st.after_commit",
    // The push worker: a notification is planned, leased, taken by FCM, recorded.
    "pn.plan.before_commit",
    "pn.plan.after_commit",
    "pn.claim.after_commit",
    "pn.fcm.after_accept",
    "pn.mark.after_commit",
    // What no worker can take is stored.
    "dl.store.before_commit",
    "dl.store.after_commit",
];

/// Ends or stops the process here if its environment says so; see the crate's documentation.
#[cfg(all(feature = "armed", debug_assertions))]
#[macro_export]
macro_rules! point {
    ($name:literal) => {{
        const { assert!($crate::armed::is_listed($name), "this point is missing in crash::POINTS") };
        $crate::armed::reach($name);
    }};
}

/// No code at all: this build has no crash points.
#[cfg(not(all(feature = "armed", debug_assertions)))]
#[macro_export]
macro_rules! point {
    ($name:literal) => {{}};
}

#[cfg(all(feature = "armed", debug_assertions))]
#[doc(hidden)]
pub mod armed;
