//! `jumun dead-letters`: where a person decides about messages that no consumer could process.

mod arguments;
mod content;
mod print;

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use database::Role;
use database::dead_letters::{self, Decision, Status, Summary};
use dead_letter_worker::desk::Replay;
use messaging::engine::Engine;
use sqlx::PgPool;
use uuid::Uuid;

use crate::home::Home;
use crate::output::say;
use crate::store::Store;
use crate::variables::Variables;

pub(crate) use arguments::Command;
use arguments::{Discard, List, Replay as ReplayArguments, Selection, Show};
use print::Verdicts;

/// The command.
pub(crate) async fn run(variables: &Variables, home: &Home, command: Command) -> anyhow::Result<ExitCode> {
    let store = Store::find(variables, home).await?;
    let db = store.connect(2, Role::Desk).await?;
    let result = match command {
        Command::List(arguments) => list(&db, &arguments).await,
        Command::Show(arguments) => show(&db, &arguments).await,
        Command::Replay(arguments) => replay(&db, variables, &arguments).await,
        Command::Discard(arguments) => discard(&db, variables, &arguments).await,
    };
    db.close().await;
    store.close().await?;
    result
}

async fn list(db: &PgPool, List { filters, json }: &List) -> anyhow::Result<ExitCode> {
    let letters = dead_letters::list(db, filters.of_open_letters(), filters.limit).await?;
    let full = i64::try_from(letters.len()).is_ok_and(|count| count == filters.limit);
    say(&if *json { print::list_json(&letters)? } else { print::list(&letters, full) })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(db: &PgPool, &Show { id, raw, json }: &Show) -> anyhow::Result<ExitCode> {
    let filter = dead_letters::Filter { ids: Some(&[id]), ..dead_letters::Filter::default() };
    let found = dead_letters::list(db, filter, 1).await?.pop().zip(dead_letters::content(db, id).await?);
    let Some((letter, content)) = found else { bail!("there is no dead letter {id}") };
    let content = content::Shown::new(content, raw);
    let actions = dead_letters::actions(db, id).await?;
    say(&if json {
        print::letter_json(&letter, &content, &actions)?
    } else {
        print::letter(&letter, &content, &actions)?
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn replay(db: &PgPool, variables: &Variables, arguments: &ReplayArguments) -> anyhow::Result<ExitCode> {
    let ReplayArguments { selection, reason } = arguments;
    let actor = actor(selection, variables)?;
    let (letters, mut verdicts) = select(db, selection).await?;
    let plan = Replay::plan(db, &letters).await?;
    let refused = if selection.dry_run {
        verdicts.done.extend(plan.ready());
        plan.refused
    } else {
        let mut env = variables.env();
        let engine = Engine::read(&mut env);
        env.finish()?;
        let publisher = engine.publisher(db, None).await.context("cannot reach the message engine")?;
        let decision = Decision { actor: &actor, reason: reason.as_deref() };
        let done = plan.carry_out(db, publisher.as_ref(), decision).await.context(
            "the database did not answer; what it does not call replayed may be replayed again without harm",
        )?;
        verdicts.done.extend(done.replayed);
        done.refused
    };
    for (letters, why) in refused {
        let why = format!("{:#}", anyhow::Error::new(why));
        verdicts.refused.extend(letters.into_iter().map(|letter| (letter, why.clone())));
    }
    conclude("replayed", &verdicts, selection)
}

async fn discard(db: &PgPool, variables: &Variables, arguments: &Discard) -> anyhow::Result<ExitCode> {
    let Discard { selection, reason } = arguments;
    let actor = actor(selection, variables)?;
    let (letters, mut verdicts) = select(db, selection).await?;
    let open: Vec<Uuid> = letters.iter().filter(|it| it.status == Status::Open).map(|it| it.id).collect();
    verdicts.done = if selection.dry_run {
        open
    } else {
        dead_letters::discard(db, &open, Decision { actor: &actor, reason: Some(reason) }).await?
    };
    let done: HashSet<Uuid> = verdicts.done.iter().copied().collect();
    let decided = letters.iter().map(|it| it.id).filter(|id| !done.contains(id));
    verdicts.refused.extend(decided.map(|id| (id, "it is not open".to_owned())));
    conclude("discarded", &verdicts, selection)
}

/// Whose name goes on record.
fn actor(selection: &Selection, variables: &Variables) -> anyhow::Result<String> {
    let actor = selection.by.as_deref().or_else(|| variables.get("USER"));
    Ok(actor.context("cannot tell who decides: name them with --by")?.to_owned())
}

/// The letters to decide about. Those that were named and are not there are refused.
async fn select(db: &PgPool, selection: &Selection) -> anyhow::Result<(Vec<Summary>, Verdicts)> {
    let (filter, limit) = selection.filter();
    let letters = dead_letters::list(db, filter, limit).await?;
    let found: HashSet<Uuid> = letters.iter().map(|it| it.id).collect();
    let missing = selection.ids.iter().filter(|id| !found.contains(id));
    let refused = missing.map(|id| (*id, "there is no such letter that the filters leave".to_owned())).collect();
    Ok((letters, Verdicts { done: Vec::new(), refused }))
}

fn conclude(what: &str, verdicts: &Verdicts, selection: &Selection) -> anyhow::Result<ExitCode> {
    let Selection { dry_run, json, .. } = *selection;
    say(&if json { verdicts.json(what, dry_run)? } else { verdicts.text(what, dry_run) })?;
    Ok(ExitCode::from(u8::from(!verdicts.refused.is_empty())))
}

#[cfg(test)]
mod tests;
