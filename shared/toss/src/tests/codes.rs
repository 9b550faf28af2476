//! Every error code on Toss's pages, with the HTTP status it comes with.

use domain::{CancelAnswer, DeclineKind, Evidence, PaymentGateway, Unanswered};

use super::{FakeToss, error, payment, refund, unanswered};

const BUYER: Option<DeclineKind> = Some(DeclineKind::Buyer);
const CONFIGURATION: Option<DeclineKind> = Some(DeclineKind::Configuration);

/// Every code of Toss's page on confirm, and what is done about it.
const CONFIRM_CODES: &[(u16, &str, Option<DeclineKind>)] = &[
    (400, "ALREADY_PROCESSED_PAYMENT", None),
    (400, "PROVIDER_ERROR", None),
    (400, "CARD_PROCESSING_ERROR", None),
    (400, "INVALID_REQUEST", None),
    (400, "INVALID_API_KEY", CONFIGURATION),
    (400, "EXCEED_MAX_CARD_INSTALLMENT_PLAN", BUYER),
    (400, "NOT_ALLOWED_POINT_USE", BUYER),
    (400, "INVALID_REJECT_CARD", BUYER),
    (400, "BELOW_MINIMUM_AMOUNT", BUYER),
    (400, "INVALID_CARD_EXPIRATION", BUYER),
    (400, "INVALID_STOPPED_CARD", BUYER),
    (400, "INVALID_CARD_LOST_OR_STOLEN", BUYER),
    (400, "INVALID_CARD_NUMBER", BUYER),
    (400, "EXCEED_MAX_AMOUNT", BUYER),
    (400, "EXCEED_MAX_DAILY_PAYMENT_COUNT", BUYER),
    (400, "EXCEED_MAX_PAYMENT_AMOUNT", BUYER),
    (400, "EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT", BUYER),
    (400, "EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT", BUYER),
    (400, "EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT", BUYER),
    (400, "EXCEEDS_TRANSFER_AMOUNT_MAXIMUM", BUYER),
    (400, "NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT", BUYER),
    (400, "INVALID_CARD_INSTALLMENT_PLAN", BUYER),
    (400, "NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN", BUYER),
    (400, "NOT_FOUND_TERMINAL_ID", CONFIGURATION),
    (400, "INVALID_AUTHORIZE_AUTH", BUYER),
    (400, "RESTRICTED_TRANSFER_ACCOUNT", BUYER),
    (400, "INVALID_UNREGISTERED_SUBMALL", CONFIGURATION),
    (400, "NOT_REGISTERED_BUSINESS", CONFIGURATION),
    (400, "INVALID_ACCOUNT_INFO_RE_REGISTER", BUYER),
    (400, "NOT_AVAILABLE_PAYMENT", BUYER),
    (400, "MAINTAINED_METHOD", BUYER),
    (400, "UNAPPROVED_ORDER_ID", None),
    (400, "DUPLICATED_ORDER_ID", None),
    (400, "INVALID_PAYMENT_KEY", None),
    (400, "INVALID_IDEMPOTENCY_KEY", None),
    (401, "UNAUTHORIZED_KEY", CONFIGURATION),
    (403, "REJECT_CARD_PAYMENT", BUYER),
    (403, "REJECT_ACCOUNT_PAYMENT", BUYER),
    (403, "REJECT_CARD_COMPANY", BUYER),
    (403, "REJECT_TOSSPAY_INVALID_ACCOUNT", BUYER),
    (403, "EXCEED_MAX_AUTH_COUNT", BUYER),
    (403, "EXCEED_MAX_ONE_DAY_AMOUNT", BUYER),
    (403, "INVALID_PASSWORD", BUYER),
    (403, "FDS_ERROR", BUYER),
    (403, "NOT_AVAILABLE_BANK", BUYER),
    (403, "FORBIDDEN_REQUEST", CONFIGURATION),
    (403, "INCORRECT_BASIC_AUTH_FORMAT", CONFIGURATION),
    (404, "NOT_FOUND_PAYMENT", None),
    (404, "NOT_FOUND_PAYMENT_SESSION", None),
    (409, "IDEMPOTENT_REQUEST_PROCESSING", None),
    (429, "TOO_MANY_REQUESTS", None),
    (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", None),
    (500, "FAILED_INTERNAL_SYSTEM_PROCESSING", None),
    (500, "UNKNOWN_PAYMENT_ERROR", None),
    (500, "COMMON_ERROR", None),
    (400, "A_CODE_OF_NEXT_YEAR", None),
    (400, "ALREADY_CANCELED_PAYMENT", None),
    // The code decides, not the status: this one came through a gateway that has its own idea.
    (502, "REJECT_CARD_PAYMENT", BUYER),
];

/// Those of them that say that this request, at least, was not carried out.
const TURNED_AWAY: &[&str] = &[
    "INVALID_REQUEST",
    "UNAPPROVED_ORDER_ID",
    "INVALID_PAYMENT_KEY",
    "INVALID_IDEMPOTENCY_KEY",
    "NOT_FOUND_PAYMENT",
    "NOT_FOUND_PAYMENT_SESSION",
    "A_CODE_OF_NEXT_YEAR",
    "ALREADY_CANCELED_PAYMENT",
];

#[tokio::test]
async fn every_code_at_confirm_is_a_refusal_or_an_open_question() {
    let fake = FakeToss::open().await;
    for (status, code, expected) in CONFIRM_CODES {
        let answer = fake.says(*status, error(code)).confirm(&payment()).await;
        let Some(kind) = expected else {
            let refused = matches!(answer, Err(Unanswered::Refused { .. }));
            assert_eq!(refused, TURNED_AWAY.contains(code), "{code}");
            assert_eq!(unanswered(answer), (*status, (*code).to_owned()));
            continue;
        };
        let Ok(Evidence::Declined(decline)) = answer else { panic!("{code}: {answer:?}") };
        assert_eq!((decline.code.as_str(), decline.kind), (*code, *kind));
        assert_eq!(decline.message, "한도초과 혹은 잔액부족으로 결제에 실패했습니다.");
    }
}

/// Every code of Toss's page on cancel.
const CANCEL_CODES: &[(u16, &str, Option<DeclineKind>)] = &[
    (400, "ALREADY_CANCELED_PAYMENT", None),
    (400, "ALREADY_REFUND_PAYMENT", None),
    (400, "NOT_MATCHES_REFUNDABLE_AMOUNT", None),
    (400, "INVALID_REFUND_ACCOUNT_INFO", BUYER),
    (400, "INVALID_REFUND_ACCOUNT_NUMBER", BUYER),
    (400, "INVALID_BANK", BUYER),
    (400, "FORBIDDEN_BANK_REFUND_REQUEST", BUYER),
    (400, "EXCEED_CANCEL_AMOUNT_DISCOUNT_AMOUNT", BUYER),
    (400, "REFUND_REJECTED", BUYER),
    (400, "INVALID_REQUEST", None),
    (400, "PROVIDER_ERROR", None),
    (401, "UNAUTHORIZED_KEY", CONFIGURATION),
    (403, "NOT_CANCELABLE_AMOUNT", None),
    (403, "NOT_CANCELABLE_PAYMENT", BUYER),
    (403, "NOT_ALLOWED_PARTIAL_REFUND", BUYER),
    (403, "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT", BUYER),
    (403, "EXCEED_MAX_REFUND_DUE", BUYER),
    (403, "NOT_CANCELABLE_PAYMENT_FOR_DORMANT_USER", BUYER),
    (403, "EXCEED_CANCEL_LIMIT", BUYER),
    (403, "FORBIDDEN_CONSECUTIVE_REQUEST", None),
    (403, "NOT_AVAILABLE_BANK", Some(DeclineKind::Later)),
    (403, "FORBIDDEN_REQUEST", CONFIGURATION),
    (403, "INCORRECT_BASIC_AUTH_FORMAT", CONFIGURATION),
    (404, "NOT_FOUND_PAYMENT", None),
    (409, "IDEMPOTENT_REQUEST_PROCESSING", None),
    (500, "FAILED_REFUND_PROCESS", None),
    (500, "FAILED_METHOD_HANDLING_CANCEL", None),
    (500, "FAILED_PARTIAL_REFUND", None),
    (500, "COMMON_ERROR", None),
    (500, "FAILED_INTERNAL_SYSTEM_PROCESSING", None),
    (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING", None),
    (403, "REJECT_CARD_PAYMENT", None),
];

#[tokio::test]
async fn every_code_at_cancel_is_a_refusal_or_an_open_question() {
    let fake = FakeToss::open().await;
    for (status, code, expected) in CANCEL_CODES {
        let answer = fake.says(*status, error(code)).cancel(&refund()).await;
        let Some(kind) = expected else {
            assert_eq!(unanswered(answer), (*status, (*code).to_owned()));
            continue;
        };
        let Ok(CancelAnswer::Refused(decline)) = answer else { panic!("{code}: {answer:?}") };
        assert_eq!((decline.code.as_str(), decline.kind), (*code, *kind));
    }
}
