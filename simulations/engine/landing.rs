//! What is in volumes, and data that came to a host by a move and does not count yet.

use std::collections::BTreeMap;

use kontena_core::id::InstanceId;
use kontena_core::reconcile::Arrival;
use kontena_core::reconcile::action::{ContainerId, Failure, MoveStep, Outcome, Success};
use kontena_core::volume::{Copy, Mounted};

use super::Engine;

/// Which data it is: every start and every end of a container that mounts it writes something of its own.
pub type Data = u64;

/// A copy of which not all is there.
const TORN: Data = u64::MAX;

/// What came of one instance. It is a part of the node's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    epoch: u64,
    /// Those that were made for it, and what was sent.
    volumes: BTreeMap<String, (Copy, Data)>,
    is_whole: bool,
}

impl Engine {
    pub(super) fn write(&mut self, container: &ContainerId) {
        let host = self.host as u64;
        for name in self.mounted.get(container).into_iter().flatten() {
            self.writes += 1;
            let data = self.data.entry(name.clone()).or_default();
            let written = host << 40 | self.writes;
            *data = data.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ written;
        }
    }

    /// What is in a volume; 0 where nothing was ever written.
    pub fn data(&self, volume: &str) -> Data {
        self.data.get(volume).copied().unwrap_or_default()
    }

    /// What a container found in its volumes when it was started last.
    pub fn found(&self, container: &ContainerId) -> &BTreeMap<String, Data> {
        const NOTHING: &BTreeMap<String, Data> = &BTreeMap::new();
        self.found.get(container).unwrap_or(NOTHING)
    }

    pub(super) fn look_into_volumes(&mut self, container: &ContainerId) {
        let mounted = self.mounted.get(container).into_iter().flatten();
        let found = mounted.map(|name| (name.clone(), self.data(name)));
        self.found.insert(container.clone(), found.collect());
    }

    pub fn landings(&self) -> &BTreeMap<InstanceId, Landing> {
        &self.landings
    }

    /// What a node is told of it when it starts.
    pub fn arrivals(&self) -> BTreeMap<InstanceId, Arrival> {
        let arrival = |landing: &Landing| Arrival {
            epoch: landing.epoch,
            volumes: landing.volumes.keys().cloned().collect(),
        };
        let landings = self.landings.iter();
        landings
            .map(|(instance, landing)| (instance.clone(), arrival(landing)))
            .collect()
    }

    /// The disk is another one.
    pub fn forget_landings(&mut self) {
        self.landings.clear();
    }

    /// What is in the way of a copy that is to come.
    pub fn hinders(&self, instance: &InstanceId, copies: &[Mounted]) -> Option<String> {
        let its = self.landings.get(instance);
        let is_its = |name: &String| its.is_some_and(|its| its.volumes.contains_key(name));
        let mut there = copies.iter().map(|copy| &copy.name);
        let there = there.find(|name| self.volumes.contains_key(*name) && !is_its(name))?;
        Some(format!("it has a volume `{there}` already"))
    }

    /// Something comes, which replaces what came before.
    pub fn begin_landing(
        &mut self,
        instance: &InstanceId,
        epoch: u64,
        sent: BTreeMap<String, (Copy, Data)>,
    ) -> Result<(), String> {
        self.discard(instance);
        if self.trouble.no_room {
            return Err("no space left on device".to_owned());
        }
        for (name, (copy, _)) in &sent {
            self.volumes.insert(name.clone(), copy.clone());
            self.data.insert(name.clone(), TORN);
        }
        let landing = Landing {
            epoch,
            volumes: sent,
            is_whole: false,
        };
        self.landings.insert(instance.clone(), landing);
        Ok(())
    }

    pub fn end_landing(&mut self, instance: &InstanceId) {
        if let Some(landing) = self.landings.get_mut(instance) {
            landing.is_whole = true;
            for (name, (_, data)) in &landing.volumes {
                self.data.insert(name.clone(), *data);
            }
        }
    }

    fn discard(&mut self, instance: &InstanceId) {
        let Some(landing) = self.landings.remove(instance) else {
            return;
        };
        for name in landing.volumes.keys() {
            self.volumes.remove(name);
            self.data.remove(name);
        }
    }

    /// The steps of a move that concern one node alone.
    pub(super) fn settle_in(&mut self, step: &MoveStep) -> Outcome {
        let refused = |problem: &str| {
            let problem = problem.to_owned();
            Err(Failure::Refused { problem })
        };
        match step {
            MoveStep::Accept { instance, epoch } => match self.landings.get(instance) {
                Some(landing) if landing.is_whole && landing.epoch == *epoch => {
                    self.landings.remove(instance);
                    Ok(Success::Done)
                }
                Some(_) | None => refused("not all of its data is here"),
            },
            MoveStep::Discard { instance } => {
                self.discard(instance);
                Ok(Success::Done)
            }
            MoveStep::Send { .. } | MoveStep::Bring { .. } | MoveStep::Release { .. } => {
                refused("it takes two nodes")
            }
        }
    }
}
