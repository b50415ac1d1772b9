//! `service deploys` and `service abort`.

use kontena_core::id::ServiceKey;
use serde::Serialize;

use super::super::deploy::DeployJson;
use super::super::failure::Failure;
use super::super::session::Session;
use super::super::table::{Cell, Table};
use super::super::text::{moment, or_dash};
use crate::api::paths;
use crate::api::types::deploy::{Abort, DeployRow, Outcome, ServiceDeploy, ServiceDeploys};
use crate::api::types::{Changed, Time};

pub(super) async fn list(session: &Session, name: &ServiceKey, quiet: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = format!("{}/deploys", paths::service(&grid, name));
    let ServiceDeploys { deploys } = session.client.get(&path).await?;
    let ids: Vec<String> = deploys.iter().map(|deploy| deploy.id.clone()).collect();
    let table = table(&deploys);
    let json: Vec<DeployRowJson> = deploys.into_iter().map(DeployRowJson::from).collect();
    session.print_list(quiet, &json, ids.into_iter(), &table)
}

pub(super) async fn abort(
    session: &Session,
    name: &ServiceKey,
    rollback: Option<bool>,
) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let path = format!("{}/abort", paths::service(&grid, name));
    let aborted: Changed<ServiceDeploy> = session.client.post(&path, &Abort { rollback }).await?;
    let said = format!("aborted the deploy of service `{name}`");
    session.print_change(&said, &aborted.saved, DeployJson::from(aborted.object))
}

fn table(deploys: &[DeployRow]) -> Table {
    let mut table = Table::new(&[
        "DEPLOY",
        "REVISION",
        "IMAGE",
        "CREATED AT",
        "NODE",
        "STATE",
        "REASON",
    ]);
    for deploy in deploys {
        table.row([
            Cell::from(&deploy.id),
            Cell::from(deploy.revision.to_string()),
            Cell::from(short(deploy.image.as_deref())),
            Cell::from(moment(deploy.created_at.as_ref())),
            Cell::from(&deploy.node),
            Cell::from(deploy.state.as_str()),
            Cell::from(or_dash(deploy.reason.as_ref())),
        ]);
    }
    table
}

/// As Docker cuts ids.
fn short(image: Option<&str>) -> String {
    let Some(image) = image else {
        return "-".to_owned();
    };
    image
        .trim_start_matches("sha256:")
        .chars()
        .take(12)
        .collect()
}

/// A deploy in `--json`.
#[derive(Serialize)]
struct DeployRowJson {
    id: String,
    revision: u64,
    revision_id: String,
    /// What the name of its image meant then; null where nobody could tell.
    image: Option<String>,
    state: Outcome,
    created_at: Option<Time>,
    node: String,
    reason: Option<String>,
}

impl From<DeployRow> for DeployRowJson {
    fn from(deploy: DeployRow) -> Self {
        Self {
            id: deploy.id,
            revision: deploy.revision,
            revision_id: deploy.revision_id,
            image: deploy.image,
            state: deploy.state,
            created_at: deploy.created_at,
            node: deploy.node,
            reason: deploy.reason,
        }
    }
}
