//! Registries that mean harm, or are none.

use std::io::Write;

use super::server::{Request, Server, respond};
use super::{kontena, program};

#[track_caller]
fn refused(
    answer: impl Fn(&Request, &mut dyn Write) + Send + Sync + 'static,
    line: &str,
    expected: &[&str],
) -> String {
    let (server, folder) = (Server::answering(answer), tempfile::tempdir().unwrap());
    kontena(&server, folder.path(), line).refused(expected)
}

#[test]
fn an_endless_answer_is_read_to_its_bound_and_no_further() {
    let endless = |_: &Request, out: &mut dyn Write| {
        let _ = write!(out, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        let piece = [b'a'; 65536];
        // Until whoever reads has had enough.
        while out.write_all(&piece).is_ok() {}
    };
    refused(
        endless,
        "stack registry pull a/b",
        &["longer than 4194304 bytes"],
    );
    refused(
        endless,
        "stack registry search",
        &["longer than 4194304 bytes"],
    );
}

#[test]
fn headers_without_end_are_refused() {
    let endless = |_: &Request, out: &mut dyn Write| {
        let _ = write!(out, "HTTP/1.1 200 OK\r\n");
        while write!(out, "X-More: {}\r\n", "a".repeat(1000)).is_ok() {}
    };
    refused(endless, "stack registry pull a/b", &["failed to read"]);
}

#[test]
fn what_is_no_answer_of_a_registry_is_told_as_such() {
    let said = |text: &'static str| move |_: &Request, out: &mut dyn Write| respond(out, 200, text);
    let search = "stack registry search";
    for text in [
        "",
        "<html>welcome</html>",
        "{}",
        "[1]",
        "{\"data\": 3}",
        "{\"data\": [3]}",
    ] {
        refused(
            said(text),
            search,
            &["is not that of a registry", "KONTENA_STACK_REGISTRY_URL"],
        );
    }
    let deep: &'static str = "[".repeat(100_000).leak();
    refused(said(deep), search, &["is not that of a registry"]);
    refused(said("services: ["), "stack validate a/b", &["a/b:1:"]);
    let closed = |_: &Request, _: &mut dyn Write| {};
    refused(closed, search, &["failed to read"]);
    let binary = |_: &Request, out: &mut dyn Write| {
        let _ = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe");
    };
    refused(binary, "stack registry pull a/b", &["not UTF-8"]);
}

#[test]
fn an_id_that_would_be_another_address_stays_an_id() {
    let (server, folder) = (
        Server::answering(|request, out| {
            let body = r#"{"data": {"id": "../organizations/victim?x=1", "type": "stacks", "attributes": {}}}"#;
            respond(out, if request.method == "GET" { 200 } else { 204 }, body);
        }),
        tempfile::tempdir().unwrap(),
    );
    kontena(&server, folder.path(), "stack registry rm -f a/b").done();
    let asked = server.asked();
    let last = &asked.last().unwrap().target;
    assert_eq!(last, "/v2/stacks/..%2Forganizations%2Fvictim%3Fx%3D1");
}

#[test]
fn an_error_is_told_short_and_gives_a_terminal_no_orders() {
    let angry = |_: &Request, out: &mut dyn Write| {
        respond(out, 500, &format!("\x1b[2J{}\nmore", "no ".repeat(10_000)));
    };
    let said = refused(
        angry,
        "stack registry search",
        &["answered 500", "no no no"],
    );
    assert!(said.len() < 1_000 && !said.contains('\x1b'), "{said}");
    let page = |_: &Request, out: &mut dyn Write| respond(out, 404, "<html>nothing here</html>");
    refused(page, "stack registry search", &["answered 404"]);
    refused(
        page,
        "stack registry pull a/b",
        &["the registry has no stack `a/b`"],
    );
    let forbidden = |_: &Request, out: &mut dyn Write| respond(out, 403, r#"{"error": "not you"}"#);
    refused(
        forbidden,
        "stack registry pull a/b",
        &["not you", "KONTENA_STACK_REGISTRY_TOKEN"],
    );
}

#[test]
fn nobody_is_followed_for_ever_and_a_change_is_sent_nowhere_else() {
    let round = |_: &Request, out: &mut dyn Write| {
        let _ = write!(
            out,
            "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    };
    refused(round, "stack registry pull a/b", &["more than 5 times"]);

    let (server, folder) = (Server::answering(round), tempfile::tempdir().unwrap());
    let at = folder.path();
    std::fs::write(at.join("kontena.yml"), super::file("a/b", "1")).unwrap();
    let pushed = kontena(&server, at, "stack registry push");
    pushed.refused(&["answered 302", "`/again`"]);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_token_does_not_follow_to_another_server() {
    let folder = tempfile::tempdir().unwrap();
    let other = Server::up();
    let place = format!("{}/v2/stacks", other.url());
    let server = Server::answering(move |_, out| {
        let _ = write!(
            out,
            "HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    });
    kontena(&server, folder.path(), "stack registry search").refused(&["nothing was found"]);
    assert!(server.asked()[0].header("authorization").is_some());
    assert_eq!(other.asked()[0].header("authorization"), None);
}

#[test]
fn a_token_on_an_open_way_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program(folder.path(), "stack registry search");
    command
        .env("KONTENA_STACK_REGISTRY_URL", "http://stacks.invalid")
        .env("KONTENA_STACK_REGISTRY_TOKEN", "x");
    let ran = super::Ran::new(&command.output().unwrap());
    ran.refused(&[
        "learns your token",
        "failed to read `http://stacks.invalid/v2/stacks`",
    ]);
}
