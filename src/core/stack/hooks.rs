//! What is run before and after a container starts, before it stops, and around a backup of its volumes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// In a revision the fields have the names of stack files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Each in a container of its own, before an instance's container is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_start: Vec<Hook>,
    /// In the instance's new container, once it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_start: Vec<Hook>,
    /// In the instance's container, before it is stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_stop: Vec<Hook>,
    /// In the instance's container, before a volume that it mounts is read for a backup: what it does not write to the
    /// disk by itself. *Ours*.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_backup: Vec<Hook>,
    /// In the instance's container, after a volume that it mounts was read, or could not be. *Ours*.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_backup: Vec<Hook>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// One command, run by `/bin/sh -c`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// For people; unique in its stage.
    pub name: String,
    #[serde(rename = "cmd")]
    pub command: String,
    /// The numbers of the instances that it is for; empty is all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub instances: BTreeSet<u32>,
    /// Once it has succeeded for an instance number, it is not run for that number again.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub oneshot: bool,
}

/// When a hook is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    PreStart,
    PostStart,
    PreStop,
    PreBackup,
    PostBackup,
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidHook {
    #[error("has more than {max} hooks", max = Hooks::MAX)]
    TooMany,
    #[error("a hook's name has from 1 to {max} bytes", max = Hook::MAX_NAME_BYTES)]
    Name,
    #[error("two hooks are called `{0}`")]
    NameTwice(String),
    #[error("the command of the hook `{0}` has from 1 to {max} bytes", max = Hook::MAX_COMMAND_BYTES)]
    Command(String),
    #[error("`{0}` is no instance number: expected one, several as `1,2`, or `*` for all")]
    Instances(String),
    #[error("the hook `{0}` is run for each backup: it cannot be `oneshot`")]
    OneBackup(String),
}

impl Stage {
    pub const ALL: [Self; 5] = [
        Self::PreStart,
        Self::PostStart,
        Self::PreStop,
        Self::PreBackup,
        Self::PostBackup,
    ];

    /// Whether each backup runs it, and no life of a container.
    fn is_of_a_backup(self) -> bool {
        match self {
            Self::PreStart | Self::PostStart | Self::PreStop => false,
            Self::PreBackup | Self::PostBackup => true,
        }
    }

    /// As stack files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreStart => "pre_start",
            Self::PostStart => "post_start",
            Self::PreStop => "pre_stop",
            Self::PreBackup => "pre_backup",
            Self::PostBackup => "post_backup",
        }
    }
}

impl Hook {
    pub const MAX_NAME_BYTES: usize = 100;
    /// Those before a stop travel with the container, as a label.
    pub const MAX_COMMAND_BYTES: usize = 4_096;
    /// More than anybody lists.
    const MAX_NUMBERS: usize = 1_000;

    /// Whether it is for the instance of that number.
    pub fn is_for(&self, number: u32) -> bool {
        self.instances.is_empty() || self.instances.contains(&number)
    }

    /// What it is remembered by when it has run for an instance once and for all.
    pub(crate) fn mark(&self, stage: Stage) -> String {
        format!("{}/{}", stage.as_str(), self.name)
    }

    /// `*`, a number, or several as `1,2`; nothing is all.
    ///
    /// # Errors
    /// What is none of these.
    pub fn numbers(text: &str) -> Result<BTreeSet<u32>, InvalidHook> {
        let text = text.trim();
        if text.is_empty() || text == "*" {
            return Ok(BTreeSet::new());
        }
        let number = |part: &str| part.trim().parse().ok().filter(|number| *number > 0);
        let numbers: Option<BTreeSet<u32>> = text.split(',').map(number).collect();
        numbers
            .filter(|numbers| numbers.len() <= Self::MAX_NUMBERS)
            .ok_or_else(|| InvalidHook::Instances(text.to_owned()))
    }

    /// As [`Hook::numbers`] reads it.
    pub fn numbers_text(&self) -> String {
        if self.instances.is_empty() {
            return "*".to_owned();
        }
        let numbers: Vec<String> = self.instances.iter().map(ToString::to_string).collect();
        numbers.join(",")
    }
}

impl Hooks {
    /// The most of one stage.
    pub const MAX: usize = 16;

    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub fn of(&self, stage: Stage) -> &[Hook] {
        match stage {
            Stage::PreStart => &self.pre_start,
            Stage::PostStart => &self.post_start,
            Stage::PreStop => &self.pre_stop,
            Stage::PreBackup => &self.pre_backup,
            Stage::PostBackup => &self.post_backup,
        }
    }

    /// Checks the hooks of one stage.
    ///
    /// # Errors
    /// The first that cannot be run, and its place.
    pub fn check(stage: Stage, hooks: &[Hook]) -> Result<(), (usize, InvalidHook)> {
        if hooks.len() > Self::MAX {
            return Err((Self::MAX, InvalidHook::TooMany));
        }
        let mut names = BTreeSet::new();
        for (index, hook) in hooks.iter().enumerate() {
            let (name, command) = (&hook.name, &hook.command);
            if !(1..=Hook::MAX_NAME_BYTES).contains(&name.len()) {
                return Err((index, InvalidHook::Name));
            }
            if !names.insert(name) {
                return Err((index, InvalidHook::NameTwice(name.clone())));
            }
            if !(1..=Hook::MAX_COMMAND_BYTES).contains(&command.len()) {
                return Err((index, InvalidHook::Command(name.clone())));
            }
            if hook.oneshot && stage.is_of_a_backup() {
                return Err((index, InvalidHook::OneBackup(name.clone())));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_for_all_instances_or_for_some() {
        for (text, numbers) in [("*", &[][..]), ("", &[]), ("2", &[2]), ("3, 1", &[1, 3])] {
            let read = Hook::numbers(text).unwrap();
            assert_eq!(read.into_iter().collect::<Vec<_>>(), numbers, "{text}");
        }
        for text in ["0", "a", "1,", "-1", "1 2"] {
            assert!(Hook::numbers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_run_is_found_out() {
        let hook = |name: &str, command: &str| Hook {
            name: name.to_owned(),
            command: command.to_owned(),
            instances: BTreeSet::new(),
            oneshot: false,
        };
        let check = |hooks: &[Hook]| Hooks::check(Stage::PreStart, hooks);
        assert_eq!(check(&[hook("a", "b"), hook("b", "b")]), Ok(()));
        for (hooks, place) in [
            (vec![hook("", "b")], 0),
            (vec![hook("a", "b"), hook("a", "b")], 1),
            (vec![hook("a", "")], 0),
            (vec![hook("a", &"x".repeat(5_000))], 0),
            (vec![hook("a", "b"); 17], 16),
        ] {
            assert_eq!(check(&hooks).map_err(|(at, _)| at), Err(place));
        }
        let once = Hook {
            oneshot: true,
            ..hook("a", "b")
        };
        assert_eq!(check(std::slice::from_ref(&once)), Ok(()));
        for stage in [Stage::PreBackup, Stage::PostBackup] {
            let refused = Hooks::check(stage, std::slice::from_ref(&once));
            assert_eq!(refused, Err((0, InvalidHook::OneBackup("a".to_owned()))));
        }
    }
}
