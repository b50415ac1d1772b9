//! What two sides of a split gave a stack differently, put together from the values of its registers.

use super::Read;
use super::history::{Standing, standing};
use crate::document::graph::Index;
use crate::document::log::Log;
use crate::id::{NodeId, ServiceName};
use crate::view::{ConflictSide, ConflictSubject, ConflictValue, StackConflict, StackRecord};

/// The conflict between the values of one register, the winner first; `None` where they say the same.
pub(super) fn contested<T>(
    log: &Log,
    service: Option<&ServiceName>,
    subject: ConflictSubject,
    values: &[Read<T>],
    value: impl Fn(&T) -> ConflictValue,
) -> Option<StackConflict> {
    let sides = values.iter();
    let sides = sides.map(|read| side(log, read.source, value(&read.value)));
    between(service, subject, sides.collect())
}

/// That a service was dropped in one entry of the log and changed in others; `kept` says what is in force.
pub(super) fn presence(
    log: &Log,
    service: &ServiceName,
    dropped: Index,
    changed: &[Index],
    kept: bool,
) -> Option<StackConflict> {
    let newest = changed.iter().max_by_key(|source| log.rank(**source))?;
    let mut sides = vec![
        side(log, *newest, ConflictValue::Kept),
        side(log, dropped, ConflictValue::Dropped),
    ];
    if !kept {
        sides.reverse();
    }
    between(Some(service), ConflictSubject::Presence, sides)
}

/// The services that one revision dropped and another one beside it changed: they stay.
pub(super) fn kept_though_dropped(
    log: &Log,
    base: Option<&StackRecord>,
    records: &[Read<StackRecord>],
) -> Vec<StackConflict> {
    let sides: Vec<&StackRecord> = records.iter().map(|read| &read.value).collect();
    let of_base = base.into_iter().flat_map(|base| &base.services);
    of_base
        .filter(|service| standing(service, base, &sides) == Standing::KeptThoughDropped)
        .filter_map(|service| {
            let (with, without): (Vec<_>, Vec<_>) = records
                .iter()
                .partition(|read| read.value.services.contains(service));
            let with: Vec<Index> = with.into_iter().map(|read| read.source).collect();
            presence(log, service, without.first()?.source, &with, true)
        })
        .collect()
}

fn side(log: &Log, source: Index, value: ConflictValue) -> ConflictSide {
    let entry = log.entry(source);
    ConflictSide {
        change: entry.hash,
        author: NodeId(entry.author),
        at: entry.time,
        value,
    }
}

fn between(
    service: Option<&ServiceName>,
    subject: ConflictSubject,
    sides: Vec<ConflictSide>,
) -> Option<StackConflict> {
    let mut told: Vec<ConflictSide> = Vec::new();
    for side in sides {
        if !told.iter().any(|other| other.value == side.value) {
            told.push(side);
        }
    }
    (told.len() > 1).then(|| StackConflict {
        service: service.cloned(),
        subject,
        sides: told,
    })
}
