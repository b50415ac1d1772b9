//! Sources: the containers on this node whose mounts an instance gets besides its own.
//!
//! Docker takes what a container mounts from another one when it is made (`VolumesFrom`), with the volumes that an image
//! declares, which no definition names. What the other container mounts may be something else once it was made anew: a
//! volume without a name is another one then. Whoever mounts what was there before is made anew as well; a named volume is the
//! same, and disturbs nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::InstanceId;

use super::action::{Container, ContainerId};
use super::sight::Seen;
use super::wanted::Wanted;

/// The containers of an instance's sources.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources<'a> {
    here: Vec<&'a Container>,
    missing: Option<&'a InstanceId>,
}

impl<'a> Sources<'a> {
    /// Those of what is wanted, among what is seen.
    pub(super) fn of(wanted: &'a Wanted, seen: &'a BTreeMap<InstanceId, Seen>) -> Self {
        let mut sources = Self::default();
        for source in &wanted.sources {
            match container(source, seen) {
                Some(container) => sources.here.push(container),
                None => sources.missing = sources.missing.or(Some(source)),
            }
        }
        sources
    }

    /// What a container that is to be made waits for.
    pub(super) fn waits(&self) -> Option<String> {
        let source = self.missing?;
        Some(format!("waits for `{source}`, whose volumes it mounts"))
    }

    /// Whom a container that is made now is made with.
    pub(super) fn ids(&self) -> BTreeSet<ContainerId> {
        self.here.iter().map(|source| source.id.clone()).collect()
    }

    /// Whether a container mounts what a source mounted before it was made anew.
    pub(super) fn leave_behind(&self, container: &Container, wanted: &Wanted) -> bool {
        let own = wanted.service.volumes.iter();
        let own: BTreeSet<String> = own.map(crate::stack::Volume::normal_path).collect();
        let mut expected = BTreeMap::new();
        for source in &self.here {
            expected.extend(&source.mounts);
        }
        expected.retain(|path, _| !own.contains(path.as_str()));
        let is_new = |source: &&Container| !container.care.made_with.contains(&source.id);
        // Once for each new container of a source at most, whatever an engine says of mounts.
        self.here.iter().any(is_new)
            && expected
                .into_iter()
                .any(|(path, mounted)| container.mounts.get(path) != Some(mounted))
    }
}

/// The container that is the instance: the one beside it has another name.
fn container<'a>(
    source: &InstanceId,
    seen: &'a BTreeMap<InstanceId, Seen>,
) -> Option<&'a Container> {
    let name = source.container_name();
    let mut containers = seen.get(source)?.iter();
    containers.find(|container| container.name == name)
}
