//! What is true, whatever anybody believes.

use std::collections::BTreeMap;

use kontena_core::id::InstanceId;

use super::World;
use crate::host::Host;

impl World {
    /// Where each instance really runs, by the engines of all hosts.
    pub fn running(&self) -> BTreeMap<InstanceId, Vec<usize>> {
        let mut running: BTreeMap<InstanceId, Vec<usize>> = BTreeMap::new();
        for (index, host) in self.hosts.iter().enumerate() {
            for container in host.engine.running() {
                running
                    .entry(container.owner.instance.clone())
                    .or_default()
                    .push(index);
            }
        }
        running
    }

    /// Whether exactly these many instances of a service run, each once.
    pub fn runs_exactly(&self, service: &str, instances: usize) -> bool {
        let running = self.running();
        let of_service: Vec<_> = running
            .iter()
            .filter(|(id, _)| id.service.to_string() == service)
            .collect();
        of_service.len() == instances && of_service.iter().all(|(_, hosts)| hosts.len() == 1)
    }

    pub fn starts(&self) -> u64 {
        self.hosts.iter().map(|host| host.engine.starts).sum()
    }

    /// For a failing check: each host, what it runs and what it knows.
    pub fn summary(&self) -> String {
        let line = |(index, host): (usize, &Host)| {
            let running: Vec<_> = host
                .engine
                .running()
                .map(|container| container.name.clone())
                .collect();
            let up = if host.is_up() { "up" } else { "down" };
            let standings: Vec<_> = host
                .view
                .standings
                .values()
                .map(|s| s.freshness.to_string())
                .collect();
            format!("n{} {up} runs {running:?} sees {standings:?}", index + 1)
        };
        let lines: Vec<_> = self.hosts.iter().enumerate().map(line).collect();
        format!("at {:?}\n{}", self.now.since_start(), lines.join("\n"))
    }
}
