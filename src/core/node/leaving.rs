//! Leaving for good: out of the roster first, then nothing runs, then nothing is remembered.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::command::{Accepted, CommandId, Refusal};
use crate::document::edit::Edit;
use crate::id::EnvelopeHash;
use crate::reconcile::Instances;
use crate::time::{Instant, Now};

use super::saving::Purpose;
use super::{Node, Phase, Record};

/// How long containers may take to stop. What still runs then is nobody's any more, and is logged.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(25);

/// How long an engine that never answered is waited for.
const ENGINE_WITHIN: Duration = Duration::from_secs(5);

/// A `leave` under way.
#[derive(Debug)]
pub(super) struct Leave {
    command: CommandId,
    since: Instant,
    /// The removal, until another node is known to have it: this disk forgets it.
    untold: BTreeSet<EnvelopeHash>,
}

impl Leave {
    pub(super) fn command(&self) -> CommandId {
        self.command
    }

    /// When to look again at the latest.
    pub(super) fn wake(&self, engine_seen: bool) -> Instant {
        self.since
            + if engine_seen {
                STOP_WITHIN
            } else {
                ENGINE_WITHIN
            }
    }
}

impl Node {
    /// What takes this node out of the roster: nothing where it is out already.
    pub(super) fn leave_edits(&self, force: bool) -> Result<Vec<Edit>, Refusal> {
        if self.joining.leave.is_some() {
            return Err(Refusal::Busy);
        }
        let documents = &self.view.documents;
        let Some(member) = documents.roster.get(&self.me) else {
            return Ok(Vec::new());
        };
        if !force && documents.roster.len() == 1 {
            let problem = format!(
                "node `{}` is the last of its grid: all definitions are lost",
                member.name
            );
            return Err(Refusal::NeedsForce { problem });
        }
        if !force {
            crate::command::check_leaving(&self.view, self.me, member)?;
        }
        if !force && documents.roster.len() > 1 && !self.others_fresh() {
            let problem = "no other node can be told: they would wait for this one".to_owned();
            return Err(Refusal::NeedsForce { problem });
        }
        Ok(vec![Edit::RemoveNode(self.me)])
    }

    /// `removal` is what took this node out of the roster. Where nobody can be told, nobody is.
    pub(super) fn start_leaving(
        &mut self,
        command: CommandId,
        removal: Vec<EnvelopeHash>,
        now: Now,
    ) {
        self.phase = Phase::Leaving;
        let untold = match self.others_fresh() {
            true => removal.into_iter().collect(),
            false => BTreeSet::new(),
        };
        self.joining.leave = Some(Leave {
            command,
            since: now.monotonic,
            untold,
        });
    }

    /// Another node has these on its disk.
    pub(super) fn leave_is_stored(&mut self, hashes: &[EnvelopeHash]) {
        if let Some(leave) = &mut self.joining.leave {
            leave.untold.retain(|hash| !hashes.contains(hash));
        }
    }

    /// A member has the `grid` document as it is here: the removal is known, though the word that it is
    /// on a disk was lost.
    pub(super) fn leave_is_known(&mut self) {
        if let Some(leave) = &mut self.joining.leave {
            leave.untold.clear();
        }
    }

    /// Forgets the grid once nothing of it runs here and the others know.
    pub(super) fn finish_leaving(&mut self, now: Now) {
        let Some(leave) = &self.joining.leave else {
            return;
        };
        let seen = self.engine_was_seen();
        let held = self
            .instances
            .as_ref()
            .map_or(0, |instances| instances.holds().len() + instances.runs());
        let idle = seen && held == 0;
        if (idle && leave.untold.is_empty()) || leave.wake(seen) <= now.monotonic {
            let command = leave.command;
            if !leave.untold.is_empty() {
                tracing::warn!("Nobody answered that this node leaves: the others may wait for it");
            }
            if held > 0 {
                tracing::warn!(
                    held,
                    "Containers are left behind: the engine did not stop them in time"
                );
            }
            self.joining.leave = None;
            self.save(Purpose::Forgotten(command), vec![Record::Forget]);
        }
    }

    fn engine_was_seen(&self) -> bool {
        self.instances.as_ref().is_none_or(Instances::has_observed)
    }

    /// When a leave has to go on.
    pub(super) fn leave_wake(&self) -> Option<Instant> {
        let leave = self.joining.leave.as_ref()?;
        Some(leave.wake(self.engine_was_seen()))
    }

    pub(super) fn forgotten(&mut self, command: CommandId, result: Result<(), String>) {
        if let Err(problem) = result {
            return self.reply(command, Err(Refusal::Disk { problem }));
        }
        self.reply(
            command,
            Ok(Accepted {
                saved_on: Vec::new(),
                has_others: false,
                join_token: None,
            }),
        );
        self.phase = Phase::Alone;
        self.instances = None;
        self.view = Default::default();
        self.set_network();
        self.start_afresh();
    }
}
