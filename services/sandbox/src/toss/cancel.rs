//! `POST /v1/payments/{paymentKey}/cancel`: money is given back, or a waiting virtual account is closed.

use axum::extract::{Path, State as AppState};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::Deserialize;

use super::answer::Answer;
use super::call::Call;
use super::payment::{Cancel, Means, Payment, State, VirtualAccount};
use super::payment_json::PaymentJson;
use super::refusal::{self, Refusal};
use crate::faults::Endpoint;
use crate::{Sandbox, ids};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    cancel_reason: String,
    cancel_amount: Option<i64>,
    refund_receive_account: Option<RefundAccount>,
    #[serde(default)]
    tax_free_amount: i64,
    currency: Option<String>,
    refundable_amount: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundAccount {
    bank: String,
    account_number: String,
    holder_name: String,
}

enum Verdict {
    GiveBack(Cancel),
    Withdraw(VirtualAccount, Cancel),
}

pub(super) async fn handle(
    AppState(sandbox): AppState<Sandbox>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = format!("/v1/payments/{key}/cancel");
    let call = match Call::open(&sandbox, Endpoint::Cancel, &path, &headers) {
        Ok(call) => call,
        Err(answer) => return answer.into_response(),
    };
    let order_id = sandbox.order_id_for_fault(&key);
    call.answer(order_id.as_deref(), || {
        let request = serde_json::from_slice::<Request>(&body).map_err(|_| &refusal::INVALID_REQUEST)?;
        cancel(&sandbox, &key, request)
    })
    .await
}

fn cancel(sandbox: &Sandbox, key: &str, request: Request) -> Result<Answer, &'static Refusal> {
    let now = sandbox.now();
    let mut book = sandbox.book();
    let payment = book.find(key, now).ok_or(&refusal::NOT_FOUND_PAYMENT)?;
    request.check()?;
    match judge(payment, request, now)? {
        Verdict::GiveBack(cancel) => book.give_back(key, cancel),
        Verdict::Withdraw(account, cancel) => book.withdraw(key, account, cancel),
    }
    let payment = book.find(key, now).ok_or(&refusal::NOT_FOUND_PAYMENT)?;
    sandbox.announce(payment, now);
    Ok(Answer::ok(&PaymentJson::new(payment, &sandbox.settings().public_url, now)))
}

fn judge(payment: &Payment, request: Request, now: DateTime<Utc>) -> Result<Verdict, &'static Refusal> {
    let balance = payment.balance();
    let amount = request.cancel_amount.unwrap_or(balance);
    let means = match &payment.state {
        State::Withdrawn { .. } => return Err(&refusal::ALREADY_CANCELED_PAYMENT),
        State::WaitingForDeposit { account } if amount == balance => {
            return Ok(Verdict::Withdraw(account.clone(), request.into_cancel(amount, 0, now)));
        }
        State::WaitingForDeposit { .. } => return Err(&refusal::NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT),
        State::Ready | State::InProgress { .. } | State::Aborted { .. } | State::Expired => {
            return Err(&refusal::NOT_CANCELABLE_PAYMENT);
        }
        State::Approved { means, .. } => means,
    };
    if payment.status() == super::Status::Canceled {
        return Err(&refusal::ALREADY_CANCELED_PAYMENT);
    }
    if request.refundable_amount.is_some_and(|expected| expected != balance) {
        return Err(&refusal::NOT_MATCHES_REFUNDABLE_AMOUNT);
    }
    if !(1..=balance).contains(&amount) || !(0..=payment.tax_free_balance()).contains(&request.tax_free_amount) {
        return Err(&refusal::NOT_CANCELABLE_AMOUNT);
    }
    if let Means::VirtualAccount(_) = means {
        request.refund_receive_account.as_ref().ok_or(&refusal::INVALID_REFUND_ACCOUNT_INFO)?.check()?;
    }
    Ok(Verdict::GiveBack(request.into_cancel(amount, balance - amount, now)))
}

impl Request {
    fn check(&self) -> Result<(), &'static Refusal> {
        let reason = self.cancel_reason.chars().count();
        let currency = self.currency.as_deref().unwrap_or("KRW");
        if (1..=200).contains(&reason) && currency == "KRW" { Ok(()) } else { Err(&refusal::INVALID_REQUEST) }
    }

    fn into_cancel(self, amount: i64, refundable_amount: i64, canceled_at: DateTime<Utc>) -> Cancel {
        Cancel {
            transaction_key: ids::transaction_key(),
            cancel_reason: self.cancel_reason,
            tax_exemption_amount: 0,
            canceled_at,
            card_discount_amount: 0,
            transfer_discount_amount: 0,
            easy_pay_discount_amount: 0,
            receipt_key: None,
            cancel_amount: amount,
            tax_free_amount: self.tax_free_amount,
            refundable_amount,
            cancel_status: "DONE",
            cancel_request_id: None,
        }
    }
}

impl RefundAccount {
    fn check(&self) -> Result<(), &'static Refusal> {
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if self.bank.len() != 2 {
            return Err(&refusal::INVALID_BANK);
        }
        if !(1..=20).contains(&self.account_number.len()) || !all_digits(&self.account_number) {
            return Err(&refusal::INVALID_REFUND_ACCOUNT_NUMBER);
        }
        if !(1..=60).contains(&self.holder_name.chars().count()) {
            return Err(&refusal::INVALID_REFUND_ACCOUNT_INFO);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::Desk;

    fn reason(more: &Value) -> Value {
        let mut body = json!({"cancelReason": "고객 변심"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    #[tokio::test]
    async fn a_whole_cancel_gives_everything_back_once() {
        let desk = Desk::new();
        let key = desk.paid("order-1", "choice=card").await;
        let payment = desk.cancel(&key, reason(&json!({}))).await.json();
        assert_eq!(payment["status"], "CANCELED");
        assert_eq!(payment["totalAmount"], 15_000);
        assert_eq!(payment["balanceAmount"], 0);
        assert_eq!(payment["vat"], 0);
        assert_eq!(payment["cancels"][0]["cancelAmount"], 15_000);
        assert_eq!(payment["cancels"][0]["transactionKey"], payment["lastTransactionKey"]);
        let again = desk.cancel(&key, reason(&json!({}))).await;
        assert_eq!(again.refusal(), (400, "ALREADY_CANCELED_PAYMENT".to_owned()));
        assert_eq!(desk.sandbox.money_taken("order-1"), 0);
        let totals = desk.sandbox.totals();
        assert_eq!((totals.approved, totals.canceled, totals.kept), (15_000, 15_000, 0));
    }

    #[tokio::test]
    async fn parts_never_become_a_whole() {
        let desk = Desk::new();
        let key = desk.paid("order-1", "choice=card").await;
        let first = desk.cancel(&key, reason(&json!({"cancelAmount": 5_000, "refundableAmount": 15_000}))).await.json();
        assert_eq!(
            (first["status"].as_str(), first["balanceAmount"].as_i64()),
            (Some("PARTIAL_CANCELED"), Some(10_000))
        );
        for (body, status, code) in [
            (json!({"refundableAmount": 15_000}), 400, "NOT_MATCHES_REFUNDABLE_AMOUNT"),
            (json!({"cancelAmount": 10_001}), 403, "NOT_CANCELABLE_AMOUNT"),
            (json!({"cancelAmount": 0}), 403, "NOT_CANCELABLE_AMOUNT"),
            (json!({"currency": "USD"}), 400, "INVALID_REQUEST"),
            (json!({"cancelReason": ""}), 400, "INVALID_REQUEST"),
        ] {
            assert_eq!(desk.cancel(&key, reason(&body)).await.refusal(), (status, code.to_owned()));
        }
        assert_eq!(desk.sandbox.money_taken("order-1"), 10_000);
        let rest = desk.cancel(&key, reason(&json!({}))).await.json();
        assert_eq!((rest["status"].as_str(), rest["balanceAmount"].as_i64()), (Some("PARTIAL_CANCELED"), Some(0)));
        let again = desk.cancel(&key, reason(&json!({}))).await;
        assert_eq!(again.refusal(), (403, "NOT_CANCELABLE_AMOUNT".to_owned()));
    }

    #[tokio::test]
    async fn a_waiting_account_is_closed_whole_and_without_money() {
        let desk = Desk::new();
        let key = desk.paid("order-1", "choice=virtual-account").await;
        let part = desk.cancel(&key, reason(&json!({"cancelAmount": 5_000}))).await;
        assert_eq!(part.refusal(), (403, "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT".to_owned()));
        let closed = desk.cancel(&key, reason(&json!({}))).await.json();
        assert_eq!((closed["status"].as_str(), closed["balanceAmount"].as_i64()), (Some("CANCELED"), Some(0)));
        assert_eq!(desk.sandbox.totals().canceled, 0);
        assert!(!desk.sandbox.deposit("order-1"));
        let again = desk.cancel(&key, reason(&json!({}))).await;
        assert_eq!(again.refusal(), (400, "ALREADY_CANCELED_PAYMENT".to_owned()));
    }

    #[tokio::test]
    async fn a_deposit_goes_back_to_an_account() {
        let desk = Desk::new();
        let key = desk.paid("order-1", "choice=virtual-account").await;
        desk.sandbox.deposit("order-1");
        let account = |bank: &str, number: &str| json!({"refundReceiveAccount": {"bank": bank, "accountNumber": number, "holderName": "박토스"}});
        for (body, code) in [
            (json!({}), "INVALID_REFUND_ACCOUNT_INFO"),
            (account("020", "1234"), "INVALID_BANK"),
            (account("20", "12-34"), "INVALID_REFUND_ACCOUNT_NUMBER"),
        ] {
            assert_eq!(desk.cancel(&key, reason(&body)).await.refusal(), (400, code.to_owned()));
        }
        let refunded = desk.cancel(&key, reason(&account("20", "1234"))).await.json();
        assert_eq!(refunded["balanceAmount"], 0);
        assert_eq!(refunded["status"], "PARTIAL_CANCELED", "as in Toss's guide");
        assert_eq!(desk.sandbox.money_taken("order-1"), 0);
    }

    #[tokio::test]
    async fn what_was_never_paid_cannot_be_canceled() {
        let desk = Desk::new();
        let key = desk.authenticated("order-1", 15_000, "choice=card").await;
        let refused = desk.cancel(&key, reason(&json!({}))).await;
        assert_eq!(refused.refusal(), (403, "NOT_CANCELABLE_PAYMENT".to_owned()));
        let unknown = desk.cancel("no-such-key", reason(&json!({}))).await;
        assert_eq!(unknown.refusal(), (404, "NOT_FOUND_PAYMENT".to_owned()));
    }
}
