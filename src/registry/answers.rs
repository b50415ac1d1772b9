//! What a registry answers, in JSON:API. Whatever is not there is empty: it is shown to people alone.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `data` is one thing or a list of them.
#[derive(Debug, Deserialize)]
pub(super) struct Document {
    data: Data,
    #[serde(default)]
    included: Vec<Resource>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Data {
    Many(Vec<Resource>),
    One(Resource),
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Resource {
    /// A text in JSON:API, and a number in what some servers send.
    #[serde(default)]
    id: Value,
    #[serde(default, rename = "type")]
    kind: String,
    attributes: Map<String, Value>,
    #[serde(default)]
    meta: Value,
}

impl Document {
    pub(super) fn one(&self) -> Option<&Resource> {
        match &self.data {
            Data::One(one) => Some(one),
            Data::Many(many) => many.first(),
        }
    }

    pub(super) fn into_all(self) -> Vec<Resource> {
        match self.data {
            Data::One(one) => vec![one],
            Data::Many(many) => many,
        }
    }

    fn all(&self) -> &[Resource] {
        match &self.data {
            Data::One(one) => std::slice::from_ref(one),
            Data::Many(many) => many,
        }
    }

    fn versions(&self) -> impl Iterator<Item = &Resource> {
        let included = self.included.iter();
        included.filter(|one| one.kind == "stack-versions")
    }
}

impl Resource {
    /// Escaped, because it goes into an address; empty if there is none.
    pub(super) fn id(&self) -> String {
        match &self.id {
            Value::String(id) => super::web::escaped(id),
            Value::Number(id) => id.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
        }
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.attributes
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn name(&self) -> String {
        format!("{}/{}", self.text("organization-id"), self.text("name"))
    }

    fn is_private(&self) -> bool {
        self.attributes.get("is-private").and_then(Value::as_bool) == Some(true)
    }

    fn pulls(&self) -> u64 {
        self.attributes
            .get("pulls")
            .and_then(Value::as_u64)
            .unwrap_or_default()
    }
}

/// A version of a stack. It is its own `--json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Version {
    pub(crate) version: String,
    /// As the registry says it.
    pub(crate) created_at: String,
}

impl Version {
    pub(super) fn new(resource: &Resource) -> Self {
        Self {
            version: resource.text("version").to_owned(),
            created_at: resource.text("created-at").to_owned(),
        }
    }
}

/// A stack that a search found. It is its own `--json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Found {
    /// `user/stack`.
    pub(crate) name: String,
    /// The newest one; `None` if there is none, or none that may be seen.
    pub(crate) version: Option<String>,
    pub(crate) pulls: u64,
    pub(crate) description: String,
    pub(crate) private: bool,
}

/// The newest version of a stack is among what is included, and says by `name` whose it is.
pub(super) fn found(document: &Document) -> Vec<Found> {
    let stacks = document.all().iter();
    stacks
        .map(|stack| {
            let name = stack.name();
            let mut newest = document.included.iter();
            let newest = newest.find(|one| one.text("name") == name);
            Found {
                version: newest.map(|one| one.text("version").to_owned()),
                pulls: stack.pulls(),
                description: newest.unwrap_or(stack).text("description").to_owned(),
                private: stack.is_private(),
                name,
            }
        })
        .collect()
}

/// A stack of a registry. It is its own `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Shown {
    /// `user/stack`.
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) latest_version: Option<String>,
    pub(crate) created_at: String,
    pub(crate) pulls: u64,
    pub(crate) private: bool,
    /// What the newest version says of itself; null if it says nothing.
    pub(crate) meta: Value,
}

impl Shown {
    pub(super) fn new(document: &Document) -> Self {
        let stack = document.one();
        let text = |name: &str| stack.map_or("", |stack| stack.text(name)).to_owned();
        let newest = document.versions().next();
        Self {
            name: stack.map(Resource::name).unwrap_or_default(),
            description: newest
                .or(stack)
                .map_or("", |one| one.text("description"))
                .to_owned(),
            latest_version: newest.map(|one| one.text("version").to_owned()),
            created_at: text("created-at"),
            pulls: stack.map_or(0, Resource::pulls),
            private: stack.is_some_and(Resource::is_private),
            meta: newest.map_or(Value::Null, |one| one.meta.clone()),
        }
    }
}
