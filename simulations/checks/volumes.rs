//! Volumes: data goes only by order, and what has data is bound once.

use std::collections::{BTreeMap, BTreeSet};

use kontena_core::command::volume_users;
use kontena_core::id::{EnvelopeHash, InstanceId, NodeId};
use kontena_core::reconcile::action::{Action, Container};
use kontena_core::view::{Pin, View};
use kontena_core::volume::Copy;

use super::stateful::is_stateful;
use super::{Check, Findings, Scene, Topic, name};
use crate::engine::Change;
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&BY_ORDER, &UNUSED, &DATA_STAYS, &GOES];

static BY_ORDER: Check = Check {
    name: "volumes-go-by-order",
    says: "a node removes a copy of a volume only if its documents say that this volume was removed, or that its instance was moved from there with it",
    why: "what is in it is nowhere else",
};

static UNUSED: Check = Check {
    name: "used-volumes-stay",
    says: "a node removes no copy of a volume that a service mounts by its documents",
    why: "one side of a split may have removed it before it heard of the service",
};

static DATA_STAYS: Check = Check {
    name: "data-is-bound-once",
    says: "a stateful instance of which its node has made a container is bound to no other node, unless a person said so, it was moved with its data, two sides of a split bound it at once, or its node is no member any more",
    why: "its data is on the node that it was bound to",
};

static GOES: Check = Check {
    name: "removed-volumes-go",
    says: "once all has settled no member has a copy of a volume that was removed, that no service mounts and that was not created anew",
    why: "who removes a volume wants its data to be gone",
};

/// What binds an instance in one life of its service.
type Binding = (InstanceId, EnvelopeHash, Pin);

#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// Bindings under which a host made a container.
    made: BTreeMap<usize, BTreeSet<Binding>>,
}

impl Topic for Volumes {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Asked(Action::RemoveVolume { name, copy }) = fact {
            removes(scene, host, name, copy, findings);
        }
        if let Fact::Changed(Change::Started(container)) = fact {
            self.started(scene, host, container);
        }
        if let Fact::Shown { .. } = fact {
            self.shown(scene, host, findings);
        }
    }

    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        for (index, host) in scene.world.hosts.iter().enumerate() {
            let view = scene.view(index);
            let is_member = view.documents.roster.contains_key(&scene.world.id(index));
            if !host.is_up() || !is_member {
                continue;
            }
            for (docker, copy) in host.engine.volumes() {
                findings.expect(!is_due(view, copy), &GOES, || {
                    format!("{} has {docker}", name(index))
                });
            }
        }
    }
}

impl Volumes {
    /// A container counts for the binding that its node knew when it was started.
    fn started(&mut self, scene: Scene<'_>, host: usize, container: &Container) {
        let instance = &container.owner.instance;
        if let Some(binding) = binding(scene.view(host), instance).filter(|_| is_stateful(instance))
            && binding.2.node == scene.world.id(host)
        {
            self.made.entry(host).or_default().insert(binding);
        }
    }

    /// Whoever made it reads that another node has it: by a binding that followed from its own.
    fn shown(&mut self, scene: Scene<'_>, host: usize, findings: &mut Findings) {
        let view = scene.view(host);
        let me = scene.world.id(host);
        if !view.documents.roster.contains_key(&me) {
            return;
        }
        // The order by which it went may be followed by another one.
        let made = self.made.entry(host).or_default();
        made.retain(|(instance, _, pin)| !came_by(view, instance, pin));
        for (instance, creation, pin) in &*made {
            let Some((_, life, now)) = binding(view, instance) else {
                continue;
            };
            let is_forced = scene.world.forced.contains(instance);
            let follows =
                !is_forced && life == *creation && now.node != me && now.epoch == pin.epoch + 1;
            findings.expect(!follows, &DATA_STAYS, || {
                let other = scene.name_of(&now.node);
                format!("{instance}, made on {}, is bound to {other}", name(host))
            });
        }
    }
}

fn binding(view: &View, instance: &InstanceId) -> Option<Binding> {
    let record = view.documents.services.get(&instance.service)?;
    let pin = record.pins.get(&instance.number)?;
    Some((instance.clone(), record.creation, *pin))
}

/// Whether it is bound as it is because it was moved from there, with its data.
fn came_by(view: &View, instance: &InstanceId, from: &Pin) -> bool {
    let record = view.documents.services.get(&instance.service);
    let came = record.and_then(|record| record.came_by(instance.number));
    came.is_some_and(|(order, _)| order.from == *from)
}

fn removes(scene: Scene<'_>, host: usize, docker: &str, copy: &Copy, findings: &mut Findings) {
    let view = scene.view(host);
    // Whoever moved it sees to it that it is elsewhere (`checks/moves.rs`).
    if has_moved(view, scene.world.id(host), docker) {
        return;
    }
    findings.expect(is_ordered(view, copy), &BY_ORDER, || {
        format!("{} removes {docker}", name(host))
    });
    findings.expect(!is_used(view, copy), &UNUSED, || {
        format!("{} removes {docker}, which a service mounts", name(host))
    });
}

/// Whether a copy is one that went from this node with its instance.
fn has_moved(view: &View, me: NodeId, docker: &str) -> bool {
    let services = view.documents.services.values();
    let mut came = services.flat_map(|record| {
        let numbers = record.moves.keys();
        numbers.filter_map(|number| record.came_by(*number))
    });
    came.any(|(order, copies)| order.from.node == me && copies.contains_key(docker))
}

fn is_due(view: &View, copy: &Copy) -> bool {
    is_ordered(view, copy) && !is_used(view, copy)
}

fn is_ordered(view: &View, copy: &Copy) -> bool {
    match copy {
        Copy::Volume { volume, creation } => {
            let removed = view.documents.removed_volumes.get(volume);
            removed.is_some_and(|creations| creations.contains(creation))
        }
        Copy::Own { .. } => false,
    }
}

fn is_used(view: &View, copy: &Copy) -> bool {
    match copy {
        Copy::Volume { volume, .. } => {
            let is_there = view.documents.volumes.get(volume);
            is_there.is_some_and(|volume| !volume.removed)
                || volume_users(view, volume).next().is_some()
        }
        Copy::Own { .. } => false,
    }
}
