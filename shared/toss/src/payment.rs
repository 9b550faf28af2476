//! Toss's Payment object, read into the domain's words.

use chrono::{DateTime, FixedOffset, NaiveDateTime, Utc};
use domain::{
    Approval, Currency, Decline, DeclineKind, Deposit, PaymentKey, ProviderCancel, ProviderPayment, ProviderStatus,
    RefundAccount, Unanswered, Won,
};
use serde::{Deserialize, Deserializer, de};

use crate::codes;

/// The fields that decide something. Toss adds others without notice, so unknown ones are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payment {
    #[serde(rename = "paymentKey")]
    key: PaymentKey,
    order_id: String,
    #[serde(deserialize_with = "won")]
    total_amount: Won,
    #[serde(deserialize_with = "won")]
    balance_amount: Won,
    currency: String,
    status: String,
    method: Option<String>,
    approved_at: Option<String>,
    receipt: Option<Receipt>,
    virtual_account: Option<VirtualAccount>,
    secret: Option<String>,
    failure: Option<Refusal>,
    cancels: Option<Vec<Cancel>>,
}

#[derive(Deserialize)]
struct Receipt {
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VirtualAccount {
    bank_code: String,
    account_number: String,
    due_date: Option<String>,
    /// Shown for half an hour only.
    refund_receive_account: Option<ReceiveAccount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiveAccount {
    bank_code: String,
    account_number: String,
    holder_name: String,
}

#[expect(clippy::struct_field_names, reason = "the names are Toss's")]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cancel {
    transaction_key: String,
    #[serde(deserialize_with = "won")]
    cancel_amount: Won,
    #[serde(default)]
    cancel_reason: String,
    canceled_at: String,
    /// Missing in old versions. Only cancels of foreign methods are ever anything but done.
    cancel_status: Option<String>,
}

impl Cancel {
    fn read(&self) -> Result<ProviderCancel, &'static str> {
        Ok(ProviderCancel {
            transaction_key: name(&self.transaction_key),
            amount: self.cancel_amount,
            reason: name(&self.cancel_reason),
            at: time(&self.canceled_at)?,
        })
    }
}

/// Toss's two words on what went wrong: the body of an error, or the `failure` of a payment.
#[derive(Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    #[serde(default)]
    message: String,
}

impl Refusal {
    /// The refusal as the buyer or the shop hears of it, cut to the lengths that Toss documents.
    pub(crate) fn decline(&self, kind: DeclineKind) -> Decline {
        Decline { code: name(&self.code), message: clean(&self.message, 510), kind }
    }

    /// Not a refusal, as far as the money is concerned.
    pub(crate) fn inconclusive(&self, status: u16) -> Unanswered {
        Unanswered::Inconclusive { status, code: name(&self.code) }
    }

    /// Not a refusal of the money, but of the request.
    pub(crate) fn refused(&self, status: u16) -> Unanswered {
        Unanswered::Refused { status, code: name(&self.code) }
    }
}

/// Reads a Payment, or says what is wrong with it without repeating any of it: the text ends up in logs.
pub(crate) fn parse(body: &[u8]) -> Result<ProviderPayment, String> {
    let payment: Payment = serde_json::from_slice(body).map_err(|error| {
        format!("with an unreadable payment ({:?} error, column {})", error.classify(), error.column())
    })?;
    let cancels = payment.cancels.unwrap_or_default();
    let done = cancels.iter().filter(|cancel| cancel.cancel_status.as_deref().is_none_or(|status| status == "DONE"));
    let cancels = done.map(Cancel::read).collect::<Result<_, _>>()?;
    let approved_at = payment.approved_at.as_deref().map(time).transpose()?;
    let status = match payment.status.as_str() {
        "READY" | "IN_PROGRESS" => ProviderStatus::Open,
        "WAITING_FOR_DEPOSIT" => {
            let account = payment.virtual_account.ok_or("with a deposit awaited on no account")?;
            ProviderStatus::WaitingForDeposit(Deposit {
                bank: name(&account.bank_code),
                account: name(&account.account_number),
                due_at: account.due_date.as_deref().map(time).transpose()?.ok_or("with a deposit awaited for ever")?,
                secret: payment.secret.map(|secret| name(&secret).into()),
                refund_account: account
                    .refund_receive_account
                    .and_then(|it| RefundAccount::new(it.bank_code, it.account_number, it.holder_name).ok()),
            })
        }
        "DONE" => ProviderStatus::Done(Approval {
            approved_at: approved_at.ok_or("with an approval of no date")?,
            method: payment.method.as_deref().map(name),
            receipt_url: payment.receipt.and_then(|receipt| receipt.url).filter(|url| is_link(url)),
        }),
        "CANCELED" | "PARTIAL_CANCELED" => ProviderStatus::Canceled { approved_at },
        ended @ ("ABORTED" | "EXPIRED") => ProviderStatus::Failed(match payment.failure {
            Some(failure) => failure.decline(codes::confirm(&failure.code).unwrap_or_default()),
            None => Decline::by_provider(ended, ""),
        }),
        other => ProviderStatus::Other(name(other)),
    };
    Ok(ProviderPayment {
        key: payment.key,
        order_id: name(&payment.order_id),
        total: payment.total_amount,
        balance: payment.balance_amount,
        currency: (payment.currency == Currency::Krw.code()).then_some(Currency::Krw),
        status,
        cancels,
    })
}

/// A code, a name, a number of an account: none of Toss's is longer than 200 characters.
pub(crate) fn name(text: &str) -> String {
    clean(text, 200)
}

/// PostgreSQL stores no NUL, and nothing foreign gets to be endless.
fn clean(text: &str, max: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(max).collect()
}

/// A receipt is shown as a link, so it must be one; half an address is none.
fn is_link(url: &str) -> bool {
    let scheme = url.starts_with("https://") || url.starts_with("http://");
    scheme && url.len() <= 2048 && url.bytes().all(|b| b.is_ascii_graphic())
}

/// A whole number of won, also when written as `15000.0`.
fn won<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Won, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let whole = number.as_i64().or_else(|| {
        // A float is displayed without an exponent, so that a fraction or an excess does not parse.
        number.as_f64().and_then(|float| float.to_string().parse().ok())
    });
    whole
        .ok_or_else(|| de::Error::custom("not a whole number"))
        .and_then(|whole| Won::new(whole).map_err(de::Error::custom))
}

/// A time, in Korea unless it says otherwise: `dueDate` is documented without an offset and comes with one.
pub(crate) fn time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    const KOREA: Option<FixedOffset> = FixedOffset::east_opt(9 * 60 * 60);
    let exact = DateTime::parse_from_rfc3339(text).ok().or_else(|| {
        let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
        local.and_local_timezone(KOREA?).single()
    });
    exact.map(|time| time.to_utc()).ok_or("with an unreadable time")
}
