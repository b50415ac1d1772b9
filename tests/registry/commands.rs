//! `stack registry`: every command and every route.

use super::server::Server;
use super::{TOKEN, file, kontena, program};

#[test]
fn a_stack_is_pushed_found_shown_pulled_and_removed() {
    let (server, folder) = (Server::up(), tempfile::tempdir().unwrap());
    let at = folder.path();
    let run = |line: &str| kontena(&server, at, line);
    for version in ["1.0.0", "1.1.0", "2.0.0-rc.1"] {
        std::fs::write(at.join("kontena.yml"), file("demo/store", version)).unwrap();
        assert_eq!(run("stack registry push").done(), "");
    }
    let again = run("stack reg push");
    again.refused(&["409", "that version is there already"]);

    let table =
        "NAME        VERSION     PULLS  DESCRIPTION\ndemo/store  2.0.0-rc.1  7      keeps things\n";
    assert_eq!(run("stack registry search").done(), table);
    assert_eq!(run("stack registry search -q sto").done(), "demo/store\n");
    let stable = run("stack registry search --no-pre --json --tag store").done();
    let stable: serde_json::Value = serde_json::from_str(&stable).unwrap();
    assert_eq!(stable[0]["version"], "1.1.0", "{stable}");
    run("stack registry search nobody").refused(&["nothing was found"]);

    let shown = run("stack registry show demo/store").done();
    for expected in [
        "demo/store:\n  description: keeps things\n  latest_version: 2.0.0-rc.1\n",
        "  meta:\n    tags:\n      - store\n  versions:\n    - 1.0.0 (2017-02-01)\n",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }
    let versions = run("stack registry show -v demo/store").done();
    assert_eq!(versions, "1.0.0\n1.1.0\n2.0.0-rc.1\n");

    let newest = run("stack registry pull demo/store").done();
    assert_eq!(newest, file("demo/store", "2.0.0-rc.1"));
    run("stack registry pull -F old.yml --no-cache demo/store:1.0.0").done();
    let old = std::fs::read_to_string(at.join("old.yml")).unwrap();
    assert_eq!(old, file("demo/store", "1.0.0"));

    run("stack registry rm demo/store:1.1.0").refused(&["needs a confirmation", "--force"]);
    run("stack registry rm --force demo/store:1.1.0").done();
    let versions = run("stack registry show --versions demo/store").done();
    assert_eq!(versions, "1.0.0\n2.0.0-rc.1\n");
    run("stack registry rm -f demo/store:1.1.0").refused(&["no stack `demo/store:1.1.0`"]);
    run("stack registry rm -f demo/store").done();
    run("stack registry show demo/store").refused(&["no stack `demo/store`"]);
    run("stack registry pull demo/store").refused(&["no stack `demo/store`", "registry search"]);
}

#[test]
fn who_may_see_a_stack_is_said_when_it_is_created_and_later() {
    let (server, folder) = (Server::up(), tempfile::tempdir().unwrap());
    let run = |line: &str| kontena(&server, folder.path(), line);
    run("stack registry create --private demo/own").done();
    let seen = |line: &str| run(line).done();
    assert_eq!(seen("stack registry search -q"), "demo/own\n");
    run("stack registry search --no-private -q").refused(&["nothing was found"]);
    let shown = seen("stack registry show demo/own");
    assert!(shown.contains("  latest_version: -\n"), "{shown}");
    assert!(shown.contains("  private: true\n"), "{shown}");
    assert!(shown.ends_with("  versions: -\n"), "{shown}");
    run("stack registry make-public --force demo/own").done();
    assert_eq!(seen("stack registry search --no-private -q"), "demo/own\n");
    run("stack registry make-private --force demo/own").done();
    run("stack registry search --no-private -q").refused(&["nothing was found"]);
    let versioned = run("stack registry create demo/own:1.0");
    assert_eq!(versioned.code, 2, "{}", versioned.talk);
}

#[test]
fn a_registry_and_a_token_come_from_the_environment_alone() {
    let (server, folder) = (Server::up(), tempfile::tempdir().unwrap());
    let at = folder.path();
    std::fs::write(at.join("kontena.yml"), file("demo/store", "1.0.0")).unwrap();
    let ran = |command: &mut std::process::Command| super::Ran::new(&command.output().unwrap());
    let nowhere = ran(&mut program(at, "stack registry search"));
    nowhere.refused(&[
        "no registry of stacks is known",
        "KONTENA_STACK_REGISTRY_URL",
    ]);
    for url in [
        "stacks.example.com",
        "https:///",
        "https://a:b@stacks.example.com",
    ] {
        let mut wrong = program(at, "stack registry search");
        let said = ran(wrong.env("KONTENA_STACK_REGISTRY_URL", url));
        said.refused(&["is not the address of a registry"]);
    }
    let with = |line: &str, token: Option<(&str, &str)>| {
        let mut command = program(at, line);
        command.env("KONTENA_STACK_REGISTRY_URL", format!("{}/", server.url()));
        command.envs(token);
        ran(&mut command)
    };
    let nobody = with("stack registry push", None);
    nobody.refused(&["who has a token", "set `KONTENA_STACK_REGISTRY_TOKEN`"]);
    assert!(server.asked().is_empty(), "it was not even asked");
    let somebody = ("KONTENA_STACK_REGISTRY_TOKEN", "guessed");
    let wrong = with("stack registry push", Some(somebody));
    let said = wrong.refused(&["401", "who are you?", "KONTENA_STACK_REGISTRY_TOKEN"]);
    assert!(!said.contains("guessed"), "{said}");
    // As Kontena's own command line had it.
    with("stack registry push", Some(("KONTENA_CLOUD_TOKEN", TOKEN))).done();
    with("stack registry pull demo/store", None).done();
    let asked = server.asked();
    assert_eq!(asked.last().unwrap().header("authorization"), None);
    assert_eq!(
        asked.last().unwrap().header("accept"),
        Some("application/yaml")
    );
}

#[test]
fn only_what_others_can_use_is_pushed() {
    let (server, folder) = (Server::up(), tempfile::tempdir().unwrap());
    let at = folder.path();
    let text = "\
stack: alone
depends:
  db: {stack: db.yml}
  queue: {stack: demo/queue}
services:
  web:
    image: web
    extends: {file: common.yml, service: web}
";
    std::fs::write(at.join("kontena.yml"), text).unwrap();
    std::fs::write(at.join("db.yml"), file("demo/db", "1")).unwrap();
    std::fs::write(at.join("common.yml"), file("demo/common", "1")).unwrap();
    let said = kontena(&server, at, "stack registry push").refused(&[
        "it has no `version`",
        "kontena.yml:3:15",
        "`db.yml` is a file of this machine",
        "`common.yml` is a file of this machine",
    ]);
    assert!(!said.contains("demo/queue` is"), "{said}");
    kontena(&server, at, "stack registry push demo/absent").refused(&["there is no file"]);
    std::fs::write(at.join("kontena.yml"), file("demo/store", "1.0.0")).unwrap();
    kontena(&server, at, "stack registry push --dry-run").done();
    assert!(server.asked().is_empty(), "a dry run asks nobody");
}

#[test]
fn a_certificate_counts_if_this_machine_trusts_it() {
    let (server, folder) = (Server::up_with_tls(), tempfile::tempdir().unwrap());
    let at = folder.path();
    std::fs::write(at.join("kontena.yml"), file("demo/store", "1.0.0")).unwrap();
    let own = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/registry/tls/localhost.pem"
    );
    let ran = |line: &str, trusted: &str| {
        let mut command = program(at, line);
        command
            .env("KONTENA_STACK_REGISTRY_URL", server.url())
            .env("KONTENA_STACK_REGISTRY_TOKEN", TOKEN)
            .env("SSL_CERT_FILE", trusted);
        super::Ran::new(&command.output().unwrap())
    };
    ran("stack registry push", own).done();
    let pulled = ran("stack registry pull demo/store", own).done();
    assert_eq!(pulled, file("demo/store", "1.0.0"));
    let nobody = ran("stack registry pull demo/store", "/dev/null");
    nobody.refused(&["certificate", "SSL_CERT_FILE"]);
}
