//! Rows and domain values: every SQL statement of the project, one module per table or per step of the purchase.
//!
//! Statements on the purchase's path take slices: what concurrent requests ask for at the same moment
//! becomes one transaction (see [`Batcher`]), which is what makes a popular product cheap.

mod batch;
mod pool;

pub use batch::{BatchError, Batcher};
pub use pool::{PoolSettings, connect};

/// The schema. Migrations only expand: the previous release keeps working while the next one starts.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");
