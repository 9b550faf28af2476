//! What Toss's error codes mean for the money.
//!
//! Only codes that certainly moved no money are listed. Every other code, known or new, leaves the
//! outcome open: Toss says `PROVIDER_ERROR` with HTTP 400 for a payment that may have gone through.

use domain::DeclineKind;

/// Whose turn it is after this answer to a confirm; `None` when the money may have been taken.
pub(crate) fn confirm(code: &str) -> Option<DeclineKind> {
    match code {
        // Another card, another account, another password.
        "BELOW_MINIMUM_AMOUNT"
        | "EXCEEDS_TRANSFER_AMOUNT_MAXIMUM"
        | "EXCEED_MAX_AMOUNT"
        | "EXCEED_MAX_AUTH_COUNT"
        | "EXCEED_MAX_CARD_INSTALLMENT_PLAN"
        | "EXCEED_MAX_DAILY_PAYMENT_COUNT"
        | "EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT"
        | "EXCEED_MAX_ONE_DAY_AMOUNT"
        | "EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT"
        | "EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT"
        | "EXCEED_MAX_PAYMENT_AMOUNT"
        | "FDS_ERROR"
        | "INVALID_ACCOUNT_INFO_RE_REGISTER"
        | "INVALID_AUTHORIZE_AUTH"
        | "INVALID_CARD_EXPIRATION"
        | "INVALID_CARD_INSTALLMENT_PLAN"
        | "INVALID_CARD_LOST_OR_STOLEN"
        | "INVALID_CARD_NUMBER"
        | "INVALID_PASSWORD"
        | "INVALID_REJECT_CARD"
        | "INVALID_STOPPED_CARD"
        | "NOT_ALLOWED_POINT_USE"
        | "NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT"
        | "NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN"
        | "REJECT_ACCOUNT_PAYMENT"
        | "REJECT_CARD_COMPANY"
        | "REJECT_CARD_PAYMENT"
        | "REJECT_TOSSPAY_INVALID_ACCOUNT" => Some(DeclineKind::Buyer),
        // Another hour: bank hours, maintenance, an account registered today.
        "MAINTAINED_METHOD" | "NOT_AVAILABLE_BANK" | "NOT_AVAILABLE_PAYMENT" | "RESTRICTED_TRANSFER_ACCOUNT" => {
            Some(DeclineKind::Buyer)
        }
        "INVALID_UNREGISTERED_SUBMALL" | "NOT_FOUND_TERMINAL_ID" | "NOT_REGISTERED_BUSINESS" => {
            Some(DeclineKind::Configuration)
        }
        _ => refused_at_the_door(code),
    }
}

/// Whether this answer to a confirm, which does not tell what became of the payment, says at least that the request
/// was not carried out and will not be: Toss stores its answer and gives it to whoever comes with the same key. Left out
/// is what it says of a payment that may have been carried out, of one it is at work on, and of requests it wants again.
pub(crate) fn turned_away(status: u16, code: &str) -> bool {
    matches!(status, 400 | 401 | 403 | 404)
        && !matches!(
            code,
            "ALREADY_PROCESSED_PAYMENT"
                | "ALREADY_PROCESSING_REQUEST"
                | "CARD_PROCESSING_ERROR"
                | "DUPLICATED_ORDER_ID"
                | "FORBIDDEN_CONSECUTIVE_REQUEST"
                | "IDEMPOTENT_REQUEST_PROCESSING"
                | "PROVIDER_ERROR"
        )
}

/// Whose turn it is after this answer to a cancel; `None` when the money may have gone back.
///
/// `NOT_MATCHES_REFUNDABLE_AMOUNT` and `NOT_CANCELABLE_AMOUNT` are absent although nothing was executed: the
/// balance is not what we thought, so somebody else's refund, or an earlier try of this one, came first.
pub(crate) fn cancel(code: &str) -> Option<DeclineKind> {
    match code {
        "EXCEED_CANCEL_AMOUNT_DISCOUNT_AMOUNT"
        | "EXCEED_CANCEL_LIMIT"
        | "EXCEED_MAX_REFUND_DUE"
        | "FORBIDDEN_BANK_REFUND_REQUEST"
        | "INVALID_BANK"
        | "INVALID_REFUND_ACCOUNT_INFO"
        | "INVALID_REFUND_ACCOUNT_NUMBER"
        | "NOT_ALLOWED_PARTIAL_REFUND"
        | "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT"
        | "NOT_CANCELABLE_PAYMENT"
        | "NOT_CANCELABLE_PAYMENT_FOR_DORMANT_USER"
        | "REFUND_REJECTED" => Some(DeclineKind::Buyer),
        // Bank hours.
        "NOT_AVAILABLE_BANK" => Some(DeclineKind::Later),
        _ => refused_at_the_door(code),
    }
}

/// Keys and permissions are checked before anything is executed. That speaks for the request it answers and not
/// for an earlier one, which is why a payment is queried before it is confirmed again.
fn refused_at_the_door(code: &str) -> Option<DeclineKind> {
    match code {
        "FORBIDDEN_REQUEST" | "INCORRECT_BASIC_AUTH_FORMAT" | "INVALID_API_KEY" | "UNAUTHORIZED_KEY" => {
            Some(DeclineKind::Configuration)
        }
        _ => None,
    }
}

/// Whether this answer to a query, with HTTP 404, says that Toss does not know the payment.
pub(crate) fn not_found(code: &str) -> bool {
    matches!(code, "NOT_FOUND_PAYMENT" | "NOT_FOUND")
}
