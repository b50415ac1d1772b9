//! What is on its way to the disk, and what follows once it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::command::CommandId;
use crate::document::{Prepared, SignedEnvelope};
use crate::id::{EnvelopeHash, InstanceId, NodeId};
use crate::message::Message;
use crate::schedule::Slot;
use crate::time::{Instant, Now};

use super::leasing::Grant;
use super::{Node, Output, Record, SaveId};

/// Reports may lag behind on disk: they are only a start for the next boot. But who held what is in
/// them: a node that comes back alone, and does not know, takes for new what another held.
const REPORTS_EVERY: Duration = Duration::from_secs(1);

/// The saves under way.
#[derive(Debug, Default)]
pub(super) struct Saving {
    last: u64,
    under_way: BTreeMap<SaveId, Save>,
    /// Changes of others that are applied and not yet on disk, in causal order. They go before
    /// everything of ours that may depend on them.
    unsaved: Vec<SignedEnvelope>,
    /// Whom to tell that a change of its is on this disk.
    owed: BTreeMap<NodeId, Vec<EnvelopeHash>>,
    reports_due: Option<Instant>,
    /// A save failed when this one was the last under way: what these wrote may depend on changes
    /// that are not on disk.
    gap: Option<SaveId>,
    /// A change of ours that is on this disk, after a gap. It can no longer be refused, since the disk
    /// keeps it; it counts with the first save that closes the gap.
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    prepared: Vec<Prepared>,
    /// What the disk said when it last refused something.
    problem: String,
}

#[derive(Debug)]
struct Save {
    purpose: Purpose,
    /// Changes of others that go with it.
    envelopes: Vec<SignedEnvelope>,
    /// Whose reports go with it.
    reports: Vec<NodeId>,
    owed: BTreeMap<NodeId, Vec<EnvelopeHash>>,
}

/// What a save is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Changes of others, or reports.
    Store,
    /// A change of ours: nothing of it is visible before.
    Write(Vec<Prepared>),
    /// The grid that a command made this node a member of, with its first envelope if it founds it.
    Admitted {
        command: CommandId,
        founding: Vec<Prepared>,
    },
    /// Nothing is left of the grid that a command left.
    Forgotten(CommandId),
    /// Changes of the key-value store.
    Keys,
    /// Slots of jobs, which are run once they are on the disk.
    Slots(BTreeSet<(InstanceId, Slot)>),
    /// A lease that this node grants, which is told once it is on the disk.
    Lease(Grant),
}

impl Purpose {
    fn command(&self) -> Option<CommandId> {
        match self {
            Self::Admitted { command, .. } | Self::Forgotten(command) => Some(*command),
            Self::Store | Self::Write(_) | Self::Keys | Self::Slots(_) | Self::Lease(_) => None,
        }
    }

    fn slots(&self) -> impl Iterator<Item = &(InstanceId, Slot)> {
        let slots = match self {
            Self::Slots(slots) => Some(slots),
            Self::Store
            | Self::Write(_)
            | Self::Admitted { .. }
            | Self::Forgotten(_)
            | Self::Keys
            | Self::Lease(_) => None,
        };
        slots.into_iter().flatten()
    }

    /// Whether it may depend on what earlier saves carry.
    fn builds_on_earlier(&self) -> bool {
        match self {
            Self::Store | Self::Write(_) => true,
            Self::Admitted { .. }
            | Self::Forgotten(_)
            | Self::Keys
            | Self::Slots(_)
            | Self::Lease(_) => false,
        }
    }
}

impl Saving {
    /// An applied change of somebody else's is to be made durable.
    pub(super) fn add(&mut self, envelope: SignedEnvelope) {
        self.unsaved.push(envelope);
    }

    /// `from` wants to be told when these are on disk.
    pub(super) fn owe(&mut self, from: NodeId, hashes: impl IntoIterator<Item = EnvelopeHash>) {
        self.owed.entry(from).or_default().extend(hashes);
    }

    /// The changes of others that are not known to be on this disk.
    pub(super) fn unsaved(&self) -> BTreeSet<EnvelopeHash> {
        let under_way = self.under_way.values().flat_map(|save| &save.envelopes);
        let unsaved = self.unsaved.iter().chain(under_way);
        unsaved.map(SignedEnvelope::hash).collect()
    }

    /// The commands that are answered once a save is done, but those of [`Purpose::Write`].
    pub(super) fn commands(&self) -> impl Iterator<Item = CommandId> {
        let purposes = self.under_way.values().map(|save| &save.purpose);
        purposes.filter_map(Purpose::command)
    }

    /// Slots of jobs on their way.
    pub(super) fn slots(&self) -> impl Iterator<Item = &(InstanceId, Slot)> {
        let purposes = self.under_way.values().map(|save| &save.purpose);
        purposes.flat_map(Purpose::slots)
    }

    /// Why no change of ours can be begun: one waits for the disk to take what it builds on.
    pub(super) fn hindrance(&self) -> Option<&str> {
        self.held.as_ref().map(|held| held.problem.as_str())
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.reports_due
    }

    fn is_after_gap(&self, id: SaveId) -> bool {
        self.gap.is_some_and(|gap| id <= gap)
    }
}

impl Node {
    /// Sends records to the disk, after all changes of others that are not there yet.
    pub(super) fn save(&mut self, purpose: Purpose, records: Vec<Record>) {
        self.saving.last += 1;
        let id = SaveId(self.saving.last);
        let envelopes = std::mem::take(&mut self.saving.unsaved);
        let owed = std::mem::take(&mut self.saving.owed);
        let reports = records.iter().filter_map(reported_node).collect();
        let all = envelopes
            .iter()
            .cloned()
            .map(Record::Envelope)
            .chain(records)
            .collect();
        self.saving.under_way.insert(
            id,
            Save {
                purpose,
                envelopes,
                reports,
                owed,
            },
        );
        self.push(Output::Save { id, records: all });
    }

    /// Makes changes of others durable, if there are any.
    pub(super) fn store(&mut self) {
        if !self.saving.unsaved.is_empty() {
            self.save(Purpose::Store, Vec::new());
        }
    }

    pub(super) fn saved(&mut self, id: SaveId, result: Result<(), String>, now: Now) {
        let Some(save) = self.saving.under_way.remove(&id) else {
            return;
        };
        self.own.disk_result(&result, now);
        match &result {
            Err(problem) => {
                self.keep_unsaved(save.envelopes, save.reports, problem);
                self.owe_again(save.owed);
            }
            Ok(()) if save.purpose.builds_on_earlier() && self.saving.is_after_gap(id) => {
                self.owe_again(save.owed);
                return self.save_again(save.purpose);
            }
            Ok(()) => {
                self.acknowledge(save.owed);
                self.release(id, now);
            }
        }
        match save.purpose {
            Purpose::Store => {}
            Purpose::Write(prepared) => self.written(prepared, result, now),
            Purpose::Admitted { command, founding } => {
                self.admitted(command, founding, result, now);
            }
            Purpose::Forgotten(command) => self.forgotten(command, result),
            Purpose::Keys => self.keys_saved(result, now),
            Purpose::Slots(slots) => self.slots_saved(&slots, &result, now),
            Purpose::Lease(grant) => self.lease_saved(grant, &result, now),
        }
    }

    /// What could not be saved is tried again with the next save; with this node's own report, so that
    /// there is a next one, and a disk that works again is noticed.
    fn keep_unsaved(
        &mut self,
        envelopes: Vec<SignedEnvelope>,
        reports: Vec<NodeId>,
        problem: &str,
    ) {
        if let Some(held) = &mut self.saving.held {
            problem.clone_into(&mut held.problem);
        }
        if !envelopes.is_empty() {
            self.saving.gap = Some(SaveId(self.saving.last));
            let later = std::mem::take(&mut self.saving.unsaved);
            self.saving.unsaved = envelopes.into_iter().chain(later).collect();
        }
        self.reports.not_saved(reports.into_iter().chain([self.me]));
    }

    /// It is on disk, but an earlier save is not: it counts once that one is there too.
    fn save_again(&mut self, purpose: Purpose) {
        if let Purpose::Write(prepared) = purpose {
            let problem = "an earlier change is not saved yet".to_owned();
            self.saving.held = Some(Held { prepared, problem });
        }
        self.save(Purpose::Store, Vec::new());
    }

    /// Save `id` is on disk, and with it everything before: a change that waited for that counts.
    fn release(&mut self, id: SaveId, now: Now) {
        if self.saving.is_after_gap(id) {
            return;
        }
        if let Some(held) = self.saving.held.take() {
            self.written(held.prepared, Ok(()), now);
        }
    }

    fn owe_again(&mut self, owed: BTreeMap<NodeId, Vec<EnvelopeHash>>) {
        for (node, hashes) in owed {
            self.saving.owe(node, hashes);
        }
    }

    fn acknowledge(&mut self, owed: BTreeMap<NodeId, Vec<EnvelopeHash>>) {
        for (to, hashes) in owed {
            self.push(Output::Send {
                to,
                message: Message::Stored(hashes),
            });
        }
    }

    /// Writes changed reports down now and then; with them, what the disk refused before.
    pub(super) fn save_reports(&mut self, now: Now) {
        let wanted =
            self.in_grid() && (self.reports.has_unsaved() || !self.saving.unsaved.is_empty());
        match self.saving.reports_due {
            None if wanted => self.saving.reports_due = Some(now.monotonic + REPORTS_EVERY),
            Some(due) if due <= now.monotonic => {
                self.saving.reports_due = None;
                let reports = self.reports.take_unsaved();
                let records: Vec<_> = reports
                    .into_iter()
                    .map(|(node, report)| Record::Report { node, report })
                    .collect();
                if wanted {
                    self.save(Purpose::Store, records);
                }
            }
            None | Some(_) => {}
        }
    }
}

fn reported_node(record: &Record) -> Option<NodeId> {
    match record {
        Record::Report { node, .. } => Some(*node),
        Record::Envelope(_) | Record::Local { .. } | Record::Key { .. } | Record::Forget => None,
    }
}
