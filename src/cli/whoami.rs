//! `whoami`: who asks which node, and in which grid.

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::session::Session;
use crate::api::paths;
use crate::api::types::membership::Status;

/// Show who is asking which node
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  kontena whoami")]
pub(crate) struct Whoami {}

#[derive(Debug, Serialize)]
struct WhoamiJson {
    /// Until there are users, whoever may ask a node may do everything.
    user: &'static str,
    /// Where is asked: a socket or an address.
    asked: String,
    node: String,
    grid: Option<String>,
}

pub(crate) async fn run(session: &Session, _: Whoami) -> Result<(), Failure> {
    let status: Status = session.client.get(paths::STATUS).await?;
    let json = WhoamiJson {
        user: "administrator",
        asked: session.client.target().to_string().replace('`', ""),
        node: status.name,
        grid: status.grid,
    };
    let text = format!(
        "user: {}\nasked: {}\nnode: {}\ngrid: {}\n",
        json.user,
        json.asked,
        json.node,
        json.grid.as_deref().unwrap_or("-"),
    );
    session.print_object(&json, || text)
}
