//! The vocabulary of a purchase: money, ids, the state machines of orders and payments, and the
//! ports to the outside world. No I/O happens here, and no crate that does I/O is a dependency.

mod event;
mod gateway;
mod id;
mod money;
mod order;
mod payment;
mod publisher;
mod push;
mod refund;
mod settle;
mod statement;

pub use event::{Event, EventEnvelope, EventType};
pub use gateway::{
    CancelAnswer, CancelRequest, Evidence, PaymentGateway, ProviderCancel, ProviderPayment, ProviderStatus, Unanswered,
};
pub use id::{
    CustomerId, DeviceId, EventId, IdError, OrderId, PaymentId, PaymentKey, ProductId, ProviderOrderId, RefundId,
};
pub use money::{Currency, MoneyError, Quantity, Won};
pub use order::{Line, MAX_LINES, NewOrder, Order, OrderError, OrderState, PlaceError};
pub use payment::{Approval, Decline, DeclineKind, Deposit, Payment, PaymentState, Provider};
pub use publisher::{EventPublisher, PublishError};
pub use push::{DeviceToken, PushError, PushNotification, PushSender, TokenKind};
pub use refund::{NotAnAccount, Refund, RefundAccount, RefundAsk, RefundError, RefundOrigin, RefundState};
pub use settle::{Attempt, Settlement, Undecided, settle};
pub use statement::{Day, Difference, Movement, OnRecord, Statement};
