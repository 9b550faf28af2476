//! What every binary needs: settings, telemetry, serving with limits, health, problem+json.
//!
//! A service reads its [`settings`] once, starts [`telemetry`], builds a router, wraps it in
//! `layers::standard`, merges `health::routes` and hands it to `serve::run`.

pub mod limits;
pub mod problem;
pub mod settings;
pub mod telemetry;

pub use limits::Limits;
pub use problem::Problem;
pub use settings::{Env, Mode};
