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

/// The ranges that are held back, as far as this process knows.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    ranges: Vec<Prefix>,
}

impl Holding {
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

    /// Ends.
    ///
    /// # Errors
    /// The process may not change routes: it may be tried again.
    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        for range in &self.ranges {
            kontena_overlay::let_go(*range)
                .with_context(|| format!("failed to remove the last route to {range}"))?;
        }
        self.ranges.clear();
        Ok(())
    }
}

fn ranges(wanted: &Wanted) -> anyhow::Result<Vec<Prefix>> {
    let supernet = wanted.supernet;
    let containers = Prefix::new(IpAddr::V4(supernet.network()), supernet.prefix())?;
    let managed = Prefix::new(wanted.management_network.into(), MANAGEMENT_PREFIX)?;
    Ok(vec![containers, managed])
}
