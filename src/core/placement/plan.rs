//! What would happen: something is supposed of a view, placement is asked again, and the difference told.
//!
//! In: a view and [`Supposition`]s. Out: a [`Plan`], for `kontena plan`: serialises into stable JSON. Nothing is done.
//! It tells the first step: what follows once that is carried out, as of an affinity to a service that moved, it does
//! not tell.
//!
//! Not here: any rule. Both answers are placement's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{InstanceId, NodeId, NodeName, ServiceKey};
use crate::report::{Engine, EngineState, Report, ReportOrder};
use crate::time::WallTime;
use crate::view::{Availability, Documents, Freshness, Member, Standing, View};

use super::explain::{Explanation, explain};
use super::words::{name, reason};
use super::{Assignment, PLACEMENT_VERSION, Placement, Reason, place};

/// Something that might become so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supposition {
    Drains(NodeId),
    Activated(NodeId),
    /// It is absent, and everybody has waited long enough.
    Dies(NodeId),
    Removed(NodeId),
    /// It gets a label `KEY=VALUE`, in place of others with that key, or a bare one.
    Labelled {
        node: NodeId,
        label: String,
    },
    /// A node joins with nothing on it. Between nodes that are equal otherwise the key decides, and the one
    /// that will join has another than this supposed one.
    Joins {
        name: NodeName,
        labels: Vec<String>,
    },
}

/// What would become of the instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order of services and numbers.
    pub changes: Vec<Change>,
    /// How many would stay as they are.
    pub unchanged: usize,
    /// Of the first services that would change: how each node looks to the decision then, scores and rejections, for the
    /// instances that would be elsewhere. Empty unless asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explanations: Vec<Explanation>,
}

/// What would become of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub instance: InstanceId,
    /// Who is to run it now.
    pub from: Option<NodeName>,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The rule that would hold, for people.
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// Another node would run it.
    Moves { to: NodeName },
    /// It runs nowhere now, and would.
    Starts { to: NodeName },
    /// Its node is to give it up, and keeps it for want of another.
    Stays { on: NodeName },
    /// It would be down, and would wait.
    Waits,
    /// It would go with its node.
    Stops,
}

/// What placement would say if all of this were so. Of the first `explained` services that would change it is told why:
/// each of them costs what placing all that come before it does.
pub fn plan(view: &View, suppositions: &[Supposition], explained: usize) -> Plan {
    let mut supposed = view.clone();
    for supposition in suppositions {
        suppose(&mut supposed, supposition);
    }
    let mut plan = difference((view, &place(view)), (&supposed, &place(&supposed)));
    plan.explanations = explanations(&supposed, &plan.changes, explained);
    plan
}

fn explanations(supposed: &View, changes: &[Change], most: usize) -> Vec<Explanation> {
    let mut services: BTreeMap<&ServiceKey, BTreeSet<u32>> = BTreeMap::new();
    for change in changes
        .iter()
        .filter(|change| change.outcome != Outcome::Stops)
    {
        let InstanceId { service, number } = &change.instance;
        services.entry(service).or_default().insert(*number);
    }
    let first = services.into_iter().take(most);
    let explained = first.map(|(key, numbers)| {
        let mut explanation = explain(supposed, key, None);
        explanation
            .instances
            .retain(|instance| numbers.contains(&instance.number));
        explanation
    });
    explained.collect()
}

fn suppose(view: &mut View, supposition: &Supposition) {
    let documents = Arc::make_mut(&mut view.documents);
    match supposition {
        Supposition::Drains(node) => set(documents, node, |member| {
            member.availability = Availability::Drain;
        }),
        Supposition::Activated(node) => set(documents, node, |member| {
            member.availability = Availability::Active;
        }),
        Supposition::Labelled { node, label } => set(documents, node, |member| {
            relabel(&mut member.labels, label);
        }),
        Supposition::Dies(node) => {
            if let Some(standing) = view.standings.get_mut(node) {
                standing.freshness = standing.freshness.max(Freshness::Absent);
            }
        }
        Supposition::Removed(node) => {
            if let Some(member) = documents.roster.remove(node) {
                documents.former.insert(*node, member.name);
                documents.removed.insert(*node);
            }
            view.reports.remove(node);
            view.standings.remove(node);
        }
        Supposition::Joins { name, labels } => join(view, name, labels),
    }
}

fn set(documents: &mut Documents, node: &NodeId, change: impl FnOnce(&mut Member)) {
    if let Some(member) = documents.roster.get_mut(node) {
        change(member);
    }
}

fn relabel(labels: &mut Vec<String>, label: &str) {
    let key = |label: &str| label.split_once('=').map(|(key, _)| key.to_owned());
    labels.retain(|old| match key(label) {
        Some(new) => key(old).as_ref() != Some(&new),
        None => old != label,
    });
    labels.push(label.to_owned());
    labels.sort_unstable();
}

fn join(view: &mut View, name: &NodeName, labels: &[String]) {
    let node = NodeId(Sha256::digest(name.as_str()).into());
    let documents = Arc::make_mut(&mut view.documents);
    let numbers = documents.roster.values().map(|member| member.number);
    let member = Member {
        name: name.clone(),
        sponsor: node,
        joined: WallTime::default(),
        labels: labels.to_vec(),
        availability: Availability::Active,
        number: numbers.max().unwrap_or(0).saturating_add(1),
        addresses: Vec::new(),
        subnet: None,
    };
    documents.roster.insert(node, member);
    let report = Report {
        placement_version: PLACEMENT_VERSION,
        engine: Engine {
            state: EngineState::Working,
            ..Engine::default()
        },
        ..Report::empty(node, ReportOrder::default())
    };
    view.reports.insert(node, Arc::new(report));
    let standing = Standing {
        freshness: Freshness::Fresh,
        since: WallTime::default(),
    };
    view.standings.insert(node, standing);
}

/// A view, and what placement says of it.
type Placed<'a> = (&'a View, &'a Placement);

fn difference(before: Placed<'_>, after: Placed<'_>) -> Plan {
    let instances = |(_, placement): Placed<'_>| {
        let all = placement.assignments();
        all.map(|(key, number, _)| InstanceId::new(key.clone(), number))
            .collect::<BTreeSet<_>>()
    };
    let all = &instances(before) | &instances(after);
    let count = all.len();
    let changes: Vec<Change> = all
        .into_iter()
        .filter_map(|instance| change(before, after, instance))
        .collect();
    Plan {
        unchanged: count - changes.len(),
        changes,
        explanations: Vec::new(),
    }
}

fn change(before: Placed<'_>, after: Placed<'_>, instance: InstanceId) -> Option<Change> {
    let was = before
        .1
        .get(&instance)
        .map(|it| Condition::of(before.0, it));
    let assigned = after.1.get(&instance);
    let is = assigned.map(|it| Condition::of(after.0, it));
    if was == is {
        return None;
    }
    let from = was.and_then(Condition::node);
    let named = |node| name(after.0, &node);
    let outcome = match is {
        None => Outcome::Stops,
        Some(Condition::Down) => Outcome::Waits,
        Some(Condition::Kept(node)) => Outcome::Stays { on: named(node)? },
        Some(Condition::Runs(node)) if from.is_some() => Outcome::Moves { to: named(node)? },
        Some(Condition::Runs(node)) => Outcome::Starts { to: named(node)? },
    };
    let from = from.and_then(|node| name(before.0, &node));
    let reason = match (assigned, &from) {
        (None, _) => "it goes with its node".to_owned(),
        (Some(assigned), Some(from)) if assigned.reason == Reason::New => {
            format!("{from} is no member any more")
        }
        (Some(assigned), _) => said(after.0, assigned),
    };
    Some(Change {
        instance,
        from,
        outcome,
        reason,
    })
}

fn said(view: &View, assigned: &Assignment) -> String {
    match assigned.holder.filter(|_| is_on_one_node_only(assigned)) {
        Some(node) if is_away(view, &node) => format!("{}, which is away", reason(view, assigned)),
        Some(_) | None => reason(view, assigned),
    }
}

/// How it is with an instance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Runs(NodeId),
    /// By a node that is to give it up.
    Kept(NodeId),
    Down,
}

impl Condition {
    fn of(view: &View, assigned: &Assignment) -> Self {
        let waits = matches!(assigned.reason, Reason::Waits(_));
        match (assigned.holder, assigned.leaving) {
            (Some(node), _) if is_on_one_node_only(assigned) && is_away(view, &node) => Self::Down,
            (Some(node), _) if !waits => Self::Runs(node),
            (None, Some(node)) => Self::Kept(node),
            (Some(_) | None, _) => Self::Down,
        }
    }

    fn node(self) -> Option<NodeId> {
        match self {
            Self::Runs(node) | Self::Kept(node) => Some(node),
            Self::Down => None,
        }
    }
}

fn is_on_one_node_only(assigned: &Assignment) -> bool {
    matches!(assigned.reason, Reason::Pinned | Reason::Daemon)
}

fn is_away(view: &View, node: &NodeId) -> bool {
    view.freshness(node) >= Freshness::Absent
}
