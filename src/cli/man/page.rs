//! The manual page of one command, as `man` reads it (roff with the macros of man(7)). Pure.

use std::fmt::Write;

use clap::{Arg, Command};

use super::super::version::VERSION;

pub(super) fn text(command: &Command, words: &[&str]) -> String {
    let name = words.join("-");
    let mut page = Page::default();
    page.order(&format!(
        "TH {} 1 \"\" \"kontena {VERSION}\" \"Kontena\"",
        name.to_uppercase()
    ));
    page.section("NAME");
    page.line(&format!("{name} - {}", about(command)));
    page.section("SYNOPSIS");
    page.bold(&usage(command, words));
    if let Some(long) = command.get_long_about() {
        page.section("DESCRIPTION");
        let long = long.to_string();
        page.paragraphs(long.split_once('\n').map_or("", |(_, more)| more));
    }
    commands(&mut page, command, words);
    arguments(&mut page, command);
    ending(&mut page, command, words);
    page.0
}

fn about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string);
    about.unwrap_or_default()
}

/// Without the word `Usage`, and with the whole name.
fn usage(command: &Command, words: &[&str]) -> String {
    let usage = command.clone().render_usage().to_string();
    let rest = usage.split_once(' ').map_or("", |(_, line)| line);
    let after_name = rest.split_once(command.get_name());
    let arguments = after_name.map_or("", |(_, arguments)| arguments);
    format!("{}{arguments}", words.join(" "))
}

fn commands(page: &mut Page, command: &Command, words: &[&str]) {
    let mut shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let mut is_first = true;
    for sub in shown.by_ref() {
        if std::mem::take(&mut is_first) {
            page.section("COMMANDS");
        }
        let name = format!("{}-{}(1)", words.join("-"), sub.get_name());
        page.item(&name, &about(sub));
    }
}

/// Positional ones first, then each heading's.
fn arguments(page: &mut Page, command: &Command) {
    let shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .collect();
    let (positional, options): (Vec<&Arg>, Vec<&Arg>) = shown
        .into_iter()
        .partition(|argument| argument.is_positional());
    items(page, "ARGUMENTS", &positional);
    let mut headings: Vec<Option<&str>> = vec![None];
    for option in &options {
        if !headings.contains(&option.get_help_heading()) {
            headings.push(option.get_help_heading());
        }
    }
    for heading in headings {
        let of_it = options.iter().copied();
        let of_it: Vec<&Arg> = of_it
            .filter(|option| option.get_help_heading() == heading)
            .collect();
        items(page, &heading.unwrap_or("OPTIONS").to_uppercase(), &of_it);
    }
}

fn items(page: &mut Page, heading: &str, arguments: &[&Arg]) {
    if arguments.is_empty() {
        return;
    }
    page.section(heading);
    for argument in arguments {
        page.item(&signature(argument), &help(argument));
    }
}

/// `-q, --quiet`, `--from <NODE>`, `<NODE>`.
fn signature(argument: &Arg) -> String {
    let shown = argument.to_string();
    match argument.get_short() {
        Some(short) if shown.starts_with("--") => format!("-{short}, {shown}"),
        Some(_) | None => shown,
    }
}

fn help(argument: &Arg) -> String {
    let mut help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set() && argument.get_action().takes_values())
        .map(|value| value.get_name().to_owned())
        .collect();
    if !values.is_empty() {
        help += &format!(" [possible values: {}]", values.join(", "));
    }
    let defaults: Vec<_> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        help += &format!(" [default: {}]", defaults.join(" "));
    }
    help
}

/// Examples, what else is said there, and where it goes on.
fn ending(page: &mut Page, command: &Command, words: &[&str]) {
    let after = command.get_after_help().map(ToString::to_string);
    let after = after.unwrap_or_default();
    let (examples, more) = match after.strip_prefix("Example:\n") {
        Some(after) => after.split_once("\n\n").unwrap_or((after, "")),
        None => ("", after.as_str()),
    };
    if !more.is_empty() {
        page.section("NOTES");
        page.paragraphs(more);
    }
    if !examples.is_empty() {
        page.section("EXAMPLES");
        page.verbatim(examples);
    }
    if let Some((_, before @ [_, ..])) = words.split_last() {
        page.section("SEE ALSO");
        page.line(&format!("{}(1)", before.join("-")));
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn order(&mut self, order: &str) {
        writeln!(self.0, ".{order}").expect("writing to a text does not fail");
    }

    /// A line of words.
    fn line(&mut self, words: &str) {
        let words = escaped(words);
        writeln!(self.0, "{words}").expect("writing to a text does not fail");
    }

    fn section(&mut self, heading: &str) {
        self.order(&format!("SH {heading}"));
    }

    fn bold(&mut self, words: &str) {
        let words = escaped(words);
        writeln!(self.0, "\\fB{words}\\fR").expect("writing to a text does not fail");
    }

    /// What is explained, and the explanation below it.
    fn item(&mut self, what: &str, explanation: &str) {
        self.order("TP");
        self.bold(what);
        self.paragraphs(explanation);
    }

    fn paragraphs(&mut self, text: &str) {
        for (place, paragraph) in text.split('\n').filter(|line| !line.is_empty()).enumerate() {
            if place > 0 {
                self.order("PP");
            }
            self.line(paragraph);
        }
    }

    fn verbatim(&mut self, text: &str) {
        self.order("EX");
        text.lines().for_each(|line| self.line(line.trim_start()));
        self.order("EE");
    }
}

/// As it is shown: no word is an order, and what is typed can be copied.
fn escaped(words: &str) -> String {
    let words = words.replace('\\', "\\e").replace('-', "\\-");
    let words = words.replace('`', "\\(ga").replace('\'', "\\(aq");
    match words.starts_with('.') {
        true => format!("\\&{words}"),
        false => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_shown_as_they_are() {
        assert_eq!(escaped("a-b \\n"), "a\\-b \\en");
        assert_eq!(escaped(".SH"), "\\&.SH");
        assert_eq!(escaped("'x' `y`"), "\\(aqx\\(aq \\(gay\\(ga");
    }
}
