//! Of the document `grid`: who may come in by VPN, and where.

use std::collections::BTreeSet;

use super::grid::GridPart;
use crate::document::log::{Log, Value};
use crate::document::schema::GridRegister;
use crate::id::{EnvelopeHash, NodeId};
use crate::network::vpn::{Entry, Reach, User, UserRecord, VpnKey, settle_hosts};

/// In which order users were let in, as far as known; ties after a split are broken by hash.
type Rank = (u64, EnvelopeHash, VpnKey);

impl GridPart {
    pub(super) fn read_vpn_entry(&mut self, node: NodeId, name: &str, values: &[Value]) {
        let entry = self.settle::<Option<Entry>>(name, values).flatten();
        if let Some(entry) = entry.filter(|_| self.roster.contains_key(&node)) {
            self.vpn.entries.insert(node, entry);
        }
    }

    /// The users whose keys were not revoked; each gets a host of its own.
    pub(super) fn read_vpn_users(&mut self, log: &Log) {
        let mut order: Vec<Rank> = Vec::new();
        for (name, values) in log.registers() {
            let Some(GridRegister::VpnUser(key)) = GridRegister::parse(name) else {
                continue;
            };
            if !self.vpn.revoked.contains(&key) {
                order.extend(self.read_vpn_user(log, key, name, values));
            }
        }
        order.sort_unstable();
        let order: Vec<VpnKey> = order.into_iter().map(|(_, _, key)| key).collect();
        settle_hosts(&mut self.vpn.users, &order);
    }

    fn read_vpn_user(
        &mut self,
        log: &Log,
        key: VpnKey,
        name: &str,
        values: &[Value],
    ) -> Option<Rank> {
        let record = self.settle::<UserRecord>(name, values)?;
        let entries = values.iter().map(|value| log.entry(value.source));
        let first = entries.min_by_key(|entry| (entry.lamport, entry.hash))?;
        let user = User {
            name: record.name,
            host: Some(record.host),
            reach: self.read_reach(log, key),
            created: first.time,
        };
        self.vpn.users.insert(key, user);
        Some((first.lamport, first.hash, key))
    }

    /// A limit that only a later version can read lets nobody through.
    fn read_reach(&mut self, log: &Log, key: VpnKey) -> Reach {
        let name = GridRegister::VpnReach(key).to_string();
        match log.registers().get(&name) {
            None => Reach::Everything,
            Some(values) => self
                .settle(&name, values)
                .unwrap_or_else(|| Reach::Only(BTreeSet::new())),
        }
    }
}
