//! What every command says of itself, on terminals of several widths, held in files beside this one.

use expect_test::expect_file;

use super::super::{help_width, parse, tree};

/// The help of a command and of all below it, each under its words.
fn helps(command: &clap::Command, path: &[&str], width: usize, found: &mut Vec<(String, String)>) {
    let line = path.iter().chain(&["--help"]).map(Into::into);
    let help = parse(line, width).unwrap_err().to_string();
    found.push((path.join(" "), help));
    for sub in command.get_subcommands() {
        let path: Vec<&str> = path.iter().copied().chain([sub.get_name()]).collect();
        helps(sub, &path, width, found);
    }
}

/// What most commands end with, in the two forms of it, is written down with the first that have it alone.
const SHOWN_WITH: [&str; 2] = ["kontena node ls", "kontena service exec"];

fn common(path: &str, width: usize) -> String {
    let line = path.split(' ').chain(["--help"]).map(Into::into);
    let help = parse(line, width).unwrap_err().to_string();
    let begin = help.find("Options of every command:").unwrap();
    let end = help.find("Example:").unwrap();
    help[begin..end].to_owned()
}

fn text(helps: &[(String, String)], common: &[String]) -> String {
    let one = |(path, help): &(String, String)| {
        let cut = |help: String, part: &String| match SHOWN_WITH.contains(&path.as_str()) {
            true => help,
            false => help.replace(part, "Options of every command: …\n\n"),
        };
        let help = common.iter().fold(help.clone(), cut);
        format!("$ {path} --help\n{help}")
    };
    helps.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// The lines of a command's examples: somebody copies them.
fn examples(help: &str) -> impl Iterator<Item = &str> + Clone {
    let begins = help.lines().skip_while(|line| !line.starts_with("Example"));
    begins.skip(1).take_while(|line| !line.is_empty())
}

/// The first help, and that of each command of the first level with all below it.
fn groups(width: usize) -> Vec<(String, Vec<(String, String)>)> {
    let first = parse(["kontena", "--help"].map(Into::into), width).unwrap_err();
    let first = vec![("kontena".to_owned(), first.to_string())];
    let mut groups = vec![("kontena".to_owned(), first)];
    for sub in tree(width).get_subcommands() {
        let mut found = Vec::new();
        helps(sub, &["kontena", sub.get_name()], width, &mut found);
        groups.push((sub.get_name().to_owned(), found));
    }
    groups
}

#[test]
fn the_help_of_every_command_is_as_it_is_written_down() {
    for columns in [80, 200] {
        let width = help_width(Some(columns));
        let common = SHOWN_WITH.map(|path| common(path, width));
        for (name, helps) in groups(width) {
            expect_file![format!("help/{columns}/{name}.txt")].assert_eq(&text(&helps, &common));
        }
    }
}

#[test]
fn no_help_is_wider_than_its_terminal_and_all_of_it_has_an_example() {
    for columns in [80, 100] {
        for (name, helps) in groups(help_width(Some(columns))) {
            for (path, help) in helps {
                let wide = help.lines().find(|line| line.chars().count() > columns);
                assert_eq!(wide, None, "{path}");
                let mut examples = examples(&help);
                let is_folded = examples.clone().any(|line| !line.starts_with("  "));
                assert!(!is_folded, "{help}");
                assert!(examples.next().is_some() || name == "kontena", "{help}");
            }
        }
    }
}

#[test]
fn where_nobody_knows_how_wide_a_terminal_is_help_is_neither_endless_nor_one_word_a_line() {
    assert_eq!(help_width(None), 100);
    assert_eq!(help_width(Some(200)), 100);
    assert_eq!(help_width(Some(80)), 80);
    assert_eq!(help_width(Some(1)), 40);
}
