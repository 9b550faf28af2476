//! `GET /v1/transactions`: every movement of money in a span of time, for the daily statement.

use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use domain::{Currency, Movement, Unanswered};
use serde::Deserialize;

use crate::Toss;
use crate::client::refusal;
use crate::payment::{name, time};

/// Toss asks for this much patience.
const PATIENCE: Duration = Duration::from_mins(1);

/// Transactions in one answer: a few hundred kilobytes of the 5,000 that Toss allows.
const PAGE: usize = 1_000;

/// The fields that matter. One payment has several of these, told apart by their own keys.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transaction {
    #[serde(rename = "transactionKey")]
    key: String,
    payment_key: String,
    order_id: String,
    status: String,
    #[serde(rename = "transactionAt")]
    at: String,
    currency: String,
    amount: serde_json::Number,
}

impl Toss {
    /// Everything that was taken and given back in that time, oldest first.
    ///
    /// # Errors
    /// [`Unanswered`] when Toss did not say, or listed what cannot be read. A list of a part would look like missing money.
    pub async fn movements(&self, within: Range<DateTime<Utc>>) -> Result<Vec<Movement>, Unanswered> {
        let mut movements = Vec::new();
        let mut after = None;
        loop {
            let page = self.page(&within, after.as_deref()).await?;
            let (full, last) = (page.len() == PAGE, page.last().map(|it| it.key.clone()));
            if full && last == after {
                return Err(unreadable("with the same page again"));
            }
            for transaction in page {
                movements.extend(transaction.movement().map_err(unreadable)?.filter(|it| within.contains(&it.at)));
            }
            if !full {
                return Ok(movements);
            }
            after = last;
        }
    }

    async fn page(&self, within: &Range<DateTime<Utc>>, after: Option<&str>) -> Result<Vec<Transaction>, Unanswered> {
        // Its last second is part of the span, to its end.
        let (start, end) = (in_korea(within.start), in_korea(within.end - TimeDelta::seconds(1)));
        let mut request = self.http.get(&self.transactions).timeout(PATIENCE);
        request = request.query(&[("startDate", start), ("endDate", end), ("limit", PAGE.to_string())]);
        if let Some(after) = after {
            request = request.query(&[("startingAfter", after)]);
        }
        match self.send(request).await? {
            (200, body) => serde_json::from_slice(&body).map_err(|_| unreadable("with an unreadable list")),
            (status, body) => Err(refusal(status, &body)?.inconclusive(status)),
        }
    }
}

impl Transaction {
    /// `None`: no money moved.
    fn movement(self) -> Result<Option<Movement>, &'static str> {
        let amount = self.amount.as_i64().or_else(|| self.amount.as_f64().and_then(|it| it.to_string().parse().ok()));
        let amount = amount.filter(|_| self.currency == Currency::Krw.code()).ok_or("with something else than won")?;
        let won = match self.status.as_str() {
            // Listed with a sum of its own, whichever sign it has.
            "CANCELED" | "PARTIAL_CANCELED" => -amount.abs(),
            // A virtual account that was issued is listed with no sum. Whatever else is new counts: it must be explained.
            _ => amount,
        };
        Ok((won != 0).then_some(Movement {
            order_id: name(&self.order_id),
            payment_key: name(&self.payment_key),
            won,
            at: time(&self.at)?,
        }))
    }
}

fn unreadable(what: &str) -> Unanswered {
    Unanswered::Inconclusive { status: 200, code: what.into() }
}

/// Toss takes local time.
fn in_korea(at: DateTime<Utc>) -> String {
    const KOREA: Option<FixedOffset> = FixedOffset::east_opt(9 * 60 * 60);
    let local = KOREA.map_or(at.naive_utc(), |it| at.with_timezone(&it).naive_local());
    local.format("%Y-%m-%dT%H:%M:%S").to_string()
}
