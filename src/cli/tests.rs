//! The tree of commands as a whole.

use clap::{CommandFactory, Parser};

use super::{Cli, Command, HELP};

#[test]
fn the_tree_of_commands_contradicts_itself_nowhere() {
    Cli::command().debug_assert();
}

#[test]
fn the_first_help_names_every_command_once_and_no_other() {
    let tree = Cli::command();
    let mut known: Vec<&str> = tree
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
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
    assert!(help.lines().count() <= 45, "{help}");
    assert!(
        help.lines().all(|line| line.chars().count() <= 100),
        "{help}"
    );
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
        let words = example.split_whitespace().take_while(|word| *word != ">");
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
    for name in ["daemon", "demo", "completion"] {
        let help = super::tree().try_get_matches_from(["kontena", name, "--help"]);
        let help = help.unwrap_err().to_string();
        for option in ["--url", "--token", "--master", "--grid", "--json"] {
            assert!(!help.contains(option), "{help}");
        }
    }
    let help = super::tree().try_get_matches_from(["kontena", "node", "ls", "--help"]);
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
