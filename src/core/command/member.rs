//! Commands about nodes and join tokens → edits.

use super::Refusal;
use crate::document::edit::Edit;
use crate::id::{NodeId, TokenId};
use crate::membership::admission::check_labels;
use crate::view::{Availability, LastSign, Member, View};

pub(super) fn update(
    view: &View,
    node: NodeId,
    labels: Option<&[String]>,
    availability: Option<Availability>,
) -> Result<Vec<Edit>, Refusal> {
    let member = find(view, node)?;
    let mut edits = Vec::new();
    if let Some(labels) = labels {
        let labels = tidy_labels(labels)?;
        if labels != member.labels {
            edits.push(Edit::NodeLabels { node, labels });
        }
    }
    if let Some(availability) = availability.filter(|wanted| *wanted != member.availability) {
        edits.push(Edit::NodeAvailability { node, availability });
    }
    Ok(edits)
}

/// Removing is for good. A node that is online, that stateful instances are bound to, or that is a witness needs force.
pub(super) fn remove(
    view: &View,
    me: NodeId,
    node: NodeId,
    force: bool,
) -> Result<Vec<Edit>, Refusal> {
    let member = find(view, node)?;
    if node == me {
        return Err(Refusal::Invalid(
            "a node does not remove itself: run `kontena leave` on it".to_owned(),
        ));
    }
    if !force {
        check_removal(view, node, member)?;
    }
    Ok(vec![Edit::RemoveNode(node)])
}

/// A node that is heard of is not dead. Said again of one that is assumed dead already, it writes nothing.
pub(super) fn assume_dead(view: &View, node: NodeId, last: LastSign) -> Result<Vec<Edit>, Refusal> {
    let member = find(view, node)?;
    if view.freshness(&node).is_online() {
        let problem = format!("node `{}` is heard of: it is not dead", member.name);
        return Err(Refusal::Invalid(problem));
    }
    if view.absence(&node).assumed_dead {
        return Ok(Vec::new());
    }
    Ok(vec![Edit::AssumeDead { node, last }])
}

fn check_removal(view: &View, node: NodeId, member: &Member) -> Result<(), Refusal> {
    check_needed(view, node, member)?;
    if view.freshness(&node).is_online() {
        let problem = format!(
            "node `{}` is online: run `kontena leave` on it",
            member.name
        );
        return Err(Refusal::NeedsForce { problem });
    }
    Ok(())
}

/// The data of stateful instances that are bound to a node goes with it, and so does its say in leases.
pub(super) fn check_needed(view: &View, node: NodeId, member: &Member) -> Result<(), Refusal> {
    let needed = [
        ("holds the data of", bound_instances(view, node)),
        (
            "is a witness of the lease of",
            witnessed_services(view, node),
        ),
    ];
    let needed = needed.into_iter().filter(|(_, whose)| !whose.is_empty());
    let needed: Vec<String> = needed
        .map(|(how, whose)| format!("{how} {}", whose.join(", ")))
        .collect();
    if needed.is_empty() {
        return Ok(());
    }
    let problem = format!("node `{}` {}", member.name, needed.join(", and "));
    Err(Refusal::NeedsForce { problem })
}

/// The services that a node is a witness of.
fn witnessed_services(view: &View, node: NodeId) -> Vec<String> {
    let services = view.documents.services.iter();
    services
        .filter(|(_, record)| record.witnesses.contains(&node))
        .map(|(key, _)| format!("`{key}`"))
        .collect()
}

/// The stateful instances that are bound to a node.
fn bound_instances(view: &View, node: NodeId) -> Vec<String> {
    let services = view.documents.services.iter();
    services
        .flat_map(|(key, record)| {
            record
                .pins
                .iter()
                .map(move |(number, pin)| (key, number, pin))
        })
        .filter(|(_, _, pin)| pin.node == node)
        .map(|(key, number, _)| format!("`{key}-{number}`"))
        .collect()
}

pub(super) fn revoke_token(view: &View, token: TokenId) -> Result<Vec<Edit>, Refusal> {
    match view.documents.join_tokens.get(&token) {
        None => Err(Refusal::NotFound {
            what: "token",
            name: token.to_string(),
        }),
        Some(known) if known.revoked => Ok(Vec::new()),
        Some(_) => Ok(vec![Edit::RevokeJoinToken(token)]),
    }
}

pub(super) fn find(view: &View, node: NodeId) -> Result<&Member, Refusal> {
    let missing = || Refusal::NotFound {
        what: "node",
        name: node.to_string(),
    };
    view.documents.roster.get(&node).ok_or_else(missing)
}

/// Sorted, each once.
fn tidy_labels(labels: &[String]) -> Result<Vec<String>, Refusal> {
    check_labels(labels).map_err(Refusal::Invalid)?;
    let mut labels = labels.to_vec();
    labels.sort();
    labels.dedup();
    Ok(labels)
}
