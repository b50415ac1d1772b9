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

/// One node or several of a grid, or a master of Kontena's, that can be asked.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Context {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// *Ours*: where else the same grid is asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_urls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// The grid that is meant, as `grid use` left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grid: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Context {
    /// All of its addresses, with commas between them.
    pub(crate) fn urls(&self) -> Option<String> {
        let others = self.other_urls.iter().map(|url| format!(",{url}"));
        let url = self.url.as_ref()?;
        Some(format!("{url}{}", others.collect::<String>()))
    }
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

    /// Adds a context, or changes the addresses and token of the one with this name.
    pub(crate) fn put(&mut self, name: &str, urls: &str, token: Option<&str>) {
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
        let mut urls = urls.split(',').map(|url| url.trim().to_owned());
        context.url = urls.next();
        context.other_urls = urls.collect();
        context.token = token.map(str::to_owned);
    }

    /// The grid that is meant from now on where this context is.
    pub(crate) fn keep_grid(&mut self, name: &str, grid: Option<&str>) {
        let mut contexts = self.servers.iter_mut();
        if let Some(context) = contexts.find(|context| context.name == name) {
            context.grid = grid.map(str::to_owned);
        }
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
        contexts.put("d", "http://d,http://e", None);
        contexts.keep_grid("a", Some("test"));

        let written: Value = serde_json::from_str(&contexts.encode()).unwrap();
        assert_eq!(written["accounts"][0]["token"], "t");
        assert_eq!(written["servers"][0]["refresh_token"], "r");
        assert_eq!(written["servers"][0]["url"], "http://b");
        assert_eq!(written["servers"][0]["grid"], "test");
        assert_eq!(written["servers"][1]["name"], "c");
        assert!(written["servers"][1]["other_urls"].is_null());
        // Kontena's own command line goes on with the first.
        assert_eq!(written["servers"][2]["url"], "http://d");
        assert_eq!(written["servers"][2]["other_urls"][0], "http://e");
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
