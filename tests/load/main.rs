//! Load: many whole purchases against a running shop (`jumun up`), timed step by step.
//!
//! `load --orders 10000 --concurrency 64 --products 1000` prints, for each step, how many a second and how long each
//! took; then how long it was from the provider's approval to the stock being taken and to the phone, by the
//! database's clock. Opening and authenticating payments in the sandbox is the buyer's part and is not timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use database::products::{self, NewProduct};
use domain::{ProductId, Won};
use futures_util::future::join_all;
use harness::cpu_time;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use sqlx::PgPool;

/// Buys from a running shop, many times.
#[derive(Parser)]
struct Arguments {
    /// The shop.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    shop: String,
    /// Its sandbox.
    #[arg(long, default_value = "http://127.0.0.1:8090")]
    sandbox: String,
    /// Its database.
    #[arg(long)]
    database: String,
    /// How many purchases.
    #[arg(long, default_value_t = 1_000)]
    orders: usize,
    /// How many buyers at once.
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// Over how many products they spread.
    #[arg(long, default_value_t = 1_000)]
    products: usize,
    /// Devices per buyer.
    #[arg(long, default_value_t = 2)]
    devices: usize,
    /// A process whose CPU time per purchase is reported, with its children's, as `name=pid`; repeatable.
    #[arg(long = "cpu", value_name = "NAME=PID")]
    cpu: Vec<String>,
    /// Purchases begin at this rate at most (0: as fast as they go).
    #[arg(long, default_value_t = 0)]
    rate: u64,
}

/// How long the queues may take to drain once the last buyer is served.
const PATIENCE: Duration = Duration::from_mins(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arc::new(Arguments::parse());
    let db = PgPool::connect(&arguments.database).await?;
    // The window's redirect leads to the shop: following it would confirm.
    let client = Client::builder().no_proxy().redirect(Policy::none()).pool_max_idle_per_host(1_024).build()?;
    let run = Run { products: stock_up(&db, &arguments).await?, arguments: Arc::clone(&arguments), client };

    let cookies = run.step("sessions and devices", (0..arguments.orders).collect(), Run::sign_in).await?;
    let mut meter = Meter::new(&arguments.cpu)?;
    meter.run();
    let orders = run.step("create", cookies, Run::create).await?;
    meter.pause();
    let payments = run.step("authenticate (sandbox)", orders, Run::authenticate).await?;
    let sold_before = sold(&db).await?;
    meter.run();
    run.step("confirm", payments, Run::confirm).await?;
    drained(&db, sold_before + i64::try_from(arguments.orders)?).await?;
    meter.pause();
    say(&meter.report(arguments.orders));
    delays(&db, &arguments).await
}

/// The time that purchases took, and the CPU time of the processes that served them.
struct Meter {
    processes: Vec<(String, u32)>,
    begun: Option<(Instant, Vec<Duration>)>,
    wall: Duration,
    cpu: Vec<Duration>,
}

impl Meter {
    fn new(processes: &[String]) -> anyhow::Result<Self> {
        let mut parsed = vec![("load".to_owned(), std::process::id())];
        for process in processes {
            let (name, pid) = process.split_once('=').ok_or_else(|| anyhow::anyhow!("expected NAME=PID"))?;
            parsed.push((name.to_owned(), pid.parse()?));
        }
        let cpu = vec![Duration::ZERO; parsed.len()];
        Ok(Self { processes: parsed, begun: None, wall: Duration::ZERO, cpu })
    }

    fn run(&mut self) {
        self.begun = Some((Instant::now(), self.processes.iter().map(|(_, pid)| cpu_time(*pid)).collect()));
    }

    fn pause(&mut self) {
        let Some((at, before)) = self.begun.take() else { return };
        self.wall += at.elapsed();
        for ((spent, (_, pid)), before) in self.cpu.iter_mut().zip(&self.processes).zip(before) {
            *spent += cpu_time(*pid).saturating_sub(before);
        }
    }

    fn report(&self, orders: usize) -> String {
        let mut report = format!("whole purchases: {:.0} a second", per_second(orders, self.wall));
        for ((name, _), spent) in self.processes.iter().zip(&self.cpu) {
            let each = 1_000.0 / per_second(orders, *spent);
            report.extend(["; ", name, &format!(" {each:.3} ms CPU each")]);
        }
        report
    }
}

struct Run {
    arguments: Arc<Arguments>,
    client: Client,
    products: Vec<uuid::Uuid>,
}

struct Order {
    cookie: String,
    body: Value,
}

struct Payment {
    cookie: String,
    body: Value,
}

impl Run {
    /// Does one thing for each input, so many at once, and prints how fast.
    async fn step<I: Send, O>(
        &self,
        what: &str,
        inputs: Vec<I>,
        act: impl AsyncFn(&Self, I) -> anyhow::Result<O>,
    ) -> anyhow::Result<Vec<O>> {
        let count = inputs.len();
        let inputs: Vec<_> = inputs.into_iter().map(|input| std::sync::Mutex::new(Some(input))).collect();
        let next = AtomicUsize::new(0);
        let begun = Instant::now();
        let worker = async || {
            let (mut done, mut times) = (Vec::new(), Vec::new());
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(input) = inputs.get(n) else { return anyhow::Ok((done, times)) };
                if let Some(pause) = self.pause(n, begun) {
                    tokio::time::sleep(pause).await;
                }
                let Some(input) = input.lock().ok().and_then(|mut input| input.take()) else { continue };
                let started = Instant::now();
                done.push(act(self, input).await?);
                times.push(started.elapsed());
            }
        };
        let workers = join_all((0..self.arguments.concurrency).map(|_| worker())).await;
        let took = begun.elapsed();
        let (mut done, mut times) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for worker in workers {
            let (worker_done, worker_times) = worker?;
            done.extend(worker_done);
            times.extend(worker_times);
        }
        times.sort_unstable();
        say(&format!(
            "{what}: {count} in {:.2} s, {:.0} a second, p50 {:.2} ms, p99 {:.2} ms",
            took.as_secs_f64(),
            per_second(count, took),
            percentile(&times, 50),
            percentile(&times, 99),
        ));
        Ok(done)
    }

    fn pause(&self, n: usize, begun: Instant) -> Option<Duration> {
        let rate = self.arguments.rate;
        let due = begun + Duration::from_nanos(1_000_000_000u64.checked_div(rate)? * n as u64);
        due.checked_duration_since(Instant::now())
    }

    async fn post(&self, path: &str, cookie: &str, body: &Value) -> anyhow::Result<reqwest::Response> {
        let request = self.client.post(format!("{}{path}", self.arguments.shop)).header("cookie", cookie).json(body);
        let key = uuid::Uuid::new_v4().to_string();
        Ok(request.header("idempotency-key", key).send().await?.error_for_status()?)
    }

    async fn sign_in(&self, _: usize) -> anyhow::Result<String> {
        let page = self.client.get(&self.arguments.shop).send().await?.error_for_status()?;
        let cookies = page.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
        let session = cookies.filter_map(|cookie| cookie.split(';').next()).find(|pair| pair.starts_with("sid="));
        let cookie = session.ok_or_else(|| anyhow::anyhow!("no session"))?.to_owned();
        page.bytes().await?;
        for _ in 0..self.arguments.devices {
            let device = json!({"token": uuid::Uuid::new_v4().to_string()});
            self.post("/api/messaging-tokens", &cookie, &device).await?;
        }
        Ok(cookie)
    }

    async fn create(&self, cookie: String) -> anyhow::Result<Order> {
        let product = self.products[rand::random_range(0..self.products.len())];
        let body = json!({"items": [{"productId": product, "quantity": 1}]});
        let body = self.post("/api/orders", &cookie, &body).await?.json().await?;
        Ok(Order { cookie, body })
    }

    async fn authenticate(&self, order: Order) -> anyhow::Result<Payment> {
        let Order { cookie, body } = order;
        let window = json!({
            "clientKey": body["clientKey"], "customerKey": body["customerKey"], "orderId": body["orderId"],
            "orderName": body["orderName"], "amount": {"value": body["amount"], "currency": "KRW"},
            "successUrl": body["successUrl"], "failUrl": body["failUrl"],
        });
        let sandbox = &self.arguments.sandbox;
        let opened = self.client.post(format!("{sandbox}/toss/browser/payments")).json(&window).send().await?;
        let opened: Value = opened.error_for_status()?.json().await?;
        let key = opened["paymentKey"].as_str().unwrap_or_default();
        let window = format!("{sandbox}/toss/window/{key}");
        self.client.post(window).form(&[("choice", "card")]).send().await?.bytes().await?;
        let body = json!({"paymentKey": key, "orderId": body["orderId"], "amount": body["amount"]});
        Ok(Payment { cookie, body })
    }

    async fn confirm(&self, payment: Payment) -> anyhow::Result<()> {
        let answer = self.post("/api/payments/confirm", &payment.cookie, &payment.body).await?;
        let answer: Value = answer.json().await?;
        anyhow::ensure!(answer["status"] == "paid", "{answer}");
        Ok(())
    }
}

async fn stock_up(db: &PgPool, arguments: &Arguments) -> anyhow::Result<Vec<uuid::Uuid>> {
    let price = Won::new(10_000)?;
    let products: Vec<_> = (0..arguments.products)
        .map(|n| {
            let name = format!("load {n}");
            NewProduct { id: ProductId::new(), name_en: name.clone(), name, price, image_url: None, stock: 1_000_000 }
        })
        .collect();
    products::add(db, &products).await?;
    Ok(products.iter().map(|product| product.id.uuid()).collect())
}

async fn sold(db: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM stock_ledger WHERE kind = 'sold'").fetch_one(db).await
}

/// Waits until everything is sold and every notification is sent.
async fn drained(db: &PgPool, expected: i64) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let waiting = "SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL) + (SELECT count(*) FROM deliveries)
        + (SELECT count(*) FROM push_attempts WHERE due_at IS NOT NULL)";
    loop {
        let left: i64 = sqlx::query_scalar(waiting).fetch_one(db).await?;
        if left == 0 && sold(db).await? >= expected {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "{left} messages are still on their way");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// From the provider's approval being on record to the stock and to the phone, by the database's clock.
async fn delays(db: &PgPool, arguments: &Arguments) -> anyhow::Result<()> {
    for (what, sql) in [
        (
            "paid to stock taken",
            "SELECT extract(epoch FROM g.at - p.settled_at)::float8 FROM stock_ledger g
             JOIN payments p ON p.order_id = g.order_id AND p.status = 'done' WHERE g.kind = 'sold' ORDER BY g.id DESC LIMIT $1",
        ),
        (
            "paid to notification planned",
            "SELECT extract(epoch FROM a.at - p.settled_at)::float8 FROM push_attempts a
             JOIN payments p ON p.order_id = a.order_id AND p.status = 'done' ORDER BY a.at DESC LIMIT $1",
        ),
        (
            "paid to notification sent",
            "SELECT extract(epoch FROM t.last_success_at - p.settled_at)::float8 FROM push_attempts a
             JOIN messaging_tokens t ON t.id = a.device_id
             JOIN payments p ON p.order_id = a.order_id AND p.status = 'done' WHERE a.status = 'sent' ORDER BY a.at DESC LIMIT $1",
        ),
    ] {
        let seconds: Vec<f64> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(i64::try_from(arguments.orders)?)
            .fetch_all(db)
            .await?;
        let mut times: Vec<_> = seconds.iter().map(|s| Duration::from_secs_f64(s.max(0.0))).collect();
        times.sort_unstable();
        say(&format!("{what}: p50 {:.1} ms, p99 {:.1} ms", percentile(&times, 50), percentile(&times, 99)));
    }
    Ok(())
}

fn per_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

/// In milliseconds, of sorted times.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

#[expect(clippy::print_stdout, reason = "the report is the program's purpose")]
fn say(text: &str) {
    println!("{text}");
}
