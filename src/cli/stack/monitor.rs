//! `stack monitor`: the services of a stack, or some of them, as `service monitor` shows one.

use futures::future::try_join_all;
use kontena_core::id::{GridName, ServiceKey, ServiceName, StackName};
use serde_json::json;

use super::super::failure::Failure;
use super::super::monitor::{Interval, watch};
use super::super::session::{Session, about};
use super::super::text::quoted;
use crate::api::client::ApiError;
use crate::api::paths;
use crate::api::types::service::{Service, ServiceJson};
use crate::api::types::stack::Stack;

pub(super) async fn monitor(
    session: &Session,
    name: &StackName,
    wanted: &[ServiceName],
    interval: Interval,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let found = stack(session, &grid, name).await;
    check(&found.map_err(about(format!("stack `{name}`")))?, wanted)?;
    let look = async || {
        let stack = stack(session, &grid, name).await?;
        let shown = stack.services.iter().map(|service| service.name.as_str());
        let shown = shown.filter(|name| is_wanted(name, wanted));
        let keys = shown.filter_map(|service| key(name, service));
        let found = try_join_all(keys.map(|key| whole(session, &grid, key))).await?;
        Ok(found.into_iter().flatten().collect())
    };
    let all = |services: Vec<Service>| {
        let services: Vec<ServiceJson> = services.into_iter().map(ServiceJson::from).collect();
        json!({"name": name, "services": services})
    };
    watch(session, interval, look, all).await
}

async fn stack(session: &Session, grid: &GridName, name: &StackName) -> Result<Stack, ApiError> {
    session.client.get(&paths::stack(grid, name)).await
}

/// With its instances, which a stack's answer has not; `None` where it was removed meanwhile.
async fn whole(
    session: &Session,
    grid: &GridName,
    key: ServiceKey,
) -> Result<Option<Service>, ApiError> {
    match session.client.get(&paths::service(grid, &key)).await {
        Err(problem) if problem.status == Some(404) => Ok(None),
        answer => answer.map(Some),
    }
}

fn key(stack: &StackName, service: &str) -> Option<ServiceKey> {
    format!("{stack}/{service}").parse().ok()
}

fn is_wanted(name: &str, wanted: &[ServiceName]) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted.as_str() == name)
}

fn check(stack: &Stack, wanted: &[ServiceName]) -> Result<(), Failure> {
    let names: Vec<&str> = stack.services.iter().map(|one| one.name.as_str()).collect();
    match wanted.iter().find(|name| !names.contains(&name.as_str())) {
        Some(missing) => Err(Failure::failed(format!(
            "stack `{}` has no service `{missing}`: it has {}",
            stack.name,
            quoted(names)
        ))),
        None => Ok(()),
    }
}
