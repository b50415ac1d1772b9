//! The volumes that a stack names: what its services call them, and what the grid does.
//!
//! A stack creates none (as Kontena): each is one of the grid, under this name or another.

use std::collections::BTreeMap;

use super::field::{Field, FieldProblem, Fields};
use crate::stack::{Service, VolumeSource};
use crate::volume::VolumeName;

const VOLUME: Fields = Fields {
    known: &[&["name", "external"]],
    not_yet: &[],
};

/// The grid's name of each, by the stack's.
pub(super) fn read(
    body: &Field<'_>,
    problems: &mut Vec<FieldProblem>,
) -> BTreeMap<VolumeName, VolumeName> {
    let items = body.get("volumes").and_then(|list| list.items(problems));
    let items = items.into_iter().flatten();
    items.filter_map(|item| read_one(&item, problems)).collect()
}

fn read_one(
    item: &Field<'_>,
    problems: &mut Vec<FieldProblem>,
) -> Option<(VolumeName, VolumeName)> {
    item.check_fields(&VOLUME, problems)?;
    let name = item.required("name", problems)?;
    let name: VolumeName = name.parsed(str::parse, problems)?;
    let Some(external) = item.get("external") else {
        problems.push(not_external(item));
        return None;
    };
    match external.flag() {
        Some(true) => Some((name.clone(), name)),
        Some(false) => {
            problems.push(not_external(&external));
            None
        }
        None => Some((name, external.parsed(str::parse, problems)?)),
    }
}

fn not_external(field: &Field<'_>) -> FieldProblem {
    field.problem("has to be `external`: a stack creates no volumes, `kontena volume create` does")
}

/// What the service mounts under the stack's names it mounts under the grid's.
pub(super) fn rename(service: &mut Service, names: &BTreeMap<VolumeName, VolumeName>) {
    for mount in &mut service.volumes {
        if let VolumeSource::Named(name) = &mut mount.source
            && let Some(real) = names.get(name)
        {
            name.clone_from(real);
        }
    }
}
