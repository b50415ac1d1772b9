//! Who may change what: the check of rights, at the door of every replica.
//!
//! A *right* is judged in the causal past of the change, so every replica judges alike, whatever
//! else it knows: the author is a member that was admitted and not removed there. The grid's own
//! key may write one envelope, the first. An admission must show a valid proof of a join token that
//! is registered and not revoked there.
//!
//! A *removal* also reaches what is not in its past: it names the heads that its author knew, and
//! whatever else the removed node wrote is looked through, whenever it arrives, so that back-dating
//! does not help. Where two members remove each other at once, the one that was admitted first
//! prevails.
//!
//! Not here: users and roles. Until they come, a member may write everything, which is as much as a
//! person with access to a node can do anyway.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::DocumentId;
use crate::document::change::Change;
use crate::document::envelope::Envelope;
use crate::document::graph::{Graph, Index, Past};
use crate::document::log::Log;
use crate::document::schema::{GridRegister, Heads, Removal};
use crate::id::{EnvelopeHash, GridId, NodeId, TokenId};
use crate::membership::admission::Admission;
use crate::membership::token::proof_is_valid;

/// Why an author may not write what it wrote.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Denied {
    #[error("its author is no member of this grid")]
    NotMember,
    #[error("it is not the first envelope of this grid")]
    NotGenesis,
    #[error("it does not say by which rights it is written")]
    NoAccess,
    #[error("the admission of node {0:?} cannot be read")]
    Admission(NodeId),
    #[error("the admission of node {0:?} is for another grid, node or sponsor")]
    Foreign(NodeId),
    #[error("the admission of node {0:?} shows no valid token")]
    Token(NodeId),
    #[error("node {0:?} was removed and never comes back")]
    Removed(NodeId),
    #[error("the removal of node {0:?} cannot be read")]
    Removal(NodeId),
    #[error("the address plan stays as the grid was made with it")]
    AddressPlan,
}

/// What the `grid` document says about rights, and where it says so.
#[derive(Debug, Default)]
pub(crate) struct Access {
    admissions: BTreeMap<NodeId, Vec<Fact>>,
    removals: BTreeMap<NodeId, Vec<RemovalFact>>,
    registered: BTreeMap<TokenId, Vec<Index>>,
    revoked: BTreeMap<TokenId, Vec<Index>>,
}

/// Where an admission stands among all: by its lamport clock, then by the node that it admits.
type AdmissionRank = (u64, NodeId, EnvelopeHash);

/// An entry of the grid's log, and who wrote it.
#[derive(Clone, Debug)]
struct Fact {
    source: Index,
    rank: (u64, EnvelopeHash),
    author: [u8; 32],
}

#[derive(Clone, Debug)]
struct RemovalFact {
    fact: Fact,
    target: NodeId,
    /// What its author knew of the stacks' documents.
    known: BTreeMap<DocumentId, Vec<EnvelopeHash>>,
}

/// Who belongs, by all that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    /// Every node that was ever admitted, with the lamport clock of its admission.
    pub(crate) admitted: BTreeMap<NodeId, u64>,
    /// Admitted by somebody who, by what is known now, could not.
    disowned: BTreeSet<NodeId>,
    removed: BTreeMap<NodeId, Vec<Reach>>,
}

/// How far a removed node's changes still count. What the author of the removal knew may be on its way:
/// until it is here, nobody can say what lies in its past, and everything counts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reach {
    source: Index,
    known: BTreeMap<DocumentId, Vec<EnvelopeHash>>,
}

impl Members {
    pub(crate) fn is_removed(&self, node: &NodeId) -> bool {
        self.removed.contains_key(node)
    }

    pub(crate) fn removed(&self) -> BTreeSet<NodeId> {
        self.removed.keys().copied().collect()
    }

    /// The nodes whose admissions are all looked through, as what else their sponsors wrote.
    pub(crate) fn disowned(&self) -> BTreeSet<NodeId> {
        let disowned = self.disowned.iter();
        disowned
            .filter(|node| !self.is_removed(node))
            .copied()
            .collect()
    }

    fn contains(&self, node: &NodeId) -> bool {
        self.admitted.contains_key(node) && !self.is_removed(node)
    }

    /// The entries of a log that are looked through.
    pub(crate) fn masked(&self, grid: GridId, document: &DocumentId, log: &Log) -> BTreeSet<Index> {
        let mut masked = BTreeSet::new();
        for (author, entries) in log.by_author() {
            let node = NodeId(*author);
            if *author == grid.0 {
                continue;
            }
            let reaches = self.removed.get(&node).map_or(&[][..], Vec::as_slice);
            let counts = |entry: &Index| {
                reaches
                    .iter()
                    .all(|reach| reach.covers(document, log, *entry))
            };
            let admitted = self.admitted.contains_key(&node);
            masked.extend(entries.iter().filter(|entry| !admitted || !counts(entry)));
        }
        masked
    }
}

impl Reach {
    fn covers(&self, document: &DocumentId, log: &Log, entry: Index) -> bool {
        match document {
            DocumentId::Grid => log.graph.reaches(self.source, entry),
            DocumentId::Stack(_) => self.known.get(document).is_some_and(|known| {
                let here = log.find_all(known);
                here.len() < known.len() || here.iter().any(|head| log.graph.reaches(*head, entry))
            }),
        }
    }
}

impl Access {
    /// Checks that the author of a change may write it. `grid` is the log of the document `grid`.
    ///
    /// # Errors
    /// Says which right is missing.
    pub(crate) fn check(
        &self,
        id: GridId,
        grid: &Log,
        envelope: &Envelope,
        change: &Change,
    ) -> Result<(), Denied> {
        let past = match &envelope.document {
            DocumentId::Grid => grid.graph.past_of(&grid.find_all(&envelope.dependencies)),
            DocumentId::Stack(_) => grid.graph.past_of(&grid.find_all(&envelope.access)),
        };
        self.check_author(id, grid, envelope, &past)?;
        match &envelope.document {
            DocumentId::Grid => self.check_facts(id, grid, envelope, change, &past),
            DocumentId::Stack(_) => Ok(()),
        }
    }

    /// Whether somebody admitted this author, rightly or not.
    pub(crate) fn has_admitted(&self, author: &[u8; 32]) -> bool {
        self.admissions.contains_key(&NodeId(*author))
    }

    fn check_author(
        &self,
        id: GridId,
        grid: &Log,
        envelope: &Envelope,
        past: &Past,
    ) -> Result<(), Denied> {
        let is_grid = envelope.document == DocumentId::Grid;
        let is_first = is_grid && envelope.dependencies.is_empty();
        let by_grid = envelope.author == id.0;
        if by_grid || is_first {
            let first = by_grid && is_first && grid.entries().is_empty();
            return first.then_some(()).ok_or(Denied::NotGenesis);
        }
        if is_grid != envelope.access.is_empty() {
            return Err(Denied::NoAccess);
        }
        if self.is_member_at(id, grid, past, &NodeId(envelope.author)) {
            Ok(())
        } else {
            Err(Denied::NotMember)
        }
    }

    fn is_member_at(&self, id: GridId, grid: &Log, past: &Past, node: &NodeId) -> bool {
        if self.removals.is_empty() {
            // That whoever admitted it was a member was checked when its admission came.
            let admissions = self.admissions.get(node).map_or(&[][..], Vec::as_slice);
            return admissions
                .iter()
                .any(|fact| grid.graph.contains(past, fact.source));
        }
        self.judge(id, &grid.graph, |index| grid.graph.contains(past, index))
            .contains(node)
    }

    fn check_facts(
        &self,
        id: GridId,
        grid: &Log,
        envelope: &Envelope,
        change: &Change,
        past: &Past,
    ) -> Result<(), Denied> {
        for write in &change.writes {
            match GridRegister::parse(&write.register) {
                Some(GridRegister::Admission(node)) => {
                    let admission: Admission =
                        serde_json::from_str(&write.value).map_err(|_| Denied::Admission(node))?;
                    self.check_admission(id, &grid.graph, envelope, &node, &admission, past)?;
                }
                Some(GridRegister::Removed(node)) => {
                    Removal::parse(&write.value).ok_or(Denied::Removal(node))?;
                }
                // All addresses follow from it.
                Some(GridRegister::AddressPlan) if envelope.author != id.0 => {
                    return Err(Denied::AddressPlan);
                }
                Some(
                    GridRegister::Name
                    | GridRegister::PlacementVersion
                    | GridRegister::AddressPlan
                    | GridRegister::DefaultAffinity
                    | GridRegister::NodeName(_)
                    | GridRegister::Labels(_)
                    | GridRegister::Availability(_)
                    | GridRegister::AssumedDead(_)
                    | GridRegister::Token(_)
                    | GridRegister::TokenRevoked(_)
                    | GridRegister::AdminToken(_)
                    | GridRegister::Registry(_)
                    | GridRegister::RegistryKey(..)
                    | GridRegister::Volume(_)
                    | GridRegister::VolumeRemoved(..)
                    | GridRegister::VpnEntry(_)
                    | GridRegister::VpnUser(_)
                    | GridRegister::VpnReach(_)
                    | GridRegister::VpnRevoked(_),
                )
                | None => {}
            }
        }
        Ok(())
    }

    fn check_admission(
        &self,
        id: GridId,
        graph: &Graph,
        envelope: &Envelope,
        node: &NodeId,
        admission: &Admission,
        past: &Past,
    ) -> Result<(), Denied> {
        let by_grid = envelope.author == id.0;
        let sponsor = if by_grid {
            *node
        } else {
            NodeId(envelope.author)
        };
        if admission.grid != id || admission.node != *node || admission.sponsor != sponsor {
            return Err(Denied::Foreign(*node));
        }
        let removals = self.removals.values().flatten();
        let removed = removals.filter(|removal| removal.target == *node);
        if removed
            .into_iter()
            .any(|removal| graph.contains(past, removal.fact.source))
        {
            return Err(Denied::Removed(*node));
        }
        if by_grid || self.shows_token(id, graph, admission, past) {
            Ok(())
        } else {
            Err(Denied::Token(*node))
        }
    }

    fn shows_token(&self, id: GridId, graph: &Graph, admission: &Admission, past: &Past) -> bool {
        let (Some(token), Some(proof)) = (admission.token, admission.proof) else {
            return false;
        };
        let known = |facts: &BTreeMap<TokenId, Vec<Index>>| {
            let sources = facts.get(&token).map_or(&[][..], Vec::as_slice);
            sources.iter().any(|source| graph.contains(past, *source))
        };
        known(&self.registered)
            && !known(&self.revoked)
            && proof_is_valid(id, admission.node, token, &proof)
    }

    /// Takes note of what an entry of the grid's log says about rights. Answers whether it says anything.
    pub(crate) fn learn(&mut self, grid: &Log, source: Index, change: &Change) -> bool {
        let entry = grid.entry(source);
        let fact = Fact {
            source,
            rank: (entry.lamport, entry.hash),
            author: entry.author,
        };
        let mut learnt = false;
        for write in &change.writes {
            learnt |= self.learn_one(&fact, &write.register, &write.value);
        }
        learnt
    }

    fn learn_one(&mut self, fact: &Fact, register: &str, value: &str) -> bool {
        match GridRegister::parse(register) {
            Some(GridRegister::Admission(node)) => {
                self.admissions.entry(node).or_default().push(fact.clone());
            }
            Some(GridRegister::Removed(target)) => {
                let Some(Removal {
                    heads: Heads(known),
                }) = Removal::parse(value)
                else {
                    return false;
                };
                let removal = RemovalFact {
                    fact: fact.clone(),
                    target,
                    known,
                };
                self.removals
                    .entry(NodeId(fact.author))
                    .or_default()
                    .push(removal);
            }
            Some(GridRegister::Token(token)) => {
                self.registered.entry(token).or_default().push(fact.source);
            }
            Some(GridRegister::TokenRevoked(token)) => {
                self.revoked.entry(token).or_default().push(fact.source);
            }
            Some(
                GridRegister::Name
                | GridRegister::PlacementVersion
                | GridRegister::AddressPlan
                | GridRegister::DefaultAffinity
                | GridRegister::NodeName(_)
                | GridRegister::Labels(_)
                | GridRegister::Availability(_)
                | GridRegister::AssumedDead(_)
                | GridRegister::AdminToken(_)
                | GridRegister::Registry(_)
                | GridRegister::RegistryKey(..)
                | GridRegister::Volume(_)
                | GridRegister::VolumeRemoved(..)
                | GridRegister::VpnEntry(_)
                | GridRegister::VpnUser(_)
                | GridRegister::VpnReach(_)
                | GridRegister::VpnRevoked(_),
            )
            | None => return false,
        }
        true
    }

    /// Who belongs, by the active entries of the grid's log.
    pub(crate) fn members(&self, id: GridId, grid: &Log) -> Members {
        self.judge(id, &grid.graph, |index| !grid.entry(index).quarantined)
    }

    /// Goes through the admissions in their order: whoever was admitted by a member is one, and its
    /// removals count unless somebody before it removed it without knowing them. An admission by
    /// somebody who is no member yet is judged once its author is one, so each is looked at twice at most.
    fn judge(&self, id: GridId, graph: &Graph, counts: impl Fn(Index) -> bool) -> Members {
        let mut open = self.counted_admissions(&counts);
        let nodes: BTreeSet<NodeId> = open.keys().map(|(_, node, _)| *node).collect();
        let mut early: BTreeMap<NodeId, Vec<(AdmissionRank, &Fact)>> = BTreeMap::new();
        let mut members = Members::default();
        while let Some((rank, fact)) = open.pop_first() {
            let (lamport, node, _) = rank;
            let author = NodeId(fact.author);
            if members.admitted.contains_key(&node) {
                continue;
            }
            if fact.author != id.0 && !members.admitted.contains_key(&author) {
                early.entry(author).or_default().push((rank, fact));
            } else if fact.author == id.0 || members.lets(graph, fact) {
                members.admitted.insert(node, lamport);
                self.apply_removals(graph, &node, &counts, &mut members);
                open.extend(early.remove(&node).unwrap_or_default());
            }
        }
        let is_out = |node: &NodeId| !members.admitted.contains_key(node);
        members.disowned = nodes.into_iter().filter(is_out).collect();
        members
    }

    fn counted_admissions(&self, counts: impl Fn(Index) -> bool) -> BTreeMap<AdmissionRank, &Fact> {
        let all = self.admissions.iter();
        let ranked = all.flat_map(|(node, facts)| {
            facts
                .iter()
                .map(|fact| ((fact.rank.0, *node, fact.rank.1), fact))
        });
        ranked.filter(|(_, fact)| counts(fact.source)).collect()
    }

    fn apply_removals(
        &self,
        graph: &Graph,
        author: &NodeId,
        counts: impl Fn(Index) -> bool,
        members: &mut Members,
    ) {
        let removals = self.removals.get(author).map_or(&[][..], Vec::as_slice);
        let mut removals: Vec<&RemovalFact> = removals
            .iter()
            .filter(|removal| counts(removal.fact.source))
            .collect();
        removals.sort_by_key(|removal| removal.fact.rank);
        for removal in removals {
            if members.lets(graph, &removal.fact) {
                let reach = Reach {
                    source: removal.fact.source,
                    known: removal.known.clone(),
                };
                members
                    .removed
                    .entry(removal.target)
                    .or_default()
                    .push(reach);
            }
        }
    }
}

impl Members {
    /// Whether what a member wrote in the grid's document counts.
    fn lets(&self, graph: &Graph, fact: &Fact) -> bool {
        let author = NodeId(fact.author);
        let reaches = self.removed.get(&author).map_or(&[][..], Vec::as_slice);
        self.admitted.contains_key(&author)
            && reaches
                .iter()
                .all(|reach| graph.reaches(reach.source, fact.source))
    }
}
