//! What each node's data plane was told: it follows from what the node shows.

use std::collections::BTreeSet;

use kontena_core::network::{keys, peers};
use kontena_core::node::Phase;

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&FOLLOWS, &KEYS_APART];

static FOLLOWS: Check = Check {
    name: "networks-follow",
    says: "a member's data plane has the peers, places and carriers that follow from what it shows, and that of no member has none",
    why: "a peer that moved would stay out of reach, and a removed one within it",
};

static KEYS_APART: Check = Check {
    name: "overlay-keys-apart",
    says: "no two peers of a data plane have one key in the overlay, and none has its node's own",
    why: "a key is what a packet is told by: the data plane refuses the whole set, or one is taken for the other",
};

#[derive(Debug)]
pub(super) struct Networks;

impl Topic for Networks {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        let machine = scene.host(host);
        // What a daemon shows last comes as it ends, and its data plane with it.
        if !matches!(fact, Fact::Shown { .. }) || !machine.is_up() {
            return;
        }
        let wanted = match machine.status.phase {
            Phase::Member => peers::wanted(&machine.view, machine.id()),
            Phase::Alone | Phase::Joining | Phase::Leaving | Phase::Removed | Phase::Cloned => None,
        };
        findings.expect(machine.network == wanted, &FOLLOWS, || {
            let told = machine.network.as_ref();
            let count = told.map(|told| told.peers.len());
            format!("{} was told {count:?} peers", name(host))
        });
        let peers = machine
            .network
            .iter()
            .flat_map(|wanted| wanted.peers.keys());
        let mut seen = BTreeSet::from([keys::public(&machine.id())]);
        let twin = peers.copied().find(|node| !seen.insert(keys::public(node)));
        findings.expect(twin.is_none(), &KEYS_APART, || {
            format!("{} was told two peers of the key of {twin:?}", name(host))
        });
    }
}
