//! `fence`: this program as the process that outlives the daemon, which starts it. It asks no node.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use crate::fence::{Fence, IDLE_LIMIT};

/// Kill what runs under a lease once that is over; the daemon starts it and need not be there
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena fence --dir /var/lib/kontena/fences")]
pub(crate) struct FenceCommand {
    /// Where the daemon writes until when containers may run
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// After how many milliseconds without anything to do it ends
    #[arg(long, value_name = "MILLISECONDS", hide = true)]
    idle_limit: Option<u64>,
}

pub(crate) fn run(asked: &FenceCommand) -> Result<(), Failure> {
    let idle_limit = asked.idle_limit.map_or(IDLE_LIMIT, Duration::from_millis);
    Ok(Fence::begin(&asked.dir, idle_limit)?.run()?)
}
