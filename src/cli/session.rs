//! One command's way to a node: whom it asks, which grid is meant, and where answers go.

mod choice;

use kontena_core::id::GridName;
use serde::Serialize;

use super::contexts_file::{self, Contexts};
use super::failure::Failure;
use super::globals::Globals;
use super::output::Output;
use super::table::Table;
use super::text::printable;
use crate::api::client::{ApiError, Client};
use crate::api::paths;
use crate::api::target::{Named, Target, Targets};
use crate::api::types::Saved;
use crate::api::types::grid::Grids;

/// The value of an environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
    wanted_grid: Option<GridName>,
    /// The one that `grid use` chose, where no other is named.
    kept_grid: Option<String>,
    context: Option<String>,
    urls: String,
}

/// An object after a change, in `--json`.
#[derive(Serialize)]
struct Changed<'a, T> {
    #[serde(flatten)]
    object: T,
    saved_on: &'a [String],
}

/// The `--json` of changes of what was named.
#[derive(Serialize)]
#[serde(untagged)]
enum Changes<'a, T> {
    One(Changed<'a, &'a T>),
    Several(Vec<Changed<'a, &'a T>>),
}

impl Session {
    /// Of several nodes that may be asked, the first that answers is.
    pub(crate) async fn open(
        globals: &Globals,
        environment: Environment<'_>,
        output: Output,
    ) -> Result<Self, Failure> {
        let (flags, named) = (globals.named()?, Named::from_environment(environment));
        // A context that is not asked for must not be in the way, whatever its file looks like.
        let is_told = |named: &Named| named.socket.is_some() || named.url.is_some();
        let contexts = if is_told(&flags) || (flags.master.is_none() && is_told(&named)) {
            Contexts::default()
        } else {
            contexts_file::read(environment)?
        };
        let Targets { all, context } = Targets::resolve(&flags, &named, &contexts)?;
        let urls = all.iter().map(Target::url).collect::<Vec<_>>().join(",");
        let wanted_grid = wanted_grid(globals, environment)?;
        Ok(Self {
            kept_grid: context
                .as_deref()
                .and_then(|name| contexts.find(name)?.grid.clone())
                .filter(|_| wanted_grid.is_none()),
            client: choice::first_that_answers(all).await?,
            output,
            wanted_grid,
            context,
            urls,
        })
    }

    /// The context that names the node, if one does.
    pub(crate) fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// The addresses of all nodes that may be asked, with commas between them.
    pub(crate) fn urls(&self) -> &str {
        &self.urls
    }

    /// The grid of the asked node, if it is the one that is meant.
    pub(crate) async fn grid(&self) -> Result<GridName, Failure> {
        let name = self.any_grid().await?;
        self.check_grid(&name)?;
        Ok(name)
    }

    /// The grid of the asked node, whichever is meant.
    pub(crate) async fn any_grid(&self) -> Result<GridName, Failure> {
        let answer = self.grids().await?;
        let Some(grid) = answer.grids.into_iter().next() else {
            return Err(no_grid());
        };
        let name = grid.name.parse();
        name.map_err(|problem| Failure::failed(format!("the node's grid: {problem}")))
    }

    /// What the asked node answers of grids. Where that is old, people are told.
    pub(crate) async fn grids(&self) -> Result<Grids, Failure> {
        let answer: Grids = self.client.get(paths::GRIDS).await?;
        if let Some(warning) = &answer.warning {
            self.output.warn(&printable(warning));
        }
        Ok(answer)
    }

    fn check_grid(&self, at_hand: &GridName) -> Result<(), Failure> {
        let named = self.wanted_grid.as_ref().map(GridName::as_str);
        let is_other = |wanted: &&str| *wanted != at_hand.as_str();
        let other = |wanted| format!("the node belongs to grid `{at_hand}`, not `{wanted}`");
        if let Some(wanted) = named.filter(is_other) {
            return Err(Failure::failed(other(wanted))
                .hint("ask a node of that grid: `--url`, `--socket` or `kontena master use`"));
        }
        match self.kept_grid.as_deref().filter(is_other) {
            Some(wanted) => Err(Failure::failed(other(wanted)).hint(format!(
                "the context was left with that grid: `kontena grid use {at_hand}` goes on with this one"
            ))),
            None => Ok(()),
        }
    }

    /// The grid that `--grid` or the environment names.
    pub(crate) fn wanted_grid(&self) -> Option<&GridName> {
        self.wanted_grid.as_ref()
    }

    /// Prints a listing: a bare array, the names alone, or a table.
    pub(crate) fn print_list<J: Serialize>(
        &self,
        quiet: bool,
        json: &[J],
        names: impl Iterator<Item = String>,
        table: &Table,
    ) -> Result<(), Failure> {
        if self.output.is_json() {
            return self.output.json(json);
        }
        if quiet {
            let lines = names.map(|name| name + "\n").collect::<String>();
            return self.output.data(&lines);
        }
        self.output.data(&table.render(self.output.look()))
    }

    /// Prints one object: bare, or as `text`.
    pub(crate) fn print_object<J: Serialize>(
        &self,
        json: &J,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.output.is_json() {
            return self.output.json(json);
        }
        self.output.data(&text())
    }

    /// Tells that a change was made, and warns where only one disk has it.
    pub(crate) fn print_change<J: Serialize>(
        &self,
        said: &str,
        saved: &Saved,
        object: J,
    ) -> Result<(), Failure> {
        self.tell(said, saved);
        self.print_changed(saved, object)
    }

    /// As [`Self::print_change`], for people alone.
    pub(crate) fn tell(&self, said: &str, saved: &Saved) {
        self.output.talk(said);
        self.warn_of(saved);
    }

    /// One change for each name, until one fails. The `--json` is one document: an object for one
    /// name, an array for several, which holds what was done before the failure.
    pub(crate) async fn change_each<N, J: Serialize>(
        &self,
        names: &[N],
        change: impl AsyncFn(&N) -> Result<(Saved, J), Failure>,
    ) -> Result<(), Failure> {
        let mut made = Vec::new();
        let mut outcome = Ok(());
        for name in names {
            match change(name).await {
                Ok(one) => made.push(one),
                Err(failure) => {
                    outcome = Err(failure);
                    break;
                }
            }
        }
        self.print_changes(names.len(), &made)?;
        outcome
    }

    fn print_changes<J: Serialize>(
        &self,
        asked: usize,
        made: &[(Saved, J)],
    ) -> Result<(), Failure> {
        if !self.output.is_json() {
            return Ok(());
        }
        match changes_json(asked, made) {
            Some(json) => self.output.json(&json),
            None => Ok(()),
        }
    }

    /// The `--json` of a change, for people nothing.
    pub(crate) fn print_changed<J: Serialize>(
        &self,
        saved: &Saved,
        object: J,
    ) -> Result<(), Failure> {
        if !self.output.is_json() {
            return Ok(());
        }
        self.output.json(&Changed {
            object,
            saved_on: &saved.saved_on,
        })
    }

    pub(crate) fn warn_of(&self, saved: &Saved) {
        if saved.on_one_only() {
            self.output.warn("saved on this node only");
        }
        for image in &saved.unfrozen {
            let image = printable(image);
            self.output.warn(&format!(
                "nobody can say what `{image}` means now: each node runs what it finds under that name"
            ));
        }
    }
}

/// `None` where nothing was changed.
fn changes_json<J: Serialize>(asked: usize, made: &[(Saved, J)]) -> Option<Changes<'_, J>> {
    let mut changes = made.iter().map(|(saved, object)| Changed {
        object,
        saved_on: &saved.saved_on,
    });
    match (asked, made.len()) {
        (_, 0) => None,
        (1, _) => changes.next().map(Changes::One),
        (_, _) => Some(Changes::Several(changes.collect())),
    }
}

fn wanted_grid(
    globals: &Globals,
    environment: Environment<'_>,
) -> Result<Option<GridName>, Failure> {
    if globals.grid.is_some() {
        return Ok(globals.grid.clone());
    }
    let named = environment("KONTENA_GRID").filter(|name| !name.is_empty());
    named
        .map(|name| name.parse())
        .transpose()
        .map_err(|problem| Failure::usage(format!("KONTENA_GRID: {problem}")))
}

fn no_grid() -> Failure {
    Failure::failed("this node belongs to no grid yet").hint(
        "make it the first of a grid with `kontena init`, or join one with `kontena join ADDRESS --token TOKEN`",
    )
}

/// A failed request, with the name of what was asked for in front.
pub(crate) fn about(what: impl std::fmt::Display) -> impl FnOnce(ApiError) -> Failure {
    move |error| {
        let named = error.message.contains(&what.to_string());
        let message = if named {
            error.message
        } else {
            format!("{what}: {}", error.message)
        };
        let failure = Failure::failed(message);
        match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(name: &str) -> (Saved, serde_json::Value) {
        let saved = Saved {
            saved_on: vec!["a".to_owned()],
            has_others: true,
            unfrozen: Vec::new(),
        };
        (saved, json!({ "name": name }))
    }

    #[test]
    fn changes_of_several_names_are_one_json_document() {
        let text = |asked, made: &[_]| serde_json::to_value(changes_json(asked, made)).unwrap();
        let (web, db) = (change("web"), change("db"));
        let of = |name: &str| json!({"name": name, "saved_on": ["a"]});
        assert_eq!(text(1, std::slice::from_ref(&web)), of("web"));
        assert_eq!(text(2, &[web.clone(), db]), json!([of("web"), of("db")]));
        // The second one failed.
        assert_eq!(text(2, &[web]), json!([of("web")]));
        assert!(changes_json::<serde_json::Value>(2, &[]).is_none());
    }
}
