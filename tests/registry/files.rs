//! Stack files that name stacks of a registry or of the web.

use super::server::{Server, respond};
use super::{Ran, file, kontena, program};

/// A stack that depends on one of the registry and extends another.
const WHOLE: &str = "\
stack: demo/shop
version: 1.0.0
depends:
  db: {stack: 'demo/store:1.0.0', variables: {}}
services:
  web:
    extends: {stack: demo/store, service: web}
    environment: [DB=$db]
";

#[test]
fn stacks_of_a_registry_are_validated_extended_and_brought_along() {
    let (server, folder) = (Server::up(), tempfile::tempdir().unwrap());
    let at = folder.path();
    for version in ["1.0.0", "1.1.0"] {
        std::fs::write(at.join("kontena.yml"), file("demo/store", version)).unwrap();
        kontena(&server, at, "stack registry push").done();
    }
    let validated = |line: &str| -> serde_json::Value {
        let line = format!("stack validate --format api-json {line}");
        serde_json::from_str(&kontena(&server, at, &line).done()).unwrap()
    };
    let named = validated("demo/store:1.0.0");
    assert_eq!(named["services"][0]["image"], "web:1.0.0");
    assert_eq!(named["registry"], server.url());
    assert_eq!(validated("demo/store")["version"], "1.1.0");

    std::fs::write(at.join("kontena.yml"), WHOLE).unwrap();
    let before = server.asked().len();
    let whole = validated("");
    assert_eq!(whole["services"][0]["image"], "web:1.1.0", "{whole}");
    assert_eq!(
        whole["dependencies"][0]["stack"], "demo/store:1.0.0",
        "{whole}"
    );
    assert_eq!(whole["registry"], "file://");
    assert_eq!(server.asked().len() - before, 2, "each is asked for once");
    let tree = kontena(&server, at, "stack validate --dependency-tree").done();
    assert_eq!(tree, "shop: demo/shop\n  shop-db: demo/store\n");

    // What it needs is in the registry: so it can be there itself.
    kontena(&server, at, "stack registry push").done();
    std::fs::remove_file(at.join("kontena.yml")).unwrap();
    let tree = kontena(&server, at, "stack validate --dependency-tree demo/shop").done();
    assert_eq!(tree, "shop: demo/shop\n  shop-db: demo/store\n");
}

#[test]
fn a_stack_that_is_nowhere_is_told_at_its_place_with_what_to_do() {
    let (server, folder) = (Server::up(), tempfile::tempdir().unwrap());
    let at = folder.path();
    std::fs::write(at.join("kontena.yml"), WHOLE).unwrap();
    let ran = kontena(&server, at, "stack validate");
    ran.refused(&[
        "the registry has no stack `demo/store:1.0.0`",
        "kontena.yml:4:3",
    ]);
    let nobody = Ran::new(&program(at, "stack validate").output().unwrap());
    nobody.refused(&[
        "no registry of stacks is known",
        "set `KONTENA_STACK_REGISTRY_URL`",
    ]);
    let path = Ran::new(
        &program(at, "stack validate ../absent.yml")
            .output()
            .unwrap(),
    );
    path.refused(&["there is no such file", "name the stack file"]);
}

#[test]
fn a_file_of_this_machine_wins_over_a_stack_of_that_name() {
    let (server, folder) = (Server::up(), tempfile::tempdir().unwrap());
    let at = folder.path();
    std::fs::create_dir(at.join("demo")).unwrap();
    std::fs::write(at.join("demo/store"), file("demo/mine", "3.0.0")).unwrap();
    let ran = kontena(&server, at, "stack validate --format api-json demo/store").done();
    assert!(ran.contains("demo/mine"), "{ran}");
    assert!(server.asked().is_empty());
}

#[test]
fn a_file_of_the_web_is_read_without_the_token_and_reads_nothing_here() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let server = Server::answering(|request, out| {
        let text = match &*request.target {
            "/plain.yml?of=me" => file("demo/web", "1.0.0"),
            _ => "stack: a/b\nservices: {web: {image: x, env_file: secrets.env}}\n".to_owned(),
        };
        respond(out, 200, &text);
    });
    let url = server.url().to_owned();
    let run = |path: &str| kontena(&server, at, &format!("stack validate {url}/{path}"));
    assert!(run("plain.yml?of=me").done().contains("demo/web"));
    assert_eq!(server.asked()[0].header("authorization"), None);
    std::fs::write(at.join("secrets.env"), "PASSWORD=1\n").unwrap();
    run("nosy.yml").refused(&["a stack from elsewhere cannot read `secrets.env`"]);
    let other = kontena(&server, at, "stack validate ftp://127.0.0.1/kontena.yml");
    other.refused(&["is not read", "`https://`"]);
}
