//! What a point does in a process that a test has started.

use std::env;
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// What the environment says is to happen.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    point: &'static str,
    /// At the how manieth time.
    hit: u32,
    signal: Signal,
}

static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| {
    let text = env::var("CRASH").ok()?;
    Some(text.parse().unwrap_or_else(|why| panic!("CRASH={text}: {why}")))
});

impl FromStr for Plan {
    type Err = &'static str;

    /// `name@hit:kill` or `name@hit:freeze`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (point, rest) = text.split_once('@').ok_or("expected name@hit:kill or name@hit:freeze")?;
        let (hit, action) = rest.split_once(':').ok_or("kill, or freeze?")?;
        Ok(Self {
            point: super::POINTS.iter().find(|listed| **listed == point).ok_or("there is no such point")?,
            hit: hit.parse().map_err(|_| "at which hit?")?,
            signal: match action {
                "kill" => Signal::KILL,
                "freeze" => Signal::STOP,
                _ => return Err("kill, or freeze?"),
            },
        })
    }
}

/// Called by every point.
pub fn reach(name: &str) {
    static HITS: AtomicU32 = AtomicU32::new(0);
    let Some(plan) = PLAN.as_ref().filter(|plan| plan.point == name) else { return };
    if HITS.fetch_add(1, Ordering::Relaxed) + 1 == plan.hit {
        if let Err(error) = kill_process(getpid(), plan.signal) {
            panic!("cannot send {:?} to myself: {error}", plan.signal);
        }
        // The kernel stops one thread after the other; this one must not get any further meanwhile.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a point is in the list. A loop over bytes, because that is what a constant can be made of.
pub const fn is_listed(name: &str) -> bool {
    let mut i = 0;
    while i < super::POINTS.len() {
        if same(super::POINTS[i].as_bytes(), name.as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_a_point_a_hit_and_an_action() {
        let plan = Plan { point: "cf.claim.after_commit", hit: 2, signal: Signal::KILL };
        assert_eq!("cf.claim.after_commit@2:kill".parse(), Ok(plan));
        for bad in
            ["", "cf.claim.after_commit", "cf.claim.after_commit@1", "nowhere@1:kill", "cf.claim.after_commit@x:kill"]
        {
            assert!(bad.parse::<Plan>().is_err(), "{bad}");
        }
        assert!(is_listed("ob.mark.after_commit") && !is_listed("ob.mark.after_commi"));
    }
}
