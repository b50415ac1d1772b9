//! Which slot of a job is begun now, and which are missed.
//!
//! Of several slots that have come only the newest is begun: the others are missed. Nothing is made up for.

use crate::job::Missed;
use crate::schedule::{Calendar, Slot};
use crate::stack::{Concurrency, Schedule};
use crate::time::WallTime;

use super::{Charge, Job, JobFindings, JobScene, LOOKS_EVERY, START_WITHIN};
use crate::job::CLOCK_WRONG_BY;

impl Job {
    pub(super) fn due(
        &mut self,
        schedule: &Schedule,
        scene: &JobScene<'_>,
        found: &mut JobFindings,
    ) {
        let now = scene.now.wall;
        let calendar = self.calendar(schedule);
        if self.ledger.turn_back(now) {
            tracing::warn!(instance = %scene.instance, "The clock of this node was more than a day ahead: slots are run again from now on");
        }
        let since = self.since.map_or(now, |since| since.min(now));
        self.since = Some(since);
        self.pass(&calendar, self.floor(scene), since, Missed::Away);
        let floor = self.floor(scene).max(since);
        let Some(next) = self.next_after(&calendar, floor) else {
            return;
        };
        if !next.has_come(now) {
            self.hindrance = None;
            return self.wait_for(next, scene, found);
        }
        let why = self.hindrance.unwrap_or(Missed::Away);
        match newest(&calendar, floor, now) {
            Some(slot) => {
                self.pass(&calendar, floor, WallTime(slot.0 - 1), why);
                self.take(slot, schedule, scene);
                // What hinders may end without a word.
                found
                    .wakes
                    .push(scene.now.monotonic + std::time::Duration::from_secs(1));
            }
            None => self.pass(&calendar, floor, now, why),
        }
        if let Some(next) = self.next_after(&calendar, self.floor(scene).max(now)) {
            self.wait_for(next, scene, found);
        }
    }

    fn calendar(&mut self, schedule: &Schedule) -> Calendar {
        match &self.calendar {
            Some((known, calendar)) if known == schedule => calendar.clone(),
            Some(_) | None => {
                let calendar = schedule.calendar();
                self.calendar = Some((schedule.clone(), calendar.clone()));
                self.next = None;
                calendar
            }
        }
    }

    /// Slots up to this time are decided, here or by the node that had the instance before.
    fn floor(&self, scene: &JobScene<'_>) -> WallTime {
        let now = scene.now.wall.0;
        let elsewhere = match scene.charge {
            Charge::Run { wanted, .. } => wanted.run_elsewhere,
            Charge::Given(_) => None,
        };
        let is_right =
            |slot: &Slot| u128::from(slot.0.saturating_sub(now)) <= CLOCK_WRONG_BY.as_millis();
        let elsewhere = elsewhere.filter(is_right).map(Slot::time);
        self.ledger.until.max(elsewhere.unwrap_or_default())
    }

    fn next_after(&mut self, calendar: &Calendar, after: WallTime) -> Option<Slot> {
        match self.next {
            Some((known, next)) if known == after => next,
            Some(_) | None => {
                let next = calendar.next(after);
                self.next = Some((after, next));
                next
            }
        }
    }

    fn wait_for(&self, next: Slot, scene: &JobScene<'_>, found: &mut JobFindings) {
        let millis = next.0.saturating_sub(scene.now.wall.0);
        let wait = std::time::Duration::from_millis(millis).min(LOOKS_EVERY);
        found.wakes.push(scene.now.monotonic + wait);
    }

    /// Slots after one time and up to another are missed, if there are any.
    fn pass(&mut self, calendar: &Calendar, after: WallTime, until: WallTime, why: Missed) {
        let next = self.next_after(calendar, after);
        let Some(first) = next.filter(|first| first.has_come(until)) else {
            return;
        };
        let passed = calendar.passed(after, until);
        self.ledger.miss(first, passed.count, passed.last, why);
    }

    /// Begins a slot that has come, if it can be begun now; says why it is missed, or what it waits for.
    fn take(&mut self, slot: Slot, schedule: &Schedule, scene: &JobScene<'_>) {
        let wanted = match scene.charge {
            Charge::Run { wanted, .. } => wanted,
            Charge::Given(_) => return self.ledger.miss(slot, 1, slot.time(), Missed::Drained),
        };
        let open = self.ledger.open().count();
        match schedule.concurrency {
            Concurrency::Forbid if open > 0 => {
                return self.ledger.miss(slot, 1, slot.time(), Missed::Busy);
            }
            Concurrency::Allow if open >= Schedule::MAX_BESIDE => {
                return self.ledger.miss(slot, 1, slot.time(), Missed::Busy);
            }
            Concurrency::Replace if open > 0 => self.replace(),
            Concurrency::Forbid | Concurrency::Replace | Concurrency::Allow => {}
        }
        let is_busy = schedule.concurrency != Concurrency::Allow && open > 0;
        let has_network = || match scene.pinned {
            Some(pinned) => (scene.spec)(wanted, pinned, &self.avoided).is_ok(),
            None => false,
        };
        self.hindrance = match () {
            () if is_busy || scene.has_other => Some(Missed::Busy),
            () if scene.is_blind => Some(Missed::Engine),
            () if scene.pinned.is_none() || scene.is_let_go => Some(Missed::Image),
            () if !has_network() => Some(Missed::Network),
            () => None,
        };
        if self.hindrance.is_none() {
            tracing::info!(instance = %scene.instance, %slot, "A slot of a job has come");
            self.begin(slot, wanted);
        }
    }
}

/// The newest slot that has come and may be begun.
fn newest(calendar: &Calendar, floor: WallTime, now: WallTime) -> Option<Slot> {
    let within = u64::try_from(START_WITHIN.as_millis()).unwrap_or(u64::MAX);
    let mut at = floor.max(WallTime(now.0.saturating_sub(within)));
    let mut newest = None;
    while let Some(slot) = calendar.next(at).filter(|slot| slot.has_come(now)) {
        newest = Some(slot);
        at = slot.time();
    }
    newest
}
