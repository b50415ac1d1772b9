//! A registry of stacks, asked as Kontena's command line asked its own: JSON:API over HTTP.
//!
//! The edge to the web: it imports its HTTP client and nothing of the node. Whatever a server sends is bounded
//! in size, time and redirects ([`web`]). The routes and bodies are in `docs/design/registries.md`.

mod answers;
mod reference;
/// `HOST` or `HOST:PORT`: nobody listens on the way to it.
fn is_this_machine(host: &str) -> bool {
    if host.starts_with("[::1]") {
        return true;
    }
    let name = host.split(':').next().unwrap_or_default();
    let address = name.parse::<std::net::Ipv4Addr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
mod web;

use serde_json::{Value, json};

use self::answers::{Document, Resource};
pub(crate) use self::answers::{Found, Shown, Version};
pub(crate) use self::reference::{InvalidReference, Reference};
use self::web::{Accept, Method};
pub(crate) use self::web::{Limits, Refused, Web};

/// Where the registry is.
const URL: &str = "KONTENA_STACK_REGISTRY_URL";

/// Who asks. The second one is what Kontena's own command line read.
const TOKENS: [&str; 2] = ["KONTENA_STACK_REGISTRY_TOKEN", "KONTENA_CLOUD_TOKEN"];

/// A registry that can be asked.
#[derive(Debug)]
pub(crate) struct Registry {
    url: String,
    token: Option<String>,
    web: Web,
}

impl Registry {
    /// The one that the environment names.
    ///
    /// # Errors
    /// It names none, or none that can be asked.
    pub(crate) fn from_environment(
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Refused> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let url = set(URL).ok_or_else(|| {
            Refused::new("no registry of stacks is known").hint(format!(
                "set `{URL}` to the address of one; there is no default"
            ))
        })?;
        let token = TOKENS.iter().find_map(|name| set(name));
        Self::at(&url, token, Limits::default())
    }

    /// # Errors
    /// The address is none of a registry.
    pub(crate) fn at(url: &str, token: Option<String>, limits: Limits) -> Result<Self, Refused> {
        let is_web = ["http://", "https://"].iter().any(|scheme| {
            let place = url.strip_prefix(scheme);
            place.is_some_and(|place| !place.is_empty() && !place.starts_with('/'))
        });
        if !is_web || url.contains(['?', '#', '@']) {
            return Err(
                Refused::new(format!("`{URL}` is not the address of a registry"))
                    .hint("as in `https://stacks.example.com`; a token has its own variable"),
            );
        }
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            token,
            web: Web::new(limits),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Whether who listens on the way learns the token.
    pub(crate) fn tells_its_token(&self) -> bool {
        let Some(place) = self.url.strip_prefix("http://") else {
            return false;
        };
        let host = place.split('/').next().unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        self.token.is_some() && !is_this_machine(host)
    }

    /// The text of a stack file; of the newest version where none is named.
    pub(crate) fn pull(&self, stack: &Reference) -> Result<String, Refused> {
        let path = format!("{}/yaml", version_path(stack));
        let answer = self.ask(Method::Get, &path, Accept::Yaml, &[], None);
        answer.map_err(|refused| about(refused, stack))
    }

    pub(crate) fn show(&self, stack: &Reference) -> Result<Shown, Refused> {
        let document = self.stack(stack)?;
        Ok(Shown::new(&document))
    }

    /// All versions, in the order of the registry.
    pub(crate) fn versions(&self, stack: &Reference) -> Result<Vec<Version>, Refused> {
        let versions = self.version_resources(stack)?;
        Ok(versions.iter().map(Version::new).collect())
    }

    /// The stacks that have to do with `query`, and with all `tags`.
    pub(crate) fn search(
        &self,
        query: &str,
        tags: &[String],
        with: Included,
    ) -> Result<Vec<Found>, Refused> {
        let tags = tags.iter().map(|tag| web::escaped(tag));
        let tags = tags.collect::<Vec<_>>().join(",");
        let mut asked = vec![
            ("query", query),
            ("include", "latest-version"),
            ("include-prerelease", text(with.prereleases)),
            ("include-private", text(with.private)),
        ];
        let path = match tags.is_empty() {
            true => {
                asked.push(("include-versionless", "true"));
                "/v2/stacks".to_owned()
            }
            false => format!("/v2/tags/{tags}/stacks"),
        };
        let document = self.document(Method::Get, &path, &asked, None)?;
        Ok(answers::found(&document))
    }

    /// Adds a version: the text says of which stack, and which one.
    pub(crate) fn push(&self, text: &str) -> Result<(), Refused> {
        self.need_token()?;
        let body = json!({"data": {"type": "stack-files", "attributes": {"content": text}}});
        self.change(Method::Post, "/v2/stack-files", Some(&body))
    }

    /// Removes a version, or where none is named the stack with all its versions.
    pub(crate) fn remove(&self, stack: &Reference) -> Result<(), Refused> {
        self.need_token()?;
        let path = match &stack.version {
            None => format!("/v2/stacks/{}", self.stack_id(stack)?),
            Some(version) => {
                let versions = self.version_resources(stack)?;
                let found = versions.iter().find(|one| one.text("version") == *version);
                let id = found.map(Resource::id).filter(|id| !id.is_empty());
                let id = id.ok_or_else(|| missing(stack))?;
                format!("/v2/stack-versions/{id}")
            }
        };
        self.change(Method::Delete, &path, None)
    }

    /// Makes a place for a stack that has no version yet.
    pub(crate) fn create(&self, stack: &Reference, private: bool) -> Result<(), Refused> {
        self.need_token()?;
        self.change(
            Method::Post,
            "/v2/stacks",
            Some(&stack_body(stack, private)),
        )
    }

    /// Changes who sees a stack.
    pub(crate) fn set_private(&self, stack: &Reference, private: bool) -> Result<(), Refused> {
        self.need_token()?;
        let path = format!("/v2/stacks/{}", self.stack_id(stack)?);
        self.change(Method::Put, &path, Some(&stack_body(stack, private)))
    }

    fn stack(&self, stack: &Reference) -> Result<Document, Refused> {
        let asked = [
            ("include", "latest-version"),
            ("include-prerelease", "true"),
        ];
        let answer = self.document(Method::Get, &stack_path(stack), &asked, None);
        answer.map_err(|refused| about(refused, stack))
    }

    fn stack_id(&self, stack: &Reference) -> Result<String, Refused> {
        let document = self.stack(stack)?;
        let id = document.one().map(Resource::id).filter(|id| !id.is_empty());
        id.ok_or_else(|| missing(stack))
    }

    fn version_resources(&self, stack: &Reference) -> Result<Vec<Resource>, Refused> {
        let path = format!("{}/stack-versions", stack_path(stack));
        let asked = [("include-prerelease", "true"), ("include-deleted", "false")];
        let answer = self.document(Method::Get, &path, &asked, None);
        Ok(answer.map_err(|refused| about(refused, stack))?.into_all())
    }

    /// An answer in JSON:API.
    fn document(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Document, Refused> {
        let text = self.ask(method, path, Accept::Json, query, body)?;
        serde_json::from_str(&text).map_err(|problem| {
            Refused::new(format!(
                "what `{}` answered is not that of a registry: {problem}",
                self.url
            ))
            .hint(format!("is `{URL}` the address of a registry of stacks?"))
        })
    }

    /// A change, of which the answer says nothing new.
    fn change(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(), Refused> {
        self.ask(method, path, Accept::Json, &[], body).map(|_| ())
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        accept: Accept,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<String, Refused> {
        let url = format!("{}{path}", self.url);
        let asked = web::Request {
            method,
            url: &url,
            query,
            accept,
            body,
            token: self.token.as_deref(),
        };
        let answer = self.web.ask(&asked);
        answer.map_err(|refused| match refused.status {
            Some(401 | 403) => refused.hint(format!(
                "`{}` is who asks; is it set, and still good?",
                TOKENS[0]
            )),
            Some(_) | None => refused,
        })
    }

    fn need_token(&self) -> Result<(), Refused> {
        if self.token.is_some() {
            return Ok(());
        }
        let refused = Refused::new("a registry takes changes from who has a token alone");
        Err(refused.hint(format!("set `{}`", TOKENS[0])))
    }
}

/// What a search looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Included {
    pub(crate) prereleases: bool,
    pub(crate) private: bool,
}

fn text(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

fn stack_path(stack: &Reference) -> String {
    format!("/v2/organizations/{}/stacks/{}", stack.user, stack.stack)
}

fn version_path(stack: &Reference) -> String {
    let version = stack.version.as_deref().unwrap_or("latest");
    format!("{}/stack-versions/{version}", stack_path(stack))
}

fn stack_body(stack: &Reference, private: bool) -> Value {
    json!({"data": {"type": "stacks", "attributes": {
        "name": stack.stack, "organization-id": stack.user, "is-private": private,
    }}})
}

/// A refusal names the stack where the registry says no more than that there is none.
fn about(refused: Refused, stack: &Reference) -> Refused {
    match refused.status {
        Some(404) => missing(stack),
        Some(_) | None => refused,
    }
}

fn missing(stack: &Reference) -> Refused {
    let hint = match &stack.version {
        Some(_) => format!(
            "`kontena stack registry show --versions {}/{}` lists what there is",
            stack.user, stack.stack
        ),
        None => "`kontena stack registry search` lists what there is".to_owned(),
    };
    Refused::new(format!("the registry has no stack `{stack}`")).hint(hint)
}
