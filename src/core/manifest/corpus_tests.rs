//! Public stack files by many authors, where they are at hand: none makes the reader panic, every
//! problem has its place, and what is accepted means what it meant to Kontena.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::compiled::{Compiled, write};
use super::tests::check_positions;
use super::*;

/// The collection beside the repository, if it is there.
fn corpus() -> Option<PathBuf> {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders
        .map(|folder| folder.join("shared/corpus"))
        .find(|corpus| corpus.join("files").is_dir())
}

#[test]
fn every_public_stack_file_is_read_or_refused_with_places() {
    let Some(corpus) = corpus() else {
        return skipped();
    };
    for (file, text) in texts(&corpus) {
        check_positions(&text);
        let parsed = parse(&source(&file, &text));
        let problems = parsed.map(|_| 0).unwrap_or_else(|p| p.list.len());
        assert!(problems <= 100, "{file}");
    }
}

#[test]
fn an_accepted_public_file_means_what_it_meant_to_kontena() {
    let Some(corpus) = corpus() else {
        return skipped();
    };
    let mut compared = 0;
    for (file, text) in texts(&corpus) {
        let golden = corpus.join("golden").join(format!("{file}.json"));
        let Ok(golden) = std::fs::read_to_string(golden) else {
            continue;
        };
        let Ok(parsed) = parse(&source(&file, &text)) else {
            continue;
        };
        let ours = write(&Compiled {
            name: parsed.stack.default_name.clone(),
            stack: parsed.stack,
            source: None,
        });
        compare(&file, &ours, &serde_json::from_str(&golden).unwrap());
        compared += 1;
    }
    assert!(compared > 0, "no file was comparable");
}

fn compare(file: &str, ours: &Value, theirs: &Value) {
    for key in ["name", "stack"] {
        assert_eq!(ours[key], theirs[key], "{file}: {key}");
    }
    let services = theirs["services"].as_array().unwrap();
    assert_eq!(ours["services"].as_array().unwrap().len(), services.len());
    for theirs in services {
        let mut all = ours["services"].as_array().unwrap().iter();
        let ours = all.find(|ours| ours["name"] == theirs["name"]).unwrap();
        for key in [
            "image",
            "stateful",
            "cmd",
            "env",
            "ports",
            "links",
            "volumes",
            "affinity",
            "instances",
            "stop_signal",
            "stop_grace_period",
        ] {
            let (ours, theirs) = (normal(&ours[key]), normal(&theirs[key]));
            assert_eq!(ours, theirs, "{file}: {key}");
        }
    }
}

/// Null, missing and empty are one; so are 80 and "80"; order of a list's items is kept.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), normal(value)));
            Value::Object(fields.collect())
        }
        Value::Number(number) => Value::String(number.to_string()),
        Value::Bool(false) => Value::Null,
        Value::Null | Value::Bool(true) | Value::String(_) => value.clone(),
    }
}

fn source<'a>(file: &'a str, text: &'a str) -> Source<'a> {
    Source {
        file,
        text,
        stack: None,
        grid: "validate",
    }
}

#[expect(clippy::disallowed_methods, reason = "a test reads its cases")]
fn texts(corpus: &Path) -> Vec<(String, String)> {
    let files = std::fs::read_dir(corpus.join("files")).unwrap();
    let mut texts: Vec<(String, String)> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read(&path).unwrap();
            (name, String::from_utf8_lossy(&text).into_owned())
        })
        .collect();
    texts.sort();
    texts
}

#[expect(clippy::print_stderr, reason = "says that nothing was tested")]
fn skipped() {
    eprintln!("skipped: no public stack files at hand");
}
