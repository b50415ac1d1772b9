//! External registries: where images are pulled from with a name and a password.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use kontena_core::command::Command;
use kontena_core::external_registry::{Account, MAX_SHARED, RegistryName, SealedText};
use kontena_core::id::NodeId;

use super::{Answer, List, Shared, change, saved, snapshot_of};
use crate::api::answer::Refused;
use crate::api::present::{self, Snapshot};
use crate::api::request::{Body, NoBody, Parameters, Segments};
use crate::api::types::page::Page;
use crate::api::types::registry::{ExternalRegistries, ExternalRegistry, ExternalRegistryRequest};
use crate::api::types::segments::{OfGrid, OfRegistry};
use crate::api::types::{Changed, Saved};
use crate::sealed;

/// What sealing adds to a password.
const SEAL: usize = 64;

/// `GET /v1/grids/{grid}/external_registries`.
pub(super) async fn list(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    uri: Uri,
    Parameters(page): Parameters<Page>,
) -> List<ExternalRegistries> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let known = &snapshot.view.documents.registries;
    page.cut(&uri, known, |(name, _)| name.to_string()).answer(
        |(name, known)| present::registry::registry(&snapshot, name, known),
        |external_registries| ExternalRegistries {
            external_registries,
        },
    )
}

/// `POST`: credentials, in the place of others that the registry has.
pub(super) async fn add(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    Body(asked): Body<ExternalRegistryRequest>,
) -> Answer<Changed<ExternalRegistry>> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (name, url) = RegistryName::of_url(&asked.url)
        .map_err(|problem| Refused::invalid(problem.to_string()))?;
    check_password(&asked.password)?;
    let nodes = recipients(&snapshot, backend.me);
    let (password, keys) = sealed::seal(&asked.password, &name.secret(), nodes)
        .map_err(|problem| Refused::invalid(format!("the password cannot be sealed: {problem}")))?;
    let lock = password.lock;
    let command = Command::AddRegistry {
        name: name.clone(),
        account: Box::new(Account {
            url,
            username: asked.username,
            email: asked.email.filter(|email| !email.is_empty()),
            password,
        }),
        keys,
    };
    let (how, snapshot) = change(&backend, command, |view| {
        let known = view.documents.registries.get(&name);
        known.is_some_and(|known| known.account.password.lock == lock)
    })
    .await?;
    let known = snapshot.view.documents.registries.get(&name);
    let made = known.map(|known| present::registry::registry(&snapshot, &name, known));
    Ok(saved(made.ok_or_else(Refused::unseen)?, how))
}

fn check_password(password: &str) -> Result<(), Refused> {
    let most = SealedText::MAX - SEAL;
    match password.len() {
        0 => Err(Refused::invalid("`password` is empty")),
        size if size > most => Err(Refused::invalid(format!(
            "`password` is longer than {most} bytes"
        ))),
        _ => Ok(()),
    }
}

/// This node, and as many others as one change has room for: the rest is given theirs by whoever has one.
fn recipients(snapshot: &Snapshot, me: NodeId) -> impl Iterator<Item = NodeId> {
    let others = snapshot.view.documents.roster.keys().copied();
    let others: Vec<NodeId> = others.filter(|node| *node != me).collect();
    std::iter::once(me).chain(others).take(MAX_SHARED)
}

/// `DELETE /v1/external_registries/{grid}/{registry}`.
pub(super) async fn remove(
    State(backend): Shared,
    Segments(OfRegistry { grid, registry }): Segments<OfRegistry>,
    _: NoBody,
) -> Answer<Saved> {
    snapshot_of(&backend, &grid)?;
    let name: RegistryName = registry
        .parse()
        .map_err(|_| Refused::not_found("external registry", &registry))?;
    let (how, _) = change(&backend, Command::RemoveRegistry(name.clone()), |view| {
        !view.documents.registries.contains_key(&name)
    })
    .await?;
    Ok(Json(how))
}
