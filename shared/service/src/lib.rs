//! What every binary needs: settings, telemetry, serving with limits, health, problem+json.
//!
//! A service reads its [`settings`] once, starts [`telemetry`], builds a router, wraps it in
//! [`layers::standard`], merges [`health::routes`] and hands it to [`serve::run`].

pub mod health;
pub mod layers;
pub mod serve;
pub mod settings;
pub mod telemetry;

mod connection;
mod extract;
mod json;
mod limits;
mod networks;
mod places;
mod problem;
mod rate;
mod start;
mod streams;
mod trace_parent;

pub use extract::{ApiBytes, ApiForm, ApiJson, ApiPath, ApiQuery, limit_body, says_json};
pub use limits::Limits;
pub use networks::{Networks, client_address, household};
pub use problem::Problem;
pub use rate::{Rate, RateLimiter};
pub use settings::{Env, Mode, Setting, keeps_secrets};
pub use start::{StartError, describe, start};
pub use streams::{Lasting, StreamPlace, Streams};
pub use trace_parent::{InvalidTraceParent, TraceParent};
