//! Contexts, as a shell sees them: several nodes of a grid, the grid that is kept, and Kontena's own file.
#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

#[path = "listings/answers.rs"]
#[allow(dead_code, reason = "it is shared with the listings")]
mod answers;
#[path = "listings/server.rs"]
mod server;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::answers::Answers;

/// A person's machine, with a file of contexts.
struct Machine {
    home: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join(".kontena_client.json")
    }

    fn kept(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.file()).unwrap()).unwrap()
    }

    fn run(&self, line: &str) -> Output {
        self.run_with(line, &[])
    }

    fn run_with(&self, line: &str, environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kontena"))
            .args(line.split_whitespace())
            .env_clear()
            .env("HOME", self.home.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn done(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.status.code(), Some(0), "`{line}`: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// What a command said that failed with this code.
    #[track_caller]
    fn refused(&self, line: &str, code: i32) -> String {
        let ran = self.run(line);
        assert_eq!(ran.status.code(), Some(code), "`{line}`: {ran:?}");
        assert!(ran.stdout.is_empty(), "`{line}`: {ran:?}");
        String::from_utf8(ran.stderr).unwrap()
    }
}

fn node() -> String {
    server::up(Answers::read("full"))
}

/// Where nobody listens.
const REFUSES: &str = "http://127.0.0.1:1";

#[test]
fn the_first_node_of_a_context_that_answers_is_asked() {
    let machine = Machine::new();
    let node = node();
    machine.done(&format!("master use home --url {REFUSES},{node} --token t"));
    assert_eq!(machine.done("grid ls -q"), "home\n");
    let asked = machine.done("whoami");
    assert!(asked.contains(&format!("asked: {node}\n")), "{asked}");

    // Nobody is told of those that do not answer, but where nobody does, or where it is asked for.
    let ran = machine.run("grid ls -q");
    assert!(ran.stderr.is_empty(), "{ran:?}");
    let ran = machine.run("grid ls -q --debug");
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains(REFUSES), "{said}");
    let said = machine.refused("grid ls --url http://127.0.0.1:1,http://127.0.0.1:2", 1);
    assert!(
        said.starts_with("error: none of 2 nodes answers:\n"),
        "{said}"
    );
    assert!(
        said.contains("127.0.0.1:1") && said.contains("127.0.0.1:2"),
        "{said}"
    );
    assert!(said.contains("\nhint: "), "{said}");
}

#[test]
fn a_node_that_says_nothing_is_not_waited_for_where_another_answers() {
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let hung = format!("http://{}", hung.local_addr().unwrap());
    let urls = format!("{hung},{}", node());
    let begun = Instant::now();
    let ran = Machine::new().run_with("grid ls -q", &[("KONTENA_URL", &urls)]);
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), "home\n");
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

/// A node that is there when the command begins, and gone with what `loses`; and how many changes it heard of.
fn node_that(loses: impl Fn(&str) -> bool + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let changes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&changes);
    let node = server::up_but(Answers::read("full"), move |asked| {
        let is_change = !asked.starts_with("GET ");
        counted.fetch_add(usize::from(is_change), Ordering::Relaxed);
        loses(asked)
    });
    (node, changes)
}

#[test]
fn a_node_that_is_lost_in_the_middle_of_a_command_that_reads_is_replaced_by_the_next() {
    let machine = Machine::new();
    let (gone, _) = node_that(|asked| !asked.starts_with("GET /v1/ping "));
    let urls = format!("{gone},{REFUSES},{}", node());
    let with = [("KONTENA_URL", urls.as_str())];
    let ran = machine.run_with("grid ls -q", &with);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "home\n", "{ran:?}");
    assert!(ran.stderr.is_empty(), "{ran:?}");
    let ran = machine.run_with("whoami", &with);
    let asked = String::from_utf8(ran.stdout).unwrap();
    assert!(asked.contains(&node_of(&urls)), "{asked}");
    // Several questions: the first two are answered, and the third is the next node's.
    let (later, _) = node_that(|asked| asked.contains("/nodes/"));
    let urls = format!("{later},{}", node());
    let ran = machine.run_with("network ls", &[("KONTENA_URL", &urls)]);
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
}

/// The last of several.
fn node_of(urls: &str) -> String {
    urls.rsplit(',').next().unwrap().to_owned()
}

#[test]
fn a_change_whose_answer_is_lost_is_told_so_and_not_made_by_another_node() {
    let machine = Machine::new();
    let (lost, heard) = node_that(|asked| !asked.starts_with("GET "));
    let (other, heard_by_other) = node_that(|_| false);
    for urls in [lost.clone(), format!("{lost},{other}")] {
        let ran = machine.run_with("service restart shop/web", &[("KONTENA_URL", &urls)]);
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(said.contains("the answer is lost"), "{said}");
        let hint = "\nhint: the change may have been made: look before repeating it\n";
        assert!(said.ends_with(hint), "{said}");
    }
    let heard = [heard, heard_by_other].map(|heard| heard.load(Ordering::Relaxed));
    assert_eq!(heard, [2, 0]);
}

#[test]
fn each_context_keeps_its_grid_and_another_one_is_told() {
    let machine = Machine::new();
    machine.done(&format!("master use one --url {} --token t", node()));
    machine.done(&format!("master use other --url {}", node()));
    let grids = |kept: &Value| {
        kept["servers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["grid"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(grids(&machine.kept()), ["home", "home"]);

    // As a file of Kontena's may say it.
    let mut kept = machine.kept();
    kept["servers"][1]["grid"] = json!("away");
    std::fs::write(machine.file(), kept.to_string()).unwrap();
    let said = machine.refused("node ls", 1);
    assert!(
        said.contains("belongs to grid `home`, not `away`"),
        "{said}"
    );
    assert!(said.contains("`kontena grid use home`"), "{said}");
    // Whoever names one means it.
    machine.done("node ls --grid home");
    machine.refused("grid use away", 1);
    machine.done("grid use home");
    machine.done("node ls");
    assert_eq!(grids(&machine.kept()), ["home", "home"]);
    assert_eq!(machine.kept()["servers"][0]["token"], "t");
}

#[test]
fn the_environment_goes_before_the_file() {
    let machine = Machine::new();
    machine.done(&format!("master use home --url {}", node()));
    let node = node();
    let asked = |line: &str, environment: &[(&str, &str)]| {
        let ran = machine.run_with(line, environment);
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    let (_, whom) = asked("whoami", &[("KONTENA_URL", &node)]);
    assert!(whom.contains(&node), "{whom}");
    let (code, _) = asked("node ls", &[("KONTENA_GRID", "away")]);
    assert_eq!(code, Some(1));
    let (code, variables) = asked(
        "grid env",
        &[("KONTENA_URL", &node), ("KONTENA_TOKEN", "s")],
    );
    assert_eq!(code, Some(0));
    let expected = format!("KONTENA_URL={node}\nKONTENA_GRID=home\nKONTENA_TOKEN=s\n");
    assert_eq!(variables, expected);
}

#[test]
fn without_a_name_and_a_terminal_the_known_contexts_are_told() {
    let machine = Machine::new();
    assert!(
        machine
            .refused("master use", 2)
            .contains("the known ones are none")
    );
    machine.done(&format!("master use home --url {}", node()));
    machine.done("master use --clear");
    for line in ["master use", "master rm"] {
        let said = machine.refused(line, 2);
        assert!(said.contains("the known ones are `home`"), "{said}");
    }
    assert!(machine.kept()["current_server"].is_null());
}
