//! `init`, `join` and `leave`: becoming and ceasing to be a node of a grid.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kontena_core::command::{JoinAddress, NotAnAddress};
use kontena_core::id::{GridName, NodeName};
use kontena_core::network::plan::Range;
use serde_json::json;

use super::confirm::confirm;
use super::failure::Failure;
use super::globals::read_token;
use super::session::Session;
use super::systemd::status_of_running_daemon;
use crate::api::paths;
use crate::api::types::membership::{
    InitAnswer, InitRequest, JoinAnswer, JoinRequest, LeaveRequest, Phase, Status,
};
use crate::api::types::{Changed, Saved};

/// Beginning anew takes the daemon a tenth of a second; a busy machine longer.
const BEGIN_ANEW_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Make this node the first of a grid, and print how others join it
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena init --grid production --label az=a

The join command and the administrator's token are printed, and shown this once.")]
pub(crate) struct Init {
    /// The grid's name [default: default] [env: KONTENA_GRID]
    #[arg(long, value_name = "NAME")]
    grid: Option<GridName>,
    /// The node's name in the grid [default: the host's]
    #[arg(long, value_name = "NODE")]
    name: Option<NodeName>,
    /// A label of the node; may be repeated
    #[arg(short, long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// What leads into the grid's network: private, and not used by any host [default: 10.80.0.0/12]
    #[arg(long, value_name = "CIDR")]
    supernet: Option<Range>,
    /// The part of it that nodes get their /24 from [default: all of it]
    #[arg(long, value_name = "CIDR")]
    subnet: Option<Range>,
}

/// Make this node a member of a grid
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena join 10.0.0.1 --token @token.txt

`kontena init` prints the whole command; `kontena token create` prints a new token.")]
pub(crate) struct Join {
    /// A node of the grid: HOST[:PORT] or a multiaddr
    #[arg(value_parser = address)]
    address: String,
    /// The join token: the token, `-` for standard input or `@FILE`
    #[arg(
        long,
        env = "KONTENA_JOIN_TOKEN",
        hide_env_values = true,
        required_unless_present = "token_file",
        conflicts_with = "token_file"
    )]
    token: Option<String>,
    /// Read the join token from this file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The node's name in the grid [default: the host's]
    #[arg(long, value_name = "NODE")]
    name: Option<NodeName>,
    /// A label of the node; may be repeated
    #[arg(short, long = "label", value_name = "LABEL")]
    labels: Vec<String>,
}

/// Leave the grid for good: the node's instances move to others
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena leave --force")]
pub(crate) struct Leave {
    /// Do not ask, and leave although data or the last copy of something stays behind
    #[arg(long)]
    force: bool,
}

pub(crate) async fn init(session: &Session, asked: Init) -> Result<(), Failure> {
    session.client.stay();
    status_of_running_daemon(session).await?;
    let request = InitRequest {
        grid: asked
            .grid
            .as_ref()
            .or(session.wanted_grid())
            .map(ToString::to_string),
        name: asked.name.map(String::from),
        labels: asked.labels,
        supernet: asked.supernet.map(String::from),
        subnet: asked.subnet.map(String::from),
    };
    let Changed { object, saved } = session.client.post(paths::INIT, &request).await?;
    session.warn_of(&saved);
    if session.output.is_json() {
        return session.print_changed(&saved, object);
    }
    session.output.talk(&begun(&object));
    session.output.data(&what_next(&object))
}

/// The daemon is given it as it was written.
fn address(text: &str) -> Result<String, NotAnAddress> {
    text.parse().map(|_: JoinAddress| text.to_owned())
}

fn begun(answer: &InitAnswer) -> String {
    format!(
        "made the grid `{}`; this node is `{}` in it",
        answer.grid, answer.node
    )
}

/// What is shown this once.
fn what_next(answer: &InitAnswer) -> String {
    let mut text = String::from("To add a node, run on it:\n");
    let address = answer.address.as_deref().unwrap_or("ADDRESS");
    let mut line = |line: &str| writeln!(text, "{line}").expect("writing to a text does not fail");
    line(&format!(
        "  kontena join {address} --token {}",
        answer.join_token
    ));
    if answer.address.is_none() {
        line("where ADDRESS is one of this host's that the other can reach");
    }
    line("");
    line(
        "The administrator's token, for the API over TCP (`--token`, KONTENA_TOKEN). It is shown this once:",
    );
    line(&format!("  {}", answer.admin_token));
    text
}

/// A join goes to the local daemon: `--token` is the join token, and the administrator's, where one
/// is needed, comes from the environment.
pub(crate) async fn join(session: &Session, asked: Join) -> Result<(), Failure> {
    let token = read_token(asked.token.as_deref(), asked.token_file.as_deref())?
        .ok_or_else(|| Failure::usage("a join token is needed: `--token TOKEN`"))?;
    session.client.stay();
    status_of_running_daemon(session).await?;
    let request = JoinRequest {
        address: asked.address,
        token,
        name: asked.name.map(String::from),
        labels: asked.labels,
    };
    let answer: Changed<JoinAnswer> = session.client.post(paths::JOIN, &request).await?;
    let JoinAnswer { grid, node, .. } = &answer.object;
    let said = format!("joined the grid `{grid}`; this node is `{node}` in it");
    session.print_change(&said, &answer.saved, &answer.object)
}

pub(crate) async fn leave(session: &Session, asked: Leave) -> Result<(), Failure> {
    session.client.stay();
    let status = status_of_running_daemon(session).await?;
    match (status.phase, &status.grid) {
        (Phase::Waiting, None) => return Err(Failure::failed("this node belongs to no grid")),
        (Phase::Waiting | Phase::Member | Phase::Removed | Phase::Cloned, _) => (),
    }
    confirm(
        &session.output,
        "leave the grid as",
        &status.name,
        asked.force,
    )?;
    let request = LeaveRequest { force: asked.force };
    let saved: Saved = session.client.post(paths::LEAVE, &request).await?;
    wait_for_new_identity(session, &status.node_id).await;
    let said = match &status.grid {
        Some(grid) => format!("`{}` left the grid `{grid}`", status.name),
        None => format!("`{}` has a new identity", status.name),
    };
    session.print_change(
        &said,
        &saved,
        json!({"node": status.name, "grid": status.grid}),
    )
}

/// The daemon begins anew, and its socket is away for a moment: whoever goes on with `join` should
/// find it. That the node left is true whether it comes or not.
async fn wait_for_new_identity(session: &Session, old: &str) {
    let answered = async {
        loop {
            let status: Result<Status, _> = session.client.get(paths::STATUS).await;
            if status.is_ok_and(|status| status.node_id != old) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(BEGIN_ANEW_WITHIN, answered)
        .await
        .is_err()
    {
        session.output.warn("the daemon has not begun anew yet");
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn answer() -> InitAnswer {
        InitAnswer {
            grid: "demo".to_owned(),
            node: "a".to_owned(),
            address: Some("10.0.0.1:8470".to_owned()),
            join_token: "join-me".to_owned(),
            admin_token: "admin".to_owned(),
        }
    }

    #[test]
    fn init_prints_the_join_command_and_the_administrators_token() {
        expect![[r"
            To add a node, run on it:
              kontena join 10.0.0.1:8470 --token join-me

            The administrator's token, for the API over TCP (`--token`, KONTENA_TOKEN). It is shown this once:
              admin
        "]]
        .assert_eq(&what_next(&answer()));
    }

    #[test]
    fn init_says_so_where_the_node_knows_no_address() {
        let text = what_next(&InitAnswer {
            address: None,
            ..answer()
        });
        assert!(
            text.contains("kontena join ADDRESS --token join-me\nwhere ADDRESS"),
            "{text}"
        );
    }
}
