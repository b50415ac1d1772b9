//! `service link` and `unlink`: single links.

use kontena_core::id::ServiceKey;
use serde_json::{Value, json};

use super::updated;
use crate::api::paths;
use crate::api::types::Changed;
use crate::api::types::service::{LinkRef, Service as WireService, ServiceJson};
use crate::cli::failure::Failure;
use crate::cli::session::{Session, about};

/// Adds a link to `target`; a service of another stack is named with it.
pub(super) async fn link(
    session: &Session,
    name: &ServiceKey,
    target: &ServiceKey,
) -> Result<(), Failure> {
    let (path, mut links) = links(session, name).await?;
    if links.iter().any(|link| leads_to(link, target)) {
        return Err(Failure::failed(format!(
            "service `{name}` is linked to `{target}` already"
        )));
    }
    links.push(LinkRef {
        // Which grid it is, is not looked at.
        id: format!("-/{}/{}", target.stack, target.service),
        alias: target.service.to_string(),
    });
    change(session, name, &path, &links).await
}

pub(super) async fn unlink(
    session: &Session,
    name: &ServiceKey,
    target: &ServiceKey,
) -> Result<(), Failure> {
    let (path, mut links) = links(session, name).await?;
    let before = links.len();
    links.retain(|link| !leads_to(link, target));
    if links.len() == before {
        return Err(Failure::failed(format!(
            "service `{name}` is not linked to `{target}`"
        )));
    }
    change(session, name, &path, &links).await
}

fn leads_to(link: &LinkRef, target: &ServiceKey) -> bool {
    let end = format!("/{}/{}", target.stack, target.service);
    link.id.ends_with(&end)
}

async fn links(session: &Session, name: &ServiceKey) -> Result<(String, Vec<LinkRef>), Failure> {
    let grid = session.grid().await?;
    let path = paths::service(&grid, name);
    let service: WireService = session.client.get(&path).await?;
    Ok((path, service.definition.links))
}

async fn change(
    session: &Session,
    name: &ServiceKey,
    path: &str,
    links: &[LinkRef],
) -> Result<(), Failure> {
    let links: Vec<Value> = links.iter().map(|link| json!(link)).collect();
    let answer = session.client.put(path, &json!({"links": links})).await;
    let changed: Changed<WireService> = answer.map_err(about(format!("service `{name}`")))?;
    let said = updated(name, &changed.object);
    session.print_change(&said, &changed.saved, ServiceJson::from(changed.object))
}
