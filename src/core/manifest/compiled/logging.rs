//! Where a service's output goes, in the words of Kontena's API.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::field::{Field, FieldProblem};
use crate::stack::{Logging, log_driver};

/// Which of it is to be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggingChange {
    /// `Some(None)`, in JSON the empty text, is the engine's own.
    pub driver: Option<Option<String>>,
    pub options: Option<BTreeMap<String, String>>,
}

impl LoggingChange {
    pub(super) const FIELDS: [&str; 2] = ["log_driver", "log_opts"];

    pub(super) fn from(logging: &Logging) -> Self {
        Self {
            driver: logging.driver.clone().map(Some),
            options: Some(logging.options.clone()).filter(|options| !options.is_empty()),
        }
    }

    pub(super) fn read(body: &Field<'_>, problems: &mut Vec<FieldProblem>) -> Self {
        let read = |text: &str| match text {
            "" => Ok(None),
            text => log_driver(text).map(Some),
        };
        let driver = body.get("log_driver");
        Self {
            driver: driver.and_then(|field| field.parsed(read, problems)),
            options: body
                .get("log_opts")
                .and_then(|field| options(&field, problems)),
        }
    }

    pub(super) fn write(&self, body: &mut Map<String, Value>) {
        if let Some(driver) = &self.driver {
            let text = driver.as_deref().unwrap_or_default();
            body.insert("log_driver".to_owned(), json!(text));
        }
        if let Some(options) = &self.options {
            body.insert("log_opts".to_owned(), json!(options));
        }
    }

    pub(super) fn set_on(self, logging: &mut Logging) {
        super::set(&mut logging.driver, self.driver);
        super::set(&mut logging.options, self.options);
    }
}

fn options(
    field: &Field<'_>,
    problems: &mut Vec<FieldProblem>,
) -> Option<BTreeMap<String, String>> {
    field.object(problems)?;
    let entries = field.entries().into_iter();
    let entries = entries.filter_map(|(name, value)| {
        let text = value.scalar(problems)?;
        Some((name.to_owned(), text))
    });
    Some(entries.collect())
}
