//! The limits of an HTTP listener, for one client and for all together.

use std::time::Duration;

use crate::networks::Networks;
use crate::settings::Env;

/// More than any machine has files for.
const MOST: usize = 1_000_000;

/// The limits of one HTTP listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A request's head must be complete this long after its first byte: 5 s.
    pub header_timeout: Duration,
    /// A request's body must be complete this long after its head: 10 s.
    pub body_timeout: Duration,
    /// A connection may stay open this long without a request: 30 s.
    pub idle_timeout: Duration,
    /// Open connections; more wait in the kernel's backlog: 512.
    pub connections: usize,
    /// Open connections of one address; more are closed at once: 100.
    pub connections_per_address: usize,
    /// Whose `X-Forwarded-For` is believed, and whose connections are many clients': nobody's.
    pub trusted_proxies: Networks,
    /// Whom no limit by address applies to: this machine. If a proxy on it is not declared, all its clients look like one.
    pub unlimited: Networks,
    /// A request's head, in bytes: 16 KiB.
    pub header_bytes: u32,
    /// A request's body, in bytes, unless a route sets its own `DefaultBodyLimit`: 16 KiB.
    pub body_bytes: usize,
    /// Requests in work at once; more are answered 503: 256.
    pub in_flight: usize,
    /// How long a shutdown waits for requests in work: 8 s. Orchestrators kill after 10.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            connections: 512,
            connections_per_address: 100,
            trusted_proxies: Networks::default(),
            unlimited: Networks::loopback(),
            header_bytes: 16 * 1024,
            body_bytes: 16 * 1024,
            in_flight: 256,
            drain: Duration::from_secs(8),
        }
    }
}

impl Limits {
    /// Nothing that begins now breaks a limit on time any earlier.
    pub(crate) fn shortest_wait(&self) -> Duration {
        self.header_timeout.min(self.idle_timeout)
    }

    /// Reads the limits that depend on the machine and its orchestrator.
    pub fn read(env: &mut Env) -> Self {
        let default = Self::default();
        Self {
            connections: env.within(
                "HTTP_CONNECTIONS",
                default.connections,
                1..=MOST,
                "open connections per listener; more wait to be accepted",
            ),
            connections_per_address: env.within(
                "HTTP_CONNECTIONS_PER_ADDRESS",
                default.connections_per_address,
                1..=MOST,
                "open connections of one address per listener; more are closed immediately",
            ),
            trusted_proxies: env.or(
                "TRUSTED_PROXIES",
                default.trusted_proxies,
                "addresses of your own reverse proxies; X-Forwarded-For is believed from these only",
            ),
            unlimited: env.or(
                "UNLIMITED_ADDRESSES",
                default.unlimited,
                "addresses that are exempt from the limits by address",
            ),
            in_flight: env.within(
                "HTTP_IN_FLIGHT",
                default.in_flight,
                2..=MOST,
                "requests that a service works on at a time; more are answered 503",
            ),
            drain: env.or("HTTP_DRAIN", default.drain, "how long a shutdown waits for requests to finish"),
            ..default
        }
    }
}
