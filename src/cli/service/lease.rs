//! The options that make a singleton with a lease of a service: ours.

use clap::Args;
use kontena_core::id::NodeName;
use kontena_core::manifest::compiled::LeaseChange;
use kontena_core::stack::{Singleton, Witnesses};

use super::super::failure::Failure;

#[derive(Args, Debug)]
pub(super) struct Lease {
    /// Run one instance, and only while a majority of its witnesses lets it: `lease`; it cannot be changed later
    #[arg(long, value_name = "HOW")]
    singleton: Option<Singleton>,
    /// A node that grants the lease; three or five of them
    #[arg(long = "witness", value_name = "NODE")]
    witnesses: Vec<NodeName>,
}

impl Lease {
    pub(super) fn change(&self) -> Result<LeaseChange, Failure> {
        let witnesses =
            (!self.witnesses.is_empty()).then(|| Witnesses::new(self.witnesses.clone()));
        let witnesses = witnesses
            .transpose()
            .map_err(|problem| Failure::usage(problem.to_string()))?;
        Ok(LeaseChange {
            singleton: self.singleton,
            witnesses,
        })
    }
}
