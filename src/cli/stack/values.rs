//! What the user gives to the variables of a stack: `-v`, `--values-from`, `--values-to`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use kontena_stackfile::{Stack, Value, yaml};

use super::super::failure::Failure;
use super::super::output::Output;

#[derive(Args, Debug)]
pub(super) struct Values {
    /// The value of a variable; of a dependency's variable DEPENDENCY.NAME=VALUE
    #[arg(short = 'v', long = "variable", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// A YAML file with values of variables
    #[arg(long, value_name = "FILE")]
    values_from: Vec<PathBuf>,
    /// Write the values that were taken to a file, but those that the vault keeps
    #[arg(long, value_name = "FILE")]
    values_to: Option<PathBuf>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let given = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = given.ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Values {
    /// By name; `-v` wins over files, a later file over an earlier one.
    pub(super) fn given(&self, output: &Output) -> Result<BTreeMap<String, Value>, Failure> {
        let mut given = BTreeMap::new();
        for path in &self.values_from {
            read_file(path, output, &mut given)?;
        }
        for (name, value) in &self.variables {
            given.insert(name.clone(), Value::Text(value.clone()));
        }
        Ok(given)
    }

    /// Writes what was taken, if that is asked for.
    pub(super) fn keep(&self, stack: &Stack) -> Result<(), Failure> {
        let Some(path) = &self.values_to else {
            return Ok(());
        };
        write(path, &yaml::print(&Value::Map(stack.answers.clone())))
    }
}

/// Writes a file that `--values-from` reads.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok(())
}

fn read_file(
    path: &Path,
    output: &Output,
    given: &mut BTreeMap<String, Value>,
) -> Result<(), Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read `{name}`"))?;
    match yaml::parse(&name, &text) {
        Ok(Value::Map(entries)) => {
            entries
                .into_iter()
                .for_each(|(key, value)| add(key, value, given));
            Ok(())
        }
        Ok(_) => Err(Failure::failed(format!(
            "`{name}` has to be a mapping of names to values"
        ))),
        Err(problems) => {
            output.talk(&problems.to_string());
            Err(Failure::Reported)
        }
    }
}

/// A mapping gives the values of a dependency.
fn add(name: String, value: Value, given: &mut BTreeMap<String, Value>) {
    let Value::Map(entries) = value else {
        given.insert(name, value);
        return;
    };
    for (inner, value) in entries {
        add(format!("{name}.{inner}"), value, given);
    }
}

/// Tells of values that no variable takes.
pub(super) fn warn_of_unknown(output: &Output, given: &BTreeMap<String, Value>, stack: &Stack) {
    for name in given.keys().filter(|name| !stack.variables.contains(*name)) {
        output.warn(&format!(
            "the stack has no variable `{name}`: its value is not used"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_a_name() {
        assert_eq!(
            variable("a.b=c=d"),
            Ok(("a.b".to_owned(), "c=d".to_owned()))
        );
        assert_eq!(variable("a="), Ok(("a".to_owned(), String::new())));
        assert!(variable("a").is_err());
        assert!(variable("=a").is_err());
    }

    #[test]
    fn a_mapping_in_a_file_of_values_is_that_of_a_dependency() {
        let mut given = BTreeMap::new();
        let inner = Value::Map(vec![("b".to_owned(), Value::Integer(1))]);
        add("a".to_owned(), inner, &mut given);
        assert_eq!(
            given,
            BTreeMap::from([("a.b".to_owned(), Value::Integer(1))])
        );
    }
}
