//! A service's hooks, in the words of Kontena's API.

use serde_json::{Map, Value, json};

use super::field::{Field, FieldProblem, Fields};
use crate::stack::{Hook, Hooks, Stage};

const STAGES: Fields = Fields {
    known: &[&[
        "pre_start",
        "post_start",
        "pre_stop",
        "pre_backup",
        "post_backup",
    ]],
    // What the client runs before it builds is no part of a service.
    not_yet: &["pre_build"],
};

const HOOK: Fields = Fields {
    known: &[&["name", "cmd", "instances", "oneshot"]],
    not_yet: &[],
};

/// All of them: a stage that is not spoken of has none.
pub(super) fn read(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<Hooks> {
    body.check_fields(&STAGES, problems)?;
    let mut stage = |stage: Stage| match body.get(stage.as_str()) {
        None => Vec::new(),
        Some(list) => read_stage(stage, &list, problems),
    };
    Some(Hooks {
        pre_start: stage(Stage::PreStart),
        post_start: stage(Stage::PostStart),
        pre_stop: stage(Stage::PreStop),
        pre_backup: stage(Stage::PreBackup),
        post_backup: stage(Stage::PostBackup),
        ..Hooks::default()
    })
}

fn read_stage(stage: Stage, list: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Vec<Hook> {
    let items = list.items(problems).unwrap_or_default();
    let hooks: Vec<Hook> = items
        .iter()
        .filter_map(|item| read_hook(item, problems))
        .collect();
    // Places are those of the list only where all of it could be read.
    if hooks.len() == items.len()
        && let Err((index, problem)) = Hooks::check(stage, &hooks)
    {
        problems.push(items.get(index).unwrap_or(list).problem(problem));
    }
    hooks
}

fn read_hook(item: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Option<Hook> {
    item.check_fields(&HOOK, problems)?;
    let mut text = |key: &str| item.required(key, problems)?.text(problems);
    let (name, command) = (text("name"), text("cmd"));
    let instances = match item.get("instances") {
        None => Some(Default::default()),
        Some(field) => field.parsed(Hook::numbers, problems),
    };
    let oneshot = match item.get("oneshot") {
        None => Some(false),
        Some(field) => field.boolean(problems),
    };
    Some(Hook {
        name: name?,
        command: command?,
        instances: instances?,
        oneshot: oneshot?,
    })
}

pub(super) fn write(hooks: &Hooks) -> Value {
    let mut stages = Map::new();
    for stage in Stage::ALL {
        let hooks = hooks.of(stage).iter();
        let hooks = hooks.map(|hook| {
            json!({
                "name": hook.name,
                "cmd": hook.command,
                "instances": hook.numbers_text(),
                "oneshot": hook.oneshot,
            })
        });
        stages.insert(stage.as_str().to_owned(), hooks.collect());
    }
    Value::Object(stages)
}
