//! What would happen if. *Ours.*

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
    let suppositions = suppositions(&snapshot, request)?;
    let plan = placement::plan(&snapshot.view, &suppositions, explained);
    Ok(Json(Described::new(plan)))
}

/// Who joins comes first, so that the rest may be supposed of it too; who is removed last.
fn suppositions(snapshot: &Snapshot, request: PlanRequest) -> Result<Vec<Supposition>, Refused> {
    let mut all = Vec::new();
    for added in request.add {
        if snapshot.node(added.name.as_str()).is_ok() {
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
            node: find(snapshot, &labelled.node)?,
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
            all.push(supposed(find(snapshot, &name)?));
        }
    }
    if all.len() > MAX_SUPPOSITIONS {
        let message = format!(
            "{} suppositions, {MAX_SUPPOSITIONS} are possible",
            all.len()
        );
        return Err(Refused::invalid(message));
    }
    Ok(all)
}

fn find(snapshot: &Snapshot, name: &NodeName) -> Result<NodeId, Refused> {
    let (node, _) = snapshot.node(name.as_str())?;
    Ok(*node)
}

fn checked(labels: &[String]) -> Result<(), Refused> {
    check_labels(labels).map_err(Refused::invalid)
}
