//! Before something is removed for good.

use std::io::IsTerminal;

use super::failure::Failure;
use super::output::Output;

/// Asks to type `name`, unless `force`. Where nobody can be asked it is refused.
pub(crate) fn confirm(output: &Output, what: &str, name: &str, force: bool) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::failed(format!(
            "to {what} `{name}` needs a confirmation, and there is no terminal to ask on"
        ))
        .hint("use `--force` to do it without being asked"));
    }
    let question = format!("{what} `{name}`? to confirm, type its name:");
    let answer = output
        .ask(&question)
        .map_err(|problem| Failure::failed(format!("failed to read the answer: {problem}")))?;
    if answer.as_deref() == Some(name) {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "`{name}` was not typed: nothing was changed"
    )))
}
