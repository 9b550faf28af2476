//! The daily statement: yesterday's list of transactions at Toss against our book.

use std::sync::Arc;

use database::statements;
use domain::{Day, Statement};
use sqlx::PgPool;
use toss::Toss;
use tracing::{error, info, warn};

/// At this hour in Korea the day before is compared: late enough for whatever happened around midnight to be on record.
const HOUR: i32 = 6;

/// Compares the days that nobody has compared yet.
#[derive(Clone)]
pub struct Statements {
    db: PgPool,
    toss: Arc<Toss>,
}

impl Statements {
    /// Of all processes that do this, one compares each day.
    pub fn new(db: PgPool, toss: Arc<Toss>) -> Self {
        Self { db, toss }
    }

    /// Compares a day, if there is one to compare. A day that Toss does not list comes again.
    pub async fn step(&self) -> sqlx::Result<Option<Statement>> {
        let Some(day) = statements::claim(&self.db, HOUR).await? else { return Ok(None) };
        let Day(date) = day;
        let theirs = match self.toss.movements(day.with_margin()).await {
            Ok(theirs) => theirs,
            Err(unanswered) => {
                let cause = &unanswered as &dyn std::error::Error;
                warn!(cause, "Toss gives no list of {date}; asking again later");
                return Ok(None);
            }
        };
        let statement = statements::compare(&self.db, day, &theirs, None).await?;
        statements::record(&self.db, day, &statement).await?;
        let Statement { ours, theirs, ref differences, .. } = statement;
        match differences.len() {
            0 => info!(ours, theirs, "The statement of {date} agrees with our book"),
            count => error!(ours, theirs, count, "The statement of {date} differs from our book in {count} payments"),
        }
        Ok(Some(statement))
    }
}
