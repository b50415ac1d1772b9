//! What falls to a node is there soon.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontena_core::id::InstanceId;
use kontena_core::node::Phase;
use kontena_core::placement::{ServicePlacement, place};
use kontena_core::time::Instant;

use super::stopping::is_bound;
use super::{Check, Findings, Scene, Topic, leases, name, order};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&IS_THERE];

static IS_THERE: Check = Check {
    name: "has-what-falls-to-it",
    says: "a node that nothing troubled for two minutes has a container of each stateless instance that has fallen to it for so long, by placement computed from nothing on the view that it shows; what may wait for a service that it links to has ten minutes more",
    why: "what a dead node ran would be nowhere, though everybody knows who is to run it",
};

/// Twice the longest delay of a takeover (a loop that was late: 30 s, and as long a rest), and the start itself.
const SOON: Duration = Duration::from_secs(120);

/// Since when each host lacks what fell to it.
#[derive(Debug, Default)]
pub(super) struct Due {
    since: BTreeMap<(usize, InstanceId), Instant>,
    /// Since when each may wait for what it links to.
    waits: BTreeMap<(usize, InstanceId), Instant>,
}

impl Topic for Due {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Booted | Fact::Died { .. } = fact {
            self.since.retain(|(of, _), _| *of != host);
            self.waits.retain(|(of, _), _| *of != host);
        }
        if let Fact::Shown { .. } = fact {
            self.look(scene, host, findings);
        }
    }
}

impl Due {
    fn look(&mut self, scene: Scene<'_>, host: usize, findings: &mut Findings) {
        let lacks = lacks(scene, host);
        self.since
            .retain(|(of, instance), _| *of != host || lacks.contains(instance));
        self.waits
            .retain(|(of, instance), _| *of != host || lacks.contains(instance));
        for instance in lacks {
            let key = (host, instance);
            let since = self.due(scene, &key);
            let is_late = scene.now().since(since) >= SOON && scene.is_calm(host, SOON);
            findings.expect(!is_late, &IS_THERE, || {
                format!("{} has no container of {}", name(host), key.1)
            });
        }
    }
}

impl Due {
    /// From when on nothing keeps a host from having what fell to it.
    fn due(&mut self, scene: Scene<'_>, key: &(usize, InstanceId)) -> Instant {
        let now = scene.now();
        if order::may_wait(scene.view(key.0), &key.1) {
            let begun = *self.waits.entry(key.clone()).or_insert(now);
            return begun + order::AWAITED_FOR;
        }
        if self.waits.remove(key).is_some() {
            self.since.insert(key.clone(), now);
        }
        *self.since.entry(key.clone()).or_insert(now)
    }
}

fn lacks(scene: Scene<'_>, host: usize) -> BTreeSet<InstanceId> {
    let machine = scene.host(host);
    if !machine.is_up() || machine.status.phase != Phase::Member {
        return BTreeSet::new();
    }
    let me = machine.id();
    let has: BTreeSet<&InstanceId> = machine
        .engine
        .containers()
        .map(|container| &container.owner.instance)
        .collect();
    let mut lacks = BTreeSet::new();
    for (key, placed) in &place(&machine.view).services {
        let ServicePlacement::Placed(assignments) = placed else {
            continue;
        };
        let mine = assignments
            .iter()
            .filter(|(_, each)| each.holder == Some(me));
        let instances = mine.map(|(number, _)| InstanceId::new(key.clone(), *number));
        if leases::lacks_witnesses(scene, host, key) {
            continue;
        }
        lacks.extend(instances.filter(|instance| !is_bound(instance) && !has.contains(instance)));
    }
    lacks
}
