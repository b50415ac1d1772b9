//! `daemon`: this program as the node itself.

use tracing::level_filters::LevelFilter;

use super::failure::{Complaint, Failure};
use super::output::Output;
use super::session::Environment;
use crate::daemon::config::{self, Config, DaemonArgs};
use crate::daemon::preflight;
use crate::telemetry;

/// Runs until it is told to stop. Every mistake of the configuration is told before anything is
/// opened.
pub(crate) fn run(
    output: &Output,
    environment: Environment<'_>,
    asked: &DaemonArgs,
) -> Result<(), Failure> {
    let file = config::read_file(asked, environment).map_err(Failure::usage)?;
    let config = config::load(asked, environment, file.as_ref()).map_err(|problems| {
        complain_of_each(output, problems.iter().map(ToString::to_string));
        Failure::ReportedUsage
    })?;
    telemetry::start(LevelFilter::from_level(config.log));
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|problem| Failure::failed(format!("failed to start: {problem}")))?
        .block_on(begin(output, config))
}

async fn begin(output: &Output, config: Config) -> Result<(), Failure> {
    preflight::check(&config).await.map_err(|problems| {
        let messages = problems.iter().map(|problem| format!("{problem:#}"));
        complain_of_each(output, messages);
        Failure::Reported
    })?;
    crate::daemon::run(config).await?;
    Ok(())
}

fn complain_of_each(output: &Output, messages: impl Iterator<Item = String>) {
    for message in messages {
        let hint = None;
        output.complain(&Complaint { message, hint });
    }
}
