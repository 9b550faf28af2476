//! The Payment object as Toss writes it (API version 2022-11-16).

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::payment::{Cancel, Method, Payment, State, Status};
use crate::clock;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PaymentJson<'a> {
    m_id: &'static str,
    version: &'static str,
    last_transaction_key: Option<&'a str>,
    transaction_key: Option<&'a str>,
    payment_key: &'a str,
    order_id: &'a str,
    order_name: &'a str,
    currency: &'static str,
    method: Option<&'static str>,
    status: Status,
    #[serde(serialize_with = "clock::serialize")]
    requested_at: DateTime<Utc>,
    #[serde(serialize_with = "optional_time")]
    approved_at: Option<DateTime<Utc>>,
    use_escrow: Option<bool>,
    culture_expense: bool,
    card: Option<Card>,
    virtual_account: Option<VirtualAccount<'a>>,
    transfer: (),
    mobile_phone: (),
    gift_certificate: (),
    cash_receipt: (),
    cash_receipts: (),
    discount: (),
    cancels: Option<&'a [Cancel]>,
    secret: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    easy_pay: (),
    easy_pay_amount: i64,
    easy_pay_discount_amount: i64,
    country: &'static str,
    failure: Option<Failure>,
    is_partial_cancelable: bool,
    receipt: Option<Link>,
    checkout: Option<Link>,
    total_amount: i64,
    balance_amount: i64,
    supplied_amount: i64,
    vat: i64,
    tax_free_amount: i64,
    tax_exemption_amount: i64,
    metadata: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are Toss's")]
struct Card {
    amount: i64,
    issuer_code: &'static str,
    acquirer_code: &'static str,
    number: &'static str,
    installment_plan_months: u8,
    is_interest_free: bool,
    interest_payer: Option<&'static str>,
    approve_no: &'static str,
    use_card_point: bool,
    card_type: &'static str,
    owner_type: &'static str,
    acquire_status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VirtualAccount<'a> {
    account_number: &'a str,
    account_type: &'static str,
    bank_code: &'static str,
    customer_name: &'a str,
    depositor_name: Option<&'a str>,
    #[serde(serialize_with = "clock::serialize")]
    due_date: DateTime<Utc>,
    expired: bool,
    settlement_status: &'static str,
    refund_status: &'static str,
    /// Collected in the window; Toss shows it for half an hour.
    refund_receive_account: Option<RefundAccount<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundAccount<'a> {
    bank_code: &'static str,
    account_number: &'static str,
    holder_name: &'a str,
}

#[derive(Serialize)]
struct Failure {
    code: &'static str,
    message: &'static str,
}

#[derive(Serialize)]
struct Link {
    url: String,
}

impl<'a> PaymentJson<'a> {
    /// `public_url` stands where Toss has its dashboard; `now` decides whether a virtual account is overdue.
    pub(super) fn new(payment: &'a Payment, public_url: &str, now: DateTime<Utc>) -> Self {
        let balance = payment.balance();
        let tax_free = payment.tax_free_balance();
        let vat = vat(balance, tax_free);
        let approved = payment.approved_at().is_some();
        let last_transaction_key = payment.last_transaction_key.as_deref();
        let expired = matches!(payment.state, State::Expired);
        Self {
            m_id: "jumunsandbox",
            version: "2022-11-16",
            last_transaction_key,
            transaction_key: last_transaction_key,
            payment_key: &payment.key,
            order_id: &payment.order_id,
            order_name: &payment.order_name,
            currency: "KRW",
            method: payment.method().map(Method::in_korean),
            status: payment.status(),
            requested_at: payment.requested_at,
            approved_at: payment.approved_at(),
            use_escrow: (!expired).then_some(false),
            culture_expense: false,
            card: (approved && payment.method() == Some(Method::Card)).then(|| card(payment.amount)),
            virtual_account: payment.account().map(|account| VirtualAccount {
                account_number: &account.number,
                account_type: "일반",
                bank_code: "20",
                customer_name: payment.customer_name.as_deref().unwrap_or("박토스"),
                depositor_name: approved.then(|| payment.customer_name.as_deref().unwrap_or("박토스")),
                due_date: account.due,
                expired: !approved && now >= account.due,
                settlement_status: if approved { "COMPLETED" } else { "INCOMPLETED" },
                refund_status: if approved && !payment.cancels.is_empty() { "PENDING" } else { "NONE" },
                refund_receive_account: (now < payment.requested_at + TimeDelta::minutes(30)).then(|| RefundAccount {
                    bank_code: "20",
                    account_number: "1002123456789",
                    holder_name: payment.customer_name.as_deref().unwrap_or("박토스"),
                }),
            }),
            transfer: (),
            mobile_phone: (),
            gift_certificate: (),
            cash_receipt: (),
            cash_receipts: (),
            discount: (),
            cancels: (!payment.cancels.is_empty()).then_some(&payment.cancels),
            secret: payment.account().map(|account| account.secret.as_str()),
            kind: "NORMAL",
            easy_pay: (),
            easy_pay_amount: 0,
            easy_pay_discount_amount: 0,
            country: "KR",
            failure: match payment.state {
                State::Aborted { failure, .. } => Some(Failure { code: failure.code, message: failure.message }),
                State::Expired => Some(Failure {
                    code: "EXPIRED_PAYMENT",
                    message: "결제가 만료되었습니다. 다시 시도해주세요.",
                }),
                _ => None,
            },
            is_partial_cancelable: true,
            receipt: approved.then(|| Link { url: format!("{public_url}/#{}", payment.key) }),
            checkout: (!expired).then(|| Link { url: format!("{public_url}/toss/window/{}", payment.key) }),
            total_amount: payment.amount,
            balance_amount: balance,
            supplied_amount: balance - tax_free - vat,
            vat,
            tax_free_amount: tax_free,
            tax_exemption_amount: 0,
            metadata: payment.metadata.as_ref(),
        }
    }
}

/// A tenth on top is an eleventh of the whole, rounded half up.
fn vat(amount: i64, tax_free: i64) -> i64 {
    (2 * (amount - tax_free) + 11) / 22
}

fn card(amount: i64) -> Card {
    Card {
        amount,
        issuer_code: "61",
        acquirer_code: "31",
        number: "43301234****123*",
        installment_plan_months: 0,
        is_interest_free: false,
        interest_payer: None,
        approve_no: "00000000",
        use_card_point: false,
        card_type: "신용",
        owner_type: "개인",
        acquire_status: "READY",
    }
}

#[expect(clippy::ref_option, reason = "serde's serialize_with passes a reference")]
fn optional_time<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => clock::serialize(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::vat;

    #[test]
    fn vat_follows_the_samples_of_toss() {
        let of_whole = [(15_000, 1_364), (30_000, 2_727), (4_900, 445), (0, 0)];
        for (amount, expected) in of_whole {
            assert_eq!(vat(amount, 0), expected, "{amount}");
        }
        assert_eq!(vat(10_000, 3_000), 636);
    }
}
