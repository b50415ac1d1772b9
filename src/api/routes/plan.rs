//! What would happen if. *Ours.*

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use kontena_core::id::{NodeId, NodeName};
use kontena_core::membership::admission::check_labels;
use kontena_core::placement::{self, Plan, Supposition};

use super::{Answer, Shared, snapshot_of};
use crate::api::answer::Refused;
use crate::api::present::Snapshot;
use crate::api::request::{Body, Segments};
use crate::api::types::described::Described;
use crate::api::types::placement::PlanShape;
use crate::api::types::plan::PlanRequest;
use crate::api::types::segments::OfGrid;

/// More than anybody asks for at once: each is applied to a copy of the view.
const MAX_SUPPOSITIONS: usize = 1_000;

/// The services that are explained: more than anybody reads at once, and each is placed once more.
const MAX_EXPLAINED: usize = 20;

/// `POST /v1/grids/{grid}/plan`: nothing is done.
pub(super) async fn plan(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    Body(request): Body<PlanRequest>,
) -> Answer<Described<Plan, PlanShape>> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let explained = if request.scores { MAX_EXPLAINED } else { 0 };
    check_size(&request)?;
    let suppositions = suppositions(&snapshot, request)?;
    let think = move || placement::plan(&snapshot.view, &suppositions, explained);
    let plan = backend.thinker.think(think).await?;
    Ok(Json(Described::new(plan)))
}

/// Before anything is looked for.
fn check_size(request: &PlanRequest) -> Result<(), Refused> {
    let PlanRequest {
        drain,
        activate,
        kill,
        remove,
        label,
        add,
        scores: _,
    } = request;
    let named = [drain, activate, kill, remove].map(Vec::len);
    let count = named.iter().sum::<usize>() + label.len() + add.len();
    if count <= MAX_SUPPOSITIONS {
        return Ok(());
    }
    let message = format!("{count} suppositions, {MAX_SUPPOSITIONS} are possible");
    Err(Refused::invalid(message))
}

/// Who joins comes first, so that the rest may be supposed of it too; who is removed last.
fn suppositions(snapshot: &Snapshot, request: PlanRequest) -> Result<Vec<Supposition>, Refused> {
    let members = snapshot.view.documents.roster.iter();
    let nodes: Nodes<'_> = members.map(|(id, member)| (&member.name, *id)).collect();
    let mut all = Vec::new();
    for added in request.add {
        if nodes.contains_key(&added.name) {
            let message = format!("node `{}` exists already", added.name);
            return Err(Refused::invalid(message));
        }
        checked(&added.labels)?;
        let (name, labels) = (added.name, added.labels);
        all.push(Supposition::Joins { name, labels });
    }
    for labelled in request.label {
        checked(std::slice::from_ref(&labelled.label))?;
        all.push(Supposition::Labelled {
            node: find(&nodes, &labelled.node)?,
            label: labelled.label,
        });
    }
    let kinds: [(Vec<NodeName>, fn(NodeId) -> Supposition); 4] = [
        (request.drain, Supposition::Drains),
        (request.activate, Supposition::Activated),
        (request.kill, Supposition::Dies),
        (request.remove, Supposition::Removed),
    ];
    for (names, supposed) in kinds {
        for name in names {
            all.push(supposed(find(&nodes, &name)?));
        }
    }
    Ok(all)
}

/// The members by their names, looked up once for all that is supposed.
type Nodes<'a> = BTreeMap<&'a NodeName, NodeId>;

fn find(nodes: &Nodes<'_>, name: &NodeName) -> Result<NodeId, Refused> {
    let node = nodes.get(name).copied();
    node.ok_or_else(|| Refused::not_found("node", name.as_str()))
}

fn checked(labels: &[String]) -> Result<(), Refused> {
    check_labels(labels).map_err(Refused::invalid)
}
