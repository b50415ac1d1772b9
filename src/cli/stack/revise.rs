//! What records a revision of a stack: `stack install`, `upgrade`, `rollback`; and `stack diff`.

use std::collections::BTreeMap;
use std::path::Path;

use kontena_core::id::{GridName, StackName};
use kontena_core::manifest::compiled::{self, Compiled};
use kontena_stackfile::{Stack, Value};

use super::super::deploy::Wait;
use super::super::failure::Failure;
use super::super::session::Session;
use super::family::{self, Family};
use super::file::{self, Reading};
use super::plan::WholePlan;
use super::remove::remove_together;
use super::values::Values;
use super::{Consent, Deploy, File, history, plan, revision};
use crate::api::client::ApiError;
use crate::api::paths;
use crate::api::types::Changed;
use crate::api::types::error::ErrorKind;
use crate::api::types::revision::Rollback;
use crate::api::types::service::Services;
use crate::api::types::stack::{Stack as WireStack, StackJson};

/// A file on its way to be read, and what is known of its variables.
struct Source<'a> {
    file: &'a Path,
    name: Option<&'a StackName>,
    values: &'a Values,
    /// What counts where the user gives nothing.
    known: BTreeMap<String, Value>,
    /// The answers of last time.
    previous: BTreeMap<String, Value>,
}

/// What a file means on this grid.
async fn read(session: &Session, grid: &GridName, source: Source<'_>) -> Result<Stack, Failure> {
    let Services { services } = session.client.get(&paths::services(grid)).await?;
    Reading {
        output: &session.output,
        file: source.file,
        name: source.name,
        grid: grid.as_str(),
        platform: grid.as_str(),
        values: source.values,
        known: source.known,
        previous: source.previous,
        services: Some(services),
    }
    .stack()
}

pub(super) async fn install(
    session: &Session,
    file: &File,
    values: &Values,
    family: &Family,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let installed = family::installed(session, &grid).await?;
    let source = Source {
        file: &file.file,
        name: file.name.as_ref(),
        values,
        known: family.values(&installed)?,
        previous: BTreeMap::new(),
    };
    let stack = read(session, &grid, source).await?;
    let (below, own) = family::compile(&session.output, &stack, family)?;
    let name = &own.name;
    family::check_free(&installed, name, &below)?;
    for one in &below {
        record(session, &grid, one, false).await?;
    }
    let body = compiled::write(&own);
    let answer = session.client.post(&paths::stacks(&grid), &body).await;
    let changed = answer.map_err(|problem| not_installed(problem, name, &below))?;
    let recorded = Recorded {
        done: "installed",
        changed,
        below: names(&below),
        gone: Vec::new(),
    };
    follow_up(session, &grid, name, recorded, deploy, wait).await
}

fn not_installed(problem: ApiError, name: &StackName, below: &[Compiled]) -> Failure {
    let exists = problem.kind == ErrorKind::Exists;
    let failure = Failure::from(problem);
    if exists && below.is_empty() {
        return failure.hint(format!(
            "`kontena stack upgrade {name}` changes it; `--name` installs another one"
        ));
    }
    if below.is_empty() {
        return failure;
    }
    let below: Vec<String> = names(below).iter().map(ToString::to_string).collect();
    failure.hint(format!(
        "what it depends on was installed, and is removed by `kontena stack rm {}`",
        below.join(" ")
    ))
}

fn names(stacks: &[Compiled]) -> Vec<StackName> {
    stacks.iter().map(|stack| stack.name.clone()).collect()
}

/// Records a stack that another brings along.
async fn record(
    session: &Session,
    grid: &GridName,
    stack: &Compiled,
    is_there: bool,
) -> Result<(), Failure> {
    let (name, body) = (&stack.name, compiled::write(stack));
    let (done, answer) = match is_there {
        true => {
            let path = paths::stack(grid, name);
            ("upgraded", session.client.put(&path, &body).await)
        }
        false => {
            let path = paths::stacks(grid);
            ("installed", session.client.post(&path, &body).await)
        }
    };
    let changed: Changed<WireStack> = answer?;
    session.tell(&format!("{done} stack `{name}`"), &changed.saved);
    Ok(())
}

/// What an upgrade is given besides its file.
pub(super) struct Upgrade<'a> {
    pub(super) values: &'a Values,
    pub(super) family: &'a Family,
    /// Ask for nothing that was answered last time.
    pub(super) reuse_values: bool,
    pub(super) consent: Consent,
}

pub(super) async fn upgrade(
    session: &Session,
    name: &StackName,
    file: &Path,
    given: Upgrade<'_>,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let installed = family::installed(session, &grid).await?;
    let previous = family::answers(&installed, name.as_str());
    let mut known = given.family.values(&installed)?;
    if given.reuse_values {
        known.extend(previous.clone());
    }
    let source = Source {
        file,
        name: Some(name),
        values: given.values,
        known,
        previous,
    };
    let stack = read(session, &grid, source).await?;
    let (below, own) = family::compile(&session.output, &stack, given.family)?;
    let gone = match given.family.skip_dependencies {
        true => Vec::new(),
        false => no_longer_there(&installed, name, &below),
    };
    warn_of_labels(session, &installed, below.iter().chain([&own]));
    let plan = whole_plan(session, &grid, &installed, &own, &below, &gone).await?;
    if given.consent.dry_run {
        return plan::print(session, &plan);
    }
    plan::announce(session, name, &plan, given.consent.force)?;
    for one in &below {
        record(session, &grid, one, is_there(&installed, &one.name)).await?;
    }
    let path = paths::stack(&grid, name);
    let changed = session.client.put(&path, &compiled::write(&own)).await?;
    let recorded = Recorded {
        done: "upgraded",
        changed,
        below: names(&below),
        gone: gone.iter().map(|stack| stack.name.clone()).collect(),
    };
    follow_up(session, &grid, name, recorded, deploy, wait).await
}

/// A file says all labels of a stack: those that were added since go.
fn warn_of_labels<'c>(
    session: &Session,
    installed: &[WireStack],
    files: impl Iterator<Item = &'c Compiled>,
) {
    for file in files {
        let current = installed
            .iter()
            .find(|stack| stack.name == file.name.as_str());
        let is_kept = |label: &str| file.labels.iter().any(|kept| kept.as_str() == label);
        for label in current.into_iter().flat_map(|stack| &stack.labels) {
            if !is_kept(label) {
                session.output.warn(&format!(
                    "stack `{}` loses the label `{label}`, which its file does not have",
                    file.name
                ));
            }
        }
    }
}

fn is_there(installed: &[WireStack], name: &StackName) -> bool {
    installed.iter().any(|stack| stack.name == name.as_str())
}

/// The stacks that this one brought along, and does no more.
fn no_longer_there<'s>(
    installed: &'s [WireStack],
    name: &StackName,
    below: &[Compiled],
) -> Vec<&'s WireStack> {
    let mut gone = family::below(installed, name.as_str());
    gone.retain(|stack| !below.iter().any(|one| one.name.as_str() == stack.name));
    gone
}

async fn whole_plan(
    session: &Session,
    grid: &GridName,
    installed: &[WireStack],
    own: &Compiled,
    below: &[Compiled],
    gone: &[&WireStack],
) -> Result<WholePlan, Failure> {
    let mut whole = WholePlan::alone(plan::of_file(session, grid, own).await?);
    for one in below {
        match is_there(installed, &one.name) {
            true => whole.upgrades(&one.name, plan::of_file(session, grid, one).await?),
            false => whole.installs(one),
        }
    }
    for stack in gone {
        whole.removes(stack);
    }
    Ok(whole)
}

pub(super) async fn rollback(
    session: &Session,
    name: &StackName,
    revision: Option<String>,
    consent: Consent,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let to = match revision {
        Some(revision) => revision,
        None => {
            let [_, previous] = history::newest_two(session, &grid, name).await?;
            previous.hash
        }
    };
    let plan = plan::between(session, &grid, name, None, Some(&to)).await?;
    let plan = WholePlan::alone(plan);
    if consent.dry_run {
        return plan::print(session, &plan);
    }
    plan::announce(session, name, &plan, consent.force)?;
    let path = format!("{}/rollback", paths::stack(&grid, name));
    let body = Rollback { revision: Some(to) };
    let changed = session.client.post(&path, &body).await?;
    let recorded = Recorded::alone("rolled back", changed);
    follow_up(session, &grid, name, recorded, deploy, wait).await
}

pub(super) async fn diff(
    session: &Session,
    name: &StackName,
    from: Option<String>,
    to: Option<String>,
    values: &Values,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let plan = match from {
        None => {
            let [newest, previous] = history::newest_two(session, &grid, name).await?;
            let (from, to) = (Some(&*previous.hash), Some(&*newest.hash));
            plan::between(session, &grid, name, from, to).await?
        }
        Some(from) if to.is_some() || revision(&from).is_ok() => {
            plan::between(session, &grid, name, Some(&from), to.as_deref()).await?
        }
        Some(file) => {
            let installed = family::installed(session, &grid).await?;
            let source = Source {
                file: file.as_ref(),
                name: Some(name),
                values,
                known: BTreeMap::new(),
                previous: family::answers(&installed, name.as_str()),
            };
            let stack = read(session, &grid, source).await?;
            let compiled = file::compile(&session.output, &stack)?;
            plan::of_file(session, &grid, &compiled).await?
        }
    };
    plan::print(session, &WholePlan::alone(plan))
}

/// A revision that was recorded, and what else has to follow it.
pub(super) struct Recorded {
    pub(super) done: &'static str,
    changed: Changed<WireStack>,
    /// Stacks that are deployed before it.
    below: Vec<StackName>,
    /// Stacks that it does not bring along any more.
    gone: Vec<String>,
}

impl Recorded {
    pub(super) fn alone(done: &'static str, changed: Changed<WireStack>) -> Self {
        Self {
            done,
            changed,
            below: Vec::new(),
            gone: Vec::new(),
        }
    }
}

/// After the revision is recorded: deploy, wait, and show what came of it.
pub(super) async fn follow_up(
    session: &Session,
    grid: &GridName,
    name: &StackName,
    recorded: Recorded,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    let changed = recorded.changed;
    let said = format!("{} stack `{name}`", recorded.done);
    session.tell(&said, &changed.saved);
    if deploy.no_deploy {
        for gone in &recorded.gone {
            session.output.warn(&format!(
                "stack `{gone}` is not needed any more: `kontena stack rm {gone}` removes it"
            ));
        }
        return session.print_changed(&changed.saved, StackJson::from(changed.object));
    }
    for below in &recorded.below {
        super::deploy(session, grid, below, wait).await?;
    }
    let (saved, _) = super::deploy(session, grid, name, wait).await?;
    if !recorded.gone.is_empty() {
        let gone: Vec<&str> = recorded.gone.iter().map(String::as_str).collect();
        remove_together(session, grid, &gone).await?;
    }
    if !session.output.is_json() {
        return Ok(());
    }
    let now: WireStack = session.client.get(&paths::stack(grid, name)).await?;
    session.print_changed(&saved, StackJson::from(now))
}
