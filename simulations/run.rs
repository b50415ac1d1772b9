//! One run: a plan from its beginning to a grid at rest, watched by all checks.
//!
//! First everything befalls the grid that the plan says, and what must always hold is checked after
//! each event. Then faults end, and the grid has [`SETTLES_WITHIN`] to come to what is wanted. Then
//! nothing may happen any more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use kontena_core::time::Instant;

use crate::checks::{Checks, Finding, NO_PANIC, Scene};
use crate::plan::{Plan, Step};
use crate::stage::Stage;
use crate::trace::Trace;

/// How long a grid may take to come to rest after faults. Graces last up to 15 minutes, and what
/// failed is tried again after at most one.
pub const SETTLES_WITHIN: Duration = Duration::from_secs(30 * 60);

/// Whether it has settled is asked so often.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// What looks settled must still be so after this. A container of a deploy that every disk lost stays for a minute after the
/// last member was told (`node/agreement.rs`), and is replaced then.
const STAYS_FOR: Duration = Duration::from_secs(90);

/// So long nothing may happen at the end.
const RESTS_FOR: Duration = Duration::from_secs(120);

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    pub finding: Option<Finding>,
    /// A number that follows from all that happened: equal runs have equal ones.
    pub digest: u64,
    pub figures: Figures,
    /// One line for each change of state, if it was asked for.
    pub trace: Vec<String>,
}

/// What a run amounts to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub hosts: usize,
    /// Virtual time.
    pub simulated: Duration,
    pub deeds: usize,
    pub events: u64,
    pub messages: u64,
    pub starts: u64,
    pub changes: usize,
    /// How long the grid took to settle, if it did.
    pub settled: Option<Duration>,
}

/// Carries a plan out.
pub fn run(plan: &Plan, is_traced: bool) -> Outcome {
    let mut run = Run {
        stage: Stage::new(plan),
        checks: Checks::new(plan.hosts()),
        trace: Trace::new(plan.hosts(), is_traced),
        rests: false,
        settled: None,
    };
    let result = catch_unwind(AssertUnwindSafe(|| run.go(plan)));
    let finding = match result {
        Ok(finding) => finding.err().map(|finding| *finding),
        Err(panic) => Some(Finding {
            check: &NO_PANIC,
            at: run.stage.world.now(),
            what: text(panic.as_ref()),
        }),
    };
    run.outcome(plan, finding)
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it said nothing").to_owned()
}

struct Run {
    stage: Stage,
    checks: Checks,
    trace: Trace,
    rests: bool,
    settled: Option<Duration>,
}

type Found = Result<(), Box<Finding>>;

impl Run {
    fn go(&mut self, plan: &Plan) -> Found {
        self.look()?;
        self.befall(plan)?;
        self.settle()?;
        self.rest()
    }

    fn befall(&mut self, plan: &Plan) -> Found {
        for (at, number, begins) in boundaries(plan) {
            self.advance(self.stage.formed + Duration::from_millis(at))?;
            let Step { deed, lasts, .. } = &plan.steps[number];
            self.trace.deed(self.stage.world.now(), deed, begins);
            match begins {
                true => {
                    let lasts = Duration::from_millis(*lasts);
                    self.stage.begin(number, deed, lasts);
                }
                false => self.stage.end(number),
            }
            self.look()?;
        }
        self.advance(self.stage.formed + plan.lasts())?;
        self.trace.note(self.stage.world.now(), "faults end");
        self.stage.end_all();
        self.look()
    }

    fn settle(&mut self) -> Found {
        let begun = self.stage.world.now();
        loop {
            self.advance(self.stage.world.now() + LOOKED_AT_EVERY)?;
            self.stage.put_right();
            let Some(finding) = self.checks.unsettled(self.scene()) else {
                break;
            };
            if self.stage.world.now().since(begun) > SETTLES_WITHIN {
                return Err(Box::new(finding));
            }
        }
        self.settled = Some(self.stage.world.now().since(begun));
        Ok(())
    }

    fn rest(&mut self) -> Found {
        self.advance(self.stage.world.now() + STAYS_FOR)?;
        found(self.checks.unsettled(self.scene()))?;
        self.trace.note(self.stage.world.now(), "at rest");
        self.rests = true;
        let scene = scene(&self.stage, self.rests);
        found(self.checks.rest(scene))?;
        self.advance(self.stage.world.now() + RESTS_FOR)
    }

    fn scene(&self) -> Scene<'_> {
        scene(&self.stage, self.rests)
    }

    /// Lets events happen until then, and looks at what each of them did.
    fn advance(&mut self, until: Instant) -> Found {
        while self.stage.world.next_at().is_some_and(|at| at <= until) {
            self.stage.world.step();
            self.look()?;
        }
        self.stage.world.wait_until(until);
        Ok(())
    }

    fn look(&mut self) -> Found {
        for (host, fact) in self.stage.world.take_facts() {
            let scene = scene(&self.stage, self.rests);
            self.trace.fact(scene.world, host, &fact);
            found(self.checks.see(scene, host, &fact))?;
        }
        Ok(())
    }

    fn outcome(self, plan: &Plan, finding: Option<Finding>) -> Outcome {
        let world = &self.stage.world;
        let changes = world.hosts.iter().map(|host| host.disk.hashes().len());
        let figures = Figures {
            hosts: world.hosts.len(),
            simulated: world.now().since_start(),
            deeds: plan.steps.len(),
            events: world.events,
            messages: world.messages,
            starts: world.starts(),
            changes: changes.max().unwrap_or(0),
            settled: self.settled,
        };
        Outcome {
            finding,
            digest: world.digest(),
            figures,
            trace: self.trace.lines(),
        }
    }
}

fn scene(stage: &Stage, rests: bool) -> Scene<'_> {
    Scene {
        world: &stage.world,
        calm: &stage.calm,
        wrong: &stage.wrong,
        rests,
    }
}

fn found(finding: Option<Finding>) -> Found {
    finding.map_or(Ok(()), |finding| Err(Box::new(finding)))
}

/// When each step begins and ends: ends before beginnings, then in the order of the plan. What lasts
/// no time is a beginning, and its end right after it.
fn boundaries(plan: &Plan) -> Vec<(u64, usize, bool)> {
    let mut boundaries = Vec::new();
    for (number, step) in plan.steps.iter().enumerate() {
        boundaries.push((step.at, 1, number, true));
        let order = if step.lasts == 0 { 2 } else { 0 };
        boundaries.push((step.at + step.lasts, order, number, false));
    }
    boundaries.sort_unstable_by_key(|(at, order, number, _)| (*at, *order, *number));
    let parts = boundaries.into_iter();
    parts
        .map(|(at, _, number, begins)| (at, number, begins))
        .collect()
}
