//! Who yields when two nodes hold one instance: when one may start, and when one may go.
//!
//! The order of two holders is placement's (rules of the mesh 2). Here is only what follows from it.

use super::wanted::{Departure, Wanted};

/// Why an instance that falls to this node is not started yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yield {
    /// Another holder ranks before this node.
    ToBetter,
    /// Stateful: never two at once, so whoever else holds it must let go first.
    ToAnyHolder,
}

/// Whether this node may start the instance now.
///
/// A stateless one yields to a holder that ranks before us. A stateful one yields to every holder
/// that is not absent, whatever its rank: two at once would share or lose data.
pub fn may_start(wanted: &Wanted) -> Result<(), Yield> {
    if wanted.service.is_bound() && !wanted.rivals.is_empty() {
        return Err(Yield::ToAnyHolder);
    }
    if wanted.rivals.iter().any(|rival| rival.ranks_before_us) {
        return Err(Yield::ToBetter);
    }
    Ok(())
}

/// What becomes of the container of an instance that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It goes on running here, and is restarted if it crashes.
    Stay,
    /// Stopped; the container and the hold stay.
    Stop,
    /// Stopped and removed.
    Go,
}

/// The loser of an instance goes only after the winner is seen to be ready.
pub fn farewell(departure: Departure) -> Farewell {
    match departure {
        Departure::Handover { winner_ready: true } | Departure::Unwanted => Farewell::Go,
        Departure::Handover {
            winner_ready: false,
        }
        | Departure::Unjudged => Farewell::Stay,
        Departure::Drained => Farewell::Stop,
    }
}
