//! Checks of what is ours under `deploy`: a singleton with a lease.

use std::rc::Rc;

use super::check::Checker;
use super::lists;
use crate::yaml::Node;

/// What keeps a singleton one.
pub(crate) const SINGLETON: [&str; 1] = ["lease"];

/// The longest name of a node.
const MAX_NAME: usize = 63;

/// `singleton` and `witnesses` of `deploy`: both or none.
pub(super) fn lease(checker: &mut Checker<'_>, deploy: &Node) {
    let singleton = checker.optional(deploy, "singleton");
    let named = checker.optional(deploy, "witnesses");
    if let Some(singleton) = singleton {
        checker.choice(singleton, "`singleton`", &SINGLETON);
    }
    if let Some(named) = named {
        witnesses(checker, named);
    }
    match (singleton, named) {
        (Some(singleton), None) => checker.report.error_with_hint(
            singleton.at,
            "`singleton` has no `witnesses`",
            "name three or five nodes in `witnesses` beside it",
        ),
        (None, Some(named)) => checker.report.error_with_hint(
            named.at,
            "`witnesses` grant a lease, and there is none",
            "write `singleton: lease` beside it",
        ),
        (Some(_), Some(_)) | (None, None) => {}
    }
}

fn witnesses(checker: &mut Checker<'_>, node: &Node) {
    let Some(items) = lists::items(checker, node, "`witnesses`") else {
        return;
    };
    if !matches!(items.len(), 3 | 5) {
        let message = format!(
            "`witnesses` has {} names, a lease is granted by three or five",
            items.len()
        );
        checker.report.error(node.at, message);
    }
    for (at, item) in items.iter().enumerate() {
        witness(checker, item, &items[..at]);
    }
}

fn witness(checker: &mut Checker<'_>, item: &Node, before: &[Rc<Node>]) {
    let Some(name) = checker.text(item, "an item of `witnesses`") else {
        return;
    };
    if before.iter().any(|other| other.text() == Some(name)) {
        let message = format!("the witness `{name}` is given twice");
        checker.report.error(item.at, message);
    }
    if !is_name(name) {
        let message = format!("`{name}` is not the name of a node");
        let hint = format!("it is 1 to {MAX_NAME} of a-z, 0-9 and `-`, with no `-` at its ends");
        checker.report.error_with_hint(item.at, message, hint);
    }
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_cut = text.starts_with('-') || text.ends_with('-');
    (1..=MAX_NAME).contains(&text.len()) && text.chars().all(fits) && !is_cut
}
