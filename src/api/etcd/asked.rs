//! What a request asks for: fields of its query and of its form, of which the form's come first.

use std::time::Duration;

use axum::http::Method;
use kontena_core::keys::{Change, Condition, Key, KeyWrite, Keys};

use super::fault::Fault;
use super::{content, refreshed};

/// `quorum`, `sorted` and fields that nobody knows are taken and mean nothing: one node answers, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) value: Option<String>,
    /// `Some(None)`: it is to last for ever.
    pub(super) ttl: Option<Option<Duration>>,
    pub(super) directory: bool,
    pub(super) recursive: bool,
    pub(super) refresh: bool,
    pub(super) wait: bool,
    pub(super) wait_index: Option<u64>,
    pub(super) exists: Option<bool>,
    pub(super) previous_value: Option<String>,
    pub(super) previous_index: Option<u64>,
}

impl Asked {
    pub(super) fn of_query(query: &str) -> Result<Self, Fault> {
        Self::of_form(query, b"")
    }

    pub(super) fn of_form(query: &str, form: &[u8]) -> Result<Self, Fault> {
        let mut asked = Self::default();
        // The last of one name counts: so the form is read last.
        let fields = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(form));
        for (name, text) in fields {
            asked.take(&name, &text)?;
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, text: &str) -> Result<(), Fault> {
        match name {
            "value" => self.value = Some(text.to_owned()),
            "ttl" => self.ttl = Some(ttl(text)?),
            "dir" => self.directory = truth(name, text)?,
            "recursive" => self.recursive = truth(name, text)?,
            "refresh" => self.refresh = truth(name, text)?,
            "wait" => self.wait = truth(name, text)?,
            "stream" if truth(name, text)? => {
                return Err(Fault::field("stream: ask again with waitIndex"));
            }
            "waitIndex" => self.wait_index = number(name, text)?.filter(|index| *index > 0),
            "prevExist" => self.exists = Some(truth(name, text)?),
            "prevValue" if text.is_empty() => return Err(Fault::no_previous_value()),
            "prevValue" => self.previous_value = Some(text.to_owned()),
            "prevIndex" => self.previous_index = number(name, text)?.filter(|index| *index > 0),
            _ => {}
        }
        Ok(())
    }

    /// The write that a request of this method comes to.
    pub(super) fn write(self, method: &Method, key: Key, keys: &Keys) -> Result<KeyWrite, Fault> {
        let condition = Condition {
            exists: self.exists,
            value: self.previous_value.clone().map(Into::into),
            index: self.previous_index,
        };
        let change = if *method == Method::DELETE {
            Change::Remove {
                directory: self.directory,
                recursive: self.recursive,
            }
        } else if *method == Method::POST {
            Change::Append {
                content: content(self.value, self.directory),
                ttl: self.ttl.flatten(),
            }
        } else {
            self.set(&key, keys)?
        };
        Ok(KeyWrite {
            key,
            change,
            condition,
        })
    }

    fn set(self, key: &Key, keys: &Keys) -> Result<Change, Fault> {
        // A directory that is there keeps what is in it, and gets another end.
        let keeps = self.directory && self.exists == Some(true);
        match (self.refresh, &self.value, self.ttl) {
            (true, Some(_), _) => Err(Fault::value_on_refresh()),
            (true, None, None) => Err(Fault::no_ttl_on_refresh()),
            (true, None, Some(ttl)) => refreshed(keys, key, ttl),
            (false, _, ttl) if keeps => refreshed(keys, key, ttl.flatten()),
            (false, _, ttl) => Ok(Change::Set {
                content: content(self.value, self.directory),
                ttl: ttl.flatten(),
            }),
        }
    }
}

/// As Go reads truths, and with it etcd.
fn truth(name: &str, text: &str) -> Result<bool, Fault> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Fault::field(&format!("invalid value for \"{name}\""))),
    }
}

fn number(name: &str, text: &str) -> Result<Option<u64>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse();
    number
        .map(Some)
        .map_err(|_| Fault::index(&format!("invalid value for \"{name}\"")))
}

/// Nothing means for ever. Nought does not: whoever says it wants the key to end, which the store refuses.
fn ttl(text: &str) -> Result<Option<Duration>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let seconds = text.parse().map(Duration::from_secs);
    seconds
        .map(Some)
        .map_err(|_| Fault::ttl("invalid value for \"ttl\""))
}
