//! `grid use`: the grid that is meant from now on, kept with the context as Kontena does.

use kontena_core::id::GridName;
use serde_json::json;

use super::check;
use crate::cli::contexts_file;
use crate::cli::failure::Failure;
use crate::cli::session::{Environment, Session};

/// Whichever grid was kept before does not count here.
pub(super) async fn choose(
    session: &Session,
    environment: Environment<'_>,
    name: &GridName,
    silent: bool,
) -> Result<(), Failure> {
    check(&session.any_grid().await?, name)?;
    let context = session.context();
    if let Some(context) = context {
        let mut contexts = contexts_file::read(environment)?;
        contexts.keep_grid(context, Some(name.as_str()));
        contexts_file::write(&contexts, environment)?;
    }
    if session.output.is_json() {
        return session
            .output
            .json(&json!({"grid": name, "context": context}));
    }
    if !silent {
        session.output.talk(&said(name, context));
    }
    Ok(())
}

fn said(name: &GridName, context: Option<&str>) -> String {
    match context {
        Some(context) => format!("`{name}` is the grid of the context `{context}` now"),
        None => format!("the grid at hand is `{name}`"),
    }
}
