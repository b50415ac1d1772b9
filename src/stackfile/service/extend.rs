//! A service that takes over another.
//!
//! Kontena takes the parent's *payload*, as the API gets it, as if it were what a file says. So what is
//! called otherwise there (`cmd`, `memory`, `strategy`, `deploy_opts`, `log_driver`, `net`) is lost, and
//! everything else stays. Variables, secrets and build arguments are merged; all else is replaced whole.

use super::environment::name;
use super::payload::Options;
use crate::value::Value;

/// `child` with everything that it does not say itself from its parent's payload.
pub(crate) fn extend(child: Options, parent: Value) -> Options {
    let mut options = Options::from_value(parent);
    let parent_environment = options.take("env");
    let parent_secrets = options.take("secrets");
    let parent_build = options.take("build");
    let mut child = child;
    let environment = child.take("environment");
    let secrets = child.take("secrets");
    let build = child.take("build");
    options.set(
        "environment",
        merged_environment(parent_environment, environment),
    );
    options.set("secrets", merged_secrets(parent_secrets, secrets));
    options.set("build", merged_build(parent_build, build));
    for (key, value) in child.into_entries() {
        options.set(&key, value);
    }
    options
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::List(items)) => items,
        _ => Vec::new(),
    }
}

/// The parent's variables where they stand, each with the child's value if it has one; then the rest
/// of the child's.
fn merged_environment(parent: Option<Value>, child: Option<Value>) -> Value {
    let mut merged: Vec<String> = Vec::new();
    for variable in list(parent).into_iter().chain(list(child)) {
        let variable = variable.to_string();
        match merged
            .iter_mut()
            .find(|known| name(known) == name(&variable))
        {
            Some(known) => *known = variable,
            None => merged.push(variable),
        }
    }
    Value::List(merged.into_iter().map(Value::Text).collect())
}

/// The child's secrets, and those of the parent that it does not use.
fn merged_secrets(parent: Option<Value>, child: Option<Value>) -> Value {
    let mut merged = list(child);
    for secret in list(parent) {
        let used = merged
            .iter()
            .any(|own| own.get("secret") == secret.get("secret"));
        if !used {
            merged.push(secret);
        }
    }
    Value::List(merged)
}

fn merged_build(parent: Option<Value>, child: Option<Value>) -> Value {
    let (Some(Value::Map(mut child)), Some(parent)) = (child.clone(), parent.clone()) else {
        return child.or(parent).unwrap_or(Value::Null);
    };
    let mut arguments = match parent.get("args") {
        Some(Value::Map(arguments)) => arguments.clone(),
        _ => Vec::new(),
    };
    let own = child
        .iter()
        .position(|(key, _)| key == "args")
        .map(|at| child.remove(at).1);
    if let Some(Value::Map(own)) = own {
        for (name, value) in own {
            match arguments.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => arguments.push((name, value)),
            }
        }
    }
    if !arguments.is_empty() {
        child.push(("args".to_owned(), Value::Map(arguments)));
    }
    Value::Map(child)
}
