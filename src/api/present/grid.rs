//! The grid as a wire type.

use crate::api::types::Time;
use crate::api::types::grid::{Conflict, Grid, GridStats};

use super::Snapshot;

pub(in crate::api) fn grid(snapshot: &Snapshot) -> Grid {
    let documents = &snapshot.view.documents;
    let name = snapshot.grid.to_string();
    let plan = documents.grid.plan;
    Grid {
        id: name.clone(),
        name,
        token: None,
        initial_size: 1,
        default_affinity: default_affinity(&documents.grid),
        trusted_subnets: Vec::new(),
        subnet: Some(plan.subnet().to_string()),
        supernet: Some(plan.supernet().to_string()),
        stats: GridStats::default(),
        logs: None,
        node_count: documents.roster.len(),
        service_count: documents.services.len(),
        container_count: super::containers::of_grid(snapshot).len(),
        user_count: 0,
        key: documents
            .grid
            .id
            .map(|key| key.to_string())
            .unwrap_or_default(),
        created_at: Time::known(documents.grid.created),
        placement_version: documents.grid.placement_version,
        conflicts: conflicts(snapshot),
    }
}

fn default_affinity(grid: &kontena_core::view::Grid) -> Vec<String> {
    let affinity = grid.default_affinity.iter();
    affinity.map(ToString::to_string).collect()
}

fn conflicts(snapshot: &Snapshot) -> Vec<Conflict> {
    let conflicts = snapshot.view.documents.conflicts.iter();
    let conflicts = conflicts.map(|conflict| Conflict {
        document: conflict.document.clone(),
        register: conflict.register.clone(),
        applied: conflict.applied.clone(),
        others: conflict.others.clone(),
    });
    conflicts.collect()
}
