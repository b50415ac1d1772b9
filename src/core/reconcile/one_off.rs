//! A one-off container: what an instance is made of, with another command, for as long as somebody waits for it.
//!
//! No instance: no name of the grid leads to it, it publishes nothing, is not checked, runs no hooks, and nobody starts
//! it again. Not here: which node it runs on (`placement`), and its end (whoever waits for it).

use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::stack::MAX_HOST_NAME;
use crate::view::View;
use crate::volume::VolumeName;

use super::action::{Attachment, Care, ContainerSpec};
use super::container::{OUR_LABELS, spec};
use super::goals::as_deployed;
use super::instances::Identity;
use super::wanted::Wanted;

/// What a person wants of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneOff {
    /// Tells it from others of its service: letters, so that no instance has its name.
    pub suffix: String,
    /// In place of the service's own; of an entrypoint these are the arguments. Empty for the service's own.
    pub command: Vec<String>,
    /// `NAME=VALUE`, in place of what the service says.
    pub environment: Vec<String>,
}

/// Why nothing can be made of a service here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    #[error("this node is in no grid")]
    NoGrid,
    #[error("nothing of service `{0}` is deployed, as far as its node knows")]
    NotDeployed(ServiceKey),
    #[error("the volume {0} is not known on its node")]
    NoVolume(VolumeName),
    #[error("`{0}` is bound to another node")]
    BoundElsewhere(InstanceId),
    #[error("`{instance}` is being moved to node `{to}` with its data")]
    Moves { instance: InstanceId, to: String },
}

/// The instance whose place it takes, ready for [`one_off`], and whose containers these are.
///
/// # Errors
/// What this node does not know.
pub fn prepare(
    view: &View,
    me: NodeId,
    instance: &InstanceId,
) -> Result<(Wanted, Identity), NotMade> {
    let identity = identity(view, me).ok_or(NotMade::NoGrid)?;
    check_stays(view, me, instance)?;
    let not_deployed = || NotMade::NotDeployed(instance.service.clone());
    let wanted = as_deployed(view, me, instance).ok_or_else(not_deployed)?;
    match wanted.lacks() {
        Some(volume) => Err(NotMade::NoVolume(volume.clone())),
        None => Ok((wanted, identity)),
    }
}

/// What it would write to a copy that is read for a move, or is to be removed after one, would be lost.
fn check_stays(view: &View, me: NodeId, instance: &InstanceId) -> Result<(), NotMade> {
    let Some(record) = view.documents.services.get(&instance.service) else {
        return Ok(());
    };
    let bound = record.pins.get(&instance.number);
    if bound.is_some_and(|pin| pin.node != me) {
        return Err(NotMade::BoundElsewhere(instance.clone()));
    }
    match record.moving(instance.number) {
        Some(order) => Err(NotMade::Moves {
            instance: instance.clone(),
            to: view.called(&order.to),
        }),
        None => Ok(()),
    }
}

fn identity(view: &View, me: NodeId) -> Option<Identity> {
    let documents = &view.documents;
    Some(Identity {
        grid: documents.grid.id?,
        grid_name: documents.grid.name.clone()?,
        node_name: documents.roster.get(&me)?.name.clone(),
    })
}

/// The container, from the image that `pinned` names.
pub fn one_off(
    wanted: &Wanted,
    identity: &Identity,
    network: Attachment,
    pinned: &str,
    asked: &OneOff,
) -> ContainerSpec {
    let spec = spec(wanted, identity, 0, network, pinned);
    // An instance's is STACK.SERVICE-NUMBER.
    let service = spec
        .name
        .rsplit_once('-')
        .map_or("", |(service, _)| service);
    let name = format!("{service}-run-{}", asked.suffix);
    let mut extra_labels = spec.extra_labels;
    for (key, value) in [("type", "one_off"), ("name", &name)] {
        extra_labels.insert(format!("{OUR_LABELS}container.{key}"), value.to_owned());
    }
    let command = match asked.command.is_empty() {
        true => spec.command,
        false => Some(asked.command.clone()),
    };
    ContainerSpec {
        hostname: hostname(&asked.suffix, &spec.domainname),
        name,
        command,
        environment: overridden(spec.environment, &asked.environment),
        ports: Vec::new(),
        care: Care::default(),
        extra_labels,
        ..spec
    }
}

/// Its own, so that the instance is found under its name from here, and no longer than the longest that Linux takes.
fn hostname(suffix: &str, domainname: &str) -> String {
    let room = MAX_HOST_NAME.saturating_sub(domainname.len() + 1);
    suffix.chars().take(room.max(1)).collect()
}

fn overridden(mut environment: Vec<String>, by: &[String]) -> Vec<String> {
    let name = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    for line in by {
        environment.retain(|other| name(other) != name(line));
        environment.push(line.clone());
    }
    environment
}
