//! What processes cost.

use std::fs;
use std::time::Duration;

/// The kernel's unit of CPU time.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process and all below it, living or waited for.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(4);
    let ticks: u32 = fields.filter_map(|field| field.parse::<u32>().ok()).sum();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let below: Duration = children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(cpu_time).sum();
    TICK * ticks + below
}
