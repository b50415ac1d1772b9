//! What records a revision of a stack: `stack install`, `upgrade`, `rollback`; and `stack diff`.

use std::path::Path;

use kontena_core::id::{GridName, StackName};
use kontena_core::manifest::compiled::{self, Compiled};

use super::super::deploy::Wait;
use super::super::failure::Failure;
use super::super::session::Session;
use super::file::{Reading, compile};
use super::values::Values;
use super::{Consent, Deploy, File, history, plan, revision};
use crate::api::paths;
use crate::api::types::Changed;
use crate::api::types::error::ErrorKind;
use crate::api::types::revision::Rollback;
use crate::api::types::service::Services;
use crate::api::types::stack::{Stack as WireStack, StackJson};

/// What a file means on this grid.
async fn read(
    session: &Session,
    grid: &GridName,
    file: &Path,
    name: Option<&StackName>,
    values: &Values,
) -> Result<Compiled, Failure> {
    let Services { services } = session.client.get(&paths::services(grid)).await?;
    let stack = Reading {
        output: &session.output,
        file,
        name,
        grid: grid.as_str(),
        platform: grid.as_str(),
        values,
        services: Some(services),
    }
    .stack()?;
    compile(&session.output, &stack)
}

pub(super) async fn install(
    session: &Session,
    file: &File,
    values: &Values,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let compiled = read(session, &grid, &file.file, file.name.as_ref(), values).await?;
    let answer = session
        .client
        .post(&paths::stacks(&grid), &compiled::write(&compiled))
        .await;
    let made: Changed<WireStack> = answer.map_err(|problem| {
        let name = &compiled.name;
        let exists = problem.kind == ErrorKind::Exists;
        let failure = Failure::from(problem);
        if exists {
            failure.hint(format!(
                "`kontena stack upgrade {name}` changes it; `--name` installs another one"
            ))
        } else {
            failure
        }
    })?;
    let name = &compiled.name;
    follow_up(session, &grid, name, "installed", made, deploy, wait).await
}

pub(super) async fn upgrade(
    session: &Session,
    name: &StackName,
    file: &Path,
    values: &Values,
    consent: Consent,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let compiled = read(session, &grid, file, Some(name), values).await?;
    let plan = plan::of_file(session, &grid, &compiled).await?;
    if consent.dry_run {
        return plan::print(session, &plan);
    }
    plan::announce(session, name, &plan, consent.force)?;
    let body = compiled::write(&compiled);
    let changed: Changed<WireStack> = session
        .client
        .put(&paths::stack(&grid, name), &body)
        .await?;
    follow_up(session, &grid, name, "upgraded", changed, deploy, wait).await
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
    if consent.dry_run {
        return plan::print(session, &plan);
    }
    plan::announce(session, name, &plan, consent.force)?;
    let path = format!("{}/rollback", paths::stack(&grid, name));
    let body = Rollback { revision: Some(to) };
    let changed: Changed<WireStack> = session.client.post(&path, &body).await?;
    follow_up(session, &grid, name, "rolled back", changed, deploy, wait).await
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
            plan::between(
                session,
                &grid,
                name,
                Some(&previous.hash),
                Some(&newest.hash),
            )
            .await?
        }
        Some(from) if to.is_some() || revision(&from).is_ok() => {
            plan::between(session, &grid, name, Some(&from), to.as_deref()).await?
        }
        Some(file) => {
            let compiled = read(session, &grid, file.as_ref(), Some(name), values).await?;
            plan::of_file(session, &grid, &compiled).await?
        }
    };
    plan::print(session, &plan)
}

/// After the revision is recorded: deploy, wait, and show what came of it.
async fn follow_up(
    session: &Session,
    grid: &GridName,
    name: &StackName,
    done: &str,
    changed: Changed<WireStack>,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    session.output.talk(&format!("{done} stack `{name}`"));
    session.warn_if_on_one_only(&changed.saved);
    if deploy.no_deploy {
        return session.print_changed(&changed.saved, StackJson::from(changed.object));
    }
    let (saved, _) = super::deploy(session, grid, name, wait).await?;
    if !session.output.is_json() {
        return Ok(());
    }
    let now: WireStack = session.client.get(&paths::stack(grid, name)).await?;
    session.print_changed(&saved, StackJson::from(now))
}
