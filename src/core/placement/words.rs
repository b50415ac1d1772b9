//! The words for a decision: the phrases that `why` prints about an instance.

use std::fmt;

use crate::id::{NodeId, NodeName};
use crate::time::WallTime;
use crate::view::View;

use super::{Assignment, Idle, Reason, Wait};

pub(super) fn name(view: &View, id: &NodeId) -> Option<NodeName> {
    view.documents
        .roster
        .get(id)
        .map(|member| member.name.clone())
}

pub(super) fn shown(view: &View, id: &NodeId) -> String {
    let former = || view.documents.former.get(id).cloned();
    let name = name(view, id).or_else(former);
    name.map_or_else(|| id.short(), |name| name.to_string())
}

/// The rule that decided, as a phrase about the instance.
pub(super) fn reason(view: &View, decided: &Assignment) -> String {
    let holder = decided
        .holder
        .map_or_else(String::new, |id| shown(view, &id));
    match &decided.reason {
        Reason::Kept => format!("kept by {holder}"),
        Reason::HolderStale => {
            format!("kept by {holder}, which is stale: too early to take it over")
        }
        Reason::New => format!("new on {holder}: it never had a holder"),
        Reason::TakenOver { from, seen } => format!(
            "taken over by {holder} from {}, {}: this side sees {seen}",
            shown(view, from),
            away_since(view, from)
        ),
        Reason::Moved { from, because } => {
            format!("moves to {holder} from {} ({because})", shown(view, from))
        }
        Reason::Rebalanced { from } => format!(
            "moves to {holder} from {}: more of the service are there",
            shown(view, from)
        ),
        Reason::Pinned => format!("pinned to {holder}"),
        Reason::Daemon => format!("belongs to {holder}: one of its daemons"),
        Reason::Waits(wait) => format!("waits: {}", waits(view, wait)),
    }
}

fn waits(view: &View, wait: &Wait) -> String {
    match wait {
        Wait::NoNodeFits => "no node fits".to_owned(),
        Wait::Sourceless(why) => why.to_string(),
        Wait::TooFewSeen { from, seen } => format!(
            "{} is {}, and this side sees only {seen}",
            shown(view, from),
            away_since(view, from)
        ),
        Wait::TooEarly { from, after } => format!(
            "{} is {}, and is replaced once it is absent for {} s",
            shown(view, from),
            away_since(view, from),
            after.as_secs()
        ),
        Wait::NotTakenOver { from } => format!(
            "{} is {}, and nobody takes it over unless that node is removed or assumed dead",
            shown(view, from),
            away_since(view, from)
        ),
        Wait::NotBound => "not bound to a node yet".to_owned(),
        Wait::HolderAbsent { node } => format!(
            "its data is on {}, which is {}",
            shown(view, node),
            away_since(view, node)
        ),
        Wait::PinDrains { node } => format!("stands by on {}, which drains", shown(view, node)),
        Wait::PinLost { node } => format!(
            "its data is on {}, which was removed: without that data it runs once it is removed and created anew",
            shown(view, node)
        ),
        Wait::RunsElsewhere { pin, node } => format!(
            "pinned to {}, but {} still runs it and stops first",
            shown(view, pin),
            shown(view, node)
        ),
    }
}

/// Why an instance runs nowhere, or goes on as it is, for people; `None` where it does not wait.
pub fn waiting(view: &View, assigned: &Assignment) -> Option<String> {
    let waits = matches!(assigned.reason, Reason::Waits(_));
    waits.then(|| reason(view, assigned))
}

/// `absent since …`, by this viewer's clock.
fn away_since(view: &View, node: &NodeId) -> String {
    match view.standings.get(node) {
        Some(standing) => format!("{} since {}", standing.freshness, utc(standing.since)),
        None => "absent: not heard of since this node started".to_owned(),
    }
}

/// `2026-01-31T12:00:00Z`. The calendar is Hinnant's `civil_from_days`, with years that begin in March.
fn utc(time: WallTime) -> String {
    let seconds = time.0 / 1_000;
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let day = day - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverDeployed => "was never deployed",
            Self::Stopped => "is stopped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_time_is_shown_as_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(WallTime(seconds * 1_000)), text);
        }
    }
}
