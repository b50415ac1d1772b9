//! The program as a shell sees it: exit codes, and which stream says what. No daemon runs.
#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

#[test]
fn used_in_the_wrong_way_it_ends_with_2_and_says_so_on_standard_error() {
    for line in [
        "",
        "servce ls",
        "service show Web",
        "service create --secret a:b:env web nginx",
        "service create --memory much web nginx",
        "service update web",
        "node update a",
        "join 10.0.0.1",
        "join 10.0.0.1:http --token t",
        "daemon --json",
        "daemon --log loud --listen nowhere",
        "node ls --url https://10.0.0.1",
        "stack show null",
        "stack rollback shop newest",
        "stack diff shop 1 kontena.yml",
    ] {
        let ran = kontena(line);
        assert_eq!(ran.status.code(), Some(2), "`{line}`: {ran:?}");
        assert!(ran.stdout.is_empty(), "`{line}`: {ran:?}");
        assert!(!ran.stderr.is_empty(), "`{line}`");
    }
}

#[test]
fn help_is_data() {
    for line in [
        "--help",
        "--version",
        "service create --help",
        "version --cli",
    ] {
        let ran = kontena(line);
        assert_eq!(ran.status.code(), Some(0), "`{line}`: {ran:?}");
        assert!(!ran.stdout.is_empty(), "`{line}`");
        assert!(ran.stderr.is_empty(), "`{line}`: {ran:?}");
    }
}

#[test]
fn without_a_daemon_it_ends_with_1_and_a_hint() {
    let ran = kontena("node ls");
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.stdout.is_empty());
    let said = String::from_utf8(ran.stderr).unwrap();
    let expected = "error: failed to connect to `/nonexistent/kontena.sock`";
    assert!(said.starts_with(expected), "{said}");
    assert!(said.contains("\nhint: is the daemon running?"), "{said}");
}

#[test]
fn whatever_a_daemon_cannot_use_is_told_at_once_and_before_anything_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (file, config) = (file.display(), folder.path().join("kontena.toml"));
    std::fs::write(&config, "").unwrap();
    let ran = kontena(&format!(
        "daemon --config {} --data-dir {file}/data --socket {file}/kontena.sock \
         --listen 203.0.113.9:1 --api-listen 203.0.113.9:2",
        config.display()
    ));
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    let said = String::from_utf8(ran.stderr).unwrap();
    let problems: Vec<&str> = said.lines().collect();
    assert_eq!(problems.len(), 4, "{said}");
    for (problem, what) in problems.iter().zip([
        &*format!("{file}/data"),
        "failed to listen on `203.0.113.9:1`: Cannot assign",
        &format!("{file}"),
        "failed to listen on `203.0.113.9:2` for the API: Cannot assign",
    ]) {
        assert!(problem.starts_with("error: "), "{said}");
        assert!(problem.contains(what), "`{what}` is not in `{problem}`");
        assert_eq!(problem.matches("os error").count(), 1, "{said}");
    }
}

#[test]
fn with_debug_it_tells_what_it_asks_and_no_token() {
    let ran = kontena("-D node ls --url http://127.0.0.1:1 --token 5ec2e7");
    assert_eq!(ran.status.code(), Some(1));
    assert!(ran.stdout.is_empty());
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("GET /v1/grids"), "{said}");
    assert!(said.contains("millis="), "{said}");
    assert!(!said.contains("5ec2e7"), "{said}");
}

#[test]
fn the_document_of_the_api_is_printed_without_a_daemon() {
    let ran = kontena("openapi");
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let document: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(document["paths"]["/v1/grids/{grid}"]["get"].is_object());
}

#[test]
fn its_own_version_is_told_whatever_is_wrong_with_the_node() {
    let own = concat!("cli: ", env!("CARGO_PKG_VERSION"), "\n");
    let ran = kontena("version");
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), own);
    let said = String::from_utf8(ran.stderr).unwrap();
    let expected = "warning: the node's version is not known: failed to connect to";
    assert!(said.starts_with(expected), "{said}");

    let json = kontena("version --json");
    assert_eq!(json.status.code(), Some(0), "{json:?}");
    let answer: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(answer["cli"], env!("CARGO_PKG_VERSION"));
    assert!(answer["node"].is_null(), "{answer}");

    let folder = tempfile::tempdir().unwrap();
    let contexts = folder.path().join("contexts.json");
    std::fs::write(&contexts, "{").unwrap();
    let mut broken = program("version");
    broken
        .env_remove("KONTENA_SOCKET")
        .env("KONTENA_CONFIG", contexts);
    let ran = broken.output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), own);
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("contexts.json` cannot be read"), "{said}");
}

#[test]
fn a_stack_file_is_checked_without_a_daemon_and_every_problem_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kontena.yml");
    let text = "stack: a/b\nservices:\n  web:\n    imag: x\n    instances: many\n";
    std::fs::write(&file, text).unwrap();
    let ran = kontena(&format!("stack validate {}", file.display()));
    assert_eq!(ran.status.code(), Some(1));
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("kontena.yml:4:5"), "{said}");
    assert!(said.contains("kontena.yml:5:16"), "{said}");
}

/// A stack file with a variable, a template, a dependency, and what is not carried out yet.
const WHOLE: &str = "\
stack: a/shop
variables:
  tag: {type: string, from: {prompt: Which version?}}
  secret: {type: string, from: {random_string: 8}, to: {vault: kept}}
  spare: {type: string, required: false}
depends:
  db: {stack: db.yml}
services:
  web:
    image: web:{{ tag }}
    # {% if spare %}
    instances: 3
    # {% endif %}
    environment: [DB=$db]
    hooks: {pre_stop: [{name: bye, cmd: 'true'}]}
    deploy: {interval: 1h}
";

fn whole_stack() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("kontena.yml", WHOLE);
    write(
        "db.yml",
        "stack: a/db\nvariables: {size: {type: integer}}\nservices: {db: {image: db}}\n",
    );
    write("values.yml", "tag: '1.0'\ndb: {size: 3}\n");
    folder
}

#[test]
fn a_stack_is_printed_as_the_api_is_told_of_it() {
    let folder = whole_stack();
    let line = "stack validate --format api-json --values-from values.yml --values-to out.yml -v tag=2.0 -v nobody=1";
    let ran = program(line).current_dir(folder.path()).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let payload: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(payload["services"][0]["image"], "web:2.0");
    assert_eq!(payload["services"][0]["env"][0], "DB=shop-db");
    assert_eq!(payload["dependencies"][0]["name"], "db");
    let said = String::from_utf8(ran.stderr).unwrap();
    for expected in [
        "`deploy.interval` of the service `web` is not carried out yet\n  --> kontena.yml:16:14",
        "the stack has no variable `nobody`",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let kept = std::fs::read_to_string(folder.path().join("out.yml")).unwrap();
    assert_eq!(kept, "db.size: 3\ntag: \"2.0\"\nspare: null\n");
}

#[test]
fn the_stacks_that_a_file_brings_along_are_printed_as_a_tree() {
    let folder = whole_stack();
    let line = "stack validate --dependency-tree --values-from values.yml";
    let ran = program(line).current_dir(folder.path()).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let tree = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(tree, "shop: a/shop\n  shop-db: a/db\n");
}

#[test]
fn a_variable_that_nobody_gives_is_asked_for_on_a_terminal_alone() {
    let folder = whole_stack();
    let ran = program("stack validate")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(ran.stdout.is_empty());
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("hint: give it with `-v tag=VALUE`"), "{said}");
}

/// What the machine's `docker` was asked for, line by line; a stand-in writes it down.
fn asked_of_docker(folder: &Path, line: &str) -> (Output, Vec<String>) {
    let docker = folder.join("docker");
    let notes = folder.join("notes");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}\necho layers\ncase \"$*\" in *broken*) exit 3;; *slow*) exec sleep 60;; esac\n",
        notes.display()
    );
    std::fs::write(&docker, script).unwrap();
    std::fs::set_permissions(&docker, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let mut program = program(line);
    let ran = program
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .unwrap();
    let notes = std::fs::read_to_string(notes).unwrap_or_default();
    (ran, notes.lines().map(str::to_owned).collect())
}

const BUILT: &str = "\
stack: a/shop
services:
  web:
    image: me/web:1
    build: {context: web, dockerfile: Dockerfile.web, args: {A: b}}
    hooks: {pre_build: [{name: prepare, cmd: echo prepared > ready}]}
  db: {image: db}
  worse: {image: me/broken, build: .}
  last: {image: me/slow, build: .}
";

#[test]
fn images_are_built_and_pushed_by_the_local_docker() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("kontena.yml"), BUILT).unwrap();
    let (ran, asked) = asked_of_docker(at, "stack build web");
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    let context = at.canonicalize().unwrap().join("web");
    let context = context.display();
    let build = format!(
        "build --tag=me/web:1 --pull --file={context}/Dockerfile.web --build-arg=A=b -- {context}"
    );
    assert_eq!(asked, [build.as_str(), "push -- me/web:1"]);
    assert_eq!(String::from_utf8(ran.stdout).unwrap(), "me/web:1\n");
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("layers"), "{said}");
    assert!(at.join("ready").exists(), "the hook came before");
}

#[test]
fn a_build_that_fails_or_takes_too_long_ends_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kontena.yml"), BUILT).unwrap();
    for (line, reason) in [
        (
            "stack build worse",
            "the build of `me/broken:latest` failed",
        ),
        ("stack build --timeout 1 last", "took longer than 1 s"),
        ("stack build db", "service `db` has no `build`"),
    ] {
        let (ran, _) = asked_of_docker(folder.path(), line);
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(said.contains(reason), "{said}");
        assert!(ran.stdout.is_empty());
    }
}

#[test]
fn a_compose_file_becomes_a_stack_file_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("docker-compose.yml");
    let text = "services:\n  web:\n    image: nginx\n    restart: always\n";
    std::fs::write(&file, text).unwrap();
    let convert = program("stack convert --name shop")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(convert.status.code(), Some(0), "{convert:?}");
    let expected = "stack: shop\nversion: \"0.0.1\"\nservices:\n  web:\n    image: nginx\n";
    assert_eq!(String::from_utf8(convert.stdout).unwrap(), expected);
    let said = String::from_utf8(convert.stderr).unwrap();
    assert!(said.contains("docker-compose.yml:4:5"), "{said}");

    let schema = kontena("stack schema");
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert_eq!(schema["title"], "Kontena stack file");
}

#[test]
fn a_reader_that_wants_no_more_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = program("completion bash").stdout(writer).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

fn kontena(line: &str) -> Output {
    program(line).output().unwrap()
}

fn program(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontena"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("KONTENA_SOCKET", "/nonexistent/kontena.sock")
        .stdin(Stdio::null());
    command
}

/// What a shell answers to a script, with the program in its path; `None`, with a message, where there is no such shell.
fn shell(name: &str, arguments: &[&str], script: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kontena"), folder.path().join("kontena"))
        .unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let ran = Command::new(name)
        .args(arguments)
        .arg(script)
        .env_clear()
        .env("PATH", path)
        .env("HOME", "/nonexistent")
        .env("KONTENA_SOCKET", "/nonexistent/kontena.sock")
        .output();
    let Ok(ran) = ran else {
        let skipped = format!("skipped: there is no {name} here\n");
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return None;
    };
    assert!(ran.status.success(), "{ran:?}");
    Some(String::from_utf8(ran.stdout).unwrap())
}

#[test]
fn a_real_bash_completes_commands_options_and_values() {
    for (typed, expected) in [
        ("service sh", "show\n"),
        ("stack label a", "add\n"),
        ("node update a --avail", "--availability\n"),
        ("node update a --availability d", "drain\n"),
        ("node show ", ""),
    ] {
        let words: Vec<String> = typed.split(' ').map(|word| format!("'{word}'")).collect();
        let script = format!(
            "source <(kontena completion bash); COMP_WORDS=(kontena {}); COMP_CWORD={}; _kontena; \
             ((${{#COMPREPLY[@]}})) && printf '%s\\n' \"${{COMPREPLY[@]}}\"; true",
            words.join(" "),
            words.len()
        );
        let said = shell("bash", &["--norc", "-c"], &script);
        assert_eq!(said.as_deref(), Some(expected), "{typed}");
    }
}

#[test]
fn a_real_zsh_completes_commands() {
    let script = "compdef() { : }; compadd() { print -l -- $found }; \
         source <(kontena completion zsh); words=(kontena service sh); CURRENT=3; _kontena";
    if let Some(said) = shell("zsh", &["-f", "-c"], script) {
        assert_eq!(said, "show\n");
    }
}
