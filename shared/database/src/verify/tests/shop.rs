//! A shop whose history is written by the same statements that write a real one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use domain::{
    Approval, Attempt, Currency, CustomerId, Decline, Deposit, DeviceToken, EventType, Evidence, Line, NewOrder,
    OrderId, PaymentId, PaymentKey, ProductId, ProviderCancel, ProviderOrderId, ProviderPayment, ProviderStatus,
    Quantity, RefundAsk, RefundId, TokenKind, Won,
};
use sqlx::{AssertSqlSafe, PgPool};

use crate::MIGRATOR;
use crate::claim::{Claim, Claimed, claim};
use crate::messaging_tokens::{Locale, Registration, register};
use crate::orders::{Created, Creation, create};
use crate::payments::{Verdict, settle};
use crate::products::{NewProduct, add};
use crate::push_attempts::{self, Next, Notice, Recorded};
use crate::record::{self, Asked};
use crate::{outbox, stock};

pub(super) const CONSUMERS: &[(&str, &str)] = &[
    ("checkout-success", "checkout-stock"),
    ("checkout-success", "checkout-push"),
    ("checkout-failed", "checkout-failed-push"),
    ("checkout-refunded", "checkout-refunded-push"),
];

const MINUTE: Duration = Duration::from_mins(1);

pub(super) struct Shop {
    pub(super) db: PgPool,
    mug: ProductId,
    kettle: ProductId,
    buyer: CustomerId,
    orders: Arc<AtomicU32>,
}

impl Shop {
    /// Two products, and a buyer with a telephone.
    pub(super) async fn open() -> Self {
        let db = postgres::fresh(&MIGRATOR).await;
        let (mug, kettle, buyer) = (ProductId::new(), ProductId::new(), CustomerId::new());
        let product = |id, name: &str, price| NewProduct {
            id,
            name: name.into(),
            name_en: name.into(),
            price: Won::new(price).unwrap(),
            image_url: None,
            stock: 50,
        };
        add(&db, &[product(mug, "머그컵", 12_000), product(kettle, "주전자", 39_000)]).await.unwrap();
        sqlx::query("INSERT INTO customers (id) VALUES ($1)").bind(buyer.uuid()).execute(&db).await.unwrap();
        let token = DeviceToken { kind: TokenKind::Token, token: "phone".into() };
        register(&db, &Registration { customer: buyer, token, locale: Locale::Ko, user_agent: None }).await.unwrap();
        Self { db, mug, kettle, buyer, orders: Arc::default() }
    }

    pub(super) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.db).await.unwrap();
    }

    /// An order that nobody pays, of so many mugs and a kettle.
    pub(super) async fn place(&self, mugs: i64) -> NewOrder {
        let line = |product, price, quantity| Line {
            product,
            name: "물건".into(),
            unit_price: Won::new(price).unwrap(),
            quantity: Quantity::new(quantity).unwrap(),
        };
        let lines = vec![line(self.mug, 12_000, mugs), line(self.kettle, 39_000, 1)];
        let order = NewOrder::place(OrderId::new(), self.buyer, lines).unwrap();
        let n = self.orders.fetch_add(1, Ordering::Relaxed);
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        let creation = Creation {
            order: order.clone(),
            idempotency_key: n.to_string(),
            request_hash: hash,
            cart_hash: hash,
            email: None,
            return_token: hash,
        };
        assert_eq!(create(&self.db, &[creation], 20).await.unwrap(), [Created::New]);
        order
    }

    /// The provider has been asked and has not answered.
    pub(super) async fn begin_payment(&self) -> Attempt {
        let order = self.place(2).await;
        let payment = PaymentId::new();
        let claimed = Claim {
            customer: self.buyer,
            order: ProviderOrderId { order: order.id, attempt: 1 },
            key: PaymentKey::try_from(payment.to_string()).unwrap(),
            amount: order.amount,
            payment_type: "NORMAL".into(),
            payment,
            traceparent: None,
        };
        match claim(&self.db, &[claimed]).await.unwrap().remove(0) {
            Claimed::Begun(attempt) => *attempt,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn await_deposit(&self) -> Attempt {
        let deposit = Deposit {
            bank: "88".into(),
            account: "1".into(),
            due_at: Utc::now() + TimeDelta::days(3),
            secret: None,
            refund_account: None,
        };
        self.settled(|attempt| seen(attempt, ProviderStatus::WaitingForDeposit(deposit))).await
    }

    pub(super) async fn pay(&self) -> Attempt {
        self.settled(|attempt| seen(attempt, ProviderStatus::Done(approval()))).await
    }

    pub(super) async fn decline(&self) -> Attempt {
        self.settled(|_| Evidence::Declined(Decline::by_provider("REJECT_CARD_PAYMENT", "한도 초과"))).await
    }

    async fn settled(&self, answer: impl FnOnce(&Attempt) -> Evidence) -> Attempt {
        let attempt = self.begin_payment().await;
        let evidence = answer(&attempt);
        let settlement = domain::settle(attempt, evidence, Utc::now()).unwrap();
        let (order, payment) = (settlement.order.clone(), settlement.payment.clone());
        let after = Attempt { order, payment, refunds: Vec::new(), version: 1 };
        let verdict = Verdict { from: "confirming", version: 0, settlement, traceparent: None };
        assert_eq!(settle(&self.db, &[verdict]).await.unwrap(), [true]);
        after
    }

    pub(super) async fn pay_and_deliver(&self) -> Attempt {
        let attempt = self.pay().await;
        self.deliver().await;
        attempt
    }

    pub(super) async fn decline_and_deliver(&self) -> Attempt {
        let attempt = self.decline().await;
        self.deliver().await;
        attempt
    }

    /// The provider gives money back of what was paid; all that is left, or some.
    pub(super) async fn refund(&self, payment: PaymentId, amount: Option<i64>, restock: bool) {
        let before = record::find(&self.db, payment).await.unwrap().unwrap().attempt;
        let amount = amount.map(|won| Won::new(won).unwrap());
        let ask = RefundAsk { id: RefundId::new(), amount, reason: "변심".into(), restock, account: None };
        let begun = before.clone().refund(ask).unwrap();
        assert!(record::write(&self.db, &before, &begun, Asked::default(), None).await.unwrap());

        let before = record::find(&self.db, payment).await.unwrap().unwrap().attempt;
        let cancels: Vec<_> = before.refunds.iter().map(|refund| cancel(refund.id, refund.amount)).collect();
        self.heard(before, cancels).await;
    }

    /// The provider shows a payment with these cancels, and that is written down.
    pub(super) async fn heard(&self, before: Attempt, cancels: Vec<ProviderCancel>) {
        let gone: i64 = cancels.iter().map(|cancel| cancel.amount.get()).sum();
        let status = match cancels.as_slice() {
            [] => ProviderStatus::Done(approval()),
            _ => ProviderStatus::Canceled { approved_at: Some(approval().approved_at) },
        };
        let Evidence::Seen(shown) = seen(&before, status) else { unreachable!() };
        let balance = Won::new(before.payment.amount.get() - gone).unwrap();
        let evidence = Evidence::Seen(ProviderPayment { balance, cancels, ..shown });
        let decision = domain::settle(before.clone(), evidence, Utc::now()).unwrap();
        assert!(record::write(&self.db, &before, &decision, Asked::default(), None).await.unwrap());
        assert!(!record::write(&self.db, &before, &decision, Asked::default(), None).await.unwrap(), "twice is once");
    }

    /// Everything that was announced is published, taken and told.
    pub(super) async fn deliver(&self) {
        let events = outbox::claim(&self.db, 100, MINUTE).await.unwrap();
        for event in &events {
            let consumer = match event.event_type {
                EventType::CheckoutSuccess => {
                    stock::sell(&self.db, "checkout-stock", &[event.id]).await.unwrap();
                    "checkout-push"
                }
                EventType::CheckoutFailed => "checkout-failed-push",
                EventType::CheckoutRefunded => "checkout-refunded-push",
            };
            let notice = Notice { consumer, event: event.id, event_type: event.event_type };
            push_attempts::plan(&self.db, &[notice], 0, MINUTE).await.unwrap();
        }
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        outbox::mark_published(&self.db, &ids).await.unwrap();
        for leased in push_attempts::lease(&self.db, 100, MINUTE).await.unwrap() {
            let sent = Recorded { lease: leased.lease, next: Next::Sent, certain: true, error: None };
            assert_eq!(push_attempts::record(&self.db, &[sent]).await.unwrap(), [true]);
        }
    }
}

pub(super) fn approval() -> Approval {
    let approved_at = chrono::DateTime::from_timestamp(1_767_236_400, 0).unwrap();
    Approval { approved_at, method: Some("카드".into()), receipt_url: None }
}

/// As the provider shows it.
pub(super) fn cancel(refund: RefundId, amount: Won) -> ProviderCancel {
    ProviderCancel { transaction_key: refund.to_string(), amount, reason: "변심".into(), at: approval().approved_at }
}

/// The payment as the provider shows it.
pub(super) fn seen(attempt: &Attempt, status: ProviderStatus) -> Evidence {
    let payment = &attempt.payment;
    Evidence::Seen(ProviderPayment {
        key: payment.key.clone(),
        order_id: payment.provider_order_id().to_string(),
        total: payment.amount,
        balance: payment.amount,
        currency: Some(Currency::Krw),
        status,
        cancels: Vec::new(),
    })
}
