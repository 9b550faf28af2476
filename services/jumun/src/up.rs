//! `jumun up`: the whole shop in one process.

mod shop;
mod topology;

use anyhow::bail;
use secrecy::ExposeSecret as _;
use service::serve;

use crate::home::{Addresses, Home};
use crate::output::{column, say};
use crate::variables::Variables;

pub(crate) use shop::{Settings, Shop};
pub use topology::Topology;

/// The command: opens the shop, says where it is, and closes it on Ctrl-C.
pub(crate) async fn up(variables: Variables, home: &Home) -> anyhow::Result<()> {
    let shutdown = serve::shutdown_signal()?;
    let mut shop = tokio::select! {
        shop = Shop::open(variables, home) => shop?,
        // The process ends, and with it whatever was asked of the database; the private server is stopped.
        () = shutdown.cancelled() => return Ok(()),
    };
    say(&sign(&shop))?;
    let fallen = tokio::select! {
        () = shutdown.cancelled() => None,
        what = shop.fallen() => Some(what),
    };
    say("\n닫는 중입니다 · closing; Ctrl-C: 바로 종료 · at once")?;
    tokio::select! {
        closed = shop.close(home) => closed?,
        // The private server ends with this process, in good order.
        interrupted = tokio::signal::ctrl_c() => bail!("not everything had stopped: {interrupted:?}"),
    }
    match fallen {
        Some(what) => bail!(what),
        None => Ok(()),
    }
}

/// Or whoever restarts it takes payments that it no longer knows for lost ones.
const FORGETFUL: &str = "다시 시작하면 결제를 잊습니다 · forgets its payments when it ends";

fn sign(shop: &Shop) -> String {
    let Addresses { shop: storefront, sandbox, stock_worker, push_worker, dead_letter_worker, .. } = shop.addresses();
    let line = |what: &str, value: &str| format!("  {}{value}\n", column(what, 26));
    let database = match shop.private_database() {
        Some((url, folder)) => {
            line("데이터베이스 · database", url.expose_secret()) + &line("", &folder.display().to_string())
        }
        None => line("데이터베이스 · database", "DATABASE_URL"),
    };
    [
        "\n  주문 가게를 열었습니다 · Jumun is open\n\n".to_owned(),
        line("가게 · shop", storefront),
        sandbox.as_ref().map(|it| line("장부와 휴대폰 · sandbox", it) + &line("", FORGETFUL)).unwrap_or_default(),
        database,
        line("메시지 · messages", shop.messages()),
        line("작업자 · workers", &format!("{stock_worker} (stock)")),
        line("", &format!("{push_worker} (push)")),
        line("", &format!("{dead_letter_worker} (dead letters)")),
        "\n".to_owned(),
        line("확인 · check", "jumun verify"),
        line("종료 · stop", "Ctrl-C"),
    ]
    .concat()
}
