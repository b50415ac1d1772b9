//! Services, but for deploying them.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use kontena_core::command::Command;
use kontena_core::id::{ServiceKey, StackName};
use kontena_core::manifest::compiled::{FieldProblem, ServiceChange};
use kontena_core::stack::Service as CoreService;
use kontena_core::view::{Lifecycle, View};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, List, Shared, change, saved, service_key, snapshot_of};
use crate::api::answer::Refused;
use crate::api::backend::Backend;
use crate::api::openapi::outputs::Created;
use crate::api::present::{Snapshot, containers as present_containers, service as present};
use crate::api::request::{Body, NoBody, Parameters, Segments};
use crate::api::types::definition::{NewService, ServiceDefinition};
use crate::api::types::described::Described;
use crate::api::types::form::AssignmentText;
use crate::api::types::instance::{Containers, Instances};
use crate::api::types::page::{Page, PageSize, Place};
use crate::api::types::segments::{OfGrid, OfService, OfVariable};
use crate::api::types::service::{Service, Services};
use crate::api::types::{Changed, Saved};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only those of this stack; `null` for those without one.
    stack: Option<String>,
    /// *Ours*: at most so many. All of them where it is absent.
    limit: Option<PageSize>,
    /// *Ours*: only what comes after this place of the list, as the header `Link` of the page before says it.
    after: Option<Place>,
}

/// `GET /v1/grids/{grid}/services?stack=NAME`.
pub(super) async fn list(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    uri: Uri,
    Parameters(filter): Parameters<Filter>,
) -> List<Services> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let all = snapshot.view.documents.services.iter();
    let Filter {
        stack,
        limit,
        after,
    } = filter;
    let stack = stack.filter(|stack| !stack.is_empty());
    let meant = all.filter(|(key, _)| {
        let stack = stack.as_deref();
        stack.is_none_or(|stack| key.stack.as_str() == stack)
    });
    let page = Page { limit, after };
    page.cut(&uri, meant, |(key, _)| {
        format!("{},{}", key.stack, key.service)
    })
    .answer(
        |(key, record)| present::listed(&snapshot, key, record),
        |services| Services { services },
    )
}

pub(super) async fn show(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
) -> Answer<Service> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let key = service_key(&stack, &service)?;
    shown(&snapshot, &key).map(Json)
}

fn shown(snapshot: &Snapshot, key: &ServiceKey) -> Result<Service, Refused> {
    let record = snapshot.service(key)?;
    Ok(present::shown(snapshot, key, record))
}

/// Every problem of a body as one refusal.
pub(super) fn refused(problems: &[FieldProblem]) -> Refused {
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Refused::invalid(texts.join("; "))
}

/// `POST /v1/grids/{grid}/services`: a service without a stack.
pub(super) async fn create(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    Body(body): Body<Described<Value, NewService>>,
) -> Result<Created<Changed<Service>>, Refused> {
    snapshot_of(&backend, &grid)?;
    let wanted = ServiceChange::read(&body.value).map_err(|problems| refused(&problems))?;
    let service = wanted.create().map_err(|problems| refused(&problems))?;
    let Some(name) = wanted.name else {
        return Err(Refused::invalid("name: is missing"));
    };
    let key = ServiceKey::new(StackName::null(), name);
    let command = Command::CreateService {
        key: key.clone(),
        service: Box::new(service),
        instances: wanted.instances.unwrap_or(1),
    };
    let exists = |view: &View| view.documents.services.contains_key(&key);
    let (how, snapshot) = change(&backend, command, exists).await?;
    let created = shown(&snapshot, &key).map_err(|_| Refused::unseen())?;
    Ok(Created(saved(created, how)))
}

/// `PUT`: only what the body names changes.
pub(super) async fn update(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    Body(body): Body<Described<Value, ServiceDefinition>>,
) -> Answer<Changed<Service>> {
    let _alone = backend.alone().await?;
    let snapshot = snapshot_of(&backend, &grid)?;
    let key = service_key(&stack, &service)?;
    let wanted = ServiceChange::read(&body.value).map_err(|problems| refused(&problems))?;
    check_name(&wanted, &key)?;
    let mut service = wanted
        .apply(current(&snapshot, &key)?)
        .map_err(|problems| refused(&problems))?;
    // Links as they were read name their stack, also where it is this one.
    service.localize_links(&key.stack);
    redefine(&backend, key, service, wanted.instances).await
}

/// The newest definition of a service.
fn current<'s>(snapshot: &'s Snapshot, key: &ServiceKey) -> Result<&'s CoreService, Refused> {
    let latest = &snapshot.service(key)?.latest;
    let service = latest.service.as_deref();
    service.map_err(|problem| {
        Refused::invalid(format!("this version cannot read the service: {problem}"))
    })
}

async fn redefine(
    backend: &Backend,
    key: ServiceKey,
    service: CoreService,
    instances: Option<u32>,
) -> Answer<Changed<Service>> {
    let hash = service.hash();
    let command = Command::UpdateService {
        key: key.clone(),
        service: Box::new(service),
        instances,
    };
    let is_updated = |view: &View| {
        view.documents.services.get(&key).is_none_or(|record| {
            record.latest.hash == hash && instances.is_none_or(|count| count == record.instances)
        })
    };
    let (how, snapshot) = change(backend, command, is_updated).await?;
    Ok(saved(shown(&snapshot, &key)?, how))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Variable {
    /// `NAME=VALUE`.
    #[schemars(with = "AssignmentText")]
    env: String,
}

/// `POST …/envs`: sets one variable, new or not.
pub(super) async fn set_variable(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    Body(wanted): Body<Variable>,
) -> Answer<Changed<Service>> {
    let name = CoreService::variable_name(&wanted.env);
    let name = name.map_err(|problem| Refused::invalid(format!("env: {problem}")))?;
    let _alone = backend.alone().await?;
    let snapshot = snapshot_of(&backend, &grid)?;
    let key = service_key(&stack, &service)?;
    let mut service = current(&snapshot, &key)?.clone();
    let mut variables = service.environment.iter_mut();
    match variables.find(|variable| names(variable, name)) {
        Some(variable) => variable.clone_from(&wanted.env),
        None => service.environment.push(wanted.env.clone()),
    }
    redefine(&backend, key, service, None).await
}

/// `DELETE …/envs/{variable}`.
pub(super) async fn unset_variable(
    State(backend): Shared,
    Segments(OfVariable {
        grid,
        stack,
        service,
        variable: name,
    }): Segments<OfVariable>,
    _: NoBody,
) -> Answer<Changed<Service>> {
    let _alone = backend.alone().await?;
    let snapshot = snapshot_of(&backend, &grid)?;
    let key = service_key(&stack, &service)?;
    let mut service = current(&snapshot, &key)?.clone();
    let before = service.environment.len();
    service
        .environment
        .retain(|variable| !names(variable, &name));
    if service.environment.len() == before {
        return Err(Refused::not_found("variable", &name));
    }
    redefine(&backend, key, service, None).await
}

/// Whether `NAME=VALUE` is of this name.
fn names(variable: &str, name: &str) -> bool {
    variable.split_once('=').is_some_and(|(of, _)| of == name)
}

/// A name in the body of an update must be the one in the path: there is no renaming.
fn check_name(wanted: &ServiceChange, key: &ServiceKey) -> Result<(), Refused> {
    match &wanted.name {
        Some(name) if *name != key.service => {
            let problem = format!("name: `{name}` differs from `{}`", key.service);
            Err(Refused::invalid(problem))
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) async fn remove(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    _: NoBody,
) -> Answer<Saved> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let gone = |view: &View| !view.documents.services.contains_key(&key);
    let command = Command::RemoveService(key.clone());
    let (how, _) = change(&backend, command, gone).await?;
    Ok(Json(how))
}

pub(super) async fn start(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    _: NoBody,
) -> Answer<Changed<Service>> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let command = Command::StartService(key.clone());
    become_state(&backend, key, command, Lifecycle::Running).await
}

pub(super) async fn stop(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    _: NoBody,
) -> Answer<Changed<Service>> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let command = Command::StopService(key.clone());
    become_state(&backend, key, command, Lifecycle::Stopped).await
}

pub(super) async fn restart(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    _: NoBody,
) -> Answer<Changed<Service>> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let (how, snapshot) = change(&backend, Command::RestartService(key.clone()), |_| true).await?;
    Ok(saved(shown(&snapshot, &key)?, how))
}

async fn become_state(
    backend: &Backend,
    key: ServiceKey,
    command: Command,
    state: Lifecycle,
) -> Answer<Changed<Service>> {
    let is_so = |view: &View| {
        let record = view.documents.services.get(&key);
        record.is_none_or(|record| record.state == state)
    };
    let (how, snapshot) = change(backend, command, is_so).await?;
    Ok(saved(shown(&snapshot, &key)?, how))
}

pub(super) fn existing(
    backend: &Backend,
    grid: &str,
    stack: &str,
    service: &str,
) -> Result<ServiceKey, Refused> {
    let snapshot = snapshot_of(backend, grid)?;
    let key = service_key(stack, service)?;
    snapshot.service(&key)?;
    Ok(key)
}

pub(super) async fn instances(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
) -> Answer<Instances> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let key = service_key(&stack, &service)?;
    let record = snapshot.service(&key)?;
    let instances = crate::api::present::instances::instances(&snapshot, &key, record);
    Ok(Json(Instances { instances }))
}

pub(super) async fn containers(
    State(backend): Shared,
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
) -> Answer<Containers> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let key = service_key(&stack, &service)?;
    snapshot.service(&key)?;
    let containers = present_containers::of_service(&snapshot, &key);
    Ok(Json(Containers { containers }))
}
