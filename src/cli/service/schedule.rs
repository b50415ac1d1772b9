//! The options that make a job of a service: ours.

use clap::Args;
use kontena_core::manifest::compiled::JobChange;
use kontena_core::schedule::{Cron, InvalidCron, Zone};
use kontena_core::stack::{Concurrency, Schedule as Job, grace_millis};

#[derive(Args, Debug)]
pub(super) struct Schedule {
    /// Run it at these times instead of keeping it running: five cron fields, or six with seconds before them; `""` takes it back
    #[arg(long = "deploy-schedule", value_name = "CRON", value_parser = cron)]
    schedule: Option<Said>,
    /// The time zone of the schedule, as `Europe/Helsinki`
    #[arg(long = "deploy-time-zone", value_name = "ZONE")]
    time_zone: Option<Zone>,
    /// What becomes of a run while the one before goes on: `forbid`, `replace` or `allow`
    #[arg(long = "deploy-concurrency", value_name = "WHAT")]
    concurrency: Option<Concurrency>,
    /// Stop a run that takes longer, as `90s` or `2h`
    #[arg(long = "deploy-time-limit", value_name = "TIME", value_parser = limit)]
    time_limit: Option<u64>,
}

/// A schedule, or that there is none any more.
#[derive(Clone, Debug)]
struct Said(Option<Cron>);

fn cron(text: &str) -> Result<Said, InvalidCron> {
    match text {
        "" => Ok(Said(None)),
        text => text.parse().map(|cron| Said(Some(cron))),
    }
}

fn limit(text: &str) -> Result<u64, String> {
    let millis = grace_millis(text).map_err(|problem| problem.to_string())?;
    match (Job::MIN_LIMIT_MILLIS..=Job::MAX_LIMIT_MILLIS).contains(&millis) {
        true => Ok(millis),
        false => Err("has to be from 1s to 24h".to_owned()),
    }
}

impl Schedule {
    pub(super) fn change(&self) -> JobChange {
        JobChange {
            schedule: self.schedule.clone().map(|Said(cron)| cron),
            time_zone: self.time_zone,
            concurrency: self.concurrency,
            time_limit: self.time_limit,
            takeover: None,
        }
    }
}
