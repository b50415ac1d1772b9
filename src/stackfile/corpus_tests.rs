//! Public stack files by many authors, where they are at hand: each means what it meant to Kontena's
//! own client, or is refused as there.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "the collection is on the disk, and a test that is skipped says so"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::{Findings, Location, ReadProblem, Request, Stack, Value, World, read, yaml};

/// What stands in the goldens for the folder of the collection.
const ROOT: &str = "@ROOT@";

/// The collection beside the repository, if it is there.
fn corpus() -> Option<PathBuf> {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders
        .map(|folder| folder.join("shared/corpus"))
        .find(|corpus| corpus.join("golden").is_dir())
}

/// The files of the collection, each in the folder of its repository.
struct Repositories {
    /// The path below `@ROOT@`, to where the file is.
    files: BTreeMap<PathBuf, PathBuf>,
    /// A text that stands in the place of a file.
    converted: Option<(PathBuf, String)>,
}

impl World for Repositories {
    fn read(&mut self, location: &Location) -> Result<String, ReadProblem> {
        let Location::File(path) = location else {
            return Err(ReadProblem::Failed("there is no registry".to_owned()));
        };
        if let Some((place, text)) = &self.converted
            && place == path
        {
            return Ok(text.clone());
        }
        let path = path.strip_prefix("/").unwrap_or(path);
        let file = self.files.get(path).ok_or(ReadProblem::Missing)?;
        std::fs::read(file)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|problem| ReadProblem::Failed(problem.to_string()))
    }

    fn random(&mut self, _: u64) -> u64 {
        0
    }
}

struct Entry {
    local: String,
    path: PathBuf,
}

impl Entry {
    fn shown(&self) -> String {
        format!("/{}", self.path.display())
    }
}

fn entries(corpus: &Path) -> (Vec<Entry>, Repositories) {
    let manifest = std::fs::read_to_string(corpus.join("manifest.json")).unwrap();
    let manifest: Json = serde_json::from_str(&manifest).unwrap();
    let mut files = BTreeMap::new();
    let mut entries = Vec::new();
    for entry in manifest.as_array().unwrap() {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        let folder = format!("{ROOT}/files/{}", text("repo").replace('/', "__"));
        let mut add = |path: &str, local: &str| {
            let place = PathBuf::from(&folder).join(path);
            files.insert(place.clone(), corpus.join("files").join(local));
            place
        };
        for support in entry["support"].as_array().unwrap() {
            let text = |key: &str| support[key].as_str().unwrap_or_default().to_owned();
            add(&text("path"), &text("local"));
        }
        let path = add(&text("path"), &text("local"));
        entries.push(Entry {
            local: text("local"),
            path,
        });
    }
    let converted = None;
    (entries, Repositories { files, converted })
}

fn outcome(corpus: &Path, entry: &Entry, world: &mut Repositories) -> Result<Stack, Findings> {
    let values = corpus
        .join("golden")
        .join(format!("{}.values.yml", entry.local));
    let values = std::fs::read_to_string(values).unwrap_or_default();
    let values = match yaml::parse("values", &values) {
        Ok(Value::Map(values)) => values.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let request = Request {
        location: Location::File(Path::new("/").join(&entry.path)),
        name: None,
        grid: "validate",
        platform: "validate-platform",
        values: &values,
        previous: &BTreeMap::new(),
    };
    read(&request, world)
}

/// Null, a missing key, `[]` and `{}` mean the same, and so do 80 and "80" in ports.
fn normal(json: &Json) -> Json {
    match json {
        Json::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| match (key.as_str(), value) {
                    ("container_port" | "node_port", Json::Number(port)) => {
                        (key.clone(), Json::String(port.to_string()))
                    }
                    _ => (key.clone(), normal(value)),
                });
            fields.filter(|(_, value)| !says_nothing(value)).collect()
        }
        Json::Array(items) => items.iter().map(normal).collect(),
        Json::String(text) => Json::String(text.replace(&format!("/{ROOT}"), ROOT)),
        Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
    }
}

fn says_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

/// Where two values differ first.
fn difference(path: &str, ours: &Json, theirs: &Json) -> Option<String> {
    match (ours, theirs) {
        (Json::Object(ours), Json::Object(theirs)) => {
            let keys = ours.keys().chain(theirs.keys());
            keys.into_iter().find_map(|key| {
                let get = |fields: &serde_json::Map<String, Json>| {
                    fields.get(key).cloned().unwrap_or(Json::Null)
                };
                difference(&format!("{path}.{key}"), &get(ours), &get(theirs))
            })
        }
        (Json::Array(ours), Json::Array(theirs)) if ours.len() == theirs.len() => {
            let mut pairs = ours.iter().zip(theirs).enumerate();
            pairs.find_map(|(index, (ours, theirs))| {
                difference(&format!("{path}[{index}]"), ours, theirs)
            })
        }
        _ if ours == theirs => None,
        _ => Some(format!("{path}: {ours} and not {theirs}")),
    }
}

/// What is wrong with our reading of a file, if anything.
fn complaint(corpus: &Path, entry: &Entry, outcome: &Result<Stack, Findings>) -> Option<String> {
    let golden = corpus.join("golden");
    if let Ok(refusal) = std::fs::read_to_string(golden.join(format!("{}.error.txt", entry.local)))
    {
        let is_mistake = refusal.starts_with("exit 1: crash");
        return match outcome {
            Ok(_) if !is_mistake => Some(format!("accepted, and not refused: {refusal}")),
            Err(findings) if is_mistake => Some(format!("refused: {findings}")),
            Ok(_) | Err(_) => None,
        };
    }
    let expected = std::fs::read_to_string(golden.join(format!("{}.json", entry.local))).unwrap();
    let expected: Json = serde_json::from_str(&expected).unwrap();
    match outcome {
        Ok(stack) => difference("", &normal(&stack.payload.to_json()), &normal(&expected)),
        Err(findings) => Some(format!("refused: {findings}")),
    }
}

#[test]
fn every_public_stack_file_means_what_it_meant_to_kontena() {
    let Some(corpus) = corpus() else {
        println!("skipped: the collection of public stack files is not here");
        return;
    };
    let (entries, mut world) = entries(&corpus);
    let mut complaints = Vec::new();
    for entry in &entries {
        let outcome = outcome(&corpus, entry, &mut world);
        if let Some(complaint) = complaint(&corpus, entry, &outcome) {
            complaints.push(format!("{}: {complaint}", entry.local));
        }
    }
    assert!(
        complaints.is_empty(),
        "{} of {}:\n{}",
        complaints.len(),
        entries.len(),
        complaints.join("\n")
    );
}

#[test]
fn public_flat_and_compose_files_become_stack_files_that_can_be_read() {
    let Some(corpus) = corpus() else {
        println!("skipped: the collection of public stack files is not here");
        return;
    };
    let (entries, mut world) = entries(&corpus);
    let mut complaints = Vec::new();
    let mut read_again = 0;
    for entry in &entries {
        let text = std::fs::read_to_string(corpus.join("files").join(&entry.local)).unwrap();
        let Ok(converted) = crate::convert(&entry.local, &text, "shop") else {
            continue; // a stack file already, or no YAML
        };
        world.converted = Some((Path::new("/").join(&entry.path), converted.text));
        match outcome(&corpus, entry, &mut world) {
            Ok(_) => read_again += 1,
            Err(findings) => {
                let problems = findings.problems.into_iter();
                // Nobody gave values, and the files that it extends were not converted.
                let wrong = problems.filter(|problem| {
                    !problem.message.contains("is required")
                        && !problem.message.contains("that it extends")
                        && problem.file == entry.shown()
                });
                complaints.extend(wrong.map(|problem| format!("{}", problem.display("error"))));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(read_again > 20, "{read_again}");
}
