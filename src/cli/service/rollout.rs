//! The options that say how a deploy goes on and ends: ours, beside Kontena's `--deploy-min-health`.

use std::num::NonZeroU32;

use clap::Args;
use kontena_core::manifest::compiled::RolloutChange;
use kontena_core::stack::{OnFailure, Order, Service};

#[derive(Args, Debug)]
pub(super) struct Rollout {
    /// Replace a container by stopping it first (`stop-first`), or by starting the new one beside it (`start-first`)
    #[arg(long = "deploy-order", value_name = "ORDER")]
    order: Option<Order>,
    /// What becomes of a deploy that fails: `halt` leaves what is replaced, `rollback` goes back to what ran before
    #[arg(long = "deploy-on-failure", value_name = "WHAT")]
    on_failure: Option<OnFailure>,
    /// Replace so many instances first, and the others after `kontena service promote`; `0` takes it back
    #[arg(long = "deploy-canary", value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(Service::MAX_INSTANCES)))]
    canary: Option<u32>,
}

impl Rollout {
    pub(super) fn change(&self) -> RolloutChange {
        RolloutChange {
            order: self.order,
            on_failure: self.on_failure,
            canary: self.canary.map(NonZeroU32::new),
        }
    }
}
