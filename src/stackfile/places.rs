//! Where in a file stands what the API is told.

use std::rc::Rc;

use serde_json::{Value as Json, json};

use crate::problem::{Problem, Report};
use crate::stack::Stack;
use crate::text::Source;
use crate::value::Value;
use crate::yaml::Node;

/// A file as it counts, with its source.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) source: Rc<Source>,
    pub(crate) root: Rc<Node>,
}

/// Fields of the API that files call otherwise.
const NAMES: [(&str, &str); 12] = [
    ("cmd", "command"),
    ("deploy_opts", "deploy"),
    ("dependencies", "depends"),
    ("env", "environment"),
    ("log_driver", "logging"),
    ("log_opts", "logging"),
    ("memory", "mem_limit"),
    ("metadata", "meta"),
    ("net", "network_mode"),
    ("parent", "stack"),
    ("registry", "stack"),
    ("strategy", "deploy"),
];

fn says_something(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Array(items) => !items.is_empty(),
        Json::Object(fields) => !fields.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
    }
}

/// What files call a field of the API.
fn key(field: &str) -> &str {
    let other = NAMES.iter().find(|(name, _)| *name == field);
    other.map_or(field, |(_, key)| key)
}

/// The innermost key under `deploy` that a path of the API leads to.
fn deploy_place(deploy: &(Rc<Node>, Rc<Node>), fields: &[&str]) -> (usize, String) {
    let within = match fields {
        [own @ "strategy", ..] => std::slice::from_ref(own),
        [_, within @ ..] => within,
        [] => &[],
    };
    let (mut at, mut path, mut node) = (deploy.0.at, "deploy".to_owned(), &deploy.1);
    for field in within {
        let Some((key, inner)) = node.entry(field) else {
            break;
        };
        (at, node) = (key.at, inner);
        path = format!("{path}.{field}");
    }
    (at, path)
}

impl Stack {
    /// A problem with a field of the payload, at the key that made it: `services[0].cmd` is the
    /// `command` of the first service; its name may stand for the number. `what` is said of the key,
    /// as `is not a text`.
    pub fn problem(&self, path: &str, what: &str) -> Problem {
        let path = path.replace('[', ".").replace(']', "");
        let parts: Vec<&str> = path.split('.').collect();
        let (at, subject) = match parts[..] {
            ["services", index, ref rest @ ..] => self.service_place(index, rest),
            [field, ..] => self.top_place(key(field)),
            [] => (self.places.root.at, "the file".to_owned()),
        };
        let mut report = Report::new(Rc::clone(&self.places.source));
        report.error(at, format!("{subject} {what}"));
        report.findings.problems.remove(0)
    }

    /// What is to run of it, and what is left out of the payload for that, because it changes
    /// nothing that runs.
    pub fn definition(&self) -> (Json, Vec<Problem>) {
        let mut definition = self.payload.to_json();
        let mut left_out = Vec::new();
        let mut leave_out = |path: String, value: Json| {
            if says_something(&value) {
                left_out.push(self.problem(&path, "is not kept yet, and is left out"));
            }
        };
        let services = definition["services"].as_array_mut().into_iter().flatten();
        for (index, service) in services.enumerate() {
            for field in ["build", "external_links"] {
                leave_out(format!("services[{index}].{field}"), service[field].take());
            }
            let hooks = service["hooks"].as_object_mut();
            let builds = hooks.and_then(|hooks| hooks.remove("pre_build"));
            leave_out(
                format!("services[{index}].hooks"),
                builds.unwrap_or_default(),
            );
        }
        definition["description"] = json!(self.description);
        // Where nobody answered, the next file's own default shall count.
        let answers = self
            .own_answers
            .iter()
            .filter(|(_, value)| !value.is_null());
        definition["variables"] = Value::Map(answers.cloned().collect()).to_json();
        left_out.extend(self.secrets.keys().map(|secret| self.unkept_secret(secret)));
        (definition, left_out)
    }

    /// The names of secrets may hold anything: they lead to the variables as a whole.
    fn unkept_secret(&self, secret: &str) -> Problem {
        let what = format!(
            "puts the secret `{secret}` into the vault, which is not there yet: it is not kept"
        );
        self.problem("variables", &what)
    }

    fn top_place(&self, key: &str) -> (usize, String) {
        let entry = self.places.root.entry(key);
        let at = entry.map_or(self.places.root.at, |(key, _)| key.at);
        (at, format!("`{key}`"))
    }

    fn service_place(&self, index: &str, fields: &[&str]) -> (usize, String) {
        let name = index.parse().ok().and_then(|index: usize| {
            let services = self.payload.get("services")?.as_list()?;
            Some(services.get(index)?.get("name")?.to_string())
        });
        let name = name.unwrap_or_else(|| index.to_owned());
        let root = &self.places.root;
        let services = root.get("services").and_then(|services| services.entries());
        let mut services = services.into_iter().flatten();
        let service = services.find(|(key, _)| key.key() == name);
        let at = service.map_or(root.at, |(key, _)| key.at);
        let field = fields.first().filter(|field| **field != "name");
        let Some(field) = field.map(|field| key(field)) else {
            return (at, format!("the service `{name}`"));
        };
        // A field may be its parent's, which is another file.
        let own = service.and_then(|(_, node)| node.entry(field));
        let (at, field) = match own {
            Some(deploy) if field == "deploy" => deploy_place(deploy, fields),
            Some((key, _)) => (key.at, field.to_owned()),
            None => (at, field.to_owned()),
        };
        (at, format!("`{field}` of the service `{name}`"))
    }
}
