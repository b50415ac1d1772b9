//! What is asked on a terminal: the program under a pseudo terminal, as somebody sits before it.
#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

const ASKING: &str = "\
stack: a/shop
variables:
  name: {type: string, from: {prompt: Who is it?}}
  size: {type: integer, default: 3, from: {prompt: How many?}}
  secret: {type: string, echo: false, from: {prompt: Password?}}
  fast: {type: boolean, from: {prompt: Fast?}}
  zone: {type: enum, options: [eu, us], from: {prompt: Where?}}
services:
  web: {image: 'web:$name', environment: ['ALL=$size $secret $fast $zone']}
";

/// A program that somebody sits before.
struct Terminal {
    keys: File,
    screen: Receiver<Vec<u8>>,
    /// Everything that was shown, and what of it was waited for.
    shown: String,
    read: usize,
    child: Child,
}

impl Terminal {
    fn new(folder: &Path, line: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let name = name.to_str().unwrap();
        let line_of = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(name)
                .unwrap()
        };
        let child = Command::new(env!("CARGO_BIN_EXE_kontena"))
            .args(line.split_whitespace())
            .current_dir(folder)
            .env_clear()
            .env("HOME", folder)
            .env("KONTENA_STACK_REGISTRY_URL", "http://127.0.0.1:1")
            .env("KONTENA_STACK_REGISTRY_TOKEN", "x")
            .stdin(line_of())
            .stderr(line_of())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keys = File::from(master);
        let mut output = keys.try_clone().unwrap();
        let (send, screen) = channel();
        thread::spawn(move || {
            let mut piece = [0; 1024];
            // The line is hung up when the program has ended.
            while let Ok(length @ 1..) = output.read(&mut piece) {
                let _ = send.send(piece[..length].to_vec());
            }
        });
        Self {
            keys,
            screen,
            shown: String::new(),
            read: 0,
            child,
        }
    }

    /// Waits until it asks, and types.
    #[track_caller]
    fn answer(&mut self, question: &str, keys: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.shown[self.read..].contains(question) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(piece) => self.shown.push_str(&String::from_utf8_lossy(&piece)),
                Err(problem) => panic!("{problem} before `{question}` in {:?}", self.shown),
            }
        }
        self.read = self.shown.len();
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// How it ended, its data, and all that was on the screen.
    fn end(mut self) -> (Option<i32>, String, String) {
        let mut data = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut data).unwrap();
        let status = self.child.wait().unwrap();
        while let Ok(piece) = self.screen.recv_timeout(Duration::from_secs(20)) {
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
        (status.code(), data, self.shown)
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kontena.yml"), ASKING).unwrap();
    folder
}

#[test]
fn a_person_gives_every_kind_of_variable_and_a_secret_is_not_shown() {
    let folder = folder();
    let mut terminal = Terminal::new(folder.path(), "stack validate --format api-json");
    terminal.answer("Who is it?:", "me\n");
    terminal.answer("How many? [3]:", "\n");
    terminal.answer("Password?:", "pssst\n");
    terminal.answer("Fast? (y/n):", "y\n");
    terminal.answer("Where? (a number):", "2\n");
    let (code, data, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    let payload: serde_json::Value = serde_json::from_str(&data).unwrap();
    let service = &payload["services"][0];
    assert_eq!(service["image"], "web:me", "{payload}");
    assert_eq!(service["env"][0], "ALL=3 pssst true us", "{payload}");
    assert!(screen.contains("Who is it?: me"), "{screen}");
    assert!(screen.contains("  1  eu"), "{screen}");
    assert!(!screen.contains("pssst"), "{screen}");
}

#[test]
fn an_answer_that_does_not_fit_and_none_at_all_are_told_at_the_variable() {
    let folder = folder();
    let line = "stack validate -v name=x -v secret=x -v fast=true -v zone=eu";
    let mut terminal = Terminal::new(folder.path(), line);
    terminal.answer("How many? [3]:", "many\n");
    let (code, data, screen) = terminal.end();
    assert_eq!((code, &*data), (Some(1), ""), "{screen}");
    assert!(screen.contains("kontena.yml:4:3"), "{screen}");

    let line = "stack validate -v size=1 -v secret=x -v fast=true -v zone=eu";
    let mut terminal = Terminal::new(folder.path(), line);
    terminal.answer("Who is it?:", "\x04");
    let (code, _, screen) = terminal.end();
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("-v name=VALUE"), "{screen}");
}

#[test]
fn what_is_removed_for_good_is_typed_by_its_name() {
    let folder = folder();
    let line = "stack registry rm demo/store";
    let mut terminal = Terminal::new(folder.path(), line);
    terminal.answer("to confirm, type its name:", "demo/stor\n");
    let (code, _, screen) = terminal.end();
    assert_eq!(code, Some(1), "{screen}");
    assert!(
        screen.contains("was not typed: nothing was changed"),
        "{screen}"
    );

    let mut terminal = Terminal::new(folder.path(), line);
    terminal.answer("to confirm, type its name:", "demo/store\n");
    let (code, _, screen) = terminal.end();
    assert_eq!(code, Some(1), "{screen}");
    assert!(
        screen.contains("failed to read `http://127.0.0.1:1/"),
        "{screen}"
    );
}

#[test]
fn a_context_is_chosen_among_those_that_there_are() {
    let folder = folder();
    let file = folder.path().join(".kontena_client.json");
    let kept =
        r#"{"servers": [{"name": "home", "url": "http://a", "grid": "g"}, {"name": "work"}]}"#;
    std::fs::write(&file, kept).unwrap();
    let mut terminal = Terminal::new(folder.path(), "master use");
    terminal.answer("The known ones are `home`, `work`:", "home\n");
    let (code, _, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    let said = "`home` is the context now, and `g` its grid";
    assert!(screen.contains(said), "{screen}");
    let kept = std::fs::read_to_string(file).unwrap();
    assert!(kept.contains(r#""current_server": "home""#), "{kept}");

    let mut terminal = Terminal::new(folder.path(), "master use");
    terminal.answer("which context?", "\n");
    let (code, _, screen) = terminal.end();
    assert_eq!(code, Some(2), "{screen}");
}
