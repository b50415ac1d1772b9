//! Which node to ask: flags, then the environment, then the context chosen with `kontena master
//! use`, then the socket of this machine. An address may be several, with commas between them: any of these nodes.
//!
//! Pure: the environment and the contexts are arguments. Not here: reading the contexts' file.

pub(crate) mod contexts;

use std::fmt;
use std::path::PathBuf;

use contexts::Contexts;

/// Where the daemon of this machine listens unless it is told otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/kontena/kontena.sock";

/// One node's API.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Socket(PathBuf),
    Tcp {
        /// `HOST:PORT`.
        authority: String,
        token: Option<String>,
    },
}

/// What names a node: on the command line, or in the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// `--socket`, `KONTENA_SOCKET`.
    pub(crate) socket: Option<PathBuf>,
    /// `--url`, `KONTENA_URL`.
    pub(crate) url: Option<String>,
    /// `--token`, `KONTENA_TOKEN`.
    pub(crate) token: Option<String>,
    /// `--master`, `KONTENA_MASTER`: the name of a context.
    pub(crate) master: Option<String>,
}

/// Why there is no node to ask.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidTarget {
    #[error("`{url}` is not an address of a node: expected `http://HOST[:PORT]` or `unix:///PATH`")]
    Url { url: String },
    #[error("`{url}` cannot be used: https is not supported yet")]
    Https { url: String },
    #[error("there is no context `{name}`: the known ones are {known}")]
    UnknownContext { name: String, known: String },
    #[error("the context `{name}` has no address")]
    NoUrl { name: String },
}

impl Named {
    /// From the environment: `lookup` gives a variable's value. Empty ones count as unset.
    pub(crate) fn from_environment(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Self {
            socket: set("KONTENA_SOCKET").map(PathBuf::from),
            url: set("KONTENA_URL"),
            token: set("KONTENA_TOKEN"),
            master: set("KONTENA_MASTER"),
        }
    }
}

/// The nodes that may be asked: whichever answers first is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Targets {
    /// At least one, in the order in which they are tried.
    pub(crate) all: Vec<Target>,
    /// The context that they are of.
    pub(crate) context: Option<String>,
}

impl Targets {
    /// The nodes to ask. A token goes with the address of its own level or a lower one, so that
    /// `--url` with `KONTENA_TOKEN` works and a context's token is never sent elsewhere.
    pub(crate) fn resolve(
        flags: &Named,
        environment: &Named,
        contexts: &Contexts,
    ) -> Result<Self, InvalidTarget> {
        let named_token = flags.token.as_ref().or(environment.token.as_ref());
        for level in [flags, environment] {
            if let Some(path) = &level.socket {
                return Ok(Self::of(vec![Target::Socket(path.clone())]));
            }
            if let Some(urls) = &level.url {
                return Target::from_urls(urls, named_token).map(Self::of);
            }
            if let Some(name) = &level.master {
                return Self::from_context(name, named_token, contexts);
            }
        }
        match &contexts.current_server {
            Some(name) => Self::from_context(name, named_token, contexts),
            None => Ok(Self::of(vec![Target::Socket(DEFAULT_SOCKET.into())])),
        }
    }

    fn of(all: Vec<Target>) -> Self {
        Self { all, context: None }
    }

    fn from_context(
        name: &str,
        token: Option<&String>,
        contexts: &Contexts,
    ) -> Result<Self, InvalidTarget> {
        let context = contexts
            .find(name)
            .ok_or_else(|| InvalidTarget::UnknownContext {
                name: name.to_owned(),
                known: contexts.names(),
            })?;
        let urls = context.urls().ok_or_else(|| InvalidTarget::NoUrl {
            name: name.to_owned(),
        })?;
        Ok(Self {
            all: Target::from_urls(&urls, token.or(context.token.as_ref()))?,
            context: Some(name.to_owned()),
        })
    }
}

impl Target {
    /// One address, or several with commas between them.
    pub(crate) fn from_urls(
        urls: &str,
        token: Option<&String>,
    ) -> Result<Vec<Self>, InvalidTarget> {
        let urls = urls.split(',').map(str::trim);
        urls.map(|url| Self::from_url(url, token.cloned()))
            .collect()
    }

    /// `http://HOST[:PORT]` or `unix:///PATH`.
    pub(crate) fn from_url(url: &str, token: Option<String>) -> Result<Self, InvalidTarget> {
        let invalid = || InvalidTarget::Url {
            url: url.to_owned(),
        };
        if let Some(path) = url.strip_prefix("unix://") {
            return Some(PathBuf::from(path))
                .filter(|path| path.is_absolute())
                .map(Self::Socket)
                .ok_or_else(invalid);
        }
        let uri: hyper::Uri = url.parse().map_err(|_| invalid())?;
        match uri.scheme_str() {
            Some("http") => (),
            Some("https") => {
                return Err(InvalidTarget::Https {
                    url: url.to_owned(),
                });
            }
            _ => return Err(invalid()),
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(invalid)?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(invalid());
        }
        Ok(Self::Tcp {
            authority: format!("{host}:{}", uri.port_u16().unwrap_or(80)),
            token,
        })
    }

    /// For the header `Host`.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Socket(_) => "localhost",
            Self::Tcp { authority, .. } => authority,
        }
    }

    /// As `--url` takes it.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Socket(path) => format!("unix://{}", path.display()),
            Self::Tcp { authority, .. } => format!("http://{authority}"),
        }
    }

    pub(crate) fn token(&self) -> Option<&str> {
        match self {
            Self::Socket(_) => None,
            Self::Tcp { token, .. } => token.as_deref(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "`{}`", path.display()),
            Self::Tcp { authority, .. } => write!(f, "`http://{authority}`"),
        }
    }
}

/// Never shows the token.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Named {
        Named {
            url: Some(text.to_owned()),
            ..Named::default()
        }
    }

    fn contexts() -> Contexts {
        Contexts::parse(
            r#"{"current_server":"home","servers":[
                {"name":"home","url":"http://10.0.0.5:9292","token":"kept","grid":"test"},
                {"name":"nowhere"}]}"#,
        )
        .unwrap()
    }

    fn tcp(authority: &str, token: Option<&str>) -> Target {
        Target::Tcp {
            authority: authority.to_owned(),
            token: token.map(str::to_owned),
        }
    }

    #[test]
    fn flags_go_before_the_environment_before_the_context_before_the_socket() {
        let environment = Named::from_environment(|name| match name {
            "KONTENA_URL" => Some("http://env:1".to_owned()),
            "KONTENA_TOKEN" => Some("secret".to_owned()),
            "KONTENA_SOCKET" => Some(String::new()),
            _ => None,
        });
        let none = Named::default();

        let resolve = |flags: &Named, environment: &Named, contexts: &Contexts| {
            let found = Targets::resolve(flags, environment, contexts).unwrap();
            found.all.into_iter().next().unwrap()
        };
        assert_eq!(
            resolve(&url("http://flag:2"), &environment, &contexts()),
            tcp("flag:2", Some("secret"))
        );
        assert_eq!(
            resolve(&none, &environment, &contexts()),
            tcp("env:1", Some("secret"))
        );
        assert_eq!(
            resolve(&none, &none, &contexts()),
            tcp("10.0.0.5:9292", Some("kept"))
        );
        assert_eq!(
            resolve(&none, &none, &Contexts::default()),
            Target::Socket(DEFAULT_SOCKET.into())
        );
    }

    #[test]
    fn the_token_of_a_context_is_never_sent_elsewhere() {
        let found = Targets::resolve(&url("http://evil"), &Named::default(), &contexts());
        assert_eq!(found.unwrap().all, [tcp("evil:80", None)]);
    }

    #[test]
    fn any_of_several_addresses_may_be_asked_with_the_same_token() {
        let mut contexts = contexts();
        contexts.put("home", "http://a:1, http://b:2", Some("kept"));
        let none = Named::default();
        let found = Targets::resolve(&none, &none, &contexts).unwrap();
        assert_eq!(
            found.all,
            [tcp("a:1", Some("kept")), tcp("b:2", Some("kept"))]
        );
        assert_eq!(found.context.as_deref(), Some("home"));

        let found = Targets::resolve(&url("http://c,unix:///d"), &none, &contexts).unwrap();
        assert_eq!(found.all, [tcp("c:80", None), Target::Socket("/d".into())]);
        assert_eq!(found.context, None);
        assert!(Targets::resolve(&url("http://c,"), &none, &contexts).is_err());
    }

    #[test]
    fn an_address_is_checked() {
        for (text, authority) in [
            ("http://a", "a:80"),
            ("http://a:9292/", "a:9292"),
            ("http://[::1]:8", "[::1]:8"),
        ] {
            assert_eq!(
                Target::from_url(text, None).unwrap(),
                tcp(authority, None),
                "{text}"
            );
        }
        assert_eq!(
            Target::from_url("unix:///a/b", None).unwrap(),
            Target::Socket("/a/b".into())
        );
        for text in [
            "",
            "a",
            "a:80",
            "ftp://a",
            "http://a/v1",
            "unix://a",
            "http://",
        ] {
            assert!(
                matches!(Target::from_url(text, None), Err(InvalidTarget::Url { .. })),
                "{text}"
            );
        }
        assert!(matches!(
            Target::from_url("https://a", None),
            Err(InvalidTarget::Https { .. })
        ));
    }

    #[test]
    fn an_unknown_context_names_the_known_ones() {
        let named = Named {
            master: Some("work".to_owned()),
            ..Named::default()
        };
        let problem = Targets::resolve(&named, &Named::default(), &contexts()).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "there is no context `work`: the known ones are `home`, `nowhere`"
        );
    }

    #[test]
    fn no_text_of_a_target_shows_its_token() {
        let target = tcp("a:1", Some("secret"));
        assert!(!format!("{target} {target:?}").contains("secret"));
    }
}
