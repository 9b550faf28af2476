//! Toss's error codes, payment methods and banks, in words for buyers. Source: Toss's error tables and lists of banks.

/// Why a payment was refused, as a key of the catalogues.
pub(super) fn refusal(code: &str) -> &'static str {
    match code {
        "REJECT_CARD_PAYMENT"
        | "REJECT_ACCOUNT_PAYMENT"
        | "EXCEED_MAX_AMOUNT"
        | "EXCEED_MAX_PAYMENT_AMOUNT"
        | "EXCEED_MAX_ONE_DAY_AMOUNT"
        | "EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT"
        | "EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT"
        | "EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT"
        | "EXCEEDS_TRANSFER_AMOUNT_MAXIMUM" => "refused-limit",
        "EXCEED_MAX_DAILY_PAYMENT_COUNT" => "refused-count",
        "BELOW_MINIMUM_AMOUNT" => "refused-small",
        "INVALID_STOPPED_CARD" | "INVALID_CARD_LOST_OR_STOLEN" => "refused-stopped",
        "INVALID_CARD_EXPIRATION" | "INVALID_CARD_NUMBER" => "refused-details",
        "INVALID_PASSWORD" | "EXCEED_MAX_AUTH_COUNT" | "INVALID_AUTHORIZE_AUTH" => "refused-password",
        "EXCEED_MAX_CARD_INSTALLMENT_PLAN"
        | "INVALID_CARD_INSTALLMENT_PLAN"
        | "NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT"
        | "NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN" => "refused-installments",
        "NOT_ALLOWED_POINT_USE" => "refused-points",
        "INVALID_ACCOUNT_INFO_RE_REGISTER" | "REJECT_TOSSPAY_INVALID_ACCOUNT" => "refused-account",
        "MAINTAINED_METHOD" | "NOT_AVAILABLE_BANK" | "NOT_AVAILABLE_PAYMENT" | "RESTRICTED_TRANSFER_ACCOUNT" => {
            "refused-hours"
        }
        "EXPIRED" | "EXPIRED_PAYMENT" | "NOT_FOUND_PAYMENT_SESSION" => "refused-late",
        "REJECT_CARD_COMPANY" | "INVALID_REJECT_CARD" | "FDS_ERROR" => "refused-company",
        _ => "refused-other",
    }
}

/// How it was paid, if that is a way we have a word for.
pub(super) fn method(name: &str) -> Option<&'static str> {
    Some(match name {
        "카드" => "method-card",
        "가상계좌" => "method-virtual-account",
        "간편결제" => "method-easy-pay",
        "휴대폰" => "method-phone",
        "계좌이체" => "method-transfer",
        "문화상품권" | "도서문화상품권" | "게임문화상품권" => "method-voucher",
        _ => return None,
    })
}

/// The bank of a two-digit code, if we know it. A code that we do not know is shown as it is.
pub(super) fn bank(code: &str) -> Option<&'static str> {
    Some(match code {
        "02" => "bank-kdb",
        "03" => "bank-ibk",
        "04" | "06" => "bank-kookmin",
        "07" => "bank-suhyup",
        "11" => "bank-nonghyup",
        "12" => "bank-local-nonghyup",
        "20" => "bank-woori",
        "23" => "bank-sc",
        "27" => "bank-citi",
        "31" => "bank-im",
        "32" => "bank-busan",
        "34" => "bank-gwangju",
        "35" => "bank-jeju",
        "37" => "bank-jeonbuk",
        "39" => "bank-kyongnam",
        "45" => "bank-saemaul",
        "48" => "bank-shinhyup",
        "50" => "bank-savings",
        "54" => "bank-hsbc",
        "64" => "bank-sanlim",
        "71" => "bank-post",
        "81" => "bank-hana",
        "88" => "bank-shinhan",
        "89" => "bank-k",
        "90" => "bank-kakao",
        "92" => "bank-toss",
        _ => return None,
    })
}
