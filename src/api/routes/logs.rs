//! The logs of a service, a stack, a container or the whole grid.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use kontena_core::id::{ServiceName, StackName};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::timeout;

use super::services::existing;
use super::{Shared, snapshot_of, stack_name};
use crate::api::answer::Refused;
use crate::api::backend::Backend;
use crate::api::logs::{LineId, Range, Selection, follow, read};
use crate::api::openapi::outputs::LogAnswer;
use crate::api::present;
use crate::api::request::{Parameters, Segments};
use crate::api::types::Time;
use crate::api::types::form::{FlagText, LineText, ServicesText, TimeText};
use crate::api::types::log::FollowedLine;
use crate::api::types::segments::{OfContainer, OfGrid, OfService, OfStack};

/// Kontena's own default.
const DEFAULT_LINES: u32 = 100;
/// What a terminal keeps; more would be read from all nodes at once.
const MAX_LINES: u32 = 10_000;
/// Kontena's command line waits for 60 s by itself.
const QUIET: Duration = Duration::from_secs(5);

/// Kontena's parameters, all of them texts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    /// The newest so many lines, or the first after `from`; 100 by itself. Lines of one container that share their
    /// time and with it their id come together: then there are a few more.
    #[schemars(range(max = 10_000))]
    limit: Option<u32>,
    /// Only lines that are not older: a moment in RFC 3339.
    #[schemars(with = "Option<TimeText>")]
    since: Option<String>,
    /// Go on with what is written later, until the client leaves: each line of the body is one JSON object then,
    /// blanks between them say that somebody is there.
    #[schemars(with = "Option<FlagText>")]
    follow: Option<String>,
    /// The id of the last line that was read.
    #[schemars(with = "Option<LineText>")]
    from: Option<String>,
    /// Only of instances of this number.
    instance: Option<u32>,
    /// Only of these nodes: names with commas between them.
    nodes: Option<String>,
    /// Only of these services: `SERVICE`, `STACK/SERVICE` or `GRID/STACK/SERVICE`, with commas between them.
    #[schemars(with = "Option<ServicesText>")]
    services: Option<String>,
    /// Only of these containers: names with commas between them.
    containers: Option<String>,
    /// *Ours*, `1` or `true`: lines that say whose log cannot be read, between the others of a followed log.
    #[schemars(with = "Option<FlagText>")]
    missing: Option<String>,
}

pub(super) async fn of_grid(
    State(backend): Shared,
    Segments(OfGrid { grid }): Segments<OfGrid>,
    Parameters(query): Parameters<Query>,
) -> Result<LogAnswer, Refused> {
    answer(&backend, &grid, Selection::default(), &query).await
}

pub(super) async fn of_stack(
    State(backend): Shared,
    Segments(OfStack { grid, stack }): Segments<OfStack>,
    Parameters(query): Parameters<Query>,
) -> Result<LogAnswer, Refused> {
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
    Segments(OfService {
        grid,
        stack,
        service,
    }): Segments<OfService>,
    Parameters(query): Parameters<Query>,
) -> Result<LogAnswer, Refused> {
    let key = existing(&backend, &grid, &stack, &service)?;
    let selection = Selection {
        stack: Some(key.stack.clone()),
        service: Some(key),
        ..Selection::default()
    };
    answer(&backend, &grid, selection, &query).await
}

pub(super) async fn of_container(
    State(backend): Shared,
    Segments(OfContainer { grid, node, name }): Segments<OfContainer>,
    Parameters(query): Parameters<Query>,
) -> Result<LogAnswer, Refused> {
    let snapshot = snapshot_of(&backend, &grid)?;
    let (id, _) = snapshot.node(&node)?;
    if !present::containers::is_known(&snapshot, id, &name) {
        return Err(Refused::not_found("container", &format!("{node}/{name}")));
    }
    let selection = Selection {
        container: Some((node, name)),
        ..Selection::default()
    };
    answer(&backend, &grid, selection, &query).await
}

async fn answer(
    backend: &Backend,
    grid: &str,
    selection: Selection,
    query: &Query,
) -> Result<LogAnswer, Refused> {
    let snapshot = snapshot_of(backend, grid)?;
    let selection = narrowed(selection, query)?;
    selection.check(&snapshot)?;
    let range = range(query)?;
    let with_missing = is_set("missing", query.missing.as_deref())?;
    if is_set("follow", query.follow.as_deref())? {
        let lines = follow(backend.logs.clone(), backend.view.clone(), selection, range);
        let lines = lines.filter(move |line| {
            let is_told = with_missing || !matches!(line, FollowedLine::Missing { .. });
            std::future::ready(is_told)
        });
        return Ok(LogAnswer(streamed(kept_alive(lines.map(|line| {
            let mut text = serde_json::to_vec(&line)?;
            text.push(b'\n');
            Ok::<_, serde_json::Error>(Bytes::from(text))
        })))));
    }
    let logs = read(backend.logs.as_ref(), &snapshot, &selection, &range).await;
    Ok(LogAnswer(Json(logs).into_response()))
}

/// A blank whenever nothing else was said for a while: clients take a silent connection for a dead one, and Kontena's
/// server did the same.
fn kept_alive<E>(
    chunks: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, E>> + Send + 'static {
    let chunks = Box::pin(chunks);
    stream::unfold(chunks, |mut chunks| async move {
        match timeout(QUIET, chunks.next()).await {
            Ok(chunk) => Some((chunk?, chunks)),
            Err(_) => Some((Ok(Bytes::from_static(b" ")), chunks)),
        }
    })
}

/// One JSON object and a line break per chunk: Kontena's command line reads chunks.
fn streamed(
    lines: impl Stream<Item = Result<Bytes, serde_json::Error>> + Send + 'static,
) -> Response {
    let mut response = Body::from_stream(lines).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn is_set(name: &str, flag: Option<&str>) -> Result<bool, Refused> {
    match flag {
        None | Some("" | "0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(other) => Err(Refused::invalid(format!("{name}: `{other}` is not 1 or 0"))),
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

/// Of the selection of a path, what the parameters leave.
fn narrowed(mut selection: Selection, query: &Query) -> Result<Selection, Refused> {
    let services = list(query.services.as_deref()).map(service);
    selection.services = services.collect::<Result<_, _>>()?;
    let names = |names: &Option<String>| list(names.as_deref()).map(str::to_owned).collect();
    selection.nodes = names(&query.nodes);
    selection.containers = names(&query.containers);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_quiet_log_hears_a_blank_now_and_then() {
        let line = Bytes::from_static(b"{}\n");
        let late = stream::once(async {
            tokio::time::sleep(QUIET * 2 + QUIET / 2).await;
            Ok::<_, ()>(Bytes::from_static(b"{}\n"))
        });
        let said: Vec<_> = kept_alive(late).collect().await;
        let blank = || Ok(Bytes::from_static(b" "));
        assert_eq!(said, [blank(), blank(), Ok(line)]);
    }
}
