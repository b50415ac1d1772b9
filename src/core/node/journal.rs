//! What the log says of the members: who came, who went, who is not heard of.

use crate::id::NodeId;
use crate::view::{Freshness, View};

use super::Status;

/// A change that somebody who reads the log would want to find there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Joined,
    Removed,
    Disowned,
    /// Not heard of for so long that its instances may be taken over.
    Away(Freshness),
    /// It was away, and is heard again.
    Back,
    /// Late, stale, or heard again before anybody acted on its silence.
    Turned(Freshness),
}

/// Tells what the step from one view to the next changes of the others than `me`.
pub(super) fn tell(before: &View, after: &View, me: NodeId) {
    // A node that starts or joins learns of all of them at once.
    if before.documents.grid.id.is_none() {
        return;
    }
    for (node, change) in changes(before, after) {
        if node != me {
            tell_one(before, after, node, change);
        }
    }
}

fn tell_one(before: &View, after: &View, node: NodeId, change: Change) {
    let rosters = [&after.documents.roster, &before.documents.roster];
    let member = rosters.into_iter().find_map(|roster| roster.get(&node));
    let name = member.map_or_else(|| node.short(), |member| member.name.to_string());
    match change {
        Change::Joined => tracing::info!(node = name, "A node joined"),
        Change::Removed => tracing::info!(node = name, "A node was removed"),
        Change::Disowned => {
            tracing::warn!(
                node = name,
                "A node is no member any more: its sponsor had been removed"
            );
        }
        Change::Away(freshness) => {
            tracing::info!(node = name, %freshness, "A node is away: its work may be taken over");
        }
        Change::Back => tracing::info!(node = name, "A node is back"),
        Change::Turned(freshness) => tracing::debug!(node = name, %freshness, "A node's standing"),
    }
}

/// Tells how this node itself stands, when that changes.
pub(super) fn tell_status(before: Option<&Status>, after: &Status) {
    if before.map(|before| &before.phase) != Some(&after.phase) {
        tracing::info!(phase = ?after.phase, "This node's standing");
    }
    let known = before.map_or(&[][..], |before| &before.problems);
    for problem in after
        .problems
        .iter()
        .filter(|problem| !known.contains(problem))
    {
        tracing::warn!(%problem, "Something is wrong with this node");
    }
    if !known.is_empty() && after.problems.is_empty() {
        tracing::info!("Nothing is wrong with this node any more");
    }
}

fn changes(before: &View, after: &View) -> Vec<(NodeId, Change)> {
    let mut changes = Vec::new();
    let (old, new) = (&before.documents, &after.documents);
    let joined = new
        .roster
        .keys()
        .filter(|node| !old.roster.contains_key(node));
    changes.extend(joined.map(|node| (*node, Change::Joined)));
    changes.extend(
        new.removed
            .difference(&old.removed)
            .map(|node| (*node, Change::Removed)),
    );
    let disowned = new.disowned.difference(&old.disowned);
    changes.extend(disowned.map(|node| (*node, Change::Disowned)));
    for (node, standing) in &after.standings {
        let was = before.standings.get(node).map(|before| before.freshness);
        let turn = was.and_then(|was| turn(was, standing.freshness));
        changes.extend(turn.map(|change| (*node, change)));
    }
    changes
}

fn turn(was: Freshness, is: Freshness) -> Option<Change> {
    match (was < Freshness::Absent, is) {
        _ if was == is => None,
        (_, Freshness::Absent | Freshness::Gone) => Some(Change::Away(is)),
        (false, Freshness::Fresh | Freshness::Late | Freshness::Stale) => Some(Change::Back),
        (true, Freshness::Fresh | Freshness::Late | Freshness::Stale) => Some(Change::Turned(is)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::time::WallTime;
    use crate::view::{Documents, Standing};

    const A: NodeId = NodeId([1; 32]);
    const B: NodeId = NodeId([2; 32]);

    #[test]
    fn a_silence_is_told_when_it_matters_and_its_end() {
        use Freshness::{Absent, Fresh, Gone, Late, Stale};
        for (was, is, told) in [
            (Fresh, Fresh, None),
            (Fresh, Late, Some(Change::Turned(Late))),
            (Late, Stale, Some(Change::Turned(Stale))),
            (Stale, Fresh, Some(Change::Turned(Fresh))),
            (Stale, Absent, Some(Change::Away(Absent))),
            (Absent, Gone, Some(Change::Away(Gone))),
            (Gone, Fresh, Some(Change::Back)),
        ] {
            let told = told.map(|change| (A, change));
            let seen = changes(&heard(was), &heard(is));
            assert_eq!(seen, told.into_iter().collect::<Vec<_>>(), "{was} {is}");
        }
    }

    #[test]
    fn whoever_is_removed_or_disowned_is_told_once() {
        let removed = Documents {
            removed: [A].into(),
            disowned: [B].into(),
            ..Documents::default()
        };
        let after = View {
            documents: Arc::new(removed),
            ..View::default()
        };
        let told = changes(&View::default(), &after);
        assert_eq!(told, [(A, Change::Removed), (B, Change::Disowned)]);
        assert!(changes(&after, &after).is_empty());
    }

    fn heard(freshness: Freshness) -> View {
        let since = WallTime(0);
        View {
            standings: [(A, Standing { freshness, since })].into(),
            ..View::default()
        }
    }
}
