//! Which images this node is to keep ready: asked of placement now and then, some services at a time.
//!
//! The answer is late by up to half a minute, and nobody is hurt by that. In a grid that does not change nothing is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::id::ServiceKey;
use crate::placement::{Candidacy, StandbyImage};
use crate::reconcile::MAX_STANDBY;
use crate::stack::ImageMark;
use crate::time::{Instant, Now};
use crate::view::View;

use super::Node;

/// How often it is asked at most: who comes next matters once a node is lost.
const ASKED_EVERY: Duration = Duration::from_secs(30);

/// So many services are asked about at once, so that the loop goes on in between.
const AT_ONCE: usize = 64;

/// Between two of them.
const PAUSE: Duration = Duration::from_millis(20);

/// How far the asking has come.
#[derive(Debug, Default)]
pub(super) struct StandingBy {
    /// What the last whole round was begun with.
    seen: Option<Arc<View>>,
    /// When a round may begin, or the one that is under way goes on.
    next: Instant,
    round: Option<Round>,
    asked: BTreeMap<ImageMark, StandbyImage>,
}

/// A round through all services.
#[derive(Debug, Default)]
struct Round {
    after: Option<ServiceKey>,
    found: BTreeMap<ImageMark, StandbyImage>,
}

impl Node {
    /// Goes on asking, if it is time.
    pub(super) fn stand_by(&mut self, now: Now) {
        if self.stand_by_wake().is_none_or(|at| at > now.monotonic) {
            return;
        }
        let mut round = match self.standing_by.round.take() {
            Some(round) => round,
            None => self.begin_round(),
        };
        let services = self
            .followed()
            .candidacies(&self.me, round.after.as_ref(), AT_ONCE);
        let was_last = services.len() < AT_ONCE;
        for (key, candidacy) in services {
            self.standing_by.count_in(&mut round, candidacy);
            round.after = Some(key);
        }
        if was_last || round.found.len() >= MAX_STANDBY {
            self.end_round(round, now);
        } else {
            self.standing_by.next = now.monotonic + PAUSE;
            self.standing_by.round = Some(round);
        }
    }

    fn begin_round(&mut self) -> Round {
        self.standing_by.seen = Some(Arc::clone(&self.view));
        Round::default()
    }

    fn end_round(&mut self, round: Round, now: Now) {
        self.standing_by.next = now.monotonic + ASKED_EVERY;
        self.standing_by.asked.clone_from(&round.found);
        if let Some(instances) = &mut self.instances {
            instances.stand_by(round.found, now);
        }
    }

    /// When the asking goes on: nothing is to be asked about a view that was asked about.
    pub(super) fn stand_by_wake(&self) -> Option<Instant> {
        let StandingBy {
            seen, next, round, ..
        } = &self.standing_by;
        let is_known = seen
            .as_ref()
            .is_some_and(|seen| Arc::ptr_eq(seen, &self.view));
        let acts = self.acts() && self.instances.is_some();
        (acts && (round.is_some() || !is_known)).then_some(*next)
    }
}

impl StandingBy {
    fn count_in(&self, round: &mut Round, candidacy: Candidacy) {
        let image = match candidacy {
            Candidacy::StandsBy(image) => image,
            Candidacy::Unsettled(image) if self.asked.contains_key(&image.mark()) => image,
            Candidacy::Unsettled(_) | Candidacy::Passed => return,
        };
        if round.found.len() < MAX_STANDBY {
            round.found.insert(image.mark(), image);
        }
    }
}
