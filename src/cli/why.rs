//! `why`: the placement of a service, explained by the node that is asked.

use clap::Args;
use kontena_core::id::ServiceKey;
use kontena_core::placement::Explanation;

use super::failure::Failure;
use super::session::Session;
use super::text::printable;
use crate::api::paths;

/// Explain where a service runs: who was eligible, who not, and why
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena why shop/web --instance 2")]
pub(crate) struct Why {
    /// A service, as `web` or `shop/web`
    #[arg(value_name = "[STACK/]SERVICE")]
    name: ServiceKey,
    /// Only this instance
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    instance: Option<u32>,
}

pub(crate) async fn run(session: &Session, asked: Why) -> Result<(), Failure> {
    session.grid().await?;
    let mut path = paths::why(&asked.name);
    if let Some(number) = asked.instance {
        path.push_str(&format!("?instance={number}"));
    }
    let explanation: Explanation = session.client.get(&path).await?;
    session.print_object(&explanation, || text(&explanation))
}

/// A node's own words are among it, so nothing in it may move the terminal.
pub(super) fn text(explanation: &Explanation) -> String {
    let text = explanation.to_string();
    let lines = text.lines().map(|line| format!("{}\n", printable(line)));
    lines.collect()
}
