//! Backups of the grid.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use data_encoding::BASE64;

use super::{Answer, Shared, snapshot_of};
use crate::api::answer::Refused;
use crate::api::backend::Backend;
use crate::api::present::Snapshot;
use crate::api::request::{Body, Segments};
use crate::api::types::backup::{Backup, BackupRequest};
use crate::api::types::segments::OfGrid;
use crate::backup::{self, Label, RecoveryKey};

/// `POST /v1/grids/{grid}/backup`: all that this node knows, and its identity, for whoever has the recovery code.
pub(super) async fn take(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    Body(asked): Body<BackupRequest>,
) -> Answer<Backup> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let invalid = |_| {
        Refused::invalid(
            "`recovery_key` has to be a public key of X25519 in 64 hexadecimal digits".to_owned(),
        )
    };
    let to: RecoveryKey = asked.recovery_key.parse().map_err(invalid)?;
    let label = label(&backend, &snapshot)?;
    let failed = |problem: anyhow::Error| Refused::internal(&format!("{problem:#}"));
    let contents = backend.backups.contents().await.map_err(failed)?;
    let sealing = tokio::task::spawn_blocking({
        let label = label.clone();
        move || backup::write(&label, &contents, &to)
    });
    let sealed = sealing
        .await
        .map_err(|problem| Refused::internal(&problem.to_string()))?;
    let file = sealed.map_err(failed)?;
    Ok(Json(Backup {
        node: label.node,
        file: BASE64.encode(&file),
    }))
}

fn label(backend: &Backend, snapshot: &Snapshot) -> Result<Label, Refused> {
    let documents = &snapshot.view.documents;
    let member = documents.roster.get(&backend.me);
    let id = documents.grid.id;
    let (Some(member), Some(id)) = (member, id) else {
        return Err(Refused::unseen());
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = now.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    Ok(Label {
        grid: snapshot.grid.to_string(),
        id: id.to_string(),
        node: member.name.to_string(),
        taken_at: millis,
    })
}
