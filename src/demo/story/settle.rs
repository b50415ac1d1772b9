//! What must be true at the end of each chapter: the nodes say that everything wanted runs once, and the
//! engines say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, bail};

use super::super::wait;
use super::grid::{Instance, Service};
use super::stack;
use super::{Scene, Services};

impl Scene<'_> {
    /// Waits until `asked` and the engines of `nodes` agree that everything wanted runs there, once.
    pub(super) async fn settled(
        &self,
        asked: u8,
        nodes: &[u8],
        wait: Duration,
    ) -> Result<Services> {
        let ids = self.wanted_containers(asked).await?;
        let names: BTreeSet<String> = nodes.iter().map(|node| self.name(*node)).collect();
        wait::until(wait, "every service to have its instances", async || {
            let services = self.services(asked).await?;
            for wanted in stack::wanted(self.nodes) {
                let service = &services[wanted.service];
                if !is_whole(service, wanted.instances, &names) {
                    bail!("`{}` is {service:?}", wanted.service);
                }
            }
            let mut containers = self.grid.containers(nodes).await?;
            containers.retain(|image, _| ids.contains_key(image));
            if containers != ids {
                bail!("the engines run {containers:?} where {ids:?} is wanted");
            }
            Ok(Some(services))
        })
        .await
    }

    /// All services of the stack, as `asked` knows them.
    pub(super) async fn services(&self, asked: u8) -> Result<Services> {
        let mut services = BTreeMap::new();
        for wanted in stack::wanted(self.nodes) {
            let service = self.grid.service(asked, wanted.service).await?;
            services.insert(wanted.service, service);
        }
        Ok(services)
    }

    /// How many containers of which image the engines must run in all.
    async fn wanted_containers(&self, node: u8) -> Result<BTreeMap<String, usize>> {
        let mut count = BTreeMap::new();
        for wanted in stack::wanted(self.nodes) {
            let id = self.grid.image_id(node, wanted.image).await?;
            *count.entry(id).or_default() += wanted.instances;
        }
        Ok(count)
    }
}

/// Whether a service has each of its instances once on the nodes of these names, at work, and nothing
/// besides. What a lost node may still hold is not known, and does not count.
fn is_whole(service: &Service, wanted: usize, nodes: &BTreeSet<String>) -> bool {
    let here = |one: &&Instance| one.node.as_ref().is_none_or(|node| nodes.contains(node));
    let here: Vec<&Instance> = service.instances.iter().filter(here).collect();
    let numbers: BTreeSet<u32> = here.iter().map(|one| one.number).collect();
    service.counts.desired == wanted
        && numbers.len() == wanted
        && here.len() == wanted
        && here.iter().all(|one| one.serving_on().is_some())
}

#[cfg(test)]
mod tests {
    use super::super::grid::Counts;
    use super::*;

    /// Two instances are wanted, on the nodes `a` and `b` while `c` is lost.
    fn whole(instances: &[(u32, &str, &str)]) -> bool {
        let instance = |(number, node, state): &(u32, &str, &str)| Instance {
            number: *number,
            node: (!node.is_empty()).then(|| (*node).to_owned()),
            state: (*state).to_owned(),
            health: "healthy".to_owned(),
        };
        let service = Service {
            counts: Counts { desired: 2 },
            instances: instances.iter().map(instance).collect(),
        };
        is_whole(
            &service,
            2,
            &BTreeSet::from(["a".to_owned(), "b".to_owned()]),
        )
    }

    #[test]
    fn a_service_is_whole_with_each_instance_once() {
        assert!(whole(&[(1, "a", "running"), (2, "b", "running")]));
        assert!(!whole(&[(1, "a", "running")]));
        assert!(!whole(&[(1, "a", "running"), (2, "", "pending")]));
        assert!(!whole(&[(1, "a", "running"), (2, "b", "creating")]));
        assert!(!whole(&[(1, "a", "running"), (1, "b", "running")]));
        assert!(!whole(&[
            (1, "a", "running"),
            (2, "b", "running"),
            (2, "a", "running")
        ]));
    }

    #[test]
    fn what_a_lost_node_holds_does_not_count() {
        assert!(whole(&[
            (1, "a", "running"),
            (2, "b", "running"),
            (2, "c", "unknown")
        ]));
        assert!(!whole(&[(1, "a", "running"), (2, "c", "unknown")]));
    }
}
