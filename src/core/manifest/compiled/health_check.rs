//! How a service's containers are checked, in the words of Kontena's API; `cmd` is ours.

use serde_json::{Value, json};

use super::field::{Field, FieldProblem, Fields};
use crate::stack::{HealthCheck, WrittenHealthCheck};

const HEALTH_CHECK: Fields = Fields {
    known: &[&[
        "protocol",
        "port",
        "uri",
        "interval",
        "timeout",
        "initial_delay",
        "cmd",
    ]],
    not_yet: &[],
};

/// Nothing is asked where there is no protocol: Kontena's client sends all keys without a value.
#[expect(
    clippy::option_option,
    reason = "whether it is spoken of, and whether there is to be one"
)]
pub(super) fn read(
    body: &Field<'_>,
    problems: &mut Vec<FieldProblem>,
) -> Option<Option<HealthCheck>> {
    let before = problems.len();
    body.check_fields(&HEALTH_CHECK, problems)?;
    let text = |key: &str, problems: &mut Vec<FieldProblem>| body.get(key)?.text(problems);
    let Some(protocol) = text("protocol", problems).filter(|text| !text.is_empty()) else {
        return Some(None);
    };
    let seconds = |key: &str, problems: &mut Vec<FieldProblem>| {
        let field = body.get(key)?;
        field.number(0, HealthCheck::MAX_SECONDS, problems)
    };
    let port = body.get("port").and_then(|field| {
        let number = field.number(1, u32::from(u16::MAX), problems)?;
        u16::try_from(number).ok()
    });
    let written = WrittenHealthCheck {
        protocol,
        port,
        uri: text("uri", problems),
        cmd: text("cmd", problems),
        interval: seconds("interval", problems),
        timeout: seconds("timeout", problems),
        initial_delay: seconds("initial_delay", problems),
        ..WrittenHealthCheck::default()
    };
    match HealthCheck::try_from(written) {
        Ok(check) => Some(Some(check)),
        // What is wrong with one of its fields was told already.
        Err(_) if problems.len() > before => None,
        Err(problem) => {
            problems.push(body.problem(problem));
            None
        }
    }
}

pub(super) fn write(check: &Option<HealthCheck>) -> Value {
    match check {
        Some(check) => json!(check),
        None => json!({"protocol": ""}),
    }
}
