//! `jumun products`: what the shop sells, and how much of it there is.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use database::catalogue::{self, Change, Entry, Reason, Stock};
use database::products::{self, NewProduct};
use domain::{ProductId, Won};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::home::Home;
use crate::output::{column, say, won};
use crate::store::Store;
use crate::variables::Variables;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists all products with their stock, newest first.
    List {
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Puts a new product on sale and prints its id.
    Add(Add),
    /// Changes a product. Orders that exist keep the name and price that they were made with.
    Change {
        /// The product's id.
        id: Uuid,
        #[command(flatten)]
        difference: Difference,
    },
    /// Adds pieces that were delivered to the shop.
    Receive {
        /// The product's id.
        id: Uuid,
        /// How many pieces came.
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        pieces: i32,
    },
    /// Corrects the stock after counting, breakage or a find. Never takes pieces that are promised to orders.
    Adjust {
        /// The product's id.
        id: Uuid,
        /// How many pieces more, or fewer: -3.
        #[arg(allow_negative_numbers = true, value_parser = pieces)]
        pieces: i32,
    },
}

/// A new product.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Korean name, up to 200 characters.
    #[arg(long, value_parser = name)]
    name: String,
    /// English name, up to 200 characters.
    #[arg(long, value_parser = name)]
    name_en: String,
    /// Won per piece.
    #[arg(long, value_parser = price)]
    price: Won,
    /// Pieces in the warehouse.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    stock: i32,
    /// Address of its picture, https.
    #[arg(long)]
    image_url: Option<String>,
    /// Pieces that one order may hold (99 if not given).
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=9_999))]
    max_per_order: Option<i32>,
}

/// What is to be different.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Difference {
    /// Korean name, up to 200 characters.
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// English name, up to 200 characters.
    #[arg(long, value_parser = name)]
    name_en: Option<String>,
    /// Won per piece.
    #[arg(long, value_parser = price)]
    price: Option<Won>,
    /// Address of its picture, https.
    #[arg(long)]
    image_url: Option<String>,
    /// Pieces that one order may hold.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=9_999))]
    max_per_order: Option<i32>,
    /// Whether buyers can find and order it. Unpaid orders of it can still be paid.
    #[arg(long)]
    on_sale: Option<bool>,
}

fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fits = (1..=200).contains(&text.chars().count()) && !text.contains(char::is_control);
    fits.then(|| text.to_owned()).ok_or_else(|| "expected 1 to 200 characters without line breaks".to_owned())
}

fn price(text: &str) -> Result<Won, String> {
    let price = text.parse().ok().and_then(|won| Won::new(won).ok());
    price.ok_or_else(|| "expected a whole number of won, such as 27000".to_owned())
}

fn pieces(text: &str) -> Result<i32, String> {
    let pieces = text.parse().ok().filter(|pieces| *pieces != 0);
    pieces.ok_or_else(|| "expected how many pieces more or fewer, such as 5 or -3".to_owned())
}

/// The command.
pub(crate) async fn run(variables: &Variables, home: &Home, command: Command) -> anyhow::Result<ExitCode> {
    let store = Store::find(variables, home).await?;
    let db = store.connect(1, None).await?;
    let said = obey(&db, command).await;
    db.close().await;
    store.close().await?;
    say(&said?)?;
    Ok(ExitCode::SUCCESS)
}

async fn obey(db: &PgPool, command: Command) -> anyhow::Result<String> {
    match command {
        Command::List { json } => {
            let entries = catalogue::list(db).await?;
            if json { as_json(&entries) } else { Ok(text(&entries)) }
        }
        Command::Add(add) => {
            let id = ProductId::from(Uuid::now_v7());
            let Add { name, name_en, price, stock, image_url, max_per_order } = add;
            products::add(db, &[NewProduct { id, name, name_en, price, image_url, stock }]).await?;
            if max_per_order.is_some() {
                catalogue::change(db, id, &Change { max_per_order, ..Change::default() }).await?;
            }
            Ok(id.uuid().to_string())
        }
        Command::Change { id, difference } => {
            let Difference { name, name_en, price, image_url, max_per_order, on_sale } = difference;
            let change = Change { name, name_en, price, image_url, max_per_order, active: on_sale };
            if !catalogue::change(db, id.into(), &change).await? {
                bail!("there is no product {id}");
            }
            Ok("Changed.".to_owned())
        }
        Command::Receive { id, pieces } => count(db, id, pieces, Reason::Received).await,
        Command::Adjust { id, pieces } => count(db, id, pieces, Reason::Adjusted).await,
    }
}

async fn count(db: &PgPool, id: Uuid, pieces: i32, reason: Reason) -> anyhow::Result<String> {
    if let Some(Stock { on_hand, reserved }) = catalogue::count(db, id.into(), pieces, reason).await? {
        return Ok(format!("{on_hand} on hand, {reserved} of them promised to orders"));
    }
    let entry = catalogue::list(db).await?.into_iter().find(|it| it.id == id.into());
    let Some(entry) = entry else { bail!("there is no product {id}") };
    bail!("nothing was changed: {} are on hand, and {} of them are promised to orders", entry.on_hand, entry.reserved)
}

fn text(entries: &[Entry]) -> String {
    let mut text = String::new();
    for it in entries {
        let sale = if it.active { "on sale" } else { "hidden" };
        let (name, price) = (column(&it.name, 28), format!("₩{}", won(it.price.get())));
        let (on_hand, reserved) = (it.on_hand, it.reserved);
        // Writing to a text does not fail.
        writeln!(text, "{}  {name}  {price:>12}  {sale:<7}  {on_hand} on hand, {reserved} promised", it.id.uuid()).ok();
    }
    match entries.len() {
        0 => "There is no product. Next: jumun products add --help".to_owned(),
        count => text + &format!("{count} product{}", if count == 1 { "" } else { "s" }),
    }
}

fn as_json(entries: &[Entry]) -> anyhow::Result<String> {
    let products: Vec<_> = entries
        .iter()
        .map(|it| {
            json!({
                "id": it.id.uuid(), "name": it.name, "nameEn": it.name_en, "price": it.price, "imageUrl": it.image_url,
                "maxPerOrder": it.max_per_order, "onSale": it.active, "onHand": it.on_hand, "reserved": it.reserved,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&json!({ "products": products }))?)
}
