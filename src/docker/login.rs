//! Who this node is to a registry.

use std::fmt;

use bollard::auth::DockerCredentials;

/// A name and a password, for one registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) email: Option<String>,
    /// Its host.
    pub(crate) registry: String,
}

/// Without the password: logs are for everybody.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({} at {})", self.username, self.registry)
    }
}

impl From<Login> for DockerCredentials {
    fn from(login: Login) -> Self {
        Self {
            username: Some(login.username),
            password: Some(login.password),
            email: login.email,
            serveraddress: Some(login.registry),
            ..Self::default()
        }
    }
}

/// Knows them.
pub(crate) trait Logins: Send + Sync {
    /// For the registry of an image; `None` where nobody gave one. An error says why what was given cannot be used.
    fn login(&self, image: &str) -> Result<Option<Login>, String>;
}

/// A node without a grid knows none.
pub(super) struct NoLogins;

impl Logins for NoLogins {
    fn login(&self, _image: &str) -> Result<Option<Login>, String> {
        Ok(None)
    }
}
