//! What a service's containers may do, in the words of Kontena's API.

use serde_json::{Map, Value, json};

use super::field::{Field, FieldProblem};
use super::service::list;
use crate::stack::{InvalidPrivilege, PidMode, Privileges, capability, user};

/// Which of them are to be set. `Some(None)`, in JSON the empty text, is what the image or Docker says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivilegesChange {
    pub user: Option<Option<String>>,
    pub privileged: Option<bool>,
    pub read_only: Option<bool>,
    pub cap_add: Option<Vec<String>>,
    pub cap_drop: Option<Vec<String>>,
    pub pid: Option<Option<PidMode>>,
}

impl PrivilegesChange {
    pub(super) const FIELDS: [&str; 6] = [
        "user",
        "privileged",
        "read_only",
        "cap_add",
        "cap_drop",
        "pid",
    ];

    /// The change that sets all of these; what is as ever is not spoken of.
    pub(super) fn from(privileges: &Privileges) -> Self {
        let set = |value: bool| value.then_some(true);
        let given = |list: &Vec<String>| Some(list.clone()).filter(|list| !list.is_empty());
        Self {
            user: privileges.user.clone().map(Some),
            privileged: set(privileges.privileged),
            read_only: set(privileges.read_only),
            cap_add: given(&privileges.cap_add),
            cap_drop: given(&privileges.cap_drop),
            pid: privileges.pid.map(Some),
        }
    }

    pub(super) fn read(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Self {
        let mut boolean = |key: &str| body.get(key)?.boolean(problems);
        let (privileged, read_only) = (boolean("privileged"), boolean("read_only"));
        Self {
            user: text(body, "user", user, problems),
            privileged,
            read_only,
            cap_add: capabilities(body, "cap_add", problems),
            cap_drop: capabilities(body, "cap_drop", problems),
            pid: text(body, "pid", str::parse, problems),
        }
    }

    pub(super) fn write(&self, body: &mut Map<String, Value>) {
        let values = [
            self.user
                .as_ref()
                .map(|user| json!(user.as_deref().unwrap_or_default())),
            self.privileged.map(Value::from),
            self.read_only.map(Value::from),
            self.cap_add.as_ref().map(|list| json!(list)),
            self.cap_drop.as_ref().map(|list| json!(list)),
            self.pid.map(|pid| pid.map_or(json!(""), |pid| json!(pid))),
        ];
        for (field, value) in Self::FIELDS.into_iter().zip(values) {
            if let Some(value) = value {
                body.insert(field.to_owned(), value);
            }
        }
    }

    pub(super) fn set_on(self, privileges: &mut Privileges) {
        super::set(&mut privileges.user, self.user);
        super::set(&mut privileges.privileged, self.privileged);
        super::set(&mut privileges.read_only, self.read_only);
        super::set(&mut privileges.cap_add, self.cap_add);
        super::set(&mut privileges.cap_drop, self.cap_drop);
        super::set(&mut privileges.pid, self.pid);
    }
}

/// The empty text takes back.
#[expect(
    clippy::option_option,
    reason = "whether it is spoken of, and whether there is to be one"
)]
fn text<T>(
    body: &Field<'_>,
    key: &str,
    read: impl Fn(&str) -> Result<T, InvalidPrivilege>,
    problems: &mut Vec<FieldProblem>,
) -> Option<Option<T>> {
    let read = |text: &str| match text {
        "" => Ok(None),
        text => read(text).map(Some),
    };
    body.get(key)?.parsed(read, problems)
}

/// Each once, in the order given.
fn capabilities(
    body: &Field<'_>,
    key: &str,
    problems: &mut Vec<FieldProblem>,
) -> Option<Vec<String>> {
    let one = |field: &Field<'_>, problems: &mut Vec<_>| field.parsed(capability, problems);
    let mut once = Vec::new();
    for name in list(body, key, one, problems)? {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    Some(once)
}
