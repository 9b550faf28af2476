//! What all workers share: settings, start, health, serving.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use axum::Router;
use database::{PoolSettings, Role};
use service::{Env, Limits, health, layers, serve, start};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::push::PushAuth;
use crate::topology::Worker;

/// What every worker is told by its environment.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// `DATABASE_URL`, and how many connections this worker opens.
    pub pool: PoolSettings,
    /// Address and port of the push endpoint.
    pub bind: SocketAddr,
    /// How it knows the message engine.
    pub auth: PushAuth,
    /// What one client, or all together, may take.
    pub limits: Limits,
}

impl WorkerSettings {
    /// Reads the settings; what is wrong with them is refused by `env.finish()`.
    pub fn read(env: &mut Env, worker: Worker) -> Self {
        let (bind, connections, port, role) = match worker {
            Worker::Stock => ("STOCK_WORKER_BIND", "STOCK_WORKER_DATABASE_CONNECTIONS", 8081, Role::Stock),
            Worker::Push => ("PUSH_WORKER_BIND", "PUSH_WORKER_DATABASE_CONNECTIONS", 8082, Role::Push),
            Worker::DeadLetter => {
                ("DEAD_LETTER_WORKER_BIND", "DEAD_LETTER_WORKER_DATABASE_CONNECTIONS", 8083, Role::DeadLetter)
            }
        };
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let address = env.or(bind, usual, "address and port that the worker listens on");
        Self {
            pool: PoolSettings {
                url: env.secret(
                    "DATABASE_URL",
                    "postgres://postgres@127.0.0.1:5432/jumun",
                    "the database, as postgres://user:password@host:port/name",
                ),
                max_connections: env.within(connections, 6, 3..=1_000, "database connections of the worker"),
                application_name: worker.name().to_owned(),
                role: Some(role),
            },
            bind: address,
            auth: PushAuth::read(env, address),
            limits: Limits::read(env),
        }
    }
}

/// The whole program of a worker that needs nothing but its database: settings from the environment, then `run` until
/// SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub async fn main<F>(
    about: &str,
    worker: Worker,
    run: impl FnOnce(WorkerSettings, PgPool, TcpListener, CancellationToken) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = ()>,
{
    let Some((settings, _log)) = start(about, |env| WorkerSettings::read(env, worker))? else { return Ok(()) };
    let shutdown = serve::shutdown_signal()?;
    let (db, listener) = open(&settings).await?;
    run(settings, db, listener, shutdown).await;
    Ok(())
}

/// A worker's database, and the address that it will answer at.
///
/// # Errors
/// When it cannot have either.
pub async fn open(settings: &WorkerSettings) -> anyhow::Result<(PgPool, TcpListener)> {
    let db = database::connect(&settings.pool).await.context("cannot reach the database")?;
    let bind = settings.bind;
    let listener = TcpListener::bind(bind).await.with_context(|| format!("cannot listen on {bind}"))?;
    Ok((db, listener))
}

/// Serves a worker's routes, with health beside them, until `shutdown`, and waits for its `tasks`.
pub async fn run(
    worker: Worker,
    db: PgPool,
    listener: TcpListener,
    router: Router,
    limits: Limits,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let check = move || {
        let db = db.clone();
        async move { database::ping(&db).await.map_err(|error| error.to_string()) }
    };
    let health = health::routes(check, tasks.clone(), shutdown.clone());
    let router = layers::standard(router, &limits, &tasks).merge(health);
    serve::run(worker.name(), listener, router, limits, tasks, shutdown).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_an_address_of_its_own_on_this_machine() {
        let mut env = Env::from_pairs([("STOCK_WORKER_BIND", "127.0.0.1:9001"), ("PUSH_AUTH", "loopback")]);
        let ports = Worker::ALL.map(|worker| WorkerSettings::read(&mut env, worker).bind.port());
        assert_eq!(ports, [9001, 8082, 8083]);
        env.finish().unwrap();

        let mut env = Env::from_pairs([("PUSH_WORKER_BIND", "0.0.0.0:8082"), ("PUSH_AUTH", "loopback")]);
        WorkerSettings::read(&mut env, Worker::Push);
        assert!(env.finish().unwrap_err().to_string().contains("PUSH_AUTH"));
    }
}
