//! The answers of a node that the tests have in files. Ages are told as people say them: what is `@5min` there was
//! five minutes ago whenever the test runs.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::Value;

/// Half a unit more, so that a slow test sees the same age.
const AGES: [(&str, Duration); 2] = [
    ("@5min", Duration::from_secs(330)),
    ("@3d", Duration::from_secs(84 * 3_600)),
];

#[derive(Clone)]
pub(crate) struct Answers {
    by_path: Value,
    times: Vec<(&'static str, String)>,
}

impl Answers {
    /// Of `tests/listings/answers/NAME.json`.
    pub(crate) fn read(name: &str) -> Self {
        let times: Vec<_> = AGES.map(|(said, age)| (said, time(age))).into();
        let text = std::fs::read_to_string(path(name)).unwrap();
        let text = times
            .iter()
            .fold(text, |text, (said, time)| text.replace(said, time));
        Self {
            by_path: serde_json::from_str(&text).unwrap(),
            times,
        }
    }

    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        self.by_path.get(path)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.by_path.as_object().unwrap().iter()
    }

    /// The text as it is whenever the test runs.
    pub(crate) fn timeless(&self, text: &str) -> String {
        self.times
            .iter()
            .fold(text.to_owned(), |text, (said, time)| {
                text.replace(time, said)
            })
    }
}

fn path(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/listings/answers");
    folder.join(name).with_extension("json")
}

/// To the millisecond, as a node says it.
fn time(age: Duration) -> String {
    let then = Timestamp::try_from(SystemTime::now() - age).unwrap();
    format!("{then:.3}")
}
