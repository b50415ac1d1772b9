//! Commands: what is answered is true, and what was acknowledged is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontena_core::command::{Accepted, CommandId, Reply};
use kontena_core::document::SignedEnvelope;
use kontena_core::id::{EnvelopeHash, NodeId};
use kontena_core::time::Instant;

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;

pub(super) const CHECKS: &[&Check] = &[&SAVED_THERE, &KEPT, &ANSWERED, &REFUSED];

static SAVED_THERE: Check = Check {
    name: "saved-where-it-says",
    says: "a command that is accepted is on the disk of every node that the answer names",
    why: "people rely on the answer: so nothing is acknowledged that a full or slow disk does not have",
};

static KEPT: Check = Check {
    name: "acknowledged-is-kept",
    says: "a change that was acknowledged reaches every member, unless every disk that had it was lost",
    why: "rules of the mesh 4: that is the promise",
};

static ANSWERED: Check = Check {
    name: "commands-are-answered",
    says: "a node that nothing troubles answers each command within a minute",
    why: "somebody waits for it",
};

static REFUSED: Check = Check {
    name: "nonsense-is-refused",
    says: "a command about what does not exist is refused",
    why: "a typing error must not look like success",
};

const WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    given: BTreeMap<CommandId, Given>,
    /// Acknowledged changes, and who wrote them.
    promised: BTreeMap<EnvelopeHash, NodeId>,
    /// Changes that some disk lost.
    lost: BTreeSet<EnvelopeHash>,
}

#[derive(Debug)]
struct Given {
    host: usize,
    at: Instant,
    /// What the node wrote since.
    wrote: Vec<EnvelopeHash>,
    /// Another command, or an admission, was under way: which wrote what is not known.
    is_shared: bool,
}

impl Topic for Acknowledged {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, findings: &mut Findings) {
        if let Fact::Given(id) = fact {
            self.give(scene, host, *id);
        }
        if let Fact::Saved(envelopes) = fact {
            self.write(scene, host, envelopes);
        }
        if let Fact::Lost(lost) = fact {
            self.lost.extend(lost);
        }
        if let Fact::Died { .. } = fact {
            self.given.retain(|_, given| given.host != host);
        }
        if let Fact::Replied { id, reply } = fact {
            self.answer(scene, *id, reply, findings);
        }
        if let Fact::Shown { .. } = fact {
            self.overdue(scene, findings);
        }
    }

    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        let members = || scene.members();
        // What a node wrote that was removed on the other side of a split does not count, nor what one wrote
        // whom that one had admitted.
        let is_excluded = |author: &NodeId| {
            let mut views = members().map(|(_, host)| &host.view.documents);
            views.any(|documents| documents.excludes(author))
        };
        for (change, _) in self
            .promised
            .iter()
            .filter(|(_, author)| !is_excluded(author))
        {
            let has = |(_, host): &(usize, &crate::host::Host)| host.disk.has(change);
            if !members().any(|host| has(&host)) {
                findings.expect(self.lost.contains(change), &KEPT, || {
                    format!("change {change:?} is nowhere")
                });
                continue;
            }
            if let Some((host, _)) = members().find(|host| !has(host)) {
                findings.add(&KEPT, format!("{} lacks change {change:?}", name(host)));
            }
        }
    }
}

impl Acknowledged {
    fn give(&mut self, scene: Scene<'_>, host: usize, id: CommandId) {
        let mut others = self.given.values_mut().filter(|given| given.host == host);
        let is_shared = others.any(|_| true);
        for given in self.given.values_mut().filter(|given| given.host == host) {
            given.is_shared = true;
        }
        let given = Given {
            host,
            at: scene.now(),
            wrote: Vec::new(),
            is_shared,
        };
        self.given.insert(id, given);
    }

    fn write(&mut self, scene: Scene<'_>, host: usize, envelopes: &[SignedEnvelope]) {
        let me = scene.world.id(host);
        let own: Vec<EnvelopeHash> = envelopes
            .iter()
            .filter(|envelope| {
                envelope
                    .open()
                    .is_ok_and(|opened| opened.author == *me.as_bytes())
            })
            .map(SignedEnvelope::hash)
            .collect();
        if own.is_empty() {
            return;
        }
        for given in self.given.values_mut().filter(|given| given.host == host) {
            // A command is written by one save.
            given.is_shared |= !given.wrote.is_empty();
            given.wrote.extend(&own);
        }
    }

    fn answer(&mut self, scene: Scene<'_>, id: CommandId, reply: &Reply, findings: &mut Findings) {
        if scene.wrong.contains(&id) {
            findings.expect(reply.is_err(), &REFUSED, || format!("{id:?}: {reply:?}"));
        }
        let Some(given) = self.given.remove(&id) else {
            return;
        };
        let Ok(accepted) = reply else {
            return;
        };
        if !given.is_shared {
            self.is_saved(scene, &given, accepted, findings);
        }
        let author = scene.world.id(given.host);
        let promised = given.wrote.into_iter().map(|change| (change, author));
        self.promised.extend(promised);
    }

    fn is_saved(
        &self,
        scene: Scene<'_>,
        given: &Given,
        accepted: &Accepted,
        findings: &mut Findings,
    ) {
        let roster = &scene.view(given.host).documents.roster;
        for (node, _) in roster
            .iter()
            .filter(|(_, member)| accepted.saved_on.contains(&member.name))
        {
            let mut disks = scene.world.hosts.iter().filter(|host| host.id() == *node);
            let has_all = disks.any(|host| {
                let has = |hash: &EnvelopeHash| host.disk.has(hash) || self.lost.contains(hash);
                given.wrote.iter().all(has)
            });
            findings.expect(has_all, &SAVED_THERE, || {
                let (host, node) = (name(given.host), scene.name_of(node));
                format!("{host} says that {node} has it: {accepted:?}")
            });
        }
    }

    fn overdue(&self, scene: Scene<'_>, findings: &mut Findings) {
        for (id, given) in &self.given {
            let waits = scene.now().since(given.at);
            if waits > WITHIN && scene.is_calm(given.host, WITHIN) {
                findings.add(&ANSWERED, format!("{} owes {id:?}", name(given.host)));
            }
        }
    }
}
