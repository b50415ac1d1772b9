//! The options that say where a service's instances may run: ours, beside Kontena's `--affinity`.

use std::num::NonZeroU32;

use clap::Args;
use kontena_core::manifest::compiled::PlacingChange;
use kontena_core::stack::{Deploy, OnReturn, Service, Spread, SpreadLabel, Takeover, grace_millis};

use super::super::failure::Failure;

#[derive(Args, Debug)]
pub(super) struct Placing {
    /// Spread over the values of this label, `label=KEY`, in place of zones; may be repeated, the widest first
    #[arg(long = "deploy-spread", value_name = "LABEL")]
    spread: Vec<SpreadLabel>,
    /// The most instances on one node; `0` takes it back
    #[arg(long = "deploy-max-per-node", value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(Service::MAX_INSTANCES)))]
    max_per_node: Option<u32>,
    /// How long its node has to be absent before an instance is started elsewhere, as `2m`
    #[arg(long, value_name = "TIME", value_parser = grace_millis)]
    offline_replace_after: Option<u64>,
    /// Who takes over what an absent node ran: a side that sees `half` of the nodes, `always` every side, or `never` anybody
    #[arg(long, value_name = "SIDE")]
    offline_takeover: Option<Takeover>,
    /// Who keeps it when that node is back: `keep_original`, `keep_replacement` or `longest_running`
    #[arg(long, value_name = "HOLDER")]
    offline_on_return: Option<OnReturn>,
    /// Whether what runs moves to where fewer of it run, one instance after the other: `true` or `false`
    #[arg(long, value_name = "BOOL")]
    deploy_rebalance: Option<bool>,
    /// How many of the nodes that come next keep the image ready: 0, 1 or 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=i64::from(Deploy::MAX_STANDBY_IMAGES)))]
    deploy_standby_images: Option<u8>,
}

impl Placing {
    pub(super) fn change(&self) -> Result<PlacingChange, Failure> {
        let spread = (!self.spread.is_empty()).then(|| Spread::new(self.spread.clone()));
        let spread = spread
            .transpose()
            .map_err(|problem| Failure::usage(problem.to_string()))?;
        Ok(PlacingChange {
            spread,
            max_per_node: self.max_per_node.map(NonZeroU32::new),
            replace_after: self.offline_replace_after,
            takeover: self.offline_takeover,
            on_return: self.offline_on_return,
            rebalance: self.deploy_rebalance,
            standby_images: self.deploy_standby_images,
        })
    }
}
