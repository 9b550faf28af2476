//! What the push provider took, against the attempts on record. Only a sandbox shows what it took.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::EventId;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Offender, Violation};

/// Name and statement of what [`audit_phones`] checks. FCM knows no idempotency key: an answer that is lost may be one more.
pub const PHONES: [(&str, &str); 2] = [
    ("phones_told", "FCM took no notification that is not on record as sent or possibly sent"),
    ("phones_reached", "FCM took every notification that is on record as sent"),
];

/// Compares attempts with the notifications that FCM took, each by its event: `before` was read before the attempts are, and
/// is what they must explain; `after` is asked for afterwards, and must explain them. `since` leaves out attempts that
/// the sandbox may have forgotten.
pub async fn audit_phones<E>(
    db: &PgPool,
    before: &[EventId],
    since: Option<DateTime<Utc>>,
    after: impl AsyncFnOnce() -> Result<Vec<EventId>, E>,
) -> Result<Vec<Violation>, E>
where
    E: From<sqlx::Error>,
{
    let (before, events): (_, Vec<Uuid>) = (count(before), before.iter().map(|event| event.uuid()).collect());
    let rows = sqlx::query!(
        r#"
        SELECT event_id, count(*) FILTER (WHERE status = 'sent' AND at >= coalesce($2, at)) AS "sent!",
            count(*) FILTER (WHERE status = 'sent') + sum(unknowns) AS "at_most!"
        FROM push_attempts WHERE event_id = ANY($1) OR at >= coalesce($2, at) GROUP BY event_id
        "#,
        &events,
        since
    )
    .fetch_all(db)
    .await?;
    let after = count(&after().await?);
    let on_record: HashMap<EventId, i64> = rows.iter().map(|row| (row.event_id.into(), row.at_most)).collect();
    let unexplained = before.iter().filter_map(|(event, taken)| {
        let at_most = on_record.get(event).copied().unwrap_or_default();
        let detail = format!("FCM took {taken}, at most {at_most} by the record");
        (*taken > at_most).then(|| Offender { subject: event.to_string(), detail })
    });
    let missing = rows.iter().filter_map(|row| {
        let (event, sent) = (EventId::from(row.event_id), row.sent);
        let taken = after.get(&event).copied().unwrap_or_default();
        let detail = format!("{sent} sent by the record, FCM took {taken}");
        (sent > taken).then(|| Offender { subject: event.to_string(), detail })
    });
    let [told, reached] = PHONES;
    Ok([Violation::of(told, unexplained.collect()), Violation::of(reached, missing.collect())]
        .into_iter()
        .flatten()
        .collect())
}

fn count(events: &[EventId]) -> HashMap<EventId, i64> {
    events.iter().fold(HashMap::new(), |mut counts, event| {
        *counts.entry(*event).or_default() += 1;
        counts
    })
}
