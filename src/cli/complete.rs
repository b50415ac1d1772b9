//! `complete`: what may follow on a command line that is being typed; the scripts of `completion` ask.
//!
//! What the commands say of themselves is found in their tree; live names are asked of the node for a moment, and
//! where it does not answer there are none. It never fails: nobody sees an error while typing.

mod live;

use clap::{Arg, ArgAction, Args, Command};
use tokio::time::timeout;

use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use live::Kind;

/// What may follow on a command line, for the scripts of `kontena completion`
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  kontena complete -- service sh")]
pub(crate) struct Complete {
    /// The words after `kontena`, the last of which is being typed
    #[arg(last = true, value_name = "WORD", allow_hyphen_values = true)]
    words: Vec<String>,
}

pub(crate) async fn run(
    output: &Output,
    tree: &Command,
    session: impl AsyncFnOnce() -> Result<Session, Failure>,
    asked: Complete,
) -> Result<(), Failure> {
    let (typed, before) = match asked.words.split_last() {
        Some((typed, before)) => (typed.as_str(), before),
        None => ("", &[][..]),
    };
    let found = match following(tree, before, typed) {
        Following::Words(words) => words,
        Following::Live(kind) => match timeout(live::LIMIT, session()).await {
            Ok(Ok(session)) => live::names(&session, kind).await,
            Ok(Err(_)) | Err(_) => Vec::new(),
        },
    };
    let fitting = found.into_iter().filter(|word| word.starts_with(typed));
    let lines: String = fitting.map(|word| word + "\n").collect();
    output.data(&lines)
}

/// What a command line can go on with.
#[derive(Debug, PartialEq, Eq)]
enum Following {
    Words(Vec<String>),
    /// Names that the grid knows.
    Live(Kind),
}

/// Where a command line has got to.
struct At<'t> {
    command: &'t Command,
    /// From the first: names tell what a name is of.
    path: Vec<&'t str>,
    /// How many arguments without a name there were.
    positionals: usize,
    /// The option whose value comes next.
    option: Option<&'t Arg>,
    /// Whether `--` was said: options are over.
    is_over: bool,
}

fn following(tree: &Command, before: &[String], typed: &str) -> Following {
    let mut at = At {
        command: tree,
        path: Vec::new(),
        positionals: 0,
        option: None,
        is_over: false,
    };
    for word in before {
        at.pass(word);
    }
    at.following(typed)
}

impl<'t> At<'t> {
    fn pass(&mut self, word: &str) {
        if self.option.take().is_some() {
            return;
        }
        if self.is_over {
            self.positionals += 1;
        } else if word == "--" {
            self.is_over = true;
        } else if word.starts_with('-') && word.len() > 1 {
            self.option = self.option(word).filter(|_| !word.contains('='));
        } else if let Some(sub) = self.command.find_subcommand(word) {
            self.command = sub;
            self.path.push(sub.get_name());
            self.positionals = 0;
        } else {
            self.positionals += 1;
        }
    }

    /// An option that takes a value.
    fn option(&self, word: &str) -> Option<&'t Arg> {
        let takes = |arg: &&Arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let named = |arg: &&Arg| match word.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => word.chars().nth(1) == arg.get_short(),
        };
        self.command.get_arguments().filter(takes).find(named)
    }

    fn following(&self, typed: &str) -> Following {
        if let Some(option) = self.option {
            return self.values(option);
        }
        if typed.starts_with('-') && !self.is_over {
            return Following::Words(self.options());
        }
        if self.positionals == 0 && self.command.has_subcommands() {
            let subs = self.command.get_subcommands();
            let shown = subs.filter(|sub| !sub.is_hide_set());
            return Following::Words(shown.map(|sub| sub.get_name().to_owned()).collect());
        }
        let positionals: Vec<&Arg> = self.command.get_positionals().collect();
        let last = positionals.last().copied();
        let repeats = last.filter(|arg| matches!(arg.get_action(), ArgAction::Append));
        match positionals.get(self.positionals).copied().or(repeats) {
            Some(argument) => self.values(argument),
            None => Following::Words(Vec::new()),
        }
    }

    fn options(&self) -> Vec<String> {
        let shown = self
            .command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set());
        let long = shown.filter_map(Arg::get_long);
        long.map(|name| format!("--{name}")).collect()
    }

    fn values(&self, argument: &Arg) -> Following {
        let possible = argument.get_possible_values();
        if !possible.is_empty() {
            let names = possible.iter().map(|value| value.get_name().to_owned());
            return Following::Words(names.collect());
        }
        match self.kind(argument) {
            Some(kind) => Following::Live(kind),
            None => Following::Words(Vec::new()),
        }
    }

    /// What an argument names, by what it is called.
    fn kind(&self, argument: &Arg) -> Option<Kind> {
        let shown = argument.get_value_names().and_then(|names| names.first());
        match (shown.map(|name| name.as_str()), argument.get_id().as_str()) {
            (Some("NODE/CONTAINER"), _) => Some(Kind::Containers),
            (Some("[STACK/]SERVICE" | "[STACK/]TARGET"), _) => Some(Kind::Services),
            (Some("KEY"), _) if self.path.first() == Some(&"etcd") => Some(Kind::Keys),
            (Some("NODE"), _) | (_, "node" | "nodes") => Some(Kind::Nodes),
            (_, "stack") => Some(Kind::Stacks),
            (_, "volume")
                if matches!(self.path.last(), Some(&("backup" | "restore" | "discard"))) =>
            {
                Some(Kind::Copies)
            }
            (_, "volume" | "volumes") => Some(Kind::Volumes),
            (_, "name" | "names") if self.path.first() == Some(&"stack") => Some(Kind::Stacks),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn after(line: &str) -> Following {
        let mut tree = crate::cli::Cli::command();
        tree.build();
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let typed = words.pop().unwrap();
        following(&tree, &words, &typed)
    }

    fn words(line: &str) -> Vec<String> {
        match after(line) {
            Following::Words(words) => words,
            Following::Live(kind) => panic!("`{line}`: {kind:?}"),
        }
    }

    #[test]
    fn commands_follow_commands() {
        assert!(words("").contains(&"service".to_owned()));
        assert!(words("stack ").contains(&"install".to_owned()));
        assert!(words("--grid home stack label ").contains(&"add".to_owned()));
        assert!(!words("").contains(&"complete".to_owned()));
    }

    #[test]
    fn options_and_their_values_follow() {
        assert!(words("service logs -").contains(&"--follow".to_owned()));
        assert!(words("service logs --").contains(&"--json".to_owned()));
        assert_eq!(words("node update a --availability "), ["active", "drain"]);
        assert_eq!(words("completion "), ["bash", "zsh", "fish"]);
    }

    #[test]
    fn names_follow_where_they_are_meant() {
        for (line, kind) in [
            ("service show ", Kind::Services),
            ("service stop web ", Kind::Services),
            ("service exec -it ", Kind::Services),
            ("service exec --instance 2 ", Kind::Services),
            ("service run --env A=b ", Kind::Services),
            ("service run --node ", Kind::Nodes),
            ("service ls --stack ", Kind::Stacks),
            ("stack upgrade ", Kind::Stacks),
            ("stack rm a ", Kind::Stacks),
            ("node show ", Kind::Nodes),
            ("node drain a ", Kind::Nodes),
            ("grid logs --node ", Kind::Nodes),
            ("container exec ", Kind::Containers),
            ("etcd get ", Kind::Keys),
            ("volume show ", Kind::Volumes),
            ("volume rm a ", Kind::Volumes),
            ("volume backup --node a ", Kind::Copies),
            ("volume restore ", Kind::Copies),
            ("volume discard --node a ", Kind::Copies),
            ("etcd health ", Kind::Nodes),
        ] {
            assert_eq!(after(line), Following::Live(kind), "{line}");
        }
        assert_eq!(words("service scale web "), [""; 0]);
    }
}
