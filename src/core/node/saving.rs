//! What is on its way to the disk, and what follows once it is there.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::command::CommandId;
use crate::document::{Prepared, SignedEnvelope};
use crate::id::{EnvelopeHash, NodeId};
use crate::message::Message;
use crate::time::{Instant, Now};

use super::{Node, Output, Record, SaveId};

/// Reports may lag behind on disk: they are only a start for the next boot.
const REPORTS_EVERY: Duration = Duration::from_secs(5);

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
}

#[derive(Debug)]
struct Save {
    purpose: Purpose,
    /// Changes of others that go with it.
    envelopes: Vec<SignedEnvelope>,
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

    pub(super) fn is_unsaved(&self, hash: &EnvelopeHash) -> bool {
        let under_way = self.under_way.values().flat_map(|save| &save.envelopes);
        self.unsaved
            .iter()
            .chain(under_way)
            .any(|envelope| envelope.hash() == *hash)
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.reports_due
    }
}

impl Node {
    /// Sends records to the disk, after all changes of others that are not there yet.
    pub(super) fn save(&mut self, purpose: Purpose, records: Vec<Record>) {
        self.saving.last += 1;
        let id = SaveId(self.saving.last);
        let envelopes = std::mem::take(&mut self.saving.unsaved);
        let owed = std::mem::take(&mut self.saving.owed);
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
        self.own.disk_result(&result, now.wall);
        if result.is_ok() {
            self.acknowledge(save.owed);
        } else {
            let later = std::mem::take(&mut self.saving.unsaved);
            self.saving.unsaved = save.envelopes.into_iter().chain(later).collect();
        }
        match save.purpose {
            Purpose::Store => {}
            Purpose::Write(prepared) => self.written(prepared, result, now),
            Purpose::Admitted { command, founding } => {
                self.admitted(command, founding, result, now);
            }
            Purpose::Forgotten(command) => self.forgotten(command, result),
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
