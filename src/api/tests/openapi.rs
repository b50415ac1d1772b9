//! The document of the API against the routes and the answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::fixture::{Server, accepted, raw, view};
use super::moves::with_a_move;
use crate::api::openapi;
use crate::api::routes;

const PROXY: &str = "/v1/proxy/{grid}/{stack}/{service}/{port}";
const EXEC: &str = "/v1/containers/{grid}/{node}/{name}/exec";
const WEB_EXEC: &str = "/v1/containers/home/alpha/shop.web-1/exec";
const RUN: &str = "/v1/services/{grid}/{stack}/{service}/run";
const WEB_RUN: &str = "/v1/services/home/shop/web/run";
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

pub(super) fn document() -> Value {
    serde_json::from_slice(&openapi::text().unwrap()).unwrap()
}

/// Method and path of each operation.
pub(super) fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(METHODS.contains(&method.as_str()), "{path}: {method}");
            operations.push((method.clone(), path.clone(), operation.clone()));
        }
    }
    operations
}

/// Whatever stands between braces.
fn names_of(path: &str) -> BTreeSet<String> {
    let parts = path.split('/').filter_map(|part| part.strip_prefix('{'));
    parts
        .map(|part| part.trim_end_matches('}').to_owned())
        .collect()
}

#[test]
fn every_route_of_the_router_is_in_the_document() {
    let document = document();
    let documented: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    // The router has no other way to tell its paths.
    let router = format!("{:?}{:?}", routes::open(), routes::protected());
    let texts = router
        .split('"')
        .filter(|text| text.starts_with('/') && !text.contains("__private"));
    // The document has no word for all that follows.
    let routed: BTreeSet<String> = texts.map(|text| text.replace("{*", "{")).collect();
    assert!(routed.len() > 50, "{routed:#?}");
    let unknown: Vec<_> = routed.difference(&documented).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    let gone: Vec<_> = documented.difference(&routed).collect();
    assert!(gone.is_empty(), "{gone:#?}");
}

#[test]
fn every_operation_says_what_it_does_what_it_takes_and_how_it_fails() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{at}");
        assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{at}");
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{at}: `{id}` is another's too");
        let parameters = operation["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let named = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path");
        let named: BTreeSet<String> = named
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(named, names_of(&path), "{at}");
        for parameter in &parameters {
            assert!(parameter["description"].is_string(), "{at}: {parameter}");
        }
        let is_open = ["/", "/v1/ping", "/v1/openapi.json"].contains(&path.as_str());
        assert_eq!(operation["security"].is_array(), !is_open, "{at}");
        assert_eq!(operation["responses"]["401"].is_object(), !is_open, "{at}");
        let answers = operation["responses"].as_object().unwrap().keys();
        let is_success = |status: &&String| status.starts_with(['1', '2']);
        assert_eq!(answers.filter(is_success).count(), 1, "{at}");
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn follow(document: &Value, part: &Value) {
        if let Some(reference) = part["$ref"].as_str() {
            let place = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(place).is_some(), "{reference}");
        }
        match part {
            Value::Object(fields) => fields.values().for_each(|part| follow(document, part)),
            Value::Array(items) => items.iter().for_each(|part| follow(document, part)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    follow(&document, &document);
}

#[tokio::test]
async fn the_document_is_served_to_anybody() {
    let server = Server::reading(view()).await;
    let served: Value = server.client.get("/v1/openapi.json").await.unwrap();
    assert_eq!(served, document());
}

/// Schemas of which no more is said than what they name: a field that is answered and not described is a mistake.
fn strict(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    for schema in schemas.values_mut() {
        if schema["properties"].is_object() && schema.get("additionalProperties").is_none() {
            schema["unevaluatedProperties"] = json!(false);
        }
    }
}

/// What validates the answer of an operation.
fn validator(document: &Value, method: &str, path: &str, status: &str) -> jsonschema::Validator {
    let answer = &document["paths"][path][method]["responses"][status];
    let schema = &answer["content"]["application/json"]["schema"];
    assert!(!schema.is_null(), "{method} {path} has no answer {status}");
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": document["components"],
        "allOf": [schema],
    });
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

fn check(document: &Value, (method, path, status): (&str, &str, &str), answer: &Value) {
    let validator = validator(document, method, path, status);
    let problems: Vec<String> = validator
        .iter_errors(answer)
        .map(|problem| format!("{}: {problem}", problem.instance_path()))
        .collect();
    assert!(
        problems.is_empty(),
        "{method} {path}: {}\n{answer:#}",
        problems.join("\n")
    );
}

/// What the names of paths stand for.
pub(super) fn filled(path: &str) -> String {
    let names = BTreeMap::from([
        ("{grid}", "home"),
        ("{node}", "alpha"),
        ("{stack}", "shop"),
        ("{service}", "web"),
        ("{name}", "shop.web-1"),
        ("{deploy}", "7"),
        ("{volume}", "data"),
        ("{instance}", "1"),
        // The root of the key-value store.
        ("{key}", "/"),
    ]);
    let parts = path
        .split('/')
        .map(|part| names.get(part).copied().unwrap_or(part));
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn whatever_is_read_is_as_the_document_says_and_has_nothing_that_it_does_not_say() {
    let server = Server::reading(with_a_move()).await;
    let mut document = document();
    strict(&mut document);
    let mut read = 0;
    for (method, path, operation) in operations(&document) {
        let is_handed_over = operation["responses"]["101"].is_object();
        if method != "get" || is_handed_over {
            continue;
        }
        let answer: Value = server.client.get(&filled(&path)).await.unwrap();
        check(&document, ("get", &path, "200"), &answer);
        read += 1;
    }
    assert!(read > 25, "{read}");
}

#[tokio::test]
async fn what_a_change_answers_is_as_the_document_says() {
    let server = Server::start(view(), |_, _| accepted()).await;
    let mut document = document();
    strict(&mut document);
    let service = "/v1/services/{grid}/{stack}/{service}";
    let stack = "/v1/stacks/{grid}/{stack}";
    let mut answers = Vec::new();
    for (path, body) in [
        (format!("{service}/restart"), json!({})),
        (format!("{service}/scale"), json!({"instances": 2.0})),
        (format!("{stack}/restart"), json!({})),
        (
            "/v1/grids/{grid}/plan".to_owned(),
            json!({"kill": ["alpha"], "drain": ["beta"]}),
        ),
        (
            "/v1/containers/{grid}/{node}/{name}/exec".to_owned(),
            json!({"cmd": ["say", "a"]}),
        ),
        (format!("{service}/run"), json!({"cmd": ["say", "a"]})),
    ] {
        let answer: Value = server.client.post(&filled(&path), &body).await.unwrap();
        answers.push(("post", path, answer));
    }
    for (path, body) in [
        ("/v1/grids/{grid}".to_owned(), json!({})),
        ("/v1/nodes/{grid}/{node}".to_owned(), json!({})),
        (service.to_owned(), json!({})),
    ] {
        let answer: Value = server.client.put(&filled(&path), &body).await.unwrap();
        answers.push(("put", path, answer));
    }
    for (method, path, answer) in answers {
        check(&document, (method, &path, "200"), &answer);
    }
}

#[tokio::test]
async fn a_refusal_is_as_the_document_says() {
    let server = Server::reading(view()).await;
    let document = document();
    let refused = |method: &str, path: &str, body: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let schema = json!({
        "components": document["components"],
        "$ref": "#/components/schemas/ErrorBody",
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    for request in [
        ("GET", "/v1/grids/none", "/v1/grids/{grid}", ""),
        ("GET", "/v1/nothing", "", ""),
        ("PATCH", "/v1/grids/home", "", ""),
        ("POST", "/v1/init", "/v1/init", "{"),
        (
            "GET",
            "/v1/grids/home/nodes?limit=x",
            "/v1/grids/{grid}/nodes",
            "",
        ),
        ("GET", "/v1/proxy/home/shop/web/80", PROXY, ""),
        ("POST", WEB_EXEC, EXEC, "{}"),
        ("POST", WEB_EXEC, EXEC, r#"{"cmd": ["stopped"]}"#),
        ("POST", WEB_EXEC, EXEC, r#"{"cmd": ["broken"]}"#),
        ("POST", WEB_EXEC, EXEC, r#"{"cmd": ["busy"]}"#),
        ("POST", WEB_RUN, RUN, r#"{"node": "omega"}"#),
        ("POST", WEB_RUN, RUN, r#"{"node": "beta"}"#),
        ("GET", WEB_RUN, RUN, ""),
    ] {
        let (method, path, template, body) = request;
        let answer = raw(&server, refused(method, path, body).as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert!(validator.is_valid(&body), "{request:?}: {body}");
        // What is no path, or has no such method, is no operation of the document.
        if !template.is_empty() {
            let status = head.split(' ').nth(1).unwrap();
            let responses = &document["paths"][template][method.to_lowercase()]["responses"];
            assert!(responses[status].is_object(), "{request:?}: {status}");
        }
    }
}

#[test]
fn whatever_a_node_may_be_too_busy_for_says_so() {
    let document = document();
    for (method, path) in [
        ("get", PROXY),
        ("get", EXEC),
        ("post", EXEC),
        ("get", RUN),
        ("post", RUN),
        ("post", "/v1/grids/{grid}/plan"),
        ("get", "/v1/why/{stack}/{service}"),
    ] {
        let responses = &document["paths"][path][method]["responses"];
        assert!(responses["503"].is_object(), "{method} {path}");
    }
}
