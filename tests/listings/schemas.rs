//! What is answered and what is printed against what is promised: the API's document, and the schema of `--json`.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{Answers, Asked, LISTINGS};

const PUBLISHED: &str = include_str!("../../docs/listings.schema.json");

/// The document of the API, as the program prints it.
fn document() -> Value {
    let ran = Asked::of("empty").run("openapi", "0");
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn validator(schema: &Value) -> Validator {
    let options = jsonschema::options().should_validate_formats(true);
    options.build(schema).unwrap()
}

#[track_caller]
fn check(validator: &Validator, value: &Value, what: &str) {
    let problems = validator.iter_errors(value);
    let problems: Vec<String> = problems
        .map(|problem| format!("{}: {problem}", problem.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{what}: {problems:#?}\n{value:#}");
}

/// Whether `path` is one of the form `/v1/nodes/{grid}/{node}`. A key is all that follows.
fn is_of(path: &str, form: &str) -> bool {
    let forms: Vec<&str> = form.split('/').collect();
    let parts: Vec<&str> = match form.ends_with("/{key}") {
        true => path.splitn(forms.len(), '/').collect(),
        false => path.split('/').collect(),
    };
    let is_one = |(part, form): (&&str, &&str)| part == form || form.starts_with('{');
    parts.len() == forms.len() && parts.iter().zip(&forms).all(is_one)
}

fn schema_of(document: &Value, path: &str) -> Option<Value> {
    let paths = document["paths"].as_object().unwrap();
    let (_, item) = paths.iter().find(|(form, _)| is_of(path, form))?;
    let operation = item.get("get").or_else(|| item.get("post"))?;
    let answer = &operation["responses"]["200"]["content"]["application/json"]["schema"];
    Some(json!({"components": document["components"], "allOf": [answer]}))
}

#[test]
fn the_answers_are_those_that_the_document_of_the_api_allows() {
    let document = document();
    for name in ["full", "empty", "no_grid"] {
        let answers = Answers::read(name);
        // Those of a registry of stacks are not the API's.
        for (path, answer) in answers.all().filter(|(path, _)| path.starts_with("/v1/")) {
            let schema = schema_of(&document, path).unwrap();
            check(&validator(&schema), answer, path);
        }
    }
}

/// The words of a command line that the schema has something of: without the names that it is given.
fn name_of(published: &Value, line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    while published["$defs"].get(words.join("-")).is_none() {
        assert!(words.pop().is_some(), "`{line}` has no schema");
    }
    words.join("-")
}

#[test]
fn what_json_prints_is_what_its_schema_says() {
    let published: Value = serde_json::from_str(PUBLISHED).unwrap();
    let full = Asked::of("full");
    for (line, nothing) in LISTINGS {
        let mut schema = published.clone();
        schema["$ref"] = json!(format!("#/$defs/{}", name_of(&published, line)));
        let validator = validator(&schema);
        for asked in [&full, &Asked::of(nothing)] {
            let said = asked.data(&format!("{line} --json"), "0");
            let value = serde_json::from_str(&said).unwrap();
            check(&validator, &value, line);
        }
    }
}
