//! The beginning of a boot.

use std::collections::BTreeMap;
use std::time::Duration;

use kontena_core::node::Phase;
use kontena_core::reconcile::action::Action;
use kontena_core::time::Instant;

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&LOOKS];

static LOOKS: Check = Check {
    name: "looks-before-it-acts",
    says: "a node that was one of several members when it began starts no container in its first eight seconds",
    why: "its disk may have been copied, and what it ran may have been taken over: the others tell it within that time (decision 7)",
};

/// Less what the pretended clocks drift.
const LOOKS_FOR: Duration = Duration::from_millis(7_990);

/// When each host's node began, if it was a member with others then.
#[derive(Debug, Default)]
pub(super) struct Beginnings {
    began: BTreeMap<usize, Instant>,
    /// Who has shown nothing in its boot yet.
    unseen: BTreeMap<usize, Instant>,
}

impl Topic for Beginnings {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Booted = fact {
            self.began.remove(&host);
            self.unseen.insert(host, scene.now());
        }
        if let Fact::Shown { .. } = fact
            && let Some(booted) = self.unseen.remove(&host)
            && was_one_of_several(scene, host)
            && booted == scene.now()
        {
            self.began.insert(host, booted);
        }
        if let Fact::Asked(Action::Run(_) | Action::Start { .. }) = fact
            && let Some(began) = self.began.get(&host)
        {
            let looked = scene.now().since(*began);
            findings.expect(looked >= LOOKS_FOR, &LOOKS, || {
                let seconds = looked.as_secs_f64();
                format!("{} starts a container after {seconds:.3} s", name(host))
            });
        }
    }
}

fn was_one_of_several(scene: Scene<'_>, host: usize) -> bool {
    let machine = scene.host(host);
    let roster = &machine.view.documents.roster;
    machine.status.phase == Phase::Member && roster.len() > 1 && roster.contains_key(&machine.id())
}
