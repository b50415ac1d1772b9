//! The engine as a whole: whether it works, and since when it does not.

use std::time::Duration;

use crate::report::{Engine, EngineState, Health, Hold, InstanceState};
use crate::time::{Instant, Now};

/// After so long without a working engine a node releases its stateless holds (rules of the mesh 2).
pub(super) const FAILED_AFTER: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default)]
pub(super) struct EngineSight {
    facts: Engine,
    trouble: Option<Trouble>,
    told: Option<Engine>,
}

#[derive(Clone, Debug)]
struct Trouble {
    since: Now,
    problem: String,
}

impl EngineSight {
    /// The engine described itself. Whether it works is learnt from its containers.
    pub(super) fn described(&mut self, engine: Engine, now: Now) {
        if let Some((_, problem)) = engine.state.trouble() {
            self.fails(problem.to_owned(), now);
        }
        self.facts = engine;
    }

    pub(super) fn fails(&mut self, problem: String, now: Now) {
        let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since);
        self.trouble = Some(Trouble { since, problem });
    }

    /// It listed its containers: it works.
    pub(super) fn works(&mut self) {
        self.trouble = None;
        self.facts.state = EngineState::Working;
    }

    pub(super) fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// Why it has failed, once that has lasted for [`FAILED_AFTER`].
    fn failed(&self, now: Instant) -> Option<&str> {
        let trouble = self.trouble.as_ref()?;
        (now.since(trouble.since.monotonic) >= FAILED_AFTER).then_some(trouble.problem.as_str())
    }

    /// When trouble becomes failure, if that lies ahead.
    pub(super) fn fails_at(&self, now: Instant) -> Option<Instant> {
        let at = self.trouble.as_ref()?.since.monotonic + FAILED_AFTER;
        (at > now).then_some(at)
    }

    /// What may be said of an instance. While the engine has failed, stateless ones are released,
    /// and of stateful ones nothing is known, since this was said first.
    pub(super) fn judge(
        &self,
        mut hold: Hold,
        stateful: bool,
        said: Option<&Hold>,
        now: Now,
    ) -> Option<Hold> {
        let Some(problem) = self.failed(now.monotonic) else {
            return Some(hold);
        };
        let said = said.filter(|said| said.state == InstanceState::Failed);
        hold.since = said.map_or(now.wall, |said| said.since);
        hold.state = InstanceState::Failed;
        hold.health = Health::Unknown;
        hold.problem = Some(format!("the Docker engine does not work: {problem}"));
        stateful.then_some(hold)
    }

    /// Whether [`EngineSight::report`] changed since the last time it was asked.
    pub(super) fn take_change(&mut self, now: Instant) -> bool {
        let report = Some(self.report(now));
        let changed = self.told != report;
        self.told = report;
        changed
    }

    /// For the report.
    pub(super) fn report(&self, now: Instant) -> Engine {
        let mut engine = self.facts.clone();
        if let Some(trouble) = &self.trouble {
            let (since, problem) = (trouble.since.wall, trouble.problem.clone());
            engine.state = match self.failed(now) {
                Some(_) => EngineState::Failed { since, problem },
                None => EngineState::Troubled { since, problem },
            };
        }
        engine
    }
}
