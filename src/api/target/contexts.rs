//! The contexts that `kontena master` keeps: Kontena's `~/.kontena_client.json`.
//!
//! The file may be shared with Kontena's own command line, so whatever is not known here survives.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contexts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current_server: Option<String>,
    #[serde(default)]
    pub(crate) servers: Vec<Context>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// One node, or master, that can be asked.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Context {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grid: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Never shows the token, nor what else the file keeps.
impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("name", &self.name)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Contexts {
    /// # Errors
    /// The text is not JSON of this shape. Nothing should be written over it then.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub(crate) fn encode(&self) -> String {
        serde_json::to_string_pretty(self).expect("contexts have only text keys")
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Context> {
        self.servers.iter().find(|context| context.name == name)
    }

    /// Adds a context, or changes the address and token of the one with this name.
    pub(crate) fn put(&mut self, name: &str, url: &str, token: Option<&str>) {
        let at = match self.servers.iter().position(|server| server.name == name) {
            Some(at) => at,
            None => {
                self.servers.push(Context {
                    name: name.to_owned(),
                    ..Context::default()
                });
                self.servers.len() - 1
            }
        };
        let context = &mut self.servers[at];
        context.url = Some(url.to_owned());
        context.token = token.map(str::to_owned);
    }

    /// Forgets a context; false if there was none of this name.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.servers.len();
        self.servers.retain(|server| server.name != name);
        if self.current_server.as_deref() == Some(name) {
            self.current_server = None;
        }
        self.servers.len() < before
    }

    /// The names for a message: `` `a`, `b` ``, or `none`.
    pub(crate) fn names(&self) -> String {
        if self.servers.is_empty() {
            return "none".to_owned();
        }
        let quoted = self
            .servers
            .iter()
            .map(|server| format!("`{}`", server.name));
        quoted.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kontena_itself_keeps_in_the_file_survives() {
        let text = r#"{
            "current_server": "a", "current_account": "kontena",
            "accounts": [{"name": "kontena", "token": "t"}],
            "servers": [{"name": "a", "url": "http://a", "refresh_token": "r", "username": "u"}]
        }"#;
        let mut contexts = Contexts::parse(text).unwrap();
        contexts.put("a", "http://b", Some("new"));
        contexts.put("c", "unix:///c", None);

        let written: Value = serde_json::from_str(&contexts.encode()).unwrap();
        assert_eq!(written["accounts"][0]["token"], "t");
        assert_eq!(written["servers"][0]["refresh_token"], "r");
        assert_eq!(written["servers"][0]["url"], "http://b");
        assert_eq!(written["servers"][1]["name"], "c");
    }

    #[test]
    fn a_removed_context_is_no_longer_the_current_one() {
        let mut contexts = Contexts::default();
        contexts.put("a", "http://a", None);
        contexts.current_server = Some("a".to_owned());
        assert!(contexts.remove("a"));
        assert!(!contexts.remove("a"));
        assert_eq!(contexts.current_server, None);
    }
}
