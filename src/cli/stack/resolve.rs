//! `stack resolve`: what two sides of a split left in doubt is settled by one revision.

use clap::Args;
use kontena_core::id::{ServiceName, StackName};

use super::super::deploy::Wait;
use super::super::failure::Failure;
use super::super::session::Session;
use super::plan::WholePlan;
use super::{Consent, Deploy, plan, revise, revision};
use crate::api::paths;
use crate::api::types::conflict::Resolve;
use crate::api::types::revision::Plan;

/// Whose side is taken.
#[derive(Args, Debug)]
pub(super) struct Take {
    /// The revision that counts where the sides differ (`7`, `7~ab12`, or the beginning of its hash)
    /// [default: what is in force]
    #[arg(long, value_name = "REVISION", value_parser = revision)]
    take: Option<String>,
    /// Take it for this service alone; may be given again
    #[arg(long = "service", value_name = "SERVICE", requires = "take")]
    services: Vec<ServiceName>,
}

pub(super) async fn resolve(
    session: &Session,
    name: &StackName,
    take: Take,
    consent: Consent,
    deploy: Deploy,
    wait: Wait,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = format!("{}/resolve", paths::stack(&grid, name));
    let body = Resolve {
        take: take.take,
        services: take.services.into_iter().collect(),
    };
    let plan: Plan = session.client.post(&format!("{path}/plan"), &body).await?;
    let plan = WholePlan::alone(plan);
    if consent.dry_run {
        return plan::print(session, &plan);
    }
    plan::announce(session, name, &plan, consent.force)?;
    let changed = session.client.post(&path, &body).await?;
    let recorded = revise::Recorded::alone("resolved", changed);
    revise::follow_up(session, &grid, name, recorded, deploy, wait).await
}
