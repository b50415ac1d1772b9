//! Before a node begins: whether what it is told to use can be used.
//!
//! All mistakes are found together, and nothing stays open: what is taken between this look and the
//! opening itself is an error then.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;

use super::config::Config;
use super::edges::bindable;
use crate::api::server::Listeners;
use crate::disk::Disk;

/// # Errors
/// Each of the data directory, the addresses and the socket that cannot be used.
pub(crate) async fn check(config: &Config) -> Result<(), Vec<anyhow::Error>> {
    let mut problems = Vec::new();
    problems.extend(Disk::check(&config.data_dir).err());
    problems.extend(bindable(config).into_iter().filter_map(can_listen));
    let listeners = Listeners::check(&config.socket, config.api_listen).await;
    problems.extend(listeners.err().into_iter().flatten());
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

fn can_listen(address: SocketAddr) -> Option<anyhow::Error> {
    TcpListener::bind(address)
        .with_context(|| format!("failed to listen on `{address}`"))
        .err()
}
