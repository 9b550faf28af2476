//! A private PostgreSQL: one server of our own for development, one database of its own for each test.
//!
//! The server programs come from the distribution; nothing is downloaded. A [`Cluster`] listens on
//! 127.0.0.1 only, never runs as root, and ends with the process that started it, even if that is killed.

mod account;
mod cluster;
mod fresh;
mod postmaster;
mod programs;

pub use account::can_hold_a_cluster;
pub use cluster::{Cluster, ClusterSettings, StartError};
pub use fresh::{fresh, fresh_url, fresh_with};
