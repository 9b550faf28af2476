//! `jumun migrate`: the schema, before the services that need it.

use crate::home::Home;
use crate::output::say;
use crate::store::Store;
use crate::variables::Variables;

/// The command.
pub(crate) async fn migrate(variables: &Variables, home: &Home) -> anyhow::Result<()> {
    let store = Store::find(variables, home).await?;
    store.migrate().await?;
    store.close().await?;
    Ok(say("스키마가 최신입니다 · the schema is up to date")?)
}
