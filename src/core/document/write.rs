//! Writing: edits become signed envelopes, one for each document, which count once they are saved.
//!
//! [`Replica::prepare`] changes nothing that anybody sees. Whoever drives it saves the envelopes and
//! then says [`Replica::commit`], or [`Replica::abandon`] if the disk failed: an abandoned change
//! may be on the disk all the same, so its session is never used again.

use std::collections::BTreeMap;

use super::change::{Change, MAX_WRITES, Write};
use super::edit::Edit;
use super::envelope::{Envelope, MAX_DEPENDENCIES, MAX_PAYLOAD_BYTES};
use super::log::{Log, Trust};
use super::replica::{Ingested, Refusal, Replica};
use super::schema::{
    DeployOrder, GridRegister, HaltOrder, Heads, PreviousDeploy, PromotionOrder, Removal,
    RevisionPointer, ServiceRegister, StackRegister, known_fields,
};
use super::{DocumentId, SignedEnvelope};
use crate::id::{EnvelopeHash, GridId, NodeId, RevisionHash, ServiceKey};
use crate::identity::SecretKey;
use crate::stack::Service;
use crate::time::WallTime;
use crate::volume::VolumeName;

/// A signed change that is not in its document yet: to be saved, then committed.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it must be committed or abandoned"]
pub struct Prepared {
    pub document: DocumentId,
    pub envelope: SignedEnvelope,
    /// The grid that this is the first envelope of.
    founds: Option<GridId>,
}

impl Prepared {
    pub fn hash(&self) -> EnvelopeHash {
        self.envelope.hash()
    }
}

/// Why edits cannot be written. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteRefusal {
    #[error("an earlier change is being saved")]
    Outstanding,
    #[error("this node belongs to no grid yet")]
    NoGrid,
    #[error("this node already belongs to a grid")]
    AlreadyInGrid,
    #[error("a change of {0} bytes or registers is too large")]
    TooLarge(usize),
    #[error("the definition of service `{0}` is not text")]
    NotText(ServiceKey),
    #[error("revision {revision:?} of service `{service}` is not known")]
    UnknownRevision {
        service: ServiceKey,
        revision: RevisionHash,
    },
    #[error("the change would be refused: {0}")]
    Refused(#[from] Refusal),
}

/// New values by register.
type Draft = BTreeMap<String, String>;

impl Replica {
    /// Founds a grid: its first envelope, signed by its key, which is not needed for documents again.
    ///
    /// # Errors
    /// Says why not; then nothing was changed.
    pub fn prepare_genesis(
        &mut self,
        key: &SecretKey,
        edits: &[Edit],
        time: WallTime,
    ) -> Result<Vec<Prepared>, WriteRefusal> {
        if self.grid().is_some() {
            return Err(WriteRefusal::AlreadyInGrid);
        }
        if self.outstanding {
            return Err(WriteRefusal::Outstanding);
        }
        let grid = GridId(key.public());
        self.grid = Some(grid);
        let prepared = self.prepare_as(key, edits, time);
        self.grid = None;
        let mut prepared = prepared?;
        for one in &mut prepared {
            one.founds = Some(grid);
        }
        self.outstanding = !prepared.is_empty();
        Ok(prepared)
    }

    /// Signs edits, one envelope for each document, without applying them.
    ///
    /// # Errors
    /// Says why not; then nothing was changed.
    pub fn prepare(
        &mut self,
        edits: &[Edit],
        time: WallTime,
    ) -> Result<Vec<Prepared>, WriteRefusal> {
        if self.outstanding {
            return Err(WriteRefusal::Outstanding);
        }
        if self.grid().is_none() {
            return Err(WriteRefusal::NoGrid);
        }
        let key = self.author.clone();
        let prepared = self.prepare_as(&key, edits, time)?;
        self.outstanding = !prepared.is_empty();
        Ok(prepared)
    }

    /// Applies what is saved now. Answers all that is new: also what waited for it.
    pub fn commit(&mut self, prepared: Vec<Prepared>) -> Vec<SignedEnvelope> {
        self.outstanding = false;
        let mut newly = Vec::new();
        for one in prepared {
            if let Some(grid) = one.founds {
                self.open_grid(grid);
            }
            match self.take_in(one.envelope, Trust::Nobody) {
                Ingested::Applied { newly: more } => newly.extend(more),
                Ingested::Known => {}
                Ingested::Parked => {
                    tracing::error!(document = %one.document, "Own change lacks its own past");
                }
                Ingested::Refused(reason) => {
                    tracing::error!(document = %one.document, %reason, "Own change was refused");
                }
            }
        }
        newly
    }

    /// Forgets what could not be saved.
    pub fn abandon(&mut self, prepared: Vec<Prepared>) {
        drop(prepared);
        self.outstanding = false;
        self.session = self.session.next();
    }

    fn prepare_as(
        &mut self,
        key: &SecretKey,
        edits: &[Edit],
        time: WallTime,
    ) -> Result<Vec<Prepared>, WriteRefusal> {
        let mut drafts: BTreeMap<DocumentId, Draft> = BTreeMap::new();
        for edit in edits {
            let document = document_of(edit);
            let draft = drafts.entry(document.clone()).or_default();
            self.draft(edit, time, &document, draft)?;
        }
        drafts
            .into_iter()
            .filter(|(_, draft)| !draft.is_empty())
            .map(|(document, draft)| self.sign(key, document, draft, time))
            .collect()
    }

    fn sign(
        &self,
        key: &SecretKey,
        document: DocumentId,
        draft: Draft,
        time: WallTime,
    ) -> Result<Prepared, WriteRefusal> {
        if draft.len() > MAX_WRITES {
            return Err(WriteRefusal::TooLarge(draft.len()));
        }
        let empty;
        let log = match self.logs.get(&document) {
            Some(log) => log,
            None => {
                empty = Log::new(document.clone());
                &empty
            }
        };
        let actor = self.session.actor(&key.public(), &document);
        let sequence = log.last_sequence(&actor) + 1;
        let dependencies = self.dependencies(log, log.claims(&actor, sequence - 1));
        let known = log.find_all(&dependencies);
        let writes = draft.into_iter().map(|(register, value)| Write {
            value: with_unknown_fields(log, &register, value),
            replaces: log.replaced_by(&register, &known),
            register,
        });
        let payload = Change {
            session: self.session,
            sequence,
            writes: writes.collect(),
        }
        .encode();
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(WriteRefusal::TooLarge(payload.len()));
        }
        let lamport = known
            .iter()
            .map(|index| log.entry(*index).lamport)
            .max()
            .unwrap_or(0)
            + 1;
        let envelope = Envelope {
            access: match document {
                DocumentId::Grid => Vec::new(),
                DocumentId::Stack(_) => self.dependencies(self.grid_log(), &[]),
            },
            document: document.clone(),
            dependencies,
            lamport,
            author: key.public(),
            delegation: None,
            time,
            payload,
        };
        let signed = envelope.sign(key);
        self.check(signed.clone(), &envelope, Trust::Nobody)?;
        Ok(Prepared {
            document,
            envelope: signed,
            founds: None,
        })
    }

    /// The heads that a change builds on: all, or as many as an envelope holds, with those first
    /// that have the session's own last change in their past.
    fn dependencies(&self, log: &Log, own: &[usize]) -> Vec<EnvelopeHash> {
        let mut heads: Vec<EnvelopeHash> = log.heads().iter().copied().collect();
        if heads.len() > MAX_DEPENDENCIES {
            let builds_on_own = |hash: &EnvelopeHash| {
                let head = log.find(hash).expect("a head is an entry");
                own.iter().any(|last| log.graph.reaches(head, *last))
            };
            heads.sort_by_cached_key(|hash| (!builds_on_own(hash), *hash));
            heads.truncate(MAX_DEPENDENCIES);
            heads.sort_unstable();
        }
        heads
    }

    fn draft(
        &mut self,
        edit: &Edit,
        time: WallTime,
        document: &DocumentId,
        draft: &mut Draft,
    ) -> Result<(), WriteRefusal> {
        let mut grid = |register: GridRegister, value: String| {
            draft.insert(register.to_string(), value);
        };
        match edit {
            Edit::GridName(name) => grid(GridRegister::Name, json(name)),
            Edit::PlacementVersion(version) => grid(GridRegister::PlacementVersion, json(version)),
            Edit::AddressPlan(plan) => grid(GridRegister::AddressPlan, json(plan)),
            Edit::DefaultAffinity(affinity) => {
                grid(GridRegister::DefaultAffinity, json(affinity));
            }
            Edit::Admit(admission) => {
                grid(GridRegister::Admission(admission.node), json(admission));
            }
            Edit::RemoveNode(node) => {
                let removal = Removal {
                    heads: self.heads_of_writes_by(node),
                };
                grid(GridRegister::Removed(*node), json(&removal));
            }
            Edit::NodeName { node, name } => grid(GridRegister::NodeName(*node), json(name)),
            Edit::NodeLabels { node, labels } => grid(GridRegister::Labels(*node), json(labels)),
            Edit::NodeAvailability { node, availability } => {
                grid(GridRegister::Availability(*node), json(availability));
            }
            Edit::AssumeDead { node, last } => grid(GridRegister::AssumedDead(*node), json(last)),
            Edit::JoinToken(token) => grid(GridRegister::Token(*token), fact()),
            Edit::RevokeJoinToken(token) => grid(GridRegister::TokenRevoked(*token), fact()),
            Edit::AdminToken(hash) => grid(GridRegister::AdminToken(*hash), fact()),
            Edit::VpnEntry { node, entry } => grid(GridRegister::VpnEntry(*node), json(entry)),
            Edit::VpnUser { key, user } => grid(GridRegister::VpnUser(*key), json(user)),
            Edit::VpnReach { key, reach } => grid(GridRegister::VpnReach(*key), json(reach)),
            Edit::RevokeVpnKey(key) => grid(GridRegister::VpnRevoked(*key), fact()),
            Edit::Registry { name, account } => {
                grid(GridRegister::Registry(name.clone()), json(account));
            }
            Edit::Volume { name, definition } => {
                grid(GridRegister::Volume(name.clone()), json(definition));
            }
            Edit::RemoveVolume(name) => {
                for creation in self.creations_of(name) {
                    grid(GridRegister::VolumeRemoved(name.clone(), creation), fact());
                }
            }
            Edit::RegistryKey { name, node, key } => {
                grid(GridRegister::RegistryKey(name.clone(), *node), json(key));
            }

            Edit::Stack { stack, record } => {
                if !self.documents().stacks.contains_key(stack) {
                    draft.insert(StackRegister::Created.to_string(), fact());
                }
                draft.insert(StackRegister::Record.to_string(), json(record));
            }
            Edit::RemoveStack(_) => {
                draft.insert(StackRegister::Removed.to_string(), fact());
            }
            Edit::StackLabel { label, present, .. } => {
                draft.insert(
                    StackRegister::Label(label.clone()).to_string(),
                    json(present),
                );
            }
            Edit::Revision { service, encoded } => self.draft_revision(service, encoded, draft)?,
            Edit::Instances { service, instances } => {
                draft.insert(
                    register(service, ServiceRegister::Instances),
                    json(instances),
                );
            }
            Edit::Lifecycle { service, state } => {
                draft.insert(register(service, ServiceRegister::Lifecycle), json(state));
            }
            Edit::Deploy {
                service,
                revision,
                image,
            } => {
                let number = self.number_of(service, revision, document, draft)?;
                let order = DeployOrder {
                    revision: *revision,
                    number,
                    at: time,
                    previous: self.previous(service),
                    image: image.clone(),
                };
                draft.insert(register(service, ServiceRegister::Deploy), json(&order));
            }
            Edit::Pin {
                service,
                number,
                pin,
            } => {
                draft.insert(register(service, ServiceRegister::Pin(*number)), json(pin));
            }
            Edit::Move {
                service,
                number,
                order,
            } => {
                draft.insert(
                    register(service, ServiceRegister::Move(*number)),
                    json(order),
                );
            }
            Edit::Witnesses { service, witnesses } => {
                draft.insert(
                    register(service, ServiceRegister::Witnesses),
                    json(witnesses),
                );
            }
            Edit::Halt {
                service,
                generation,
                revision,
                cause,
                rollback,
            } => {
                let order = HaltOrder {
                    revision: *revision,
                    rollback: *rollback,
                    cause: cause.clone(),
                };
                let halt = ServiceRegister::Halt(*generation);
                draft.insert(register(service, halt), json(&order));
            }
            Edit::Promote {
                service,
                generation,
                revision,
            } => {
                let order = PromotionOrder {
                    revision: *revision,
                };
                let promotion = ServiceRegister::Promotion(*generation);
                draft.insert(register(service, promotion), json(&order));
            }
            Edit::RemoveService(service) => {
                draft.insert(register(service, ServiceRegister::Removed), fact());
            }
        }
        Ok(())
    }

    /// The definition under its hash, and the service's pointer to it. Also what makes a service
    /// that is not there, or was removed, begin.
    fn draft_revision(
        &mut self,
        service: &ServiceKey,
        encoded: &[u8],
        draft: &mut Draft,
    ) -> Result<(), WriteRefusal> {
        let text =
            std::str::from_utf8(encoded).map_err(|_| WriteRefusal::NotText(service.clone()))?;
        let hash = Service::hash_of(encoded);
        let documents = self.documents();
        let latest = documents.services.get(service).map(|record| &record.latest);
        if latest.is_none() {
            draft.insert(register(service, ServiceRegister::Created), fact());
        }
        let number = match latest {
            Some(latest) if latest.hash == hash => latest.number,
            Some(latest) => latest.number + 1,
            None => 1,
        };
        draft.insert(StackRegister::Definition(hash).to_string(), text.to_owned());
        let pointer = RevisionPointer { hash, number };
        draft.insert(register(service, ServiceRegister::Revision), json(&pointer));
        Ok(())
    }

    /// The number of a revision: of the one in the same change, of the newest, else of its last use.
    fn number_of(
        &mut self,
        service: &ServiceKey,
        revision: &RevisionHash,
        document: &DocumentId,
        draft: &Draft,
    ) -> Result<u64, WriteRefusal> {
        let name = register(service, ServiceRegister::Revision);
        let parse = |value: &String| serde_json::from_str::<RevisionPointer>(value).ok();
        let drafted = draft.get(&name).and_then(parse);
        let documents = self.documents();
        let record = documents.services.get(service);
        let latest = record.map(|record| (record.latest.hash, record.latest.number));
        let newest = drafted
            .map(|pointer| (pointer.hash, pointer.number))
            .or(latest);
        if let Some((_, number)) = newest.filter(|(hash, _)| hash == revision) {
            return Ok(number);
        }
        let log = self.logs.get(document);
        let used = log.and_then(|log| last_number(log, &name, revision));
        used.ok_or_else(|| WriteRefusal::UnknownRevision {
            service: service.clone(),
            revision: *revision,
        })
    }

    /// What a deploy can go back to: what runs, unless that failed or was never promoted, and there is something
    /// before it.
    fn previous(&mut self, service: &ServiceKey) -> Option<PreviousDeploy> {
        let documents = self.documents();
        let deployed = documents.services.get(service)?.deployed.as_ref()?;
        let failed = deployed.halt.is_some() && deployed.takes_back.is_none();
        let is_tried = deployed.canary().is_some();
        let before = deployed.previous.as_ref().filter(|_| failed || is_tried);
        let ran = before.unwrap_or(&deployed.revision);
        Some(PreviousDeploy {
            hash: ran.hash,
            number: ran.number,
            image: ran.image.clone(),
        })
    }

    /// The heads of the stacks' documents in which a node wrote: its changes outside of these do not
    /// count once it is removed.
    /// The changes that created what is known under the name of a volume.
    fn creations_of(&self, volume: &VolumeName) -> Vec<EnvelopeHash> {
        let log = self.grid_log();
        let register = GridRegister::Volume(volume.clone()).to_string();
        let values = log.registers().get(&register).into_iter().flatten();
        values.map(|value| log.entry(value.source).hash).collect()
    }

    fn heads_of_writes_by(&self, node: &NodeId) -> Heads {
        let written = self.logs.iter().filter(|(document, log)| {
            **document != DocumentId::Grid && log.by_author().contains_key(node.as_bytes())
        });
        Heads(
            written
                .map(|(document, _)| (document.clone(), self.heads(document)))
                .collect(),
        )
    }
}

fn last_number(log: &Log, register: &str, revision: &RevisionHash) -> Option<u64> {
    (0..log.entries().len()).rev().find_map(|index| {
        let (_, change) = log.read(index);
        let write = change
            .writes
            .iter()
            .find(|write| write.register == register)?;
        let pointer: RevisionPointer = serde_json::from_str(&write.value).ok()?;
        (pointer.hash == *revision).then_some(pointer.number)
    })
}

fn document_of(edit: &Edit) -> DocumentId {
    match edit {
        Edit::GridName(_)
        | Edit::PlacementVersion(_)
        | Edit::AddressPlan(_)
        | Edit::DefaultAffinity(_)
        | Edit::Admit(_)
        | Edit::RemoveNode(_)
        | Edit::NodeName { .. }
        | Edit::NodeLabels { .. }
        | Edit::NodeAvailability { .. }
        | Edit::AssumeDead { .. }
        | Edit::JoinToken(_)
        | Edit::RevokeJoinToken(_)
        | Edit::AdminToken(_)
        | Edit::VpnEntry { .. }
        | Edit::VpnUser { .. }
        | Edit::VpnReach { .. }
        | Edit::RevokeVpnKey(_)
        | Edit::Registry { .. }
        | Edit::RegistryKey { .. }
        | Edit::Volume { .. }
        | Edit::RemoveVolume(_) => DocumentId::Grid,
        Edit::Stack { stack, .. } | Edit::StackLabel { stack, .. } | Edit::RemoveStack(stack) => {
            DocumentId::Stack(stack.clone())
        }
        Edit::Revision { service, .. }
        | Edit::Instances { service, .. }
        | Edit::Lifecycle { service, .. }
        | Edit::Deploy { service, .. }
        | Edit::Pin { service, .. }
        | Edit::Move { service, .. }
        | Edit::Witnesses { service, .. }
        | Edit::Halt { service, .. }
        | Edit::Promote { service, .. }
        | Edit::RemoveService(service) => DocumentId::Stack(service.stack.clone()),
    }
}

fn register(service: &ServiceKey, register: ServiceRegister) -> String {
    StackRegister::Service(service.service.clone(), register).to_string()
}

/// The value of a register that says that something happened.
fn fact() -> String {
    "{}".to_owned()
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("it holds only text keys, text and numbers")
}

/// Fields that a newer version wrote into a value survive when this version rewrites it.
fn with_unknown_fields(log: &Log, register: &str, value: String) -> String {
    let known = known_fields(register);
    let Some(before) = log
        .registers()
        .get(register)
        .and_then(|values| values.first())
    else {
        return value;
    };
    let parsed =
        |text: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
    let (false, Ok(before), Ok(mut after)) =
        (known.is_empty(), parsed(&before.text), parsed(&value))
    else {
        return value;
    };
    for (field, content) in before {
        if !known.contains(&field.as_str()) {
            after.entry(field).or_insert(content);
        }
    }
    json(&after)
}
