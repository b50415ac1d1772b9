//! Stacks of a registry, by the program as a shell sees it. The registry is a small one that each test serves
//! itself on loopback, over HTTP or HTTPS; some of them mean harm.
#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

mod commands;
mod files;
mod harm;
mod server;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use self::server::Server;

/// How a command ended, and what it said.
struct Ran {
    code: i32,
    data: String,
    talk: String,
}

impl Ran {
    fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            code: output.status.code().unwrap(),
            data: text(&output.stdout),
            talk: text(&output.stderr),
        }
    }

    /// The data of a command that did what was asked.
    #[track_caller]
    fn done(self) -> String {
        assert_eq!(self.code, 0, "{}", self.talk);
        self.data
    }

    /// What a command said that was refused.
    #[track_caller]
    fn refused(self, expected: &[&str]) -> String {
        assert_eq!((self.code, &*self.data), (1, ""), "{}", self.talk);
        for expected in expected {
            assert!(self.talk.contains(expected), "{}", self.talk);
        }
        self.talk
    }
}

const TOKEN: &str = "s3cret";

/// The program in a folder, with a registry and a token.
fn kontena(server: &Server, folder: &Path, line: &str) -> Ran {
    let mut command = program(folder, line);
    command
        .env("KONTENA_STACK_REGISTRY_URL", server.url())
        .env("KONTENA_STACK_REGISTRY_TOKEN", TOKEN);
    Ran::new(&command.output().unwrap())
}

fn program(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontena"));
    command
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("KONTENA_SOCKET", "/nonexistent/kontena.sock")
        .stdin(Stdio::null());
    command
}

/// A stack file of one service.
fn file(stack: &str, version: &str) -> String {
    format!(
        "stack: {stack}\nversion: {version}\ndescription: keeps things\nservices:\n  web:\n    image: web:{version}\n"
    )
}
