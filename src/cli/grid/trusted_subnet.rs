//! `grid trusted-subnet`: Kontena 1.x's subnets between whose nodes nothing was sealed. There are none.

use clap::{Args, Subcommand};
use kontena_core::network::plan::Range;

use super::super::failure::Failure;
use super::super::session::Session;
use super::super::table::Table;
use super::WireGrid;
use crate::api::paths;

/// Networks whose nodes would talk in the clear: none, as everything between nodes is sealed
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena grid trusted-subnet ls

WireGuard has no way to talk in the clear, and tells by the seal alone who speaks.")]
pub(super) struct TrustedSubnet {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// List trusted subnets: none
    #[command(
        visible_alias = "list",
        after_help = "Example:\n  kontena grid trusted-subnet ls"
    )]
    Ls {
        /// Print subnets only
        #[arg(short, long)]
        quiet: bool,
    },
    /// For scripts of Kontena 1.x: refused, because it cannot be done
    #[command(after_help = "Example:\n  kontena grid trusted-subnet add 192.168.1.0/24")]
    Add {
        /// The subnet
        subnet: Range,
    },
    /// For scripts of Kontena 1.x: there is none to remove
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena grid trusted-subnet rm 192.168.1.0/24"
    )]
    Rm {
        /// The subnets
        #[arg(required = true)]
        subnets: Vec<Range>,
    },
}

pub(super) async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Ls { quiet } => list(session, quiet).await,
        Command::Add { subnet } => Err(Failure::failed(format!(
            "{subnet} cannot be trusted: traffic between nodes is sealed everywhere, and cannot be otherwise"
        ))
        .hint("leave this step out: no network between nodes has to be trusted")),
        Command::Rm { subnets } => Err(not_there(&subnets)),
    }
}

async fn list(session: &Session, quiet: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let grid: WireGrid = session.client.get(&paths::grid(&grid)).await?;
    let subnets = grid.trusted_subnets;
    let mut table = Table::new(&["SUBNET"]);
    for subnet in &subnets {
        table.row([subnet.as_str().into()]);
    }
    session.print_list(quiet, &subnets, subnets.iter().cloned(), &table)
}

fn not_there(subnets: &[Range]) -> Failure {
    let named: Vec<String> = subnets.iter().map(Range::to_string).collect();
    Failure::failed(format!("{} is not trusted", named.join(", ")))
}
