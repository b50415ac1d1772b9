//! The VPN: who comes in, and where.

use axum::Json;
use axum::extract::State;
use kontena_core::command::Command;
use kontena_core::id::VpnUserName;
use kontena_core::network::vpn::{Entry, Reach, Target};

use super::{Answer, Shared, change, saved, snapshot_of};
use crate::api::answer::Refused;
use crate::api::present;
use crate::api::request::{Body, NoBody, Segments};
use crate::api::types::segments::{OfGrid, OfNode, OfVpnUser};
use crate::api::types::vpn::{Vpn, VpnEntry, VpnEntryRequest, VpnLimit, VpnUser, VpnUserRequest};
use crate::api::types::{Changed, Saved};

/// `GET /v1/vpn/{grid}`.
pub(super) async fn show(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
) -> Answer<Vpn> {
    let snapshot = snapshot_of(&backend, &grid)?;
    Ok(Json(present::vpn::vpn(&snapshot)))
}

/// `PUT /v1/vpn/{grid}/entries/{node}`: users may enter there.
pub(super) async fn open(
    State(backend): Shared,
    Segments(OfNode { grid, node: name }): Segments<OfNode>,
    Body(asked): Body<VpnEntryRequest>,
) -> Answer<Changed<VpnEntry>> {
    let node = *snapshot_of(&backend, &grid)?.node(&name)?.0;
    let entry = Entry {
        address: asked.address,
    };
    let (how, snapshot) = change(&backend, Command::OpenVpn { node, entry }, |view| {
        view.documents.vpn.entries.get(&node) == Some(&entry)
    })
    .await?;
    let entry = present::vpn::entry(&snapshot, &node);
    Ok(saved(entry.ok_or_else(Refused::unseen)?, how))
}

/// `DELETE /v1/vpn/{grid}/entries/{node}`: nobody enters there any more.
pub(super) async fn close(
    State(backend): Shared,
    Segments(OfNode { grid, node: name }): Segments<OfNode>,
    _: NoBody,
) -> Answer<Saved> {
    let node = *snapshot_of(&backend, &grid)?.node(&name)?.0;
    let (how, _) = change(&backend, Command::CloseVpn(node), |view| {
        !view.documents.vpn.entries.contains_key(&node)
    })
    .await?;
    Ok(Json(how))
}

/// `POST /v1/vpn/{grid}/users`.
pub(super) async fn add(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    Body(asked): Body<VpnUserRequest>,
) -> Answer<Changed<VpnUser>> {
    snapshot_of(&backend, &grid)?;
    let key = asked.public_key;
    let command = Command::AddVpnUser {
        name: asked.name,
        key,
        reach: reach(asked.only)?,
    };
    let is_shown = |view: &kontena_core::view::View| view.documents.vpn.users.contains_key(&key);
    let (how, snapshot) = change(&backend, command, is_shown).await?;
    let user = present::vpn::user(&snapshot, &key);
    Ok(saved(user.ok_or_else(Refused::unseen)?, how))
}

/// `PUT /v1/vpn/{grid}/users/{name}`: what it may reach from now on.
pub(super) async fn limit(
    State(backend): Shared,
    Segments(OfVpnUser { grid, user: name }): Segments<OfVpnUser>,
    Body(asked): Body<VpnLimit>,
) -> Answer<Saved> {
    snapshot_of(&backend, &grid)?;
    let (name, reach) = (user_name(&name)?, reach(asked.only)?);
    let command = Command::LimitVpnUser {
        name: name.clone(),
        reach: reach.clone(),
    };
    let (how, _) = change(&backend, command, |view| {
        let mut named = view.documents.vpn.named(&name);
        named.all(|(_, user)| user.reach == reach)
    })
    .await?;
    Ok(Json(how))
}

/// `DELETE /v1/vpn/{grid}/users/{name}`: its key never counts again.
pub(super) async fn remove(
    State(backend): Shared,
    Segments(OfVpnUser { grid, user: name }): Segments<OfVpnUser>,
    _: NoBody,
) -> Answer<Saved> {
    snapshot_of(&backend, &grid)?;
    let name = user_name(&name)?;
    let (how, _) = change(&backend, Command::RemoveVpnUser(name.clone()), |view| {
        view.documents.vpn.named(&name).next().is_none()
    })
    .await?;
    Ok(Json(how))
}

fn reach(only: Option<Vec<Target>>) -> Result<Reach, Refused> {
    match only {
        None => Ok(Reach::Everything),
        Some(targets) if targets.is_empty() => Err(Refused::invalid(
            "only: a VPN user that reaches nothing is none: remove it",
        )),
        Some(targets) => Ok(Reach::Only(targets.into_iter().collect())),
    }
}

/// A name that no user can have does not exist: 404, as for any other.
fn user_name(name: &str) -> Result<VpnUserName, Refused> {
    name.parse()
        .map_err(|_| Refused::not_found("VPN user", name))
}
