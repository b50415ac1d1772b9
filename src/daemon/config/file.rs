//! The configuration file: TOML with the daemon's options as keys.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;
use toml::Value;

use super::settings::{KEYS, Settings};
use super::{ConfigFile, ConfigProblem};

/// Keys with their places. Order is by name, which is as good as any for reporting.
#[derive(Deserialize)]
#[serde(transparent)]
struct Table(BTreeMap<Spanned<String>, Spanned<Value>>);

pub(super) fn read(file: &ConfigFile, problems: &mut Vec<ConfigProblem>) -> Settings {
    let mut settings = Settings::default();
    let table: Table = match toml::from_str(&file.text) {
        Ok(table) => table,
        Err(problem) => {
            let at = problem.span().map_or(0, |span| span.start);
            problems.push(ConfigProblem {
                origin: origin(file, at),
                message: problem.message().to_owned(),
            });
            return settings;
        }
    };
    let mut entries: Vec<_> = table.0.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut seen = BTreeSet::new();
    for (key, value) in entries {
        let origin = origin(file, key.span().start);
        if !seen.insert(option(key.get_ref())) {
            let message = format!("`{}` is given twice", as_key(&option(key.get_ref())));
            problems.push(ConfigProblem { origin, message });
            continue;
        }
        set(
            &mut settings,
            key.get_ref(),
            value.get_ref(),
            &origin,
            problems,
        );
    }
    settings
}

fn set(
    settings: &mut Settings,
    key: &str,
    value: &Value,
    origin: &str,
    problems: &mut Vec<ConfigProblem>,
) {
    let name = option(key);
    let message = if !KEYS.contains(&name.as_str()) {
        format!(
            "`{key}` is not a known key: the keys are {}",
            KEYS.map(as_key).join(", ")
        )
    } else {
        match texts(value) {
            Some(values) => return settings.set(&name, &values, origin, problems),
            None => format!("`{key}` has to be a text or a list of texts"),
        }
    };
    problems.push(ConfigProblem {
        origin: origin.to_owned(),
        message,
    });
}

/// The option that a key stands for: both `data_dir` and `data-dir` are common in TOML.
fn option(key: &str) -> String {
    key.replace('_', "-")
}

/// As keys are documented and told.
fn as_key(option: &str) -> String {
    option.replace('-', "_")
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => {
            let items = items.iter().map(|item| item.as_str().map(str::to_owned));
            items.collect()
        }
        Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Table(_) => None,
    }
}

/// `FILE:LINE`.
fn origin(file: &ConfigFile, offset: usize) -> String {
    let before = file.text.as_bytes().iter().take(offset);
    let line = before.filter(|byte| **byte == b'\n').count() + 1;
    format!("{}:{line}", file.path)
}
