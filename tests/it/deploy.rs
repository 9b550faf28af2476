//! docker-compose.yml and deploy/Dockerfile against the programs that they start: nothing here can run them, but a name or a
//! port that does not fit is found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use database::Role;
use messaging::topology::Worker;
use serde::Deserialize;
use serde_yaml_ng::Value;
use service::Env;

use crate::programs::{PROGRAMS, Program, setup_variables};

/// What the programs' image has no say in.
const FOREIGN: [&str; 3] = ["machine", "postgres", "emulator"];

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Service {
    image: String,
    build: Option<Build>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    #[serde(default)]
    volumes: Vec<Value>,
    #[serde(default)]
    ports: Vec<String>,
    network_mode: Option<String>,
    restart: String,
    healthcheck: Option<HealthCheck>,
}

#[derive(Deserialize)]
struct Build {
    dockerfile: String,
    target: String,
}

#[derive(Deserialize)]
struct Dependency {
    condition: String,
}

#[derive(Deserialize)]
struct HealthCheck {
    test: Vec<String>,
}

impl Compose {
    fn read() -> Self {
        let mut file: Value = serde_yaml_ng::from_str(&read("docker-compose.yml")).unwrap();
        file.apply_merge().unwrap();
        serde_yaml_ng::from_value(file).unwrap()
    }

    fn ours(&self) -> impl Iterator<Item = (&String, &Service)> {
        self.services.iter().filter(|(name, _)| !FOREIGN.contains(&name.as_str()))
    }

    /// The services that run a program with settings of its own.
    fn programs(&self) -> impl Iterator<Item = (&String, &Service, &'static Program)> {
        self.ours().filter_map(|(name, service)| {
            Some((name, service, PROGRAMS.iter().find(|it| it.binary == service.command[0])?))
        })
    }

    /// Where a program would listen.
    fn bind(&self, binary: &str) -> SocketAddr {
        let (_, service, program) = self.programs().find(|(_, _, program)| program.binary == binary).unwrap();
        service.settings(program).unwrap().unwrap()
    }
}

impl Service {
    /// Reads the program's settings as it would, except that files of secrets are not there to be read.
    fn settings(&self, program: &Program) -> Result<Option<SocketAddr>, String> {
        let there =
            self.environment.iter().filter(|(name, _)| !name.ends_with("_FILE") || *name == "SANDBOX_ACCOUNT_FILE");
        let mut env = Env::from_pairs(there.map(|(name, value)| (name.as_str(), value.as_str())));
        let bind = (program.read)(&mut env);
        env.finish().map(|()| bind).map_err(|refusals| refusals.to_string())
    }

    /// Named volumes and where they are mounted.
    fn mounts(&self) -> Vec<(String, String)> {
        self.volumes
            .iter()
            .filter(|volume| !volume.as_str().is_some_and(|short| short.starts_with("./"))) // a file of ours
            .map(|volume| match volume.as_str() {
                Some(short) => short.split_once(':').map(|(from, to)| (from.to_owned(), to.to_owned())).unwrap(),
                None => (volume["source"].as_str().unwrap().to_owned(), volume["target"].as_str().unwrap().to_owned()),
            })
            .collect()
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap()
}

#[test]
fn every_part_of_a_shop_is_there() {
    let compose = Compose::read();
    for name in FOREIGN {
        assert!(compose.services.contains_key(name), "{name}");
    }
    let started: BTreeSet<&str> = compose.ours().map(|(_, service)| service.command[0].as_str()).collect();
    let known: BTreeSet<&str> = PROGRAMS.iter().map(|it| it.binary).chain(["jumun-pubsub-setup"]).collect();
    assert_eq!(started, known);
}

#[test]
fn whoever_is_waited_for_can_arrive() {
    let compose = Compose::read();
    for (name, service) in &compose.services {
        for (on, Dependency { condition }) in &service.depends_on {
            let other = compose.services.get(on).unwrap_or_else(|| panic!("{name} waits for {on}, which is not there"));
            match condition.as_str() {
                "service_healthy" => assert!(other.healthcheck.is_some(), "{name} waits for the health of {on}"),
                "service_completed_successfully" => {
                    assert!(["no", "on-failure"].contains(&other.restart.as_str()), "{on} never ends");
                }
                other => panic!("{name}: {other}"),
            }
        }
        let reads_database = service.environment.contains_key("DATABASE_URL") && name != "migrate";
        assert_eq!(reads_database, service.depends_on.contains_key("migrate"), "{name} and the schema");
    }
}

#[test]
fn each_program_logs_in_as_a_member_of_its_own_role() {
    let compose = Compose::read();
    let logins = read("deploy/logins.sql");
    let roles_of = |name: &str| {
        let (_, login) = compose.services[name].environment["DATABASE_URL"].split_once("//").unwrap();
        let (login, _) = login.split_once(":jumun@postgres:5432/jumun").unwrap();
        let made = logins.lines().find_map(|line| line.strip_prefix(&format!("CREATE ROLE {login} LOGIN ")));
        let (_, roles) = made?.trim_end_matches(';').split_once(" IN ROLE ")?;
        Some(roles.split(", ").map(str::to_owned).collect::<Vec<_>>())
    };
    for (name, roles) in [
        ("checkout-api", &[Role::Checkout][..]),
        ("stock-worker", &[Role::Stock]),
        ("push-worker", &[Role::Push]),
        ("dead-letter-worker", &[Role::DeadLetter]),
        ("verify", &[Role::Checker, Role::Desk, Role::Checkout]),
    ] {
        let roles: Vec<_> = roles.iter().map(|role| role.name().to_owned()).collect();
        assert_eq!(roles_of(name), Some(roles), "{name}");
    }
    for name in ["migrate", "seed"] {
        assert_eq!(roles_of(name), None, "{name} acts as the owner");
    }
    for role in Role::ALL {
        assert!(logins.contains(&format!("CREATE ROLE {} NOLOGIN;", role.name())));
    }
}

#[test]
fn every_variable_is_one_that_its_program_reads_and_accepts() {
    let compose = Compose::read();
    for (name, service, program) in compose.programs() {
        let documented = program.documented();
        for variable in service.environment.keys() {
            let known = documented.iter().any(|it| {
                it.name == variable || (it.secret && variable.strip_suffix("_FILE").is_some_and(|stem| stem == it.name))
            });
            assert!(known, "{} does not read {variable}", program.binary);
        }
        if let Err(refusal) = service.settings(program) {
            panic!("{name}: {refusal}");
        }
    }
    let setup = &compose.services["pubsub-setup"].environment;
    let variables = setup_variables();
    for name in setup.keys() {
        assert!(variables.iter().any(|(known, _)| known == name), "pubsub-setup does not read {name}");
    }
    for (name, required) in variables {
        assert!(!required || setup.contains_key(&name), "pubsub-setup needs {name}");
    }
}

#[test]
fn everybody_is_found_where_they_listen() {
    let compose = Compose::read();
    for (worker, binary, variable) in [
        (Worker::Stock, "jumun-stock-worker", "STOCK_WORKER_URL"),
        (Worker::Push, "jumun-push-worker", "PUSH_WORKER_URL"),
        (Worker::DeadLetter, "jumun-dead-letter-worker", "DEAD_LETTER_WORKER_URL"),
    ] {
        let url = format!("http://{}", compose.bind(binary));
        assert_eq!(compose.services["pubsub-setup"].environment[variable], url, "{worker:?}");
    }
    for (name, service, program) in compose.programs() {
        let Some(bind) = service.settings(program).unwrap() else { continue };
        let check = &service.healthcheck.as_ref().unwrap_or_else(|| panic!("{name} has no health check")).test;
        assert_eq!(check[..3], ["CMD", "jumun", "ready"]);
        assert!(check[3].starts_with(&format!("http://127.0.0.1:{}/", bind.port())), "{name}: {}", check[3]);
    }
    let emulator = &compose.services["emulator"];
    let host = emulator.command.iter().find_map(|it| it.strip_prefix("--host-port=")).unwrap();
    let project = emulator.command.iter().find_map(|it| it.strip_prefix("--project=")).unwrap();
    let worker = |it: &Service| it.command.first().is_some_and(|it| it.ends_with("-worker"));
    let on_pubsub = |it: &&Service| worker(it) || it.environment.contains_key("PUBSUB_EMULATOR_HOST");
    for service in compose.services.values().filter(on_pubsub) {
        assert_eq!(service.environment["PUBSUB_EMULATOR_HOST"], host);
        assert_eq!(service.environment["PUBSUB_PROJECT_ID"], project);
    }
}

#[test]
fn the_storefront_finds_the_sandbox_where_a_browser_does() {
    let told = &Compose::read().services["checkout-api"].environment;
    let sandbox = sandbox::Settings::default();
    for (variable, value) in [
        ("OIDC_ISSUER", format!("{}/oidc", sandbox.public_url)),
        ("OIDC_CLIENT_ID", sandbox.oidc_client_id),
        ("OIDC_CLIENT_SECRET", sandbox.oidc_client_secret),
        ("FIREBASE_CONFIG", sandbox::FIREBASE_CONFIG.to_owned()),
        ("FIREBASE_VAPID_KEY", sandbox::FIREBASE_VAPID_KEY.to_owned()),
        ("FIREBASE_SDK_URL", format!("{}/fcm/web", sandbox.public_url)),
    ] {
        assert_eq!(told.get(variable), Some(&value), "{variable}");
    }
}

#[test]
fn only_what_buyers_need_is_reached_from_outside_and_only_from_this_machine() {
    let compose = Compose::read();
    let mut published = BTreeSet::new();
    for port in &compose.services["machine"].ports {
        let [ip, outside, inside] = port.split(':').collect::<Vec<_>>()[..] else { panic!("{port}") };
        assert!(ip.parse::<IpAddr>().unwrap().is_loopback(), "{port}");
        assert_eq!(outside, inside, "the programs' own links name {inside}");
        published.insert(inside.parse::<u16>().unwrap());
    }
    let mut exposed = BTreeSet::new();
    for (_, service, program) in compose.programs() {
        let bind = service.settings(program).unwrap();
        exposed.extend(bind.filter(|bind| !bind.ip().is_loopback()).map(|bind| bind.port()));
    }
    assert_eq!(published, exposed);
    for (name, service) in compose.services.iter().filter(|(name, _)| *name != "machine") {
        assert!(service.ports.is_empty(), "{name}");
        let shares = service.network_mode.as_deref() == Some("service:machine");
        assert_eq!(shares, name != "postgres", "{name}");
    }
}

#[test]
fn volumes_are_declared_and_hold_what_is_looked_for_there() {
    let compose = Compose::read();
    let mounts: Vec<_> = compose.services.values().flat_map(Service::mounts).collect();
    let used: BTreeSet<&str> = mounts.iter().map(|(volume, _)| volume.as_str()).collect();
    assert_eq!(used, compose.volumes.keys().map(String::as_str).collect());

    let place = |service: &str, variable: &str| {
        let service = &compose.services[service];
        let file = service.environment[variable].clone();
        let mount = service.mounts().into_iter().find(|(_, folder)| file.starts_with(&format!("{folder}/")));
        (mount.unwrap_or_else(|| panic!("{file} is not kept")).0, file)
    };
    assert_eq!(place("sandbox", "SANDBOX_ACCOUNT_FILE"), place("push-worker", "FCM_SERVICE_ACCOUNT_FILE"));
}

#[test]
fn the_image_holds_what_is_started_and_runs_as_nobody() {
    let compose = Compose::read();
    let dockerfile = read("deploy/Dockerfile");
    let built: BTreeSet<&str> =
        dockerfile.lines().filter_map(|line| line.trim().strip_prefix("-p ")?.split(' ').next()).collect();
    let targets: BTreeSet<&str> =
        dockerfile.lines().filter_map(|line| Some(line.strip_prefix("FROM ")?.split_once(" AS ")?.1)).collect();
    for (name, service) in compose.ours() {
        assert!(built.contains(service.command[0].as_str()), "{name} starts what is not built");
        let Build { dockerfile, target } = service.build.as_ref().unwrap();
        assert_eq!(dockerfile, "deploy/Dockerfile");
        assert!(targets.contains(target.as_str()), "{name}: {target}");
        let sandbox = service.command[0] == "jumun-sandbox";
        assert_eq!((target == "sandbox", service.image == "jumun-sandbox"), (sandbox, sandbox), "{name}");
    }
    for package in built {
        let manifest =
            ["services", "."].map(|folder| format!("{folder}/{}/Cargo.toml", package.trim_start_matches("jumun-")));
        let found = manifest.iter().any(|file| {
            let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
            fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("name = \"{package}\"")))
        });
        assert!(found, "there is no package {package}");
    }
    assert!(dockerfile.lines().any(|line| line == "USER 65532:65532"));
    assert!(dockerfile.contains("--profile dist") && read("Cargo.toml").contains("[profile.dist]"));
    // What is built by default is what may be deployed.
    assert_eq!(dockerfile.lines().rfind(|line| line.starts_with("FROM ")), Some("FROM programs AS services"));
}
