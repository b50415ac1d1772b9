//! Of the document `grid`: external registries, and who can open their passwords.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::grid::GridPart;
use super::readable;
use crate::document::log::{Log, Value};
use crate::document::schema::GridRegister;
use crate::external_registry::{Account, Registry, RegistryName, SealedKey};

impl GridPart {
    /// Where two sides of a split gave one registry two accounts, one of them counts, and its keys. That they differ is
    /// told by their addresses and names: what is sealed differs each time.
    pub(super) fn read_registry(
        &mut self,
        log: &Log,
        registry: RegistryName,
        name: &str,
        values: &[Value],
    ) {
        let shown = |account: &Option<Account>| match account {
            Some(account) if account.check().is_ok() => {
                format!("{} as {}", account.url, account.username)
            }
            Some(_) => "what nobody can have asked for".to_owned(),
            None => "removed".to_owned(),
        };
        let Some(read) = self.settle_shown(name, values, shown) else {
            return;
        };
        // A hostile member may write what no command writes.
        if let Some(account) = read.value.filter(|account| account.check().is_ok()) {
            let registered = Registry {
                account,
                since: log.entry(read.source).time,
                keys: BTreeMap::new(),
            };
            self.registries.insert(registry, Arc::new(registered));
        }
    }

    /// Those of members that open the password that counts.
    pub(super) fn read_registry_keys(&mut self, log: &Log) {
        for (name, values) in log.registers() {
            let Some(GridRegister::RegistryKey(registry, node)) = GridRegister::parse(name) else {
                continue;
            };
            let is_member = self.roster.contains_key(&node);
            let Some(registry) = self.registries.get_mut(&registry).filter(|_| is_member) else {
                continue;
            };
            let lock = registry.account.password.lock;
            let mut keys = readable::<SealedKey>(values).map(|read| read.value);
            // Each of several that were given at once opens it.
            let opens = keys.find(|key| key.lock == lock);
            let registry = Arc::make_mut(registry);
            registry.keys.extend(opens.map(|key| (node, key)));
        }
    }
}
