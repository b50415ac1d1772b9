//! Commands: one at a time becomes a signed change, goes to disk, is shown, pushed and answered.
//!
//! Nothing of a change is visible before it is on this disk. The answer waits for one more disk while
//! another node is fresh, at most [`SECOND_DISK`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::command::{self, Accepted, Command, CommandId, Refusal, Reply};
use crate::document::Prepared;
use crate::document::edit::Edit;
use crate::id::{EnvelopeHash, NodeId, NodeName};
use crate::membership::token::Token;
use crate::message::JoinCall;
use crate::time::{Instant, Now};

use super::halting::FailedDeploy;
use super::joining::{Founding, Stranger};
use super::moving::MoveEnd;
use super::rebinding::Unbinding;
use super::saving::Purpose;
use super::{Node, Output, Phase, Record};

/// How long a command waits for another node's disk (rules of the mesh 4).
pub(super) const SECOND_DISK: Duration = Duration::from_secs(2);

/// Commands that wait for their turn; each takes one write to disk.
const MAX_QUEUED: usize = 256;

/// Commands under way.
#[derive(Debug, Default)]
pub(super) struct Writing {
    queue: VecDeque<Job>,
    /// The job whose change is being saved.
    saving: Option<Job>,
    waiting: Vec<Waiting>,
}

/// Something that writes.
#[derive(Debug)]
pub(super) enum Job {
    Command {
        id: CommandId,
        command: Box<Command>,
    },
    /// A stranger asks to be admitted.
    Admit {
        id: u64,
        from: NodeId,
        seen: Option<IpAddr>,
        call: Box<JoinCall>,
    },
    /// What this node writes by itself; nobody waits for it.
    Halt(Box<FailedDeploy>),
    /// The same.
    Rebind(Box<Unbinding>),
    /// The same.
    Move(Box<MoveEnd>),
}

/// A change that is on this disk and waits for another.
#[derive(Debug)]
pub(super) struct Waiting {
    command: CommandId,
    accepted: Accepted,
    hashes: BTreeSet<EnvelopeHash>,
    /// What each other node has on its disk of them.
    stored: BTreeMap<NodeId, BTreeSet<EnvelopeHash>>,
    until: Instant,
}

impl Writing {
    /// Whether somebody waits for an answer.
    pub(super) fn owes_answers(&self) -> bool {
        self.saving.is_some() || !self.queue.is_empty() || !self.waiting.is_empty()
    }

    /// The jobs that nothing was done for yet.
    pub(super) fn take_queued(&mut self) -> VecDeque<Job> {
        std::mem::take(&mut self.queue)
    }

    /// The job whose change is being saved.
    pub(super) fn take_saving(&mut self) -> Option<Job> {
        self.saving.take()
    }

    /// `acts_from`: no job is taken before.
    pub(super) fn next_wake(&self, acts_from: Instant) -> Option<Instant> {
        let jobs = !self.queue.is_empty() && self.saving.is_none();
        let answers = self.waiting.iter().map(|waiting| waiting.until);
        answers.chain(jobs.then_some(acts_from)).min()
    }
}

impl Node {
    pub(super) fn command(&mut self, id: CommandId, command: Command, now: Now) {
        if self.is_stopping() {
            return self.reply(id, Err(Refusal::Stopping));
        }
        match command {
            Command::Init {
                grid,
                name,
                labels,
                plan,
                routes,
                grid_seed,
                token_seed,
                admin_token,
            } => {
                let founding = Founding {
                    grid,
                    name,
                    labels,
                    plan,
                    routes,
                    grid_seed,
                    token_seed,
                    admin_token,
                };
                self.found(id, founding, now);
            }
            Command::Join {
                address,
                token,
                name,
                labels,
                routes,
            } => {
                let stranger = Stranger {
                    name,
                    labels,
                    routes,
                };
                self.ask(id, address, &token, stranger, now);
            }
            Command::Leave { .. }
            | Command::CreateJoinToken { .. }
            | Command::RevokeJoinToken(_)
            | Command::UpdateGrid { .. }
            | Command::UpdateNode { .. }
            | Command::AssumeDead(_)
            | Command::RemoveNode { .. }
            | Command::CreateService { .. }
            | Command::UpdateService { .. }
            | Command::DeployService { .. }
            | Command::AbortDeploy { .. }
            | Command::PromoteDeploy(_)
            | Command::ScaleService { .. }
            | Command::StopService(_)
            | Command::StartService(_)
            | Command::RestartService(_)
            | Command::RemoveService(_)
            | Command::InstallStack { .. }
            | Command::UpgradeStack { .. }
            | Command::RollbackStack { .. }
            | Command::ResolveStack { .. }
            | Command::DeployStack(_)
            | Command::StopStack(_)
            | Command::RestartStack(_)
            | Command::RemoveStack { .. }
            | Command::LabelStack { .. }
            | Command::OpenVpn { .. }
            | Command::CloseVpn(_)
            | Command::AddVpnUser { .. }
            | Command::LimitVpnUser { .. }
            | Command::RemoveVpnUser(_)
            | Command::AddRegistry { .. }
            | Command::RemoveRegistry(_)
            | Command::ShareRegistry { .. }
            | Command::ForceMove { .. }
            | Command::MoveInstance { .. }
            | Command::CancelMove(_)
            | Command::CreateVolume { .. }
            | Command::RemoveVolume(_)
            | Command::Frozen { .. } => {
                let command = Box::new(command);
                self.queue(Job::Command { id, command });
            }
        }
    }

    /// Whether one more job can wait for its turn.
    pub(super) fn can_queue(&self) -> bool {
        self.writing.queue.len() < MAX_QUEUED
    }

    /// Puts a job in the queue, or answers that there are too many.
    pub(super) fn queue(&mut self, job: Job) {
        if self.can_queue() {
            self.writing.queue.push_back(job);
            return;
        }
        match job {
            Job::Command { id, .. } => self.reply(id, Err(Refusal::Busy)),
            Job::Admit { id, .. } => self.refuse_join(id, "too many commands are waiting"),
            Job::Halt(_) | Job::Rebind(_) | Job::Move(_) => {}
        }
    }

    /// Takes jobs until one has something to save, and lets go those that waited long enough.
    pub(super) fn write(&mut self, now: Now) {
        while self.may_start() && !self.only_looks(now.monotonic) {
            let Some(job) = self.writing.queue.pop_front() else {
                break;
            };
            self.start(job, now);
        }
        self.answer_waiting(|waiting| waiting.until <= now.monotonic);
    }

    /// Whether the next job's turn has come, if only to be refused.
    fn may_start(&self) -> bool {
        self.writing.saving.is_none() || self.saving.hindrance().is_some()
    }

    /// Begins a job, unless an earlier change still waits for the disk. What this node may do is judged here and not when the job came: it may have
    /// waited, and this node may be a clone, or no member, since.
    fn start(&mut self, job: Job, now: Now) {
        if let Some(problem) = self.saving.hindrance() {
            let problem = problem.to_owned();
            return self.answer(job, Err(Refusal::Disk { problem }), now);
        }
        match &job {
            Job::Command { command, .. } => match self.edits_of(command, now) {
                Ok(edits) => self.save_job(job, edits, now),
                Err(refusal) => self.answer(job, Err(refusal), now),
            },
            Job::Admit {
                from, seen, call, ..
            } => match self.admission(*from, *seen, call, now) {
                Ok(edits) => self.save_job(job, edits, now),
                Err(refusal) => self.answer_admission(job, Err(refusal)),
            },
            Job::Halt(failed) if self.phase == Phase::Member => {
                let edits = failed.edits(&self.view);
                self.save_job(job, edits, now);
            }
            Job::Rebind(unbinding) if self.phase == Phase::Member => {
                let edits = unbinding.edits(&self.view);
                self.save_job(job, edits, now);
            }
            Job::Move(end) if self.phase == Phase::Member => {
                let edits = end.edits(&self.view);
                self.save_job(job, edits, now);
            }
            Job::Halt(_) | Job::Rebind(_) | Job::Move(_) => {}
        }
    }

    fn edits_of(&self, command: &Command, now: Now) -> Result<Vec<Edit>, Refusal> {
        match self.phase {
            Phase::Alone | Phase::Joining => return Err(Refusal::NoGrid),
            Phase::Cloned => return Err(Refusal::Cloned),
            Phase::Removed | Phase::Leaving if !matches!(command, Command::Leave { .. }) => {
                return Err(Refusal::Removed);
            }
            Phase::Member | Phase::Removed | Phase::Leaving => {}
        }
        if let Command::Leave { force } = command {
            return self.leave_edits(*force);
        }
        if let Command::AssumeDead(node) = command {
            let last = self.last_sign(node).unwrap_or_default();
            return command::assume_dead(&self.view, *node, last);
        }
        command::edits(&self.view, self.me, command, now.wall)
    }

    fn save_job(&mut self, job: Job, edits: Vec<Edit>, now: Now) {
        if edits.is_empty() {
            return self.answer(job, Ok(Vec::new()), now);
        }
        match self.replica.prepare(&edits, now.wall) {
            Ok(prepared) if prepared.is_empty() => self.answer(job, Ok(Vec::new()), now),
            Ok(prepared) => {
                let envelopes = prepared.iter().map(|one| one.envelope.clone());
                let records = envelopes.map(Record::Envelope).collect();
                self.writing.saving = Some(job);
                self.save(Purpose::Write(prepared), records);
            }
            Err(problem) => self.answer(job, Err(Refusal::Invalid(problem.to_string())), now),
        }
    }

    /// The change of the job that was being saved is on disk, or is not.
    pub(super) fn written(
        &mut self,
        prepared: Vec<Prepared>,
        result: Result<(), String>,
        now: Now,
    ) {
        let job = self
            .writing
            .saving
            .take()
            .expect("a write is saved for a job");
        if let Err(problem) = result {
            self.replica.abandon(prepared);
            return self.answer(job, Err(Refusal::Disk { problem }), now);
        }
        let hashes: Vec<_> = prepared.iter().map(Prepared::hash).collect();
        let newly = self.replica.commit(prepared);
        for envelope in newly
            .iter()
            .filter(|envelope| !hashes.contains(&envelope.hash()))
        {
            self.saving.add(envelope.clone());
        }
        self.flood(newly, 0, true, None);
        self.look(now);
        self.answer(job, Ok(hashes), now);
    }

    /// Answers a job: `written` are the changes that it made.
    pub(super) fn answer(
        &mut self,
        job: Job,
        written: Result<Vec<EnvelopeHash>, Refusal>,
        now: Now,
    ) {
        match job {
            Job::Command { id, command } => match written {
                Ok(removal) if matches!(*command, Command::Leave { .. }) => {
                    self.start_leaving(id, removal, now);
                }
                Ok(hashes) => self.accept(id, &command, hashes, now),
                Err(refusal) => self.reply(id, Err(refusal)),
            },
            Job::Admit { .. } => {
                let problem = written.err().map(|refusal| refusal.to_string());
                self.answer_admission(
                    job,
                    problem.map_or(Ok(()), |problem| Err(super::joining::not_now(problem))),
                );
            }
            Job::Halt(_) => {
                if let Err(refusal) = written {
                    tracing::warn!(%refusal, "A halt of a deploy could not be written down yet");
                }
            }
            Job::Rebind(unbinding) => {
                if let Err(refusal) = &written {
                    tracing::warn!(%refusal, "A binding could not be written down yet");
                }
                self.rebound(&unbinding, &written, now);
            }
            Job::Move(end) => {
                if let Err(refusal) = &written {
                    tracing::warn!(%refusal, "The end of a move could not be written down yet");
                }
                self.move_ended(&end, &written, now);
            }
        }
    }

    fn accept(&mut self, id: CommandId, command: &Command, hashes: Vec<EnvelopeHash>, now: Now) {
        let accepted = Accepted {
            saved_on: self.name_of(self.me).into_iter().collect(),
            has_others: !hashes.is_empty() && self.view.documents.roster.len() > 1,
            join_token: self.token_text(command),
        };
        if hashes.is_empty() || !self.others_fresh() {
            return self.reply(id, Ok(accepted));
        }
        let until = now.monotonic + SECOND_DISK;
        let hashes = hashes.into_iter().collect();
        self.writing.waiting.push(Waiting {
            command: id,
            accepted,
            hashes,
            stored: BTreeMap::new(),
            until,
        });
    }

    fn token_text(&self, command: &Command) -> Option<String> {
        let Command::CreateJoinToken { seed } = command else {
            return None;
        };
        Some(Token::new(self.view.documents.grid.id?, *seed).reveal())
    }

    /// `from` has these changes on its disk: whoever waited for a second disk is answered.
    pub(super) fn stored(&mut self, from: NodeId, hashes: &[EnvelopeHash]) {
        let Some(name) = self.name_of(from) else {
            return;
        };
        self.leave_is_stored(hashes);
        let mut done = Vec::new();
        self.writing.waiting.retain_mut(|waiting| {
            let stored = waiting.stored.entry(from).or_default();
            stored.extend(hashes.iter().filter(|hash| waiting.hashes.contains(hash)));
            let complete = *stored == waiting.hashes;
            if complete {
                waiting.accepted.saved_on.push(name.clone());
                done.push((waiting.command, waiting.accepted.clone()));
            }
            !complete
        });
        for (command, accepted) in done {
            self.reply(command, Ok(accepted));
        }
    }

    /// Answers those that have waited long enough, with the disks that they are on by now.
    pub(super) fn answer_waiting(&mut self, is_over: impl Fn(&Waiting) -> bool) {
        let waiting = std::mem::take(&mut self.writing.waiting);
        let (done, left): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_over);
        self.writing.waiting = left;
        for Waiting {
            command, accepted, ..
        } in done
        {
            self.reply(command, Ok(accepted));
        }
    }

    pub(super) fn others_fresh(&self) -> bool {
        self.view
            .documents
            .roster
            .keys()
            .any(|node| *node != self.me && self.view.is_fresh(node))
    }

    pub(super) fn name_of(&self, node: NodeId) -> Option<NodeName> {
        self.view
            .documents
            .roster
            .get(&node)
            .map(|member| member.name.clone())
    }

    pub(super) fn reply(&mut self, id: CommandId, reply: Reply) {
        self.push(Output::Reply { id, reply });
    }
}
