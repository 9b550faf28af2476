//! Every program, and what it reads from its environment.

use std::net::SocketAddr;

use clap::CommandFactory as _;
use messaging::topology::Worker;
use messaging::worker::WorkerSettings;
use service::Env;
use service::settings::Variable;
use service::telemetry::Telemetry;

/// A program of the image.
pub(crate) struct Program {
    /// Its name in the configuration table.
    pub(crate) role: &'static str,
    /// Its binary.
    pub(crate) binary: &'static str,
    /// Reads its settings, and says where it would listen.
    pub(crate) read: fn(&mut Env) -> Option<SocketAddr>,
}

/// All that take their settings from `service::Env` alone.
pub(crate) static PROGRAMS: [Program; 6] = [
    Program { role: "api", binary: "jumun-checkout-api", read: |env| Some(checkout_api::Settings::read(env).bind) },
    Program {
        role: "stock",
        binary: "jumun-stock-worker",
        read: |env| Some(WorkerSettings::read(env, Worker::Stock).bind),
    },
    Program {
        role: "push",
        binary: "jumun-push-worker",
        read: |env| Some(push_worker::Settings::read(env).worker.bind),
    },
    Program {
        role: "letters",
        binary: "jumun-dead-letter-worker",
        read: |env| Some(WorkerSettings::read(env, Worker::DeadLetter).bind),
    },
    Program { role: "sandbox", binary: "jumun-sandbox", read: |env| Some(sandbox::Serving::read(env).bind()) },
    // The command reads what it runs; that is what the API of a shop needs.
    Program {
        role: "jumun",
        binary: "jumun",
        read: |env| {
            checkout_api::Settings::read(env);
            None
        },
    },
];

impl Program {
    /// What it reads, in the order of its help.
    pub(crate) fn documented(&self) -> Vec<Variable> {
        if self.binary == "jumun" {
            return jumun::documented();
        }
        let mut env = Env::from_pairs([] as [(&str, &str); 0]);
        Telemetry::read(&mut env);
        (self.read)(&mut env);
        env.documented().to_vec()
    }
}

/// What pubsub-setup takes from the environment in place of an argument, and whether it must.
pub(crate) fn setup_variables() -> Vec<(String, bool)> {
    let command = pubsub_setup::Options::command();
    let name = |argument: &clap::Arg| Some((argument.get_env()?.to_str()?.to_owned(), argument.is_required_set()));
    command.get_arguments().filter_map(name).collect()
}
