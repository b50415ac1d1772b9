//! Every command that prints a table, as a shell sees it: with nothing to list and with much, on terminals of several
//! widths, and as JSON. The program asks a stand-in for a node, whose answers are those that the API's document allows.
#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

mod answers;
mod schemas;
mod server;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use expect_test::expect_file;
use unicode_width::UnicodeWidthStr;

use self::answers::Answers;

/// The command lines, each with the answers that leave it without a row.
const LISTINGS: [(&str, &str); 22] = [
    ("container ls", "empty"),
    ("etcd ls", "empty"),
    ("external-registry ls", "empty"),
    ("grid ls", "no_grid"),
    ("grid trusted-subnet ls", "empty"),
    ("master ls", "empty"),
    ("network ls", "empty"),
    ("node label ls alpha", "empty"),
    ("node ls", "empty"),
    ("plan --drain beta", "empty"),
    ("service containers shop/web", "empty"),
    ("service deploys shop/web", "empty"),
    ("service env ls shop/web", "empty"),
    ("service ls", "empty"),
    ("service runs shop/web", "empty"),
    ("stack history shop", "empty"),
    ("stack label ls shop", "empty"),
    ("stack ls", "empty"),
    ("stack registry search", "empty"),
    ("token ls", "empty"),
    ("volume ls -l", "empty"),
    ("vpn ls", "empty"),
];

/// Wider than any of them.
const ENDLESS: &str = "100000";

/// The program, and a node that has these answers.
struct Asked {
    url: String,
    answers: Answers,
    contexts: String,
}

impl Asked {
    fn of(name: &str) -> Self {
        let answers = Answers::read(name);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/listings/answers");
        let contexts = match name {
            "full" => folder.join("contexts.json"),
            _ => folder.join("nowhere.json"),
        };
        Self {
            url: server::up(answers.clone()),
            answers,
            contexts: contexts.display().to_string(),
        }
    }

    fn run(&self, line: &str, columns: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kontena"))
            .args(line.split(' '))
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("KONTENA_URL", &self.url)
            .env("KONTENA_STACK_REGISTRY_URL", &self.url)
            .env("KONTENA_CONFIG", &self.contexts)
            .env("COLUMNS", columns)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// What it prints, and what it says about that.
    fn said(&self, line: &str, columns: &str) -> String {
        let ran = self.run(line, columns);
        let text = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        self.answers.timeless(&text.concat())
    }

    fn data(&self, line: &str, columns: &str) -> String {
        String::from_utf8(self.run(line, columns).stdout).unwrap()
    }
}

#[test]
fn every_listing_is_as_it_is_written_down() {
    let full = Asked::of("full");
    for (line, nothing) in LISTINGS {
        let empty = Asked::of(nothing);
        let mut text = format!("$ kontena {line}   # nothing to list\n");
        text += &empty.said(line, "80");
        for columns in ["80", "200"] {
            text += &format!("\n$ COLUMNS={columns} kontena {line}\n");
            text += &full.said(line, columns);
        }
        text += &format!("\n$ kontena {line} --json\n");
        text += &full.said(&format!("{line} --json"), "80");
        let name = line.replace([' ', '/'], "-");
        expect_file![format!("golden/{name}.txt")].assert_eq(&text);
    }
}

#[test]
fn a_table_fits_its_terminal() {
    let full = Asked::of("full");
    for (line, _) in LISTINGS {
        for columns in ["80", "120", "200"] {
            let data = full.data(line, columns);
            let limit: usize = columns.parse().unwrap();
            let wide = data.lines().find(|row| row.width() > limit);
            assert_eq!(wide, None, "`{line}` at {columns}");
        }
    }
}

#[test]
fn the_values_of_a_stack_are_written_to_a_file_or_printed_or_both() {
    let full = Asked::of("full");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yml");
    let file = file.to_str().unwrap();
    let printed = full.data("stack show shop --values", "80");
    assert!(!printed.is_empty() && printed != "{}\n", "{printed}");
    for (line, expected) in [
        (format!("stack show shop --values-to {file}"), ""),
        (
            format!("stack show shop --values --values-to {file}"),
            printed.as_str(),
        ),
    ] {
        assert_eq!(full.data(&line, "80"), expected);
        let written = std::fs::read_to_string(file).unwrap();
        assert_eq!(written, printed);
        std::fs::remove_file(file).unwrap();
    }
    let nowhere = full.run("stack show shop --values-to /nonexistent/values.yml", "80");
    let said = String::from_utf8(nowhere.stderr).unwrap();
    assert_eq!(nowhere.status.code(), Some(1), "{said}");
    assert!(
        said.contains("failed to write `/nonexistent/values.yml`"),
        "{said}"
    );
}

#[test]
fn no_address_is_broken_on_a_terminal_of_80_columns() {
    let full = Asked::of("full");
    let data = full.data("network ls", "80");
    for address in ["203.0.113.8:8472", "[2001:db8:0:17::2:1f]"] {
        assert!(data.contains(address), "{data}");
    }
}

#[test]
fn where_nobody_knows_the_width_nothing_is_cut() {
    let full = Asked::of("full");
    for (line, _) in LISTINGS {
        let unknown = full.data(line, "0");
        assert_eq!(unknown, full.data(line, ENDLESS), "`{line}`");
        assert!(!unknown.contains('…'), "{unknown}");
    }
}

#[test]
fn names_alone_are_whole_and_one_a_line() {
    let full = Asked::of("full");
    for (line, names) in [
        (
            "node ls -q",
            "alpha\nbeta\ncrew-quarters-of-the-second-cellar\ndelta\n",
        ),
        ("grid ls -q", "home\n"),
        ("stack ls -q", "analytics-and-reporting\nshop\nshop-cache\n"),
        (
            "master ls -q",
            "home\n事務所\nthe-office-of-the-northern-subsidiary\n",
        ),
        ("vpn ls -q", "contractor\nlaptop\n"),
        ("service deploys -q shop/web", "7\n6\n5\n"),
        ("stack history -q shop", "3~ab12\n2\n"),
        ("external-registry ls -q", "gcr.io\nquay.io\n"),
        ("grid trusted-subnet ls -q", "192.168.66.0/24\n"),
    ] {
        assert_eq!(full.data(line, "20"), names, "{line}");
    }
}

/// Their help is held in `src/cli/tests/help`: whatever is said there to list something is among ours.
#[test]
fn no_listing_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/tests/help/200");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let helps = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for help in helps.split("$ kontena ").skip(1) {
            let (command, help) = help.split_once(" --help\n").unwrap_or_default();
            let lists = help.starts_with("List ") || help.contains("--quiet  Print");
            // A group of commands.
            if !lists || help.contains("\nCommands:\n") {
                continue;
            }
            count += 1;
            let is_ours = LISTINGS.iter().any(|(line, _)| line.starts_with(command));
            assert!(is_ours, "`kontena {command}` is not among the listings");
        }
    }
    assert!(count > 15, "{count}");
}
