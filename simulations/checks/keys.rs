//! Keys: the same on every node, and what was written and not written over is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kontena_core::command::CommandId;
use kontena_core::keys::{Change, Content, Entry, Event, Key, KeyWrite};
use kontena_core::node::Phase;

use super::{Check, Findings, Scene, Topic, name};
use crate::fact::Fact;
use crate::plan::{KEYS, LASTING, key_write};

pub(super) const CHECKS: &[&Check] = &[&AGREE, &KEPT, &NOT_AGAIN, &END];

static AGREE: Check = Check {
    name: "keys-agree",
    says: "after faults every member has the same keys",
    why: "programs on different hosts find each other by them",
};

static KEPT: Check = Check {
    name: "keys-are-kept",
    says: "a key that was acknowledged and that nobody removed is there, unless its disk was lost",
    why: "the answer says that it is written",
};

static NOT_AGAIN: Check = Check {
    name: "keys-do-not-come-again",
    says: "a value that was acknowledged as removed or written over is seen no more, however long a node was away",
    why: "a program that gave something up must not be found by it",
};

static END: Check = Check {
    name: "keys-end",
    says: "a key that was to last for a while is gone after faults",
    why: "that is how the others learn that a program is dead",
};

#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Writes that are not answered yet, and on which host.
    asked: BTreeMap<CommandId, (usize, KeyWrite)>,
    keys: BTreeMap<Key, History>,
    /// Hosts whose disk went back, or that are no members any more: what they acknowledged may be lost.
    unsafe_hosts: BTreeSet<usize>,
}

/// What was done with one key.
#[derive(Debug, Default)]
struct History {
    /// Acknowledged, and on which host.
    written: BTreeMap<String, usize>,
    /// Acknowledged as removed or written over, and on which host.
    gone: BTreeMap<String, BTreeSet<usize>>,
    /// Somebody removed the key, or may have.
    was_removed: bool,
}

impl Topic for Keys {
    fn see(&mut self, scene: Scene<'_>, host: usize, fact: &Fact, _findings: &mut Findings) {
        match fact {
            Fact::KeyWritten { id, write } => self.ask(*id, host, write),
            Fact::KeyAnswered { id, reply } => {
                let asked = self.asked.remove(id);
                if let (Some(_), Ok(event)) = (asked, reply) {
                    self.keep(host, event);
                }
            }
            Fact::Lost(_) => drop(self.unsafe_hosts.insert(host)),
            Fact::Booted => self.boot(scene, host),
            Fact::Shown { .. } if scene.host(host).status.phase != Phase::Member => {
                self.unsafe_hosts.insert(host);
            }
            Fact::Shown { .. }
            | Fact::ToldToStop
            | Fact::Died { .. }
            | Fact::Given(_)
            | Fact::Replied { .. }
            | Fact::Asked(_)
            | Fact::Changed(_)
            | Fact::Saved(_)
            | Fact::Answered { .. }
            | Fact::Sent { .. } => {}
        }
    }

    fn settled(&self, scene: Scene<'_>, findings: &mut Findings) {
        let Some((first, model)) = scene.members().next() else {
            return;
        };
        for (host, machine) in scene.members() {
            let is_same = machine.keys.digest() == model.keys.digest()
                && contents(&machine.keys) == contents(&model.keys);
            findings.expect(is_same, &AGREE, || {
                let (theirs, ours) = (contents(&machine.keys), contents(&model.keys));
                format!(
                    "{} has {ours:?}, {} has {theirs:?}",
                    name(first),
                    name(host)
                )
            });
        }
        let has = contents(&model.keys);
        for lasting in LASTING..KEYS {
            let key = key_write(lasting, None).key;
            findings.expect(!has.contains_key(&key), &END, || {
                format!("{key} is still there")
            });
        }
        for (key, history) in &self.keys {
            self.check(key, history, has.get(key), findings);
        }
    }
}

impl Keys {
    /// A copy of a disk writes with the name of the other one; a disk without a grid has lost one.
    fn boot(&mut self, scene: Scene<'_>, host: usize) {
        let hosts = scene.world.hosts.iter().enumerate();
        let twins = hosts.filter(|(_, twin)| twin.id() == scene.world.id(host));
        let twins: Vec<usize> = twins.map(|(twin, _)| twin).collect();
        if twins.len() > 1 {
            self.unsafe_hosts.extend(twins);
        }
        if scene.view(host).documents.grid.id.is_none() {
            self.unsafe_hosts.insert(host);
        }
    }

    fn ask(&mut self, id: CommandId, host: usize, write: &KeyWrite) {
        if let Change::Remove { .. } = write.change {
            let history = self.keys.entry(write.key.clone()).or_default();
            history.was_removed = true;
        }
        self.asked.insert(id, (host, write.clone()));
    }

    fn keep(&mut self, host: usize, event: &Arc<Event>) {
        let history = self.keys.entry(event.key.clone()).or_default();
        if let Some(value) = event.entry.as_ref().and_then(value) {
            history.written.insert(value, host);
        }
        if let Some(value) = event.previous.as_ref().and_then(value) {
            history.gone.entry(value).or_default().insert(host);
        }
    }

    fn check(&self, key: &Key, history: &History, value: Option<&String>, findings: &mut Findings) {
        let is_safe = |host: &usize| !self.unsafe_hosts.contains(host);
        if let Some(value) = value {
            let mut hosts = history.gone.get(value).into_iter().flatten();
            findings.expect(!hosts.any(is_safe), &NOT_AGAIN, || {
                format!("{key} is {value} again")
            });
            return;
        }
        let lasts = (LASTING..KEYS).any(|lasting| key_write(lasting, None).key == *key);
        // What an unsafe one wrote over another's may be lost, and the other's is gone then as well.
        let is_safe = !history.written.is_empty() && history.written.values().all(is_safe);
        let must_be = is_safe && !history.was_removed && !lasts;
        findings.expect(!must_be, &KEPT, || format!("{key} is gone"));
    }
}

fn value(entry: &Arc<Entry>) -> Option<String> {
    match &entry.content {
        Content::Value(text) => Some(text.to_string()),
        Content::Directory => None,
    }
}

fn contents(keys: &kontena_core::keys::Keys) -> BTreeMap<Key, String> {
    let all = (0..KEYS).map(|key| key_write(key, None).key);
    let value = |key: &Key| Some(keys.find(key)?.value()?.to_owned());
    all.filter_map(|key| {
        let value = value(&key)?;
        Some((key, value))
    })
    .collect()
}
