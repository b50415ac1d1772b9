//! Deploying services and stacks, and what became of it.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use kontena_core::command::Command;
use kontena_core::id::{NodeId, ServiceKey};
use kontena_core::view::{ServiceRecord, View};

use super::services::existing;
use super::{
    Answer, List, Shared, change, highest_first, newest_first, saved, service_key, snapshot_of,
    stack_name,
};
use crate::api::answer::Refused;
use crate::api::backend::Backend;
use crate::api::present::{Snapshot, deploys};
use crate::api::request::{Body, NoBody, Parameters, Segments};
use crate::api::types::Changed;
use crate::api::types::deploy::{Abort, DeployRow, ServiceDeploy, ServiceDeploys, StackDeploy};
use crate::api::types::page::Page;
use crate::api::types::segments::{OfService, OfServiceDeploy, OfStack, OfStackDeploy};
use crate::api::types::service::{DeployRequest, Scale};

/// `POST …/deploy`: the newest definition is to run.
pub(super) async fn deploy_service(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    Body(request): Body<DeployRequest>,
) -> Answer<Changed<ServiceDeploy>> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let force = request.force.unwrap_or_default();
    let before = deploy_of(&backend, &key);
    let command = Command::DeployService {
        key: key.clone(),
        force,
    };
    let is_shown = |record: &ServiceRecord| {
        let deployed = record.deployed.as_ref();
        deployed.is_some_and(|deployed| {
            deployed.revision.hash == record.latest.hash
                && deployed.halt.is_none()
                && (!force || Some(deployed.generation) > before)
        })
    };
    deployed(&backend, key, command, is_shown).await
}

/// `POST …/scale`: so many instances, of the definition that is deployed.
pub(super) async fn scale_service(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    Body(request): Body<Scale>,
) -> Answer<Changed<ServiceDeploy>> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let instances = request.instances;
    let command = Command::ScaleService {
        key: key.clone(),
        instances,
    };
    deployed(&backend, key, command, |record| {
        record.instances == instances
    })
    .await
}

/// `POST …/abort`: nobody goes on with the deploy of record.
pub(super) async fn abort(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    Body(request): Body<Abort>,
) -> Answer<Changed<ServiceDeploy>> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let before = deploy_of(&backend, &key);
    let command = Command::AbortDeploy {
        key: key.clone(),
        rollback: request.rollback,
    };
    deployed(&backend, key, command, |record| {
        let deployed = record.deployed.as_ref();
        deployed
            .is_none_or(|deployed| deployed.halt.is_some() || Some(deployed.generation) != before)
    })
    .await
}

/// `POST …/promote`: those that wait for the first few follow.
pub(super) async fn promote(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    _: NoBody,
) -> Answer<Changed<ServiceDeploy>> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let command = Command::PromoteDeploy(key.clone());
    deployed(&backend, key, command, |record| {
        let deployed = record.deployed.as_ref();
        deployed.is_none_or(|deployed| deployed.canary().is_none())
    })
    .await
}

/// `GET …/deploys`: the newest hundred.
pub(super) async fn list(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    uri: Uri,
    Parameters(page): Parameters<Page>,
) -> List<ServiceDeploys> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let key = service_key(&stack, &service)?;
    let record = snapshot.service(&key)?;
    let rows = deploys::all(&snapshot, &key, record);
    page.cut(&uri, rows, |(by, row)| place(*by, row))
        .answer(|(_, row)| row, |deploys| ServiceDeploys { deploys })
}

/// Two nodes may give one number to two deploys, and of one revision: the higher node's is the newer one.
fn place(by: Option<NodeId>, row: &DeployRow) -> String {
    let number = row.id.parse().unwrap_or_default();
    let by = by.map(|by| format!("{},{}", highest_first(&by.to_string()), row.revision_id));
    newest_first(number, &by.unwrap_or_default())
}

async fn deployed(
    backend: &Backend,
    key: ServiceKey,
    command: Command,
    is_shown: impl Fn(&ServiceRecord) -> bool,
) -> Answer<Changed<ServiceDeploy>> {
    let is_done = |view: &View| view.documents.services.get(&key).is_none_or(&is_shown);
    let (how, snapshot) = change(backend, command, is_done).await?;
    let record = snapshot.service(&key)?;
    Ok(saved(deploys::current(&snapshot, &key, record), how))
}

/// The deploy of record before a command; `None` if there was none.
fn deploy_of(backend: &Backend, key: &ServiceKey) -> Option<u64> {
    let view = backend.view.borrow();
    let record = view.documents.services.get(key)?;
    Some(record.deployed.as_ref()?.generation)
}

/// `GET …/deploys/{deploy}`: polled until it has a `finished_at`.
pub(super) async fn of_service(
    State(backend): Shared,
    Segments(OfServiceDeploy {
        grid,
        stack,
        service,
        deploy,
    }): Segments<OfServiceDeploy>,
) -> Answer<ServiceDeploy> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let key = service_key(&stack, &service)?;
    let record = snapshot.service(&key)?;
    let found = deploy
        .parse()
        .ok()
        .and_then(|id| deploys::by_id(&snapshot, &key, record, id));
    found
        .map(Json)
        .ok_or_else(|| Refused::not_found("deploy", &deploy))
}

/// `POST /v1/stacks/{grid}/{stack}/deploy`.
pub(super) async fn deploy_stack(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    _: NoBody,
) -> Answer<Changed<StackDeploy>> {
    let name = stack_name(&stack)?;
    snapshot_of(&backend, &grid)?.stack(&name)?;
    let command = Command::DeployStack(name.clone());
    let is_deployed = |view: &View| {
        let services = view.documents.services.iter();
        let mut own = services.filter(|(key, _)| key.stack == name);
        own.all(|(_, record)| {
            let deployed = record.deployed.as_ref();
            deployed.is_some_and(|deployed| deployed.revision.hash == record.latest.hash)
        })
    };
    let (how, snapshot) = change(&backend, command, is_deployed).await?;
    let deploy = deploys::current_of_stack(&snapshot, &name);
    Ok(saved(deploy, how))
}

/// `GET /v1/stacks/{grid}/{stack}/deploys/{deploy}`.
pub(super) async fn of_stack(
    State(backend): Shared,
    Segments(OfStackDeploy {
        grid,
        stack,
        deploy,
    }): Segments<OfStackDeploy>,
) -> Answer<StackDeploy> {
    let snapshot: Snapshot = snapshot_of(&backend, &grid)?;
    let name = stack_name(&stack)?;
    snapshot.stack(&name)?;
    let found = deploy
        .parse()
        .ok()
        .and_then(|id| deploys::stack_by_id(&snapshot, &name, id));
    found
        .map(Json)
        .ok_or_else(|| Refused::not_found("deploy", &deploy))
}
