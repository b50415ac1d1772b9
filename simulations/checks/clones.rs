//! Copies: two machines with one identity learn of each other, and act no more.

use std::time::Duration;

use kontena_core::id::NodeId;
use kontena_core::node::Phase;
use kontena_core::time::Instant;

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&KNOWS, &ONLY_COPIES];

static KNOWS: Check = Check {
    name: "copies-know-it",
    says: "of two hosts that run with one identity, that nothing else troubles, and that hear a third, each knows it within a minute",
    why: "both run what is bound to one of them, and two writers of one volume lose data",
};

static ONLY_COPIES: Check = Check {
    name: "only-copies-stand-aside",
    says: "a node takes itself for a copy only if another host ran with its identity in this boot, or a minute before",
    why: "one that does acts no more until its next start, and what it holds waits for it",
};

const WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Clones {
    /// When the node of each host was started last.
    booted: Vec<Instant>,
    /// When another host ran with its identity last.
    doubled: Vec<Option<Instant>>,
}

impl Clones {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            booted: vec![Instant::ZERO; hosts],
            doubled: vec![None; hosts],
        }
    }

    fn pair(&self, scene: Scene<'_>, hosts: [usize; 2], findings: &mut Findings) {
        let is_old = |host: &usize| scene.now().since(self.booted[*host]) > WITHIN;
        // The copying itself is what troubles them.
        let is_alone = |host: &usize| {
            let now = scene.now();
            scene.calm.under_way(*host) == 1 && scene.calm.steady(*host, now) >= WITHIN
        };
        // Who is in no grid says nothing.
        let speaks = |host: &usize| scene.view(*host).documents.grid.id.is_some();
        let id = scene.world.id(hosts[0]);
        let are_two = |host: &usize| is_old(host) && is_alone(host) && speaks(host);
        if !hosts.iter().all(are_two) || !has_witness(scene, &id, hosts) {
            return;
        }
        for host in hosts {
            let acts = scene.host(host).status.phase == Phase::Member;
            findings.expect(!acts, &KNOWS, || {
                format!("{} does not know that it was copied", name(host))
            });
        }
    }
}

/// Somebody whom nothing troubles speaks to both, and both hear of him: a copy may be on a host that nobody knows, and
/// know of nobody where he is now.
fn has_witness(scene: Scene<'_>, id: &NodeId, hosts: [usize; 2]) -> bool {
    let mut others = scene.members().filter(|(_, machine)| machine.id() != *id);
    others.any(|(other, machine)| {
        let is_heard = |host: &usize| scene.view(*host).is_fresh(&machine.id());
        scene.is_calm(other, WITHIN)
            && machine.view.documents.roster.contains_key(id)
            && hosts.iter().all(is_heard)
    })
}

impl Topic for Clones {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Booted = fact {
            self.booted[host] = scene.now();
        }
        if let Fact::Sent { .. } | Fact::Shown { .. } = fact {
            let id = scene.world.id(host);
            let hosts = scene.world.hosts.iter().enumerate();
            let twin = hosts
                .filter(|(other, machine)| *other != host && machine.id() == id)
                .find(|(_, machine)| machine.is_up() && scene.host(host).is_up());
            if let Some((twin, _)) = twin {
                self.doubled[host] = Some(scene.now());
                self.doubled[twin] = Some(scene.now());
                self.pair(scene, [host, twin], findings);
            }
            if scene.host(host).status.phase == Phase::Cloned {
                let lately = |at: Instant| at + 2 * WITHIN >= self.booted[host];
                findings.expect(self.doubled[host].is_some_and(lately), &ONLY_COPIES, || {
                    format!("{} takes itself for a copy", name(host))
                });
            }
        }
    }
}
