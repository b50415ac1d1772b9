//! The tree of commands as a whole.

mod help;

use clap::{CommandFactory, Parser};

use super::{Cli, Command, HELP};

#[test]
fn the_tree_of_commands_contradicts_itself_nowhere() {
    Cli::command().debug_assert();
}

/// clap fills in both from one of them, and contradicts nothing.
#[test]
fn no_argument_is_taken_for_an_option_of_every_command() {
    fn check(command: &clap::Command, globals: &[String]) {
        for argument in command.get_positionals() {
            let id = argument.get_id().to_string();
            assert!(!globals.contains(&id), "`{}`: {id}", command.get_name());
        }
        for sub in command.get_subcommands() {
            check(sub, globals);
        }
    }
    let tree = Cli::command();
    let globals = tree.get_arguments().filter(|each| each.is_global_set());
    let globals: Vec<String> = globals.map(|each| each.get_id().to_string()).collect();
    assert!(globals.contains(&"url".to_owned()));
    check(&tree, &globals);
}

#[test]
fn the_first_help_names_every_command_once_and_no_other() {
    let tree = Cli::command();
    let shown = tree.get_subcommands().filter(|sub| !sub.is_hide_set());
    let mut known: Vec<&str> = shown.map(clap::Command::get_name).collect();
    let rows = HELP.lines().filter_map(|line| line.strip_prefix("  "));
    let mut named: Vec<&str> = rows
        .filter_map(|row| row.split_whitespace().next())
        .collect();
    known.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, known);
}

#[test]
fn the_first_help_fits_one_screen() {
    let help = Cli::command().term_width(100).render_help().to_string();
    assert!(help.lines().count() <= 46, "{help}");
}

#[test]
fn every_command_has_an_example_in_its_help() {
    fn check(command: &clap::Command, path: &str) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            let example = sub
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                example.contains(&format!("Example:\n  {path}")) || sub.has_subcommands(),
                "`{path}`: {example:?}"
            );
            check(sub, &path);
        }
    }
    check(&Cli::command(), "kontena");
}

#[test]
fn every_argument_says_what_it_is() {
    fn check(command: &clap::Command) {
        for argument in command.get_arguments() {
            let name = command.get_name();
            assert!(argument.get_help().is_some(), "`{name}`: {argument}");
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}

#[test]
fn every_example_is_a_command_that_is_understood() {
    fn examples(command: &clap::Command, found: &mut Vec<String>) {
        for sub in command.get_subcommands() {
            let text = sub
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let lines = text.lines().map(str::trim);
            found.extend(
                lines
                    .filter(|line| line.starts_with("kontena "))
                    .map(str::to_owned),
            );
            examples(sub, found);
        }
    }
    let mut found = Vec::new();
    examples(&Cli::command(), &mut found);
    assert!(found.len() > 30, "{found:#?}");
    for example in found {
        let words = example.split_whitespace();
        let words = words.take_while(|word| ![">", "<"].contains(word));
        if let Err(problem) = Cli::try_parse_from(words) {
            panic!("`{example}`: {problem}");
        }
    }
}

#[test]
fn an_update_promises_no_defaults_for_what_it_leaves_as_it_is() {
    let help = Cli::try_parse_from(["kontena", "service", "update", "--help"]).unwrap_err();
    let help = help.to_string();
    assert!(!help.contains("[default:"), "{help}");
    assert!(help.contains("What is not given stays as it is."), "{help}");
}

#[test]
fn a_command_that_asks_no_node_has_no_options_for_that_in_its_help() {
    for name in ["daemon", "demo", "completion", "openapi", "man"] {
        let help = super::tree(100).try_get_matches_from(["kontena", name, "--help"]);
        let help = help.unwrap_err().to_string();
        for option in ["--url", "--token", "--master", "--grid", "--json"] {
            assert!(!help.contains(option), "{help}");
        }
    }
    let help = super::tree(100).try_get_matches_from(["kontena", "node", "ls", "--help"]);
    assert!(help.unwrap_err().to_string().contains("--url"));
}

#[test]
fn the_token_of_a_join_is_the_join_token() {
    let cli = Cli::try_parse_from(["kontena", "join", "10.0.0.1", "--token", "secret"]).unwrap();
    let Command::Join(_) = cli.command else {
        panic!("not a join: {:?}", cli.command);
    };
    let missing = Cli::try_parse_from(["kontena", "join", "10.0.0.1"]).unwrap_err();
    assert_eq!(
        missing.kind(),
        clap::error::ErrorKind::MissingRequiredArgument
    );
}

#[test]
fn options_of_every_command_stand_before_or_behind_it() {
    for line in [
        "kontena --json --grid demo node ls -q",
        "kontena node ls -q --grid demo --json",
    ] {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert!(cli.globals.json, "{line}");
        assert_eq!(cli.globals.grid.unwrap().as_str(), "demo", "{line}");
    }
}

#[test]
fn what_kontena_has_and_this_version_has_not_is_an_error_with_a_suggestion() {
    let refused = |line: &str| {
        Cli::try_parse_from(line.split(' '))
            .unwrap_err()
            .to_string()
    };
    assert!(refused("kontena service create --instance 2 web nginx").contains("'--instances'"));
    assert!(refused("kontena servce ls").contains("'service'"));
    assert!(
        refused("kontena service create --secret a:b:env web nginx")
            .contains("unexpected argument")
    );
    assert!(refused("kontena service show Web").contains("not a valid service name"));
}

/// The rows of `docs/kontena-commands.md`: a command's words, and what is said of it.
fn rows() -> impl Iterator<Item = (Vec<&'static str>, &'static str)> {
    let table = include_str!("../../docs/kontena-commands.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (command, rest) = row.split_once("` | ").expect("a row has three cells");
        let (state, _) = rest.split_once(" | ").expect("a row has three cells");
        // What follows in capitals or brackets is no part of the name; of two spellings the first counts.
        let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
        let mut words = Vec::new();
        let mut is_other = false;
        for word in command.split(' ').take_while(is_name) {
            if !is_other {
                words.push(word.trim_end_matches(','));
            }
            is_other = word.ends_with(',');
        }
        (words, state)
    })
}

#[test]
fn the_table_of_kontenas_commands_is_true() {
    let tree = Cli::command();
    let mut count = 0;
    for (words, state) in rows() {
        count += 1;
        let mut at = Some(&tree);
        for word in &words {
            at = at.and_then(|command| command.find_subcommand(word));
        }
        let is_here = at.is_some();
        let line: Vec<std::ffi::OsString> =
            ["kontena"].iter().chain(&words).map(Into::into).collect();
        let refused = super::parse(line.clone(), 100).err();
        let is_explained =
            refused.is_some_and(|error| super::elsewhere::explained(&line, &error).is_some());
        let expected = match state {
            "same" | "different" => (true, false),
            "no meaning" => (false, true),
            "not yet" => (false, false),
            other => panic!("{words:?}: {other}"),
        };
        assert_eq!(
            (is_here, is_explained),
            expected,
            "{words:?} is said to be: {state}"
        );
    }
    assert_eq!(count, 159);
}
