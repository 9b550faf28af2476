//! A payment's rows, read into the domain's words.

use chrono::{DateTime, Utc};
use domain::{
    Approval, Attempt, Decline, DeclineKind, Deposit, Order, Payment, PaymentId, PaymentState, Refund, RefundOrigin,
    RefundState, Won,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Known;
use crate::orders::{StateColumns, state};
use crate::refunds::account;
use crate::{decode, decode_text};

/// The columns that say what is on record about a payment.
pub(crate) struct KnownRow {
    pub(crate) id: Uuid,
    pub(crate) attempt: i16,
    pub(crate) payment_key: String,
    pub(crate) payment_type: String,
    pub(crate) amount: i64,
    pub(crate) payment_status: String,
    pub(crate) asked_at: DateTime<Utc>,
    pub(crate) approved_at: Option<DateTime<Utc>>,
    pub(crate) decline_code: Option<String>,
    pub(crate) decline_message: Option<String>,
    pub(crate) decline_kind: Option<String>,
    pub(crate) checks: i16,
    pub(crate) version: i32,
    pub(crate) traceparent: Option<String>,
    pub(crate) deposit_bank: Option<String>,
    pub(crate) deposit_account: Option<String>,
    pub(crate) deposit_due_at: Option<DateTime<Utc>>,
    pub(crate) order_id: Uuid,
    pub(crate) customer_id: Uuid,
    pub(crate) name: String,
    pub(crate) order_status: String,
    pub(crate) attempts: i16,
    pub(crate) paid_at: Option<DateTime<Utc>>,
    pub(crate) refunded_amount: i64,
    /// The payment that the order stands on, which need not be this one.
    pub(crate) holder: Option<Uuid>,
    pub(crate) order_due_at: Option<DateTime<Utc>>,
    pub(crate) at: DateTime<Utc>,
}

pub(super) async fn read(connection: &mut PgConnection, id: PaymentId) -> sqlx::Result<Option<Known>> {
    let row = sqlx::query_as!(
        KnownRow,
        r#"
        SELECT p.id, p.attempt, p.payment_key, p.payment_type, p.amount, p.status AS payment_status, p.asked_at, p.approved_at,
            p.decline_code, p.decline_message, p.decline_kind, p.checks, p.version, p.traceparent, p.deposit_bank, p.deposit_account, p.deposit_due_at,
            o.id AS order_id, o.customer_id, o.name, o.status AS order_status, o.attempts, o.paid_at, o.refunded_amount,
            h.id AS "holder?", h.deposit_due_at AS order_due_at, now() AS "at!"
        FROM payments p JOIN orders o ON o.id = p.order_id
        LEFT JOIN payments h ON h.order_id = o.id AND h.payment_key = o.payment_key
        WHERE p.id = $1
        "#,
        id.uuid()
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut known = Known::try_from(row)?;
    known.attempt.refunds = refunds(connection, id).await?;
    Ok(Some(known))
}

async fn refunds(connection: &mut PgConnection, payment: PaymentId) -> sqlx::Result<Vec<Refund>> {
    let rows = sqlx::query!(
        "
        SELECT id, order_id, amount, refundable, reason, origin, restock, account_bank, account_number, account_holder, status,
            transaction_key, done_at, failure_code, failure_message
        FROM refunds WHERE payment_id = $1 ORDER BY created_at, id
        ",
        payment.uuid()
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = match (row.status.as_str(), row.transaction_key, row.done_at, row.failure_code) {
                ("requested", ..) => RefundState::Requested,
                ("done", Some(transaction_key), Some(at), _) => RefundState::Done { transaction_key, at },
                ("failed", _, _, Some(code)) => {
                    RefundState::Failed(Decline::by_provider(code, row.failure_message.unwrap_or_default()))
                }
                (status, ..) => return Err(decode_text(format!("a {status} refund lacks a column of its state"))),
            };
            Ok(Refund {
                id: row.id.into(),
                order: row.order_id.into(),
                payment,
                amount: decode(Won::new(row.amount))?,
                refundable: decode(Won::new(row.refundable))?,
                reason: row.reason,
                origin: RefundOrigin::parse(&row.origin).ok_or_else(|| decode_text(row.origin))?,
                restock: row.restock,
                account: account(row.account_bank, row.account_number, row.account_holder),
                state,
            })
        })
        .collect()
}

/// Without its refunds: a payment that is open has none.
impl TryFrom<KnownRow> for Known {
    type Error = sqlx::Error;
    fn try_from(row: KnownRow) -> sqlx::Result<Self> {
        let id = PaymentId::from(row.id);
        let amount = decode(Won::new(row.amount))?;
        let order_state = state(&StateColumns {
            status: &row.order_status,
            payment: row.holder.map(PaymentId::from),
            paid_at: row.paid_at,
            due_at: row.order_due_at,
            refunded: row.refunded_amount,
        })?;
        let approval = row.approved_at.map(|approved_at| Approval { approved_at, method: None, receipt_url: None });
        let state = match (row.payment_status.as_str(), row.deposit_due_at, approval, row.decline_code) {
            ("confirming", ..) => PaymentState::Confirming,
            ("awaiting_deposit", Some(due_at), ..) => PaymentState::AwaitingDeposit(Deposit {
                bank: row.deposit_bank.unwrap_or_default(),
                account: row.deposit_account.unwrap_or_default(),
                due_at,
                secret: None,         // compared in the database when a webhook repeats it
                refund_account: None, // taken from the row by the refund that needs it
            }),
            ("done", _, Some(approval), _) => PaymentState::Done(approval),
            ("excess", _, Some(approval), _) => PaymentState::Excess(approval),
            ("declined", _, _, Some(code)) => PaymentState::Declined(Decline {
                code,
                message: row.decline_message.unwrap_or_default(),
                kind: row.decline_kind.as_deref().and_then(DeclineKind::parse).unwrap_or_default(),
            }),
            ("canceled", ..) => PaymentState::Canceled,
            (status, ..) => return Err(decode_text(format!("a {status} payment lacks a column of its state"))),
        };
        Ok(Self {
            attempt: Attempt {
                order: Order {
                    id: row.order_id.into(),
                    customer: row.customer_id.into(),
                    name: row.name,
                    amount, // an attempt is always for the order's frozen amount
                    attempts: row.attempts,
                    state: order_state,
                },
                payment: Payment {
                    id,
                    order: row.order_id.into(),
                    attempt: row.attempt,
                    key: decode(row.payment_key.try_into())?,
                    amount,
                    payment_type: row.payment_type,
                    asked_at: row.asked_at,
                    state,
                },
                refunds: Vec::new(),
                version: row.version,
            },
            traceparent: row.traceparent,
            at: row.at,
            checks: row.checks,
        })
    }
}
