//! Places an order, in the same way for a program with JSON and for a page with its form.

use database::BatchError;
use database::orders::{Created, Creation};
use domain::{Line, NewOrder, OrderId, PlaceError, ProductId, ProviderOrderId, Quantity, Won};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::app::App;
use crate::return_token::ReturnToken;
use crate::session::Guest;

/// What a buyer would like to have.
pub(crate) struct Cart {
    pub(crate) items: Vec<(ProductId, Quantity)>,
    pub(crate) email: Option<Email>,
    /// What the page showed. If the catalogue has moved on since, the buyer is asked again.
    pub(crate) expected: Option<Won>,
}

/// Where the provider sends its receipt.
pub(crate) struct Email(String);

impl Email {
    /// Enough to catch a typing slip; whether the address exists only a letter can tell.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fits = text.len() <= 254 && text.bytes().all(|b| b.is_ascii_graphic() || b >= 0x80);
        let (name, host) = text.split_once('@').filter(|_| fits)?;
        (!name.is_empty() && host.contains('.') && !host.contains('@')).then(|| Self(text.to_owned()))
    }
}

/// There is an order now.
pub(crate) enum Placed {
    /// Just made, with a token for its first window.
    New { order: NewOrder, window: ProviderOrderId, return_token: ReturnToken },
    /// Made by the same request before.
    Replayed(OrderId),
    /// The same buyer's unpaid order of the same cart.
    StillOpen(OrderId),
}

impl Placed {
    pub(crate) fn id(&self) -> OrderId {
        match self {
            Self::New { order, .. } => order.id,
            Self::Replayed(id) | Self::StillOpen(id) => *id,
        }
    }
}

/// There is none.
#[derive(Debug, Error)]
pub(crate) enum NotPlaced {
    #[error("no product {0}")]
    NoSuchProduct(ProductId),
    #[error("one order may hold at most {most} of product {product}")]
    TooManyPieces { product: ProductId, most: i32 },
    #[error(transparent)]
    NoOrder(#[from] PlaceError),
    #[error("the total is {now} now, not {expected}")]
    PriceChanged { now: Won, expected: Won },
    #[error("too many unpaid orders")]
    TooManyOpen,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("the database did not answer")]
    Unavailable(#[from] BatchError),
}

/// Orders, once for a key: prices are the catalogue's, and the amount stays what it is now.
pub(crate) async fn place(app: &App, guest: &Guest, cart: Cart, key: String) -> Result<Placed, NotPlaced> {
    let request_hash = cart.hash();
    let lines = price(app, &cart.items).await?;
    let order = NewOrder::place(OrderId::new(), guest.customer.id, lines)?;
    if let Some(expected) = cart.expected.filter(|expected| *expected != order.amount) {
        return Err(NotPlaced::PriceChanged { now: order.amount, expected });
    }
    let email = cart.email.map(|Email(text)| text);
    let cart_hash = hash_cart(&order, email.as_deref());
    let window = ProviderOrderId { order: order.id, attempt: 1 };
    let return_token = ReturnToken::of(guest, window);
    let creation = Creation {
        order: order.clone(),
        idempotency_key: key,
        request_hash,
        cart_hash,
        email,
        return_token: return_token.hash(),
    };
    crash::point!("co.create.before_commit");
    let created = app.desk.orders.submit(creation).await?;
    crash::point!("co.create.after_commit");
    match created {
        Created::New => Ok(Placed::New { order, window, return_token }),
        Created::Replayed(id) => Ok(Placed::Replayed(id)),
        Created::StillOpen(id) => Ok(Placed::StillOpen(id)),
        Created::TooManyOpen => Err(NotPlaced::TooManyOpen),
        Created::KeyReused => Err(NotPlaced::KeyReused),
    }
}

async fn price(app: &App, items: &[(ProductId, Quantity)]) -> Result<Vec<Line>, NotPlaced> {
    if items.len() > domain::MAX_LINES {
        return Err(PlaceError::TooManyLines.into());
    }
    let products = app.desk.products.submit(items.iter().map(|(product, _)| *product).collect()).await?;
    let line = |(id, quantity): &(ProductId, Quantity)| {
        let found = products.iter().find(|product| product.id == *id);
        let product = found.ok_or(NotPlaced::NoSuchProduct(*id))?;
        if quantity.get() > product.max_per_order {
            return Err(NotPlaced::TooManyPieces { product: *id, most: product.max_per_order });
        }
        Ok(Line { product: *id, name: product.name.clone(), unit_price: product.price, quantity: *quantity })
    };
    items.iter().map(line).collect()
}

impl Cart {
    /// What was asked for, in whatever order.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut items: Vec<_> = self.items.iter().map(|(product, quantity)| (*product, quantity.get())).collect();
        items.sort_unstable();
        let mut hash = Sha256::new();
        for (product, quantity) in items {
            hash.update(product.uuid().as_bytes());
            hash.update(quantity.to_be_bytes());
        }
        hash.update(self.email.as_ref().map_or("", |Email(text)| text));
        hash.finalize().into()
    }
}

/// The same cart at the same prices for the same address.
fn hash_cart(order: &NewOrder, email: Option<&str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for line in &order.lines {
        hash.update(line.product.uuid().as_bytes());
        hash.update(line.unit_price.get().to_be_bytes());
        hash.update(line.quantity.get().to_be_bytes());
    }
    hash.update(email.unwrap_or_default());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_mistaken_but_not_malformed() {
        for good in ["a@b.kr", "주문@예시.한국", &format!("{}@b.kr", "a".repeat(249))] {
            assert!(Email::parse(good).is_some(), "{good}");
        }
        for bad in ["", "a", "@b.kr", "a@b", "a@b@c.kr", "a b@c.kr", "a@b.kr\0", &format!("{}@b.kr", "a".repeat(250))] {
            assert!(Email::parse(bad).is_none(), "{bad}");
        }
    }
}
