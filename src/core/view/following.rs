//! Who mounts the volumes of other services' instances, and so uses what these have.

use std::collections::BTreeSet;

use super::{Documents, Lifecycle, ServiceRecord, View};
use crate::id::{InstanceId, NodeId, ServiceKey};
use crate::report::InstanceState;
use crate::stack::{SourceNumber, Strategy, VolumesFrom};
use crate::volume::VolumeName;

impl ServiceRecord {
    /// Whose volumes its newest definition mounts, and what runs of it.
    fn volumes_from(&self) -> impl Iterator<Item = &VolumesFrom> {
        let deployed = self.deployed.as_ref().map(|deployed| &deployed.revision);
        let revisions = deployed.into_iter().chain([&self.latest]);
        let services = revisions.filter_map(|revision| revision.service.as_deref().ok());
        services.flat_map(|service| &service.volumes_from)
    }

    /// Whether it has an instance that mounts the volumes of that one.
    fn has_follower(&self, from: &VolumesFrom, source: &InstanceId) -> bool {
        let definition = self.latest.service.as_deref();
        let is_daemon = definition.is_ok_and(|it| it.deploy.strategy == Strategy::Daemon);
        match from.number {
            SourceNumber::Own => is_daemon || source.number <= self.instances,
            SourceNumber::Of(number) => number.get() == source.number,
        }
    }
}

impl Documents {
    /// The services that use a volume: they mount it, or the volumes of one that does.
    pub fn users_of<'v>(&'v self, volume: &VolumeName) -> BTreeSet<&'v ServiceKey> {
        let mounts = |record: &ServiceRecord| record.volumes().any(|used| used == volume);
        let mounting = self.services.iter().filter(|(_, record)| mounts(record));
        self.with_followers(mounting.map(|(key, _)| key).collect())
    }

    /// These services, and those that mount volumes of one of them, by way of others or not.
    fn with_followers<'v>(
        &'v self,
        mut found: BTreeSet<&'v ServiceKey>,
    ) -> BTreeSet<&'v ServiceKey> {
        loop {
            let follows = |(key, record): &(&ServiceKey, &ServiceRecord)| {
                let mut sources = record.volumes_from();
                sources.any(|from| found.contains(&from.service_in(&key.stack)))
            };
            let followers = self.services.iter().filter(follows);
            let all: BTreeSet<&ServiceKey> = followers.map(|(key, _)| key).collect();
            let before = found.len();
            found.extend(all);
            if found.len() == before {
                return found;
            }
        }
    }
}

impl View {
    /// A service that mounts the volumes of an instance, by way of others or not, and runs or may: with it the data of that
    /// instance is never at rest.
    pub(super) fn running_follower(
        &self,
        instance: &InstanceId,
        node: &NodeId,
    ) -> Option<ServiceKey> {
        let services = &self.documents.services;
        let follows = |(key, record): &(&ServiceKey, &ServiceRecord)| {
            record.volumes_from().any(|from| {
                let is_its = from.service_in(&key.stack) == instance.service;
                is_its && record.has_follower(from, instance)
            })
        };
        let direct = services.iter().filter(follows).map(|(key, _)| key);
        let followers = self.documents.with_followers(direct.collect());
        let mut running = followers.into_iter().filter(|key| self.runs(key, node));
        running.next().cloned()
    }

    /// Whether a service is to run, or does on this node.
    fn runs(&self, key: &ServiceKey, node: &NodeId) -> bool {
        let record = self.documents.services.get(key);
        let is_to_run = record.is_some_and(|record| {
            record.state == Lifecycle::Running && record.deployed.is_some() && record.instances > 0
        });
        let holds = self.reports.get(node).map(|report| &report.holds);
        let mut holds = holds.into_iter().flatten();
        is_to_run
            || holds
                .any(|(held, hold)| held.service == *key && hold.state != InstanceState::Stopped)
    }
}
