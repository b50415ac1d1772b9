//! Balance: the one instance of a service that had better run elsewhere, where the service asks for it.
//!
//! Nothing is moved for the sake of a number unless everything is well: all nodes are fresh, each instance has one holder,
//! which runs it healthy for the wanted deploy. Then one instance moves, from where the most of the service are to where
//! the fewest are, if that makes the spread strictly better: without it, the node it leaves still has more (in its
//! domains, widest first, then on the node) than the one that it goes to. Each such move makes the sum of the squares
//! smaller, domains before nodes, so there is an end, and nothing moves back and forth.
//!
//! It is answered from the view alone, so a move under way is recognised by its two holders: the one that runs it, and
//! the one of the higher epoch that is to. If anything is not well any more, the move is off, and the old holder stays.
//!
//! Not here: leaving and relief, which are as for any other move (`decide`).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::filter;
use super::score::Crowd;
use super::survey::{Holder, Survey};
use super::takeover::is_right;
use super::wanted::Wanted;
use crate::stack::Strategy;
use crate::view::Freshness;

/// A move that makes the spread better.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move<'v> {
    pub number: u32,
    pub from: Holder<'v>,
    pub to: usize,
    /// What `to` holds of it already.
    pub begun: Option<Holder<'v>>,
}

/// Where one instance is.
type Place<'v> = (u32, Holder<'v>);

/// Answers with nothing counted for the service at hand, before and after.
pub(super) fn step<'v>(
    survey: &mut Survey<'v>,
    wanted: &Wanted<'v>,
    instances: u32,
) -> Option<Move<'v>> {
    if !asks_for_it(wanted) || !all_are_fresh(survey) {
        return None;
    }
    let mut places = Vec::new();
    let mut begun = None;
    for number in 1..=instances {
        match wanted.holders(survey, number, false).as_slice() {
            [only] if is_well(survey, wanted, only) => places.push((number, *only)),
            [from, to] if begun.is_none() && is_well(survey, wanted, from) => {
                begun = Some((number, *from, *to));
            }
            _ => return None,
        }
    }
    for (_, holder) in &places {
        survey.count_kept(holder.node);
    }
    let found = match begun {
        Some((number, from, to)) => goes_on(survey, wanted, number, from, to),
        None => begins(survey, wanted, &places),
    };
    survey.count_none();
    found
}

/// What `service` and `container` affinities say changes with each move, so such services are left alone.
fn asks_for_it(wanted: &Wanted<'_>) -> bool {
    let deploy = &wanted.service.deploy;
    deploy.rebalance && deploy.strategy == Strategy::Ha && wanted.is_documented()
}

/// Who is gone for a day is not waited for.
fn all_are_fresh(survey: &Survey<'_>) -> bool {
    let mut nodes = survey.nodes.iter();
    nodes.all(|node| matches!(node.freshness, Freshness::Fresh | Freshness::Gone))
}

fn is_well(survey: &Survey<'_>, wanted: &Wanted<'_>, holder: &Holder<'_>) -> bool {
    let record = survey.view.documents.services.get(wanted.key);
    let deployed = record.and_then(|record| record.deployed.as_ref());
    is_right(holder.hold, wanted.revision)
        && deployed.is_some_and(|deployed| deployed.generation == holder.hold.generation)
        && !holder.hold.updating
        && filter::fixed(survey, wanted, holder.node).is_none()
}

/// A move that was begun goes on while it is for the better.
fn goes_on<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    number: u32,
    from: Holder<'v>,
    to: Holder<'v>,
) -> Option<Move<'v>> {
    let may = filter::keeper(survey, wanted, to.node, number).is_none();
    let is_later = to.hold.epoch > from.hold.epoch;
    (may && is_later && is_better(survey, wanted, number, from.node, to.node)).then_some(Move {
        number,
        from,
        to: to.node,
        begun: Some(to),
    })
}

/// From the largest crowds to the smallest, of each the fullest node: the first instance that had better run elsewhere.
fn begins<'v>(
    survey: &mut Survey<'v>,
    wanted: &Wanted<'v>,
    places: &[Place<'v>],
) -> Option<Move<'v>> {
    let crowded = fullest(survey, wanted, places);
    crowded.into_iter().find_map(|(number, from)| {
        survey.uncount(from.node);
        let best = wanted.best(survey, number);
        let better = best.filter(|to| is_better(survey, wanted, number, from.node, *to));
        survey.count_kept(from.node);
        better.map(|to| Move {
            number,
            from,
            to,
            begun: None,
        })
    })
}

/// Of all nodes in the same domains the fullest, and of what it has the highest number; the largest crowds first.
fn fullest<'v>(survey: &Survey<'v>, wanted: &Wanted<'v>, places: &[Place<'v>]) -> Vec<Place<'v>> {
    let mut fullest = BTreeMap::new();
    for (number, holder) in places {
        let crowd = wanted.scores(survey, holder.node, *number).crowd;
        let size = (crowd.domains, crowd.service, *number);
        let known = fullest.entry(survey.domains.places[holder.node]);
        let most = known.or_insert((size, *holder));
        if size > most.0 {
            *most = (size, *holder);
        }
    }
    let mut fullest: Vec<_> = fullest.into_values().collect();
    fullest.sort_by_key(|(size, _)| Reverse(*size));
    let places = fullest.into_iter();
    places
        .map(|((_, _, number), holder)| (number, holder))
        .collect()
}

/// With the instance itself counted nowhere.
fn is_better(
    survey: &Survey<'_>,
    wanted: &Wanted<'_>,
    number: u32,
    from: usize,
    to: usize,
) -> bool {
    let crowd = |node| wanted.scores(survey, node, number).crowd;
    let (from, to): (Crowd, Crowd) = (crowd(from), crowd(to));
    let preferred = |crowd: Crowd| (crowd.cut_off, crowd.refuses, crowd.misses);
    let spread = |crowd: Crowd| (crowd.domains, crowd.service);
    preferred(to) <= preferred(from) && spread(to) < spread(from)
}
