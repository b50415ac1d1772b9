//! `vpn user`: who may come in.

use clap::{Args, Subcommand};
use data_encoding::BASE64;
use kontena_core::id::{GridName, VpnUserName};
use kontena_core::network::vpn::{Target, VpnKey};
use kontena_overlay::PrivateKey;
use serde_json::json;

use super::super::confirm::confirm;
use super::super::failure::Failure;
use super::super::session::{Environment, Session};
use super::keys::{self, KeyFile, NewKey};
use crate::api::client::ApiError;
use crate::api::paths;
use crate::api::types::vpn::{VpnLimit, VpnUser, VpnUserRequest};
use crate::api::types::{Changed, Saved};
use crate::entropy::entropy;

/// Who may come in by VPN
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  kontena vpn user add laptop")]
pub(crate) struct User {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Let a further user in: a person, or rather one machine of a person
    #[command(after_help = "Example:
  kontena vpn user add laptop
  kontena vpn user add contractor --only shop/web --only blog

The key is made here and its private half stays here, in ~/.kontena_vpn, until \
`kontena vpn config` prints it. Whoever has made a key elsewhere gives its public half.")]
    Add {
        /// What the user is called: a DNS label
        name: VpnUserName,
        /// A stack, or a service as STACK/SERVICE, that the user may reach; may be repeated. Without
        /// it, everything
        #[arg(long, value_name = "TARGET")]
        only: Vec<Target>,
        /// The public half of a key that exists, in base64
        #[arg(long, value_name = "KEY")]
        public_key: Option<VpnKey>,
    },
    /// Change what a user may reach
    #[command(after_help = "Example:\n  kontena vpn user update contractor --only shop")]
    Update {
        /// The user
        name: VpnUserName,
        /// A stack, or a service as STACK/SERVICE; may be repeated, and replaces all that there were
        #[arg(long, value_name = "TARGET", required_unless_present = "everything")]
        only: Vec<Target>,
        /// Everything
        #[arg(long, conflicts_with = "only")]
        everything: bool,
    },
    /// Shut users out at once, on every node; their keys never count again
    #[command(
        visible_alias = "remove",
        after_help = "Example:\n  kontena vpn user rm laptop"
    )]
    Rm {
        /// Users
        #[arg(required = true, value_name = "USER")]
        names: Vec<VpnUserName>,
        /// Do not ask
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(
    session: &Session,
    environment: Environment<'_>,
    grid: &GridName,
    asked: User,
) -> Result<(), Failure> {
    match asked.command {
        Command::Add {
            name,
            only,
            public_key,
        } => {
            let only = (!only.is_empty()).then_some(only);
            match public_key {
                Some(key) => add_known(session, grid, name, key, only).await,
                None => {
                    let file = KeyFile::of(environment, grid, &name)?;
                    add_new(session, grid, name, only, &file).await
                }
            }
        }
        Command::Update { name, only, .. } => update(session, grid, &name, only).await,
        Command::Rm { names, force } => remove(session, environment, grid, &names, force).await,
    }
}

async fn add_known(
    session: &Session,
    grid: &GridName,
    name: VpnUserName,
    key: VpnKey,
    only: Option<Vec<Target>>,
) -> Result<(), Failure> {
    let said = format!("VPN user `{name}` may come in with the private half of that key");
    let made = post(session, grid, name, key, only).await?;
    session.print_change(&said, &made.saved, &made.object)
}

/// The key is on this disk before anybody knows of it, and in its place once the grid does.
async fn add_new(
    session: &Session,
    grid: &GridName,
    name: VpnUserName,
    only: Option<Vec<Target>>,
    file: &KeyFile,
) -> Result<(), Failure> {
    let secret =
        entropy().map_err(|problem| Failure::failed(format!("failed to make a key: {problem}")))?;
    let key = keys::public(&PrivateKey::new(secret));
    let new = file.write_new(&BASE64.encode(&secret))?;
    let said = format!(
        "VPN user `{name}` may come in: `kontena vpn config {name}` prints its configuration, which holds its key"
    );
    let made = match post(session, grid, name.clone(), key, only).await {
        Err(problem) if problem.may_be_done() => return Err(unsure(problem, new, &name)),
        made => made?,
    };
    new.keep()?;
    session.print_change(&said, &made.saved, &made.object)
}

/// The user may exist by now: the only copy of its key is not thrown away.
fn unsure(mut problem: ApiError, new: NewKey<'_>, name: &VpnUserName) -> Failure {
    let path = new.keep_in_doubt();
    // It says what to do next better than the error of the connection.
    problem.hint = None;
    Failure::from(problem).hint(format!(
        "the user may have been added: `kontena vpn show {name}` tells. Its key is kept in `{}`",
        path.display()
    ))
}

async fn post(
    session: &Session,
    grid: &GridName,
    name: VpnUserName,
    public_key: VpnKey,
    only: Option<Vec<Target>>,
) -> Result<Changed<VpnUser>, ApiError> {
    let request = VpnUserRequest {
        name,
        public_key,
        only,
    };
    session.client.post(&paths::vpn_users(grid), &request).await
}

async fn update(
    session: &Session,
    grid: &GridName,
    name: &VpnUserName,
    only: Vec<Target>,
) -> Result<(), Failure> {
    let only = (!only.is_empty()).then_some(only);
    let limit = VpnLimit { only: only.clone() };
    let path = paths::vpn_user(grid, name);
    let saved: Saved = session.client.put(&path, &limit).await?;
    let said = format!("updated VPN user `{name}`");
    session.print_change(&said, &saved, json!({"name": name, "only": only}))
}

async fn remove(
    session: &Session,
    environment: Environment<'_>,
    grid: &GridName,
    names: &[VpnUserName],
    force: bool,
) -> Result<(), Failure> {
    for name in names {
        confirm(&session.output, "shut out VPN user", name.as_str(), force)?;
    }
    let remove_one = async |name: &VpnUserName| {
        let saved: Saved = session.client.delete(&paths::vpn_user(grid, name)).await?;
        session.tell(&format!("shut out VPN user `{name}`"), &saved);
        forget(session, environment, grid, name);
        Ok((saved, json!({"name": name})))
    };
    session.change_each(names, remove_one).await
}

/// A key that counts no more is of no use here.
fn forget(session: &Session, environment: Environment<'_>, grid: &GridName, name: &VpnUserName) {
    let Ok(file) = KeyFile::of(environment, grid, name) else {
        return;
    };
    if let Err(problem) = file.remove() {
        session
            .output
            .warn(&format!("its key stays here: {problem:#}"));
    }
}
