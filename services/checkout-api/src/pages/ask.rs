//! The order that a page is about, if its reader may see it.

use axum::extract::FromRequestParts;
use database::orders::{self, OrderDetails};
use domain::OrderId;
use http::request::Parts;
use service::Problem;

use crate::app::{App, database_trouble};
use crate::return_token::CameBack;
use crate::session::Visitor;

/// An order that the reader may know something of.
pub(super) struct Asked {
    pub(super) found: OrderDetails,
    /// Whether it is the reader's. If not, they came back from the payment window in another browser, and see only
    /// how it stands.
    pub(super) mine: bool,
}

/// The reader's own order. A stranger's order is no order.
pub(super) async fn own(app: &App, visitor: &Visitor, id: OrderId) -> Result<Option<OrderDetails>, Problem> {
    match &visitor.0 {
        Some(customer) => orders::find(&app.db, id, customer.id).await.map_err(|error| database_trouble(&error)),
        None => Ok(None),
    }
}

/// Whoever comes back from the payment window, be it in the browser that they ordered with or in another.
pub(super) struct Reader {
    visitor: Visitor,
    back: CameBack,
}

impl Reader {
    /// The reader's own order, or the one that they have just come back to.
    pub(super) async fn known(&self, app: &App, id: OrderId) -> Result<Option<Asked>, Problem> {
        if let Some(found) = own(app, &self.visitor, id).await? {
            return Ok(Some(Asked { found, mine: true }));
        }
        let trouble = |error| database_trouble(&error);
        let Some(owner) = self.back.owner(app, id).await.map_err(trouble)? else { return Ok(None) };
        let found = orders::find(&app.db, id, owner).await.map_err(trouble)?;
        Ok(found.map(|found| Asked { found, mine: false }))
    }
}

impl FromRequestParts<App> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let visitor = Visitor::from_request_parts(parts, app).await?;
        let Ok(back) = CameBack::from_request_parts(parts, app).await;
        Ok(Self { visitor, back })
    }
}
