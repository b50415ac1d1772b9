//! Checks of what is ours under `deploy`: where instances may run.

use std::rc::Rc;

use super::check::Checker;
use super::lists;
use crate::value::Value;
use crate::yaml::Node;

/// As many as a service may have.
pub(super) const MAX_PER_NODE: i64 = 10_000;

/// So many nodes keep an image ready unless a file says otherwise.
pub(super) const MAX_STANDBY_IMAGES: i64 = 2;

/// Who may start what a node that is away ran.
pub(crate) const TAKEOVER: [&str; 3] = ["half", "always", "never"];

/// Who keeps an instance when its node is back.
pub(crate) const ON_RETURN: [&str; 3] = ["keep_original", "keep_replacement", "longest_running"];

/// The most labels to spread over.
const MAX_LABELS: usize = 3;

/// `label=KEY`, or a list of them.
pub(super) fn spread(checker: &mut Checker<'_>, node: &Rc<Node>) {
    if node.items().is_none() {
        label(checker, node, "`spread`");
        return;
    }
    let items = lists::items(checker, node, "`spread`").unwrap_or_default();
    if items.len() > MAX_LABELS {
        let message = format!(
            "`spread` has {} labels, {MAX_LABELS} are possible",
            items.len()
        );
        checker.report.error(node.at, message);
    }
    for (at, item) in items.iter().enumerate() {
        label(checker, item, "an item of `spread`");
        if items[..at].iter().any(|before| before.key() == item.key()) {
            let message = format!("`{}` is given twice", item.key());
            checker.report.error(item.at, message);
        }
    }
}

fn label(checker: &mut Checker<'_>, node: &Node, what: &str) {
    let Some(text) = checker.text(node, what) else {
        return;
    };
    let unfit = |c: char| c == '=' || c.is_whitespace() || c.is_control();
    let key = text.strip_prefix("label=");
    if key.is_none_or(|key| key.is_empty() || key.contains(unfit)) {
        let message = format!("{what} is `{text}`, it has to be `label=KEY`");
        let hint = (!text.is_empty() && !text.contains(|c| unfit(c) || c == ':'))
            .then(|| format!("write `label={text}`"));
        checker.report.error_or_hint(node.at, message, hint);
    }
}

/// One label as a list, as the API takes it.
pub(super) fn listed(spread: Value) -> Value {
    match spread {
        Value::Text(_) => Value::List(vec![spread]),
        other => other,
    }
}
