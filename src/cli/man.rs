//! `man`: a manual page for each command, made of what its help says.

mod page;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};

use super::failure::Failure;
use super::output::Output;

/// Write the manual pages of all commands into a folder
#[derive(Args, Debug)]
#[command(after_help = "Example:
  kontena man /usr/local/share/man/man1

Then `man kontena` shows the first of them, and `man kontena-service-ls` that of `kontena service ls`.")]
pub(crate) struct Man {
    /// The folder; it is made where there is none
    #[arg(value_name = "DIRECTORY")]
    folder: PathBuf,
}

pub(crate) fn run(output: &Output, tree: &Command, asked: &Man) -> Result<(), Failure> {
    std::fs::create_dir_all(&asked.folder)
        .with_context(|| format!("failed to make `{}`", asked.folder.display()))?;
    let mut count = 0;
    for (name, text) in pages(tree) {
        write(&asked.folder, &name, &text)?;
        count += 1;
    }
    let folder = asked.folder.display();
    output.talk(&format!("wrote {count} manual pages to `{folder}`"));
    Ok(())
}

/// The name of each page, and its text.
fn pages(tree: &Command) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    add(tree, &[tree.get_name()], &mut pages);
    pages
}

fn add(command: &Command, words: &[&str], pages: &mut Vec<(String, String)>) {
    pages.push((words.join("-"), page::text(command, words)));
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    for sub in shown {
        let words: Vec<&str> = words.iter().copied().chain([sub.get_name()]).collect();
        add(sub, &words, pages);
    }
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;
    use crate::cli::{help_width, tree};

    #[test]
    fn every_command_that_is_shown_has_a_page() {
        let pages = pages(&tree(help_width(None)));
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["kontena", "kontena-node-ls", "kontena-stack-registry-push"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.contains(&"kontena-complete"), "{names:?}");
        for (name, text) in &pages {
            for section in [".SH NAME\n", ".SH SYNOPSIS\n", ".SH OPTIONS"] {
                assert!(text.contains(section), "{name}: {text}");
            }
        }
    }

    #[test]
    fn a_page_says_what_the_help_says() {
        let pages = pages(&tree(help_width(None)));
        let page = pages
            .iter()
            .find(|(name, _)| name == "kontena-service-abort");
        expect_file!["man/example.1"].assert_eq(&page.unwrap().1);
    }

    /// A line that begins with a dot or a quote would be an order to whoever shows the page.
    #[test]
    fn no_words_are_taken_for_orders() {
        let orders = ["TH", "SH", "TP", "PP", "EX", "EE", "B", "RS", "RE"];
        for (name, text) in pages(&tree(help_width(None))) {
            for line in text.lines().filter(|line| line.starts_with(['.', '\''])) {
                let order = line[1..].split(' ').next().unwrap();
                assert!(orders.contains(&order), "{name}: {line}");
            }
        }
    }
}
