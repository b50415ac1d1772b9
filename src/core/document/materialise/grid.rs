//! The document `grid`: its name, its members and the tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::volumes::Removed;
use super::{Read, conflict, readable, shown};
use crate::access::Members;
use crate::document::DocumentId;
use crate::document::log::{Log, Value};
use crate::document::schema::GridRegister;
use crate::external_registry::{Registry, RegistryName};
use crate::id::{GridId, NodeId, NodeName, TokenId};
use crate::membership::admission::Admission;
use crate::network::ipam::{self, Claim, Subnet};
use crate::network::plan::AddressPlan;
use crate::network::vpn::Vpn;
use crate::view::{Availability, Conflict, Grid, JoinToken, LastSign, Member};
use crate::volume::{Volume, VolumeName};

#[derive(Debug, Default)]
pub(super) struct GridPart {
    pub(super) grid: Grid,
    pub(super) roster: BTreeMap<NodeId, Member>,
    pub(super) removed: BTreeSet<NodeId>,
    pub(super) former: BTreeMap<NodeId, NodeName>,
    pub(super) disowned: BTreeSet<NodeId>,
    pub(super) assumed_dead: BTreeMap<NodeId, LastSign>,
    pub(super) join_tokens: BTreeMap<TokenId, JoinToken>,
    pub(super) admin_tokens: BTreeSet<[u8; 32]>,
    pub(super) vpn: Vpn,
    pub(super) registries: BTreeMap<RegistryName, Arc<Registry>>,
    pub(super) volumes: BTreeMap<VolumeName, Arc<Volume>>,
    pub(super) removed_volumes: Removed,
    pub(super) conflicts: Vec<Conflict>,
}

pub(super) fn read(id: GridId, log: &Log, members: &Members) -> GridPart {
    let mut part = GridPart {
        grid: Grid {
            id: Some(id),
            ..Grid::default()
        },
        removed: members.removed(),
        disowned: members.disowned(),
        ..GridPart::default()
    };
    if let Some(first) = log.entries().first() {
        part.grid.created = first.time;
    }
    part.read_plan(log);
    part.read_roster(log, members);
    part.tell_subnets_apart(log);
    for (name, values) in log.registers() {
        part.read_register(log, name, values);
    }
    part.tell_names_apart();
    part.read_vpn_users(log);
    part.read_registry_keys(log);
    part.read_volume_removals(log);
    part
}

impl GridPart {
    /// Before everything that has an address.
    fn read_plan(&mut self, log: &Log) {
        let name = GridRegister::AddressPlan.to_string();
        if let Some(values) = log.registers().get(&name) {
            self.grid.plan = self.settle(&name, values).unwrap_or_default();
        }
    }

    /// Members in the order of their admission: their numbers stay when others are removed.
    fn read_roster(&mut self, log: &Log, members: &Members) {
        let mut order: Vec<(u64, NodeId)> = members
            .admitted
            .iter()
            .map(|(node, lamport)| (*lamport, *node))
            .collect();
        order.sort_unstable();
        for (number, (_, node)) in (1..).zip(order) {
            let register = GridRegister::Admission(node).to_string();
            let values = log
                .registers()
                .get(&register)
                .map_or(&[][..], Vec::as_slice);
            let Some(admission) = readable::<Admission>(values).next() else {
                continue;
            };
            if members.is_removed(&node) {
                self.former.insert(node, admission.value.name);
            } else {
                let plan = self.grid.plan;
                self.roster
                    .insert(node, member(plan, admission.value, number));
            }
        }
    }

    fn read_register(&mut self, log: &Log, name: &str, values: &[Value]) {
        let Some(register) = GridRegister::parse(name) else {
            return;
        };
        match register {
            GridRegister::Name => self.grid.name = self.settle(name, values),
            GridRegister::PlacementVersion => {
                self.grid.placement_version = self.settle(name, values).unwrap_or_default();
            }
            GridRegister::DefaultAffinity => {
                self.grid.default_affinity = self.settle(name, values).unwrap_or_default();
            }
            GridRegister::Admission(node) if self.roster.contains_key(&node) => {
                let admissions: Vec<Read<Admission>> = readable(values).collect();
                let subnet = |admission: &Admission| admission.subnet.clone();
                self.conflicts
                    .extend(conflict(&DocumentId::Grid, name, &admissions, subnet));
            }
            GridRegister::NodeName(node) if self.former.contains_key(&node) => {
                let names = readable::<NodeName>(values).next();
                self.former.extend(names.map(|read| (node, read.value)));
            }
            GridRegister::NodeName(node) => {
                self.read_member(&node, name, values, |member, name| member.name = name);
            }
            GridRegister::Labels(node) => {
                self.read_member(&node, name, values, |member, labels| {
                    member.labels = sorted(labels);
                });
            }
            GridRegister::Availability(node) => {
                self.read_member(&node, name, values, |member, availability: Availability| {
                    member.availability = availability;
                });
            }
            GridRegister::AssumedDead(node) if self.roster.contains_key(&node) => {
                let last = self.settle(name, values);
                self.assumed_dead.extend(last.map(|last| (node, last)));
            }
            GridRegister::Token(token) => self.read_token(log, token, values),
            GridRegister::AdminToken(hash) => {
                self.admin_tokens.insert(hash);
            }
            GridRegister::VpnEntry(node) => self.read_vpn_entry(node, name, values),
            GridRegister::VpnRevoked(key) => {
                self.vpn.revoked.insert(key);
            }
            GridRegister::Registry(registry) => self.read_registry(log, registry, name, values),
            GridRegister::Volume(volume) => self.read_volume(log, volume, name, values),
            // The plan was read first, a removed node has no row, a removal is judged by `Members`, a revocation is read
            // with its token, users are read once all revocations are known, keys once all registries are, and removals of
            // volumes once all volumes are.
            GridRegister::AddressPlan
            | GridRegister::Admission(_)
            | GridRegister::AssumedDead(_)
            | GridRegister::Removed(_)
            | GridRegister::TokenRevoked(_)
            | GridRegister::VpnUser(_)
            | GridRegister::VpnReach(_)
            | GridRegister::RegistryKey(..)
            | GridRegister::VolumeRemoved(..) => {}
        }
    }

    fn read_member<T: serde::de::DeserializeOwned + serde::Serialize>(
        &mut self,
        node: &NodeId,
        name: &str,
        values: &[Value],
        set: impl FnOnce(&mut Member, T),
    ) {
        if !self.roster.contains_key(node) {
            return;
        }
        let value = self.settle(name, values);
        if let (Some(value), Some(member)) = (value, self.roster.get_mut(node)) {
            set(member, value);
        }
    }

    /// The winner of a register; the others are listed.
    pub(super) fn settle<T: serde::de::DeserializeOwned + serde::Serialize>(
        &mut self,
        name: &str,
        values: &[Value],
    ) -> Option<T> {
        self.settle_shown(name, values, shown)
            .map(|read| read.value)
    }

    /// The same, where people are shown something else than the whole value.
    pub(super) fn settle_shown<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
        values: &[Value],
        show: impl Fn(&T) -> String,
    ) -> Option<Read<T>> {
        let read: Vec<Read<T>> = readable(values).collect();
        self.conflicts
            .extend(conflict(&DocumentId::Grid, name, &read, show));
        read.into_iter().next()
    }

    fn read_token(&mut self, log: &Log, token: TokenId, values: &[Value]) {
        let times = values.iter().map(|value| log.entry(value.source).time);
        let revoked = GridRegister::TokenRevoked(token).to_string();
        let read = JoinToken {
            created: times.min().unwrap_or_default(),
            revoked: log.registers().contains_key(&revoked),
        };
        self.join_tokens.insert(token, read);
    }

    /// Two nodes that got one subnet on two sides of a split: one of them gets another.
    fn tell_subnets_apart(&mut self, log: &Log) {
        let claims: Vec<Claim> = self
            .in_order_of_admission()
            .into_iter()
            .filter_map(|(_, node)| self.claim(log, node))
            .collect();
        let index = |hash| {
            log.find(&hash)
                .expect("a claim is of an envelope in the log")
        };
        let settled = ipam::settle(self.grid.plan, &claims, |a, b| {
            log.graph.reaches(index(b), index(a))
        });
        for claim in claims {
            let subnet = settled.get(&claim.node).copied();
            let member = self
                .roster
                .get_mut(&claim.node)
                .expect("a claim is a member's");
            member.subnet = subnet;
            if subnet != Some(claim.subnet) {
                self.conflicts.push(Conflict {
                    document: DocumentId::Grid.to_string(),
                    register: GridRegister::Admission(claim.node).to_string(),
                    applied: subnet.map_or_else(|| "no subnet".to_owned(), |own| own.to_string()),
                    others: vec![claim.subnet.to_string()],
                });
            }
        }
    }

    /// What a member's admission says of its subnet.
    fn claim(&self, log: &Log, node: NodeId) -> Option<Claim> {
        let register = GridRegister::Admission(node).to_string();
        let values = log.registers().get(&register)?;
        let admission = readable::<Admission>(values).next()?;
        Some(Claim {
            node,
            subnet: subnet(self.grid.plan, &admission.value)?,
            admission: log.entry(admission.source).hash,
        })
    }

    fn in_order_of_admission(&self) -> Vec<(u32, NodeId)> {
        let numbered = self
            .roster
            .iter()
            .map(|(node, member)| (member.number, *node));
        let mut order: Vec<(u32, NodeId)> = numbered.collect();
        order.sort_unstable();
        order
    }

    /// Two nodes that got one name on two sides of a split keep it; the one that was admitted later
    /// is shown with the beginning of its id.
    fn tell_names_apart(&mut self) {
        let order = self.in_order_of_admission();
        let mut taken = BTreeSet::new();
        for (_, node) in order {
            let member = self.roster.get_mut(&node).expect("it was just listed");
            if taken.contains(&member.name) {
                let name = distinct(&member.name, &node, &taken);
                self.conflicts.push(Conflict {
                    document: DocumentId::Grid.to_string(),
                    register: GridRegister::NodeName(node).to_string(),
                    applied: name.to_string(),
                    others: vec![member.name.to_string()],
                });
                member.name = name;
            }
            taken.insert(member.name.clone());
        }
    }
}

/// What an admission names, if the plan has it.
fn subnet(plan: AddressPlan, admission: &Admission) -> Option<Subnet> {
    let subnet: Subnet = admission.subnet.parse().ok()?;
    subnet.is_of(plan).then_some(subnet)
}

fn member(plan: AddressPlan, admission: Admission, number: u32) -> Member {
    let subnet = subnet(plan, &admission);
    Member {
        name: admission.name,
        sponsor: admission.sponsor,
        joined: admission.joined,
        labels: sorted(admission.labels),
        availability: Availability::default(),
        number,
        addresses: admission.addresses,
        subnet,
    }
}

fn sorted(mut labels: Vec<String>) -> Vec<String> {
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// `NAME-ab12`, with as many digits of the id as it takes.
fn distinct(name: &NodeName, node: &NodeId, taken: &BTreeSet<NodeName>) -> NodeName {
    let id = node.to_string();
    let with = |digits: usize| {
        let room = NodeName::MAX - digits - 1;
        let stem = name.as_str().get(..room).unwrap_or(name.as_str());
        let text = format!("{stem}-{}", &id[..digits]);
        text.parse::<NodeName>()
            .expect("a label, cut and with digits at its end, is a label")
    };
    (4..=32)
        .map(with)
        .find(|name| !taken.contains(name))
        .unwrap_or_else(|| with(60))
}
