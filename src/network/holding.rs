//! What must not leave this host unsealed: packets to the grid's addresses while the overlay's interface is not
//! there.
//!
//! Bridge and rules outlive a daemon, so that containers of one node go on reaching each other; the interface
//! and its routes do not. Without them the default route would take what is for other nodes, in the clear.

use std::net::IpAddr;

use anyhow::Context;
use kontena_core::network::addresses::MANAGEMENT_PREFIX;
use kontena_core::network::peers::Wanted;
use kontena_overlay::Prefix;

/// The ranges that are held back.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    ranges: Vec<Prefix>,
    /// By earlier processes, as they wrote it down. They may be the same, and be gone since a boot.
    earlier: Vec<Prefix>,
}

impl Holding {
    /// What earlier processes held back, as [`Holding::of`] named it.
    pub(crate) fn after(earlier: impl IntoIterator<Item = String>) -> Self {
        let earlier = earlier.into_iter().filter_map(|range| range.parse().ok());
        Self {
            ranges: Vec::new(),
            earlier: earlier.collect(),
        }
    }

    /// What is held back for such a network.
    ///
    /// # Errors
    /// They are no ranges.
    pub(crate) fn of(wanted: &Wanted) -> anyhow::Result<Vec<String>> {
        Ok(ranges(wanted)?.iter().map(ToString::to_string).collect())
    }

    /// Begins, where it has not begun. It goes on after the process.
    ///
    /// # Errors
    /// The process may not change routes.
    pub(crate) fn begin(&mut self, wanted: &Wanted) -> anyhow::Result<()> {
        let ranges = ranges(wanted)?;
        if self.ranges == ranges {
            return Ok(());
        }
        for range in &ranges {
            kontena_overlay::hold_back(*range)
                .with_context(|| format!("failed to hold back what is for {range}"))?;
        }
        self.ranges = ranges;
        Ok(())
    }

    /// Ends, also what earlier processes began.
    ///
    /// # Errors
    /// The process may not change routes: it may be tried again.
    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        for range in self.ranges.iter().chain(&self.earlier) {
            kontena_overlay::let_go(*range)
                .with_context(|| format!("failed to remove the last route to {range}"))?;
        }
        *self = Self::default();
        Ok(())
    }

    /// Whether nothing is held back, as far as is known.
    pub(crate) fn is_none(&self) -> bool {
        self.ranges.is_empty() && self.earlier.is_empty()
    }
}

fn ranges(wanted: &Wanted) -> anyhow::Result<Vec<Prefix>> {
    let supernet = wanted.supernet;
    let containers = Prefix::new(IpAddr::V4(supernet.network()), supernet.prefix())?;
    let managed = Prefix::new(wanted.management_network.into(), MANAGEMENT_PREFIX)?;
    Ok(vec![containers, managed])
}
