//! The limits of a service's containers, in the words of Kontena's API.

use serde_json::{Map, Value, json};

use super::field::{Field, FieldProblem};
use crate::stack::{Cpus, Resources, size_bytes};

/// Which limits are to be set. `Some(None)`, in JSON 0, lifts one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourcesChange {
    pub cpus: Option<Option<Cpus>>,
    pub cpu_shares: Option<Option<u32>>,
    /// In bytes, as the two that follow.
    pub memory: Option<Option<u64>>,
    pub memory_swap: Option<Option<u64>>,
    pub shm_size: Option<Option<u64>>,
}

impl ResourcesChange {
    pub(super) const FIELDS: [&str; 5] =
        ["cpus", "cpu_shares", "memory", "memory_swap", "shm_size"];

    /// The change that sets all of these; what is not limited is not spoken of.
    pub(super) fn from(resources: &Resources) -> Self {
        Self {
            cpus: resources.cpus.map(Some),
            cpu_shares: resources.cpu_shares.map(Some),
            memory: resources.memory.map(Some),
            memory_swap: resources.memory_swap.map(Some),
            shm_size: resources.shm_size.map(Some),
        }
    }

    pub(super) fn read(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Self {
        Self {
            cpus: cpus(body, problems),
            cpu_shares: cpu_shares(body, problems),
            memory: size(body, "memory", problems),
            memory_swap: size(body, "memory_swap", problems),
            shm_size: size(body, "shm_size", problems),
        }
    }

    pub(super) fn write(&self, body: &mut Map<String, Value>) {
        let cpus = self
            .cpus
            .map(|cpus| cpus.map_or(json!(0), |cpus| json!(cpus.cores())));
        let number = |size: Option<Option<u64>>| size.map(|size| json!(size.unwrap_or_default()));
        let values = [
            cpus,
            self.cpu_shares
                .map(|shares| json!(shares.unwrap_or_default())),
            number(self.memory),
            number(self.memory_swap),
            number(self.shm_size),
        ];
        for (field, value) in Self::FIELDS.into_iter().zip(values) {
            if let Some(value) = value {
                body.insert(field.to_owned(), value);
            }
        }
    }

    pub(super) fn set_on(&self, resources: &mut Resources) {
        super::set(&mut resources.cpus, self.cpus);
        super::set(&mut resources.cpu_shares, self.cpu_shares);
        super::set(&mut resources.memory, self.memory);
        super::set(&mut resources.memory_swap, self.memory_swap);
        super::set(&mut resources.shm_size, self.shm_size);
    }
}

#[expect(
    clippy::option_option,
    reason = "whether a limit is spoken of, and whether there is to be one"
)]
fn cpus(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<Option<Cpus>> {
    let read = |text: &str| match text.parse::<f64>() {
        Ok(0.0) => Ok(None),
        Ok(_) | Err(_) => text.parse::<Cpus>().map(Some),
    };
    body.get("cpus")?.parsed(read, problems)
}

#[expect(
    clippy::option_option,
    reason = "whether a weight is spoken of, and whether there is to be one"
)]
fn cpu_shares(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<Option<u32>> {
    let field = body.get("cpu_shares")?;
    let shares = field.number(0, Resources::MAX_CPU_SHARES, problems)?;
    Some(Some(shares).filter(|shares| *shares > 0))
}

/// Bytes as a number, or a text as in a file.
#[expect(
    clippy::option_option,
    reason = "whether a size is spoken of, and whether there is to be one"
)]
fn size(body: &Field<'_>, key: &str, problems: &mut Vec<FieldProblem>) -> Option<Option<u64>> {
    let bytes = body.get(key)?.parsed(size_bytes, problems)?;
    Some(Some(bytes).filter(|bytes| *bytes > 0))
}
