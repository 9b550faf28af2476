//! The database that a command works on: the user's own, that of a running shop, or the private one.

use std::future::pending;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use database::{PoolSettings, Role};
use postgres::{Cluster, ClusterSettings, StartError};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgPool};

use crate::home::Home;
use crate::listen;
use crate::variables::Variables;

const NAME: &str = "jumun";

/// The private server's usual port. Not PostgreSQL's, which a server of the machine may want later.
const PORT: u16 = 54_329;

/// A database, and the server that was started for it.
pub(crate) struct Store {
    url: SecretString,
    cluster: Option<Cluster>,
}

impl Store {
    /// The database of `DATABASE_URL`, else the private one, made if need be.
    pub(crate) async fn open(variables: &Variables, home: &Home) -> anyhow::Result<Self> {
        if let Some(url) = own(variables)? {
            return Ok(Self { url, cluster: None });
        }
        let settings = ClusterSettings { data_dir: home.cluster()?, port: listen::if_free(PORT), durable: true };
        let cluster = match Cluster::start(settings).await {
            Err(error @ StartError::InUse(_)) => {
                let open = home.noted().map(|it| format!("the shop is open already, at {}", it.shop));
                let open = open.unwrap_or_else(|| "the shop is just being opened or closed".to_owned());
                return Err(anyhow::Error::new(error).context(open));
            }
            started => started?,
        };
        create_database(&cluster).await.context("cannot create the database")?;
        Ok(Self { url: cluster.url(NAME).into(), cluster: Some(cluster) })
    }

    /// The same, but the private one may belong to a shop that is running, and is never made.
    pub(crate) async fn find(variables: &Variables, home: &Home) -> anyhow::Result<Self> {
        if own(variables)?.is_none() && !home.cluster()?.exists() {
            bail!("there is no database: set DATABASE_URL, or start the shop with `jumun up`");
        }
        match Self::open(variables, home).await {
            Err(error) if matches!(error.downcast_ref(), Some(StartError::InUse(_))) => {
                let url = home.noted().and_then(|addresses| addresses.database);
                Ok(Self { url: url.context("the shop is just starting or stopping")?.into(), cluster: None })
            }
            result => result,
        }
    }

    pub(crate) fn url(&self) -> &SecretString {
        &self.url
    }

    /// The private server's folder is ours to name; the user's own database is not.
    pub(crate) fn is_private(&self) -> bool {
        self.cluster.is_some()
    }

    pub(crate) async fn migrate(&self) -> anyhow::Result<()> {
        let options: PgConnectOptions = self.url.expose_secret().parse()?;
        let mut connection = options.connect().await.context("cannot reach the database")?;
        // Not through a pool of ours: a migration may take longer than a request.
        database::MIGRATOR.run(&mut connection).await.context("cannot bring the schema up to date")?;
        Ok(connection.close().await?)
    }

    /// Connects as somebody who may do that; as whoever owns the schema, if nobody is named.
    pub(crate) async fn connect(&self, max_connections: u32, role: impl Into<Option<Role>>) -> anyhow::Result<PgPool> {
        let (url, application_name) = (self.url.clone(), NAME.to_owned());
        let settings = PoolSettings { url, max_connections, application_name, role: role.into() };
        database::connect(&settings).await.context("cannot reach the database")
    }

    /// Waits until a server that was started for this has ended by itself, and says where it wrote why.
    pub(crate) async fn ended(&self) -> PathBuf {
        match &self.cluster {
            Some(cluster) => {
                cluster.ended().await;
                cluster.log().to_owned()
            }
            None => pending().await,
        }
    }

    /// Stops the server if it was started for this.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self.cluster {
            Some(cluster) => Ok(cluster.stop().await?),
            None => Ok(()),
        }
    }
}

/// The user's own database.
fn own(variables: &Variables) -> anyhow::Result<Option<SecretString>> {
    let mut env = variables.env();
    let url = env.optional_secret("DATABASE_URL", "the user's own database");
    env.finish()?;
    Ok(url)
}

async fn create_database(cluster: &Cluster) -> sqlx::Result<()> {
    let options: PgConnectOptions = cluster.url("postgres").parse()?;
    let mut connection = options.connect().await?;
    let exists = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)").bind(NAME);
    if !exists.fetch_one(&mut connection).await? {
        sqlx::query("CREATE DATABASE jumun").execute(&mut connection).await?;
    }
    connection.close().await
}
