//! The front: of the candidates of a service those that suit best, all alike but for their rendezvous scores.
//!
//! In: the service at hand, whose new instances are placed one after the other. Out: for each the node that
//! [`Wanted::best`] answers. What an instance is given to only becomes less suited, so whoever is as well suited as
//! when the front was found is still among the best, and all candidates are gone through only when nobody is.
//!
//! Not here: what is not placed in one go (`balance`, pins): there counts go down as well.

use std::cmp::Ordering;

use super::filter;
use super::score::{self, Crowd};
use super::survey::Survey;
use super::wanted::{Candidate, Wanted};

/// Who suits best while the new instances of one service are placed.
#[derive(Debug)]
pub(super) enum Front {
    /// The crowd that all of them were in when they were found, in the order of nodes.
    Found {
        crowd: Crowd,
        members: Vec<Candidate>,
    },
    /// All candidates are asked for each instance: what they are asked is another thing for each, or those that suit
    /// best may not have it.
    Unknown,
}

impl Front {
    pub(super) fn of(wanted: &Wanted<'_>) -> Self {
        match wanted.suits_all_alike() {
            true => Self::Found {
                crowd: Crowd::default(),
                members: Vec::new(),
            },
            false => Self::Unknown,
        }
    }

    /// The best node that may be given the instance.
    pub(super) fn best<'v>(
        &mut self,
        survey: &Survey<'v>,
        wanted: &Wanted<'v>,
        number: u32,
    ) -> Option<usize> {
        if let Self::Found { crowd, members } = self {
            if let Some(first) = first(survey, wanted, number, *crowd, members) {
                return Some(first);
            }
            find(survey, wanted, number, crowd, members);
            if let Some(first) = first(survey, wanted, number, *crowd, members) {
                return Some(first);
            }
        }
        *self = Self::Unknown;
        wanted.best(survey, number)
    }
}

/// The highest of the front that is still in its crowd and may be given the instance. Both are asked of those alone that
/// come before all others so far, which are few.
fn first<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    number: u32,
    crowd: Crowd,
    members: &[Candidate],
) -> Option<usize> {
    let instance = wanted.instance_hash(number);
    let mut first: Option<(u64, usize)> = None;
    for candidate in members {
        let rendezvous = score::rendezvous(instance, candidate.hash);
        if first.is_none_or(|(first, _)| rendezvous > first)
            && wanted.crowd(survey, *candidate, number) == crowd
            && filter::newcomer(survey, wanted, candidate.node, number).is_none()
        {
            first = Some((rendezvous, candidate.node));
        }
    }
    first.map(|(_, node)| node)
}

/// Goes through all candidates.
fn find<'v>(
    survey: &Survey<'v>,
    wanted: &Wanted<'v>,
    number: u32,
    best: &mut Crowd,
    members: &mut Vec<Candidate>,
) {
    members.clear();
    for candidate in wanted.candidates(survey) {
        let crowd = wanted.crowd(survey, *candidate, number);
        match crowd.cmp(best) {
            Ordering::Greater if !members.is_empty() => continue,
            Ordering::Equal => {}
            Ordering::Less | Ordering::Greater => members.clear(),
        }
        *best = crowd;
        members.push(*candidate);
    }
}
