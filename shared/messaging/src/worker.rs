//! What the workers have in common around their routes: settings, health, serving.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use database::PoolSettings;
use service::{Env, Limits, health, layers, serve};
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
        let (bind, connections, port) = match worker {
            Worker::Stock => ("STOCK_WORKER_BIND", "STOCK_WORKER_DATABASE_CONNECTIONS", 8081),
            Worker::Push => ("PUSH_WORKER_BIND", "PUSH_WORKER_DATABASE_CONNECTIONS", 8082),
            Worker::DeadLetter => ("DEAD_LETTER_WORKER_BIND", "DEAD_LETTER_WORKER_DATABASE_CONNECTIONS", 8083),
        };
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let address = env.or(bind, usual, "address and port of the worker's push endpoint");
        Self {
            pool: PoolSettings {
                url: env.secret(
                    "DATABASE_URL",
                    "postgres://postgres@127.0.0.1:5432/jumun",
                    "the database, as postgres://user:password@host:port/name",
                ),
                max_connections: env.or(connections, 6, "connections to the database that the worker opens"),
                application_name: worker.name().to_owned(),
            },
            bind: address,
            auth: PushAuth::read(env, address),
            limits: Limits::read(env),
        }
    }
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
