//! Each variable gets its value, in the order of the file.

use std::collections::BTreeMap;

use super::condition::holds;
use super::kind;
use super::source::{self, Context};
use super::{Declaration, Resolved, Variables};
use crate::problem::Report;
use crate::value::Value;
use crate::world::World;

/// What the user gave for the variables of one file, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// Taken as they are, and not asked for.
    pub(crate) values: BTreeMap<String, Value>,
    /// Answers of last time, which are offered again.
    pub(crate) previous: BTreeMap<String, Value>,
}

/// What each of `declarations` is. `known` has the built-in names already. What is wrong is reported,
/// and such a variable is null.
pub(crate) fn resolve(
    declarations: Vec<Declaration>,
    given: &Given,
    known: Variables,
    context: &Context,
    world: &mut dyn World,
    report: &mut Report,
) -> Variables {
    let mut resolution = Resolution {
        given,
        variables: known,
        context,
        world,
        report,
    };
    for declaration in declarations {
        resolution.resolve(declaration);
    }
    resolution.variables
}

struct Resolution<'a> {
    given: &'a Given,
    variables: Variables,
    context: &'a Context,
    world: &'a mut dyn World,
    report: &'a mut Report,
}

impl Resolution<'_> {
    fn resolve(&mut self, mut declaration: Declaration) {
        if let Some(previous) = self.given.previous.get(&declaration.name) {
            declaration.default = previous.clone();
        }
        let is_skipped = self.is_skipped(&declaration);
        let value = if is_skipped {
            Value::Null
        } else {
            let value = self
                .value(&declaration)
                .and_then(|value| self.checked(&declaration, value));
            value.unwrap_or(Value::Null)
        };
        if !is_skipped {
            self.set(&declaration, &value);
        }
        let touches_vault =
            |places: &[(String, Value)]| places.iter().any(|(name, _)| name == "vault");
        self.variables
            .values
            .insert(declaration.name.clone(), value.clone());
        self.variables.declared.push(Resolved {
            is_secret: touches_vault(&declaration.from) || touches_vault(&declaration.to),
            is_skipped,
            is_answer: is_answer(&declaration),
            name: declaration.name,
            value,
        });
    }

    fn is_skipped(&mut self, declaration: &Declaration) -> bool {
        let mut skipped = false;
        for (condition, when) in [(&declaration.only_if, false), (&declaration.skip_if, true)] {
            let Some(condition) = condition else { continue };
            match holds(condition, &self.variables.values) {
                Ok(holds) => skipped |= holds == when,
                Err(problem) => {
                    let message = format!("the variable `{}`: {problem}", declaration.name);
                    self.report.error(declaration.at, message);
                }
            }
        }
        skipped
    }

    /// The first value that there is; `None` where that is reported to be wrong.
    fn value(&mut self, declaration: &Declaration) -> Option<Value> {
        let name = &declaration.name;
        if let Some(value) = self.given.values.get(name) {
            return Some(value.clone());
        }
        if let Some(value) = &declaration.value {
            return Some(value.clone());
        }
        let own = ("env".to_owned(), Value::Null);
        for (source, hint) in declaration.from.iter().chain([&own]) {
            let value = source::value(
                source,
                hint,
                declaration,
                &self.variables,
                self.context,
                self.world,
            );
            match value {
                Ok(Value::Null) => {}
                Ok(value) => return Some(value),
                Err(problem) => {
                    let message = format!("the variable `{name}` from `{source}`: {problem}");
                    self.report.error(declaration.at, message);
                    return None;
                }
            }
        }
        Some(declaration.default.clone())
    }

    /// The value as one of its type, if it may be that.
    fn checked(&mut self, declaration: &Declaration, value: Value) -> Option<Value> {
        let Declaration {
            name,
            at,
            kind,
            options,
            ..
        } = declaration;
        let value = match kind::convert(*kind, options, value) {
            Ok(value) => value,
            Err(problem) => {
                self.report
                    .error(*at, format!("the variable `{name}` {problem}"));
                return None;
            }
        };
        if value.is_null() && declaration.required {
            let message = format!("the variable `{name}` is required, and has no value");
            let prefix = &self.context.prefix;
            let hint = format!("give it with `-v {prefix}{name}=VALUE`");
            self.report.error_with_hint(*at, message, hint);
            return None;
        }
        let faults = kind::faults(*kind, options, &value);
        for fault in &faults {
            self.report
                .error(*at, format!("the variable `{name}` {fault}"));
        }
        faults.is_empty().then_some(value)
    }

    fn set(&mut self, declaration: &Declaration, value: &Value) {
        for (target, hint) in &declaration.to {
            let name = match hint {
                Value::Null => declaration.name.clone(),
                hint => hint.to_string(),
            };
            match (target.as_str(), value) {
                ("vault", Value::Null) => {}
                ("vault", value) => {
                    self.variables.secrets.insert(name, value.to_string());
                }
                _ => {
                    self.variables.environment.insert(name, value.clone());
                }
            }
        }
    }
}

/// Whether a user, chance or the environment decides it.
fn is_answer(declaration: &Declaration) -> bool {
    let computed = |(name, _): &(String, Value)| {
        matches!(
            name.as_str(),
            "interpolate" | "evaluate" | "variable" | "condition" | "service_instances"
        )
    };
    declaration.value.is_none() && !declaration.from.iter().any(computed)
}
