//! The daily comparison with the provider's list of transactions: our side of it, and who does it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{Day, Movement, OnRecord, Statement};
use sqlx::PgPool;

/// How long a process has to compare a day, before another one tries.
const CLAIM_MINUTES: i32 = 10;

/// Days that are made up for after an outage.
const CATCH_UP: i32 = 7;

/// Takes a day that ended at least `hours` ago, in Korea, and that nobody has compared or is comparing: the oldest of the
/// last seven. The first one ever is yesterday.
pub async fn claim(db: &PgPool, hours: i32) -> sqlx::Result<Option<Day>> {
    let day = sqlx::query_scalar!(
        r#"
        INSERT INTO statements (day, claimed_until)
        SELECT day, now() + make_interval(mins => $2)
        FROM (SELECT (now() AT TIME ZONE 'Asia/Seoul' - make_interval(hours => $1))::date AS today) t,
            LATERAL (SELECT t.today - n AS day, n FROM generate_series(1, $3) AS n) d
        WHERE NOT EXISTS (SELECT FROM statements s WHERE s.day = d.day AND (s.compared_at IS NOT NULL OR s.claimed_until > now()))
            AND (n = 1 OR day > (SELECT min(day) FROM statements))
        ORDER BY day LIMIT 1
        -- Of two processes the second waits here, and finds the day claimed.
        ON CONFLICT (day) DO UPDATE SET claimed_until = excluded.claimed_until
            WHERE statements.compared_at IS NULL AND statements.claimed_until <= now()
        RETURNING day
        "#,
        hours,
        CLAIM_MINUTES,
        CATCH_UP
    )
    .fetch_optional(db)
    .await?;
    Ok(day.map(Day))
}

/// Writes the outcome down. The first one counts.
pub async fn record(db: &PgPool, Day(day): Day, statement: &Statement) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE statements SET compared_at = now(), ours = $2, theirs = $3, differences = $4 WHERE day = $1 AND compared_at IS NULL",
        day,
        statement.ours,
        statement.theirs,
        i32::try_from(statement.differences.len()).unwrap_or(i32::MAX)
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Compares a day with what the provider lists for it, its margin included. The list must have been read before: a
/// payment is on record before the provider is asked for money. `begun_since` leaves out payments that the provider
/// cannot know: a sandbox's memory ends with its process.
pub async fn compare(
    db: &PgPool,
    day: Day,
    theirs: &[Movement],
    begun_since: Option<DateTime<Utc>>,
) -> sqlx::Result<Statement> {
    let time = day.with_margin();
    let mut tx = db.begin().await?;
    // A day of payments is found by their block ranges, which only a bitmap scan can use.
    sqlx::query!("SELECT set_config('enable_bitmapscan', 'on', true)").fetch_one(&mut *tx).await?;
    let ours = sqlx::query!(
        r#"
        SELECT provider_order_id AS "order_id!", payment_key AS "payment_key!", amount AS "won!", approved_at AS "at!"
        FROM payments
        WHERE provider = 'toss' AND approved_at >= $1 AND approved_at < $2 AND asked_at >= coalesce($3, asked_at)
        UNION ALL
        SELECT p.provider_order_id, p.payment_key, -r.amount, r.done_at
        FROM refunds r JOIN payments p ON p.id = r.payment_id
        WHERE p.provider = 'toss' AND r.done_at >= $1 AND r.done_at < $2 AND p.asked_at >= coalesce($3, p.asked_at)
        "#,
        time.start,
        time.end,
        begun_since
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let ours: Vec<Movement> = ours
        .into_iter()
        .map(|it| Movement { order_id: it.order_id, payment_key: it.payment_key, won: it.won, at: it.at })
        .collect();
    let keys: Vec<&str> = theirs.iter().map(|it| it.payment_key.as_str()).collect();
    let known = sqlx::query!(
        r#"
        SELECT payment_key, status, deposit_due_at IS NOT NULL AND approved_at IS NULL AS "unpaid!"
        FROM payments WHERE provider = 'toss' AND payment_key = ANY($1)
        "#,
        &keys as &[&str]
    )
    .fetch_all(db)
    .await?;
    let on_record: HashMap<String, OnRecord> = known
        .into_iter()
        .map(|it| {
            let record = match (it.status.as_str(), it.unpaid) {
                ("confirming", _) => OnRecord::Confirming,
                (_, true) => OnRecord::Unpaid,
                (_, false) => OnRecord::Other,
            };
            (it.payment_key, record)
        })
        .collect();
    Ok(Statement::compare(day, &ours, theirs, &on_record))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    async fn days(db: &PgPool) -> Vec<NaiveDate> {
        sqlx::query_scalar("SELECT day FROM statements ORDER BY day").fetch_all(db).await.unwrap()
    }

    const NOTHING: Statement = Statement { ours: 0, theirs: 0, in_flight: 0, movements: 0, differences: Vec::new() };

    #[tokio::test]
    async fn of_two_processes_one_compares_and_a_dead_one_is_replaced() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let (one, other) = tokio::join!(claim(&db, 0), claim(&db, 0));
        let claims = [one.unwrap(), other.unwrap()];
        let day = claims.into_iter().flatten().next().unwrap();
        assert_eq!(claims.iter().flatten().count(), 1, "{claims:?}");
        assert_eq!(claim(&db, 0).await.unwrap(), None);
        sqlx::query("UPDATE statements SET claimed_until = now()").execute(&db).await.unwrap();
        assert_eq!(claim(&db, 0).await.unwrap(), Some(day), "it comes again");
        record(&db, day, &NOTHING).await.unwrap();
        sqlx::query("UPDATE statements SET claimed_until = now()").execute(&db).await.unwrap();
        assert_eq!(claim(&db, 0).await.unwrap(), None, "once a day");
    }

    #[tokio::test]
    async fn missed_days_are_made_up_for_oldest_first() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let Day(yesterday) = claim(&db, 0).await.unwrap().unwrap();
        record(&db, Day(yesterday), &NOTHING).await.unwrap();
        sqlx::query("UPDATE statements SET day = day - 3").execute(&db).await.unwrap();
        for ago in [2, 1, 0] {
            let expected = yesterday - chrono::TimeDelta::days(ago);
            assert_eq!(claim(&db, 0).await.unwrap(), Some(Day(expected)));
        }
        assert_eq!(claim(&db, 0).await.unwrap(), None);
        assert_eq!(days(&db).await.len(), 4);
    }

    #[tokio::test]
    async fn a_day_is_compared_only_some_hours_after_its_end() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let (Some(Day(early)), Some(Day(late))) = (claim(&db, 24).await.unwrap(), claim(&db, 0).await.unwrap()) else {
            panic!("two days to compare")
        };
        assert_eq!(late - early, chrono::TimeDelta::days(1));
    }
}
