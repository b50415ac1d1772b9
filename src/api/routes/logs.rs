//! The logs of a service, a stack, a container or the whole grid.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use kontena_core::id::{ServiceName, StackName};
use serde::Deserialize;

use super::services::existing;
use super::{Shared, Three, Two, snapshot_of, stack_name};
use crate::api::answer::Refused;
use crate::api::backend::Backend;
use crate::api::logs::{LineId, Range, Selection, follow, read};
use crate::api::request::Parameters;
use crate::api::types::Time;

/// Kontena's own default.
const DEFAULT_LINES: u32 = 100;
/// What a terminal keeps; more would be read from all nodes at once.
const MAX_LINES: u32 = 10_000;

/// Kontena's parameters, all of them texts.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    limit: Option<u32>,
    /// RFC 3339.
    since: Option<String>,
    /// `1` or `true`.
    follow: Option<String>,
    /// The id of the last line that was read.
    from: Option<String>,
    instance: Option<u32>,
    /// Names with commas between them, as the next two.
    nodes: Option<String>,
    /// `SERVICE`, `STACK/SERVICE` or `GRID/STACK/SERVICE`.
    services: Option<String>,
    containers: Option<String>,
}

pub(super) async fn of_grid(
    State(backend): Shared,
    Path(grid): Path<String>,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Refused> {
    answer(&backend, &grid, Selection::default(), &query).await
}

pub(super) async fn of_stack(
    State(backend): Shared,
    Path((grid, stack)): Two,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Refused> {
    let name = stack_name(&stack)?;
    snapshot_of(&backend, &grid)?.stack(&name)?;
    let selection = Selection {
        stack: Some(name),
        ..Selection::default()
    };
    answer(&backend, &grid, selection, &query).await
}

pub(super) async fn of_service(
    State(backend): Shared,
    Path((grid, stack, service)): Three,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Refused> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let selection = Selection {
        stack: Some(key.stack.clone()),
        services: vec![(Some(key.stack), key.service)],
        ..Selection::default()
    };
    answer(&backend, &grid, selection, &query).await
}

pub(super) async fn of_container(
    State(backend): Shared,
    Path((grid, node, name)): Three,
    Parameters(query): Parameters<Query>,
) -> Result<Response, Refused> {
    snapshot_of(&backend, &grid)?.node(&node)?;
    let selection = Selection {
        nodes: vec![node],
        containers: vec![name],
        ..Selection::default()
    };
    answer(&backend, &grid, selection, &query).await
}

async fn answer(
    backend: &Backend,
    grid: &str,
    selection: Selection,
    query: &Query,
) -> Result<Response, Refused> {
    let snapshot = snapshot_of(backend, grid)?;
    let selection = narrowed(selection, query)?;
    selection.check(&snapshot)?;
    let range = range(query)?;
    if is_set(query.follow.as_deref())? {
        let lines = follow(backend.logs.clone(), backend.view.clone(), selection, range);
        return Ok(streamed(lines.map(|line| {
            let mut text = serde_json::to_vec(&line)?;
            text.push(b'\n');
            Ok::<_, serde_json::Error>(Bytes::from(text))
        })));
    }
    let logs = read(backend.logs.as_ref(), &snapshot, &selection, &range).await;
    Ok(Json(logs).into_response())
}

/// One JSON object and a line break per chunk: Kontena's command line reads chunks.
fn streamed(
    lines: impl futures::Stream<Item = Result<Bytes, serde_json::Error>> + Send + 'static,
) -> Response {
    let mut response = Body::from_stream(lines).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn is_set(flag: Option<&str>) -> Result<bool, Refused> {
    match flag {
        None | Some("" | "0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(other) => Err(Refused::invalid(format!("follow: `{other}` is not 1 or 0"))),
    }
}

fn range(query: &Query) -> Result<Range, Refused> {
    let limit = query.limit.unwrap_or(DEFAULT_LINES);
    if limit > MAX_LINES {
        let problem = format!("limit: at most {MAX_LINES} lines can be read at once");
        return Err(Refused::invalid(problem));
    }
    let since = query.since.as_deref().map(|text| {
        let time: Result<Time, _> = text.parse();
        time.map_err(|_| Refused::invalid(format!("since: `{text}` is not a time as RFC 3339")))
    });
    let after = query.from.as_deref().map(|text| {
        LineId::parse(text)
            .ok_or_else(|| Refused::invalid(format!("from: `{text}` is not the id of a log line")))
    });
    Ok(Range {
        limit,
        since: since.transpose()?,
        after: after.transpose()?,
    })
}

/// The selection of a path, with what the parameters say beside it.
fn narrowed(mut selection: Selection, query: &Query) -> Result<Selection, Refused> {
    let services = list(query.services.as_deref()).map(service);
    selection
        .services
        .extend(services.collect::<Result<Vec<_>, _>>()?);
    selection
        .nodes
        .extend(list(query.nodes.as_deref()).map(str::to_owned));
    selection
        .containers
        .extend(list(query.containers.as_deref()).map(str::to_owned));
    selection.instance = query.instance;
    Ok(selection)
}

fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    let items = text.unwrap_or_default().split(',').map(str::trim);
    items.filter(|item| !item.is_empty())
}

fn service(text: &str) -> Result<(Option<StackName>, ServiceName), Refused> {
    let invalid =
        |problem: kontena_core::id::InvalidId| Refused::invalid(format!("services: {problem}"));
    let Some((rest, service)) = text.rsplit_once('/') else {
        return Ok((None, text.parse().map_err(invalid)?));
    };
    let stack = rest.rsplit('/').next().unwrap_or(rest);
    Ok((
        Some(stack.parse().map_err(invalid)?),
        service.parse().map_err(invalid)?,
    ))
}
