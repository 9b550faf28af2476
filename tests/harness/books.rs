//! The books of a shop, against themselves and against the sandbox's.

use database::verify::{self, BookEntry, Violation};
use domain::PaymentGateway;
use messaging::topology::SUBSCRIPTIONS;
use sandbox::Sandbox;
use sqlx::PgPool;

/// What does not add up in a shop at rest: every invariant, and the provider's book.
///
/// # Errors
/// When the database does not answer.
pub async fn violations(db: &PgPool, sandbox: &Sandbox, gateway: &dyn PaymentGateway) -> sqlx::Result<Vec<Violation>> {
    let entry = |it: sandbox::Entry| BookEntry { order_id: it.order_id, payment_key: it.payment_key, kept: it.kept };
    let book: Vec<BookEntry> = sandbox.payments(None).into_iter().map(entry).collect();
    let mut violations = unsettled(db).await?;
    violations.extend(verify::audit_provider(db, gateway, None).await?.violations);
    violations.extend(verify::unknown_money(db, &book).await?);
    Ok(violations)
}

/// What does not add up in a shop at rest, by its own books alone.
///
/// # Errors
/// When the database does not answer.
pub async fn unsettled(db: &PgPool) -> sqlx::Result<Vec<Violation>> {
    verify::check(db, verify::always().iter().chain(verify::drained()), &consumers()).await
}

/// What does not add up at this moment, in the midst of everything.
///
/// # Errors
/// When the database does not answer.
pub async fn violations_now(db: &PgPool) -> sqlx::Result<Vec<Violation>> {
    verify::check(db, verify::always(), &consumers()).await
}

/// Who must have acted upon which events: pairs of topic and subscription.
fn consumers() -> Vec<(&'static str, &'static str)> {
    SUBSCRIPTIONS.iter().map(|it| (it.topic, it.name)).collect()
}
