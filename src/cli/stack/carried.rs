//! From what Kontena's API is told to what this version carries out: the rest is refused, or told.

use kontena_core::manifest::compiled::{self, Compiled, FieldProblem};
use kontena_stackfile::{Problem, Stack};
use serde_json::{Value, json};

/// A stack as this version takes it, and what it leaves out.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) compiled: Compiled,
    pub(super) left_out: Vec<Problem>,
}

/// Fields of the stack that change nothing that runs.
const TOP: [&str; 3] = ["labels", "metadata", "variables"];

/// Fields of a service that change nothing that runs, or for which the image is there already.
const SERVICE: [&str; 2] = ["build", "external_links"];

const LEFT_OUT: &str = "is not kept yet, and is left out";

/// What `stack` is when it is installed.
///
/// # Errors
/// Everything that cannot be carried out yet, at the key that asks for it.
pub(super) fn carry(stack: &Stack) -> Result<Carried, Vec<Problem>> {
    let mut payload = stack.payload.to_json();
    let left_out = leave_out(&mut payload, stack);
    payload["description"] = json!(stack.description);
    match compiled::read(&payload) {
        Ok(compiled) => Ok(Carried { compiled, left_out }),
        Err(problems) => Err(problems
            .iter()
            .map(|problem| place(problem, stack))
            .collect()),
    }
}

fn leave_out(payload: &mut Value, stack: &Stack) -> Vec<Problem> {
    let mut left_out = Vec::new();
    for field in TOP {
        let taken = payload[field].take();
        if says_something(&taken) {
            left_out.push(stack.problem(field, LEFT_OUT));
        }
    }
    let services = payload["services"].as_array_mut().into_iter().flatten();
    for (index, service) in services.enumerate() {
        for field in SERVICE {
            if says_something(&service[field].take()) {
                left_out.push(stack.problem(&format!("services.{index}.{field}"), LEFT_OUT));
            }
        }
        if let Some(hooks) = service["hooks"].as_object_mut()
            && hooks.remove("pre_build").is_some()
        {
            left_out.push(stack.problem(&format!("services.{index}.hooks"), LEFT_OUT));
        }
    }
    left_out
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// `services[1].ports[0].ip` as `services.1.ports.0.ip`.
fn place(problem: &FieldProblem, stack: &Stack) -> Problem {
    let path = problem.path.replace('[', ".").replace(']', "");
    if problem.message.contains("not supported yet") {
        let hint = "remove it for now, or wait for a version that carries it out";
        return stack
            .problem(&path, "is not carried out yet")
            .with_hint(hint);
    }
    stack.problem(&path, &problem.message)
}
