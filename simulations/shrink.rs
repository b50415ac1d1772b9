//! Making a failing run smaller: fewer deeds, fewer nodes, shorter times, as long as the same check
//! still fails (delta debugging: Zeller and Hildebrandt, 2002).

use crate::plan::{Deed, Plan};
use crate::run::run;

/// Makes a plan smaller, of which `check` fails, in at most `tries` runs.
pub fn shrink(plan: &Plan, check: &str, tries: usize) -> Plan {
    let mut shrinking = Shrinking {
        check,
        tries,
        best: plan.clone(),
    };
    shrinking.steps();
    shrinking.nodes();
    shrinking.times();
    shrinking.steps();
    shrinking.best
}

struct Shrinking<'a> {
    check: &'a str,
    /// Runs that are left.
    tries: usize,
    best: Plan,
}

impl Shrinking<'_> {
    /// Takes a plan if it still fails in the same way.
    fn take(&mut self, candidate: Plan) -> bool {
        if self.tries == 0 || candidate == self.best {
            return false;
        }
        self.tries -= 1;
        let finding = run(&candidate, false).finding;
        let fails = finding.is_some_and(|finding| finding.check.name == self.check);
        if fails {
            self.best = candidate;
        }
        fails
    }

    /// Leaves out parts of the list, halves first, then smaller and smaller ones.
    fn steps(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.best.steps.len() {
                let candidate = without(&self.best, from, size);
                if !self.take(candidate) {
                    from += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn nodes(&mut self) {
        for nodes in 2..self.best.nodes {
            let candidate = with_nodes(&self.best, nodes);
            if self.take(candidate) {
                return;
            }
        }
        let is_spare_used = self.best.steps.iter().any(|step| {
            let names = step.deed.names();
            !matches!(step.deed, Deed::Cut { .. })
                && names.iter().any(|host| *host >= self.best.nodes)
        });
        if !is_spare_used {
            let candidate = with_nodes(&self.best, self.best.nodes);
            self.take(candidate);
        }
    }

    /// Ends faults sooner, then brings the steps closer to each other.
    fn times(&mut self) {
        let candidate = ended(self.best.clone());
        self.take(candidate);
        for step in 0..self.best.steps.len() {
            let mut candidate = self.best.clone();
            candidate.steps[step].lasts /= 2;
            self.take(ended(candidate));
        }
    }
}

fn without(plan: &Plan, from: usize, size: usize) -> Plan {
    let mut plan = plan.clone();
    let to = (from + size).min(plan.steps.len());
    plan.steps.drain(from..to);
    plan
}

/// The same on fewer hosts: what names others is left out.
fn with_nodes(plan: &Plan, nodes: usize) -> Plan {
    let mut plan = plan.clone();
    (plan.nodes, plan.spare) = (nodes, 0);
    for step in &mut plan.steps {
        if let Deed::Cut { from, to, .. } = &mut step.deed {
            from.retain(|host| *host < nodes);
            to.retain(|host| *host < nodes);
        }
    }
    plan.steps
        .retain(|step| step.deed.names().iter().all(|host| *host < nodes));
    plan
}

/// Faults end when the last step is over.
fn ended(mut plan: Plan) -> Plan {
    let ends = plan.steps.iter().map(|step| step.at + step.lasts).max();
    plan.ends = ends.unwrap_or(0);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Ask;

    #[test]
    fn fewer_hosts_leave_out_what_names_the_others() {
        let cut = Deed::Cut {
            from: vec![0],
            to: vec![1, 2, 3],
            both: true,
        };
        let stop = Ask::Stop { service: 0 };
        let plan = Plan::new(1, 4, 1)
            .step(0, 10, cut)
            .step(5, 0, Deed::KillHost { host: 3 })
            .step(6, 0, Deed::Ask { on: 1, ask: stop });
        let smaller = with_nodes(&plan, 2);
        assert_eq!(smaller.hosts(), 2);
        assert_eq!(smaller.steps.len(), 2);
        assert_eq!(ended(without(&smaller, 1, 1)).ends, 10);
    }
}
