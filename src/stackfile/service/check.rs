//! Whether a service says only what a service can say. Null is right everywhere: it says nothing.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::keys::{CONCURRENCY, DEPLOY, HEALTH_CHECK, OFFLINE, ON_FAILURE, ORDER, SERVICE, refuse};
use super::{lease, lists, placing};
use crate::problem::Report;
use crate::units;
use crate::value::Value;
use crate::yaml::{Entries, Node};

/// What a service can refer to.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// The top-level volumes; `None` where the file lists none.
    pub(crate) volumes: Option<BTreeSet<String>>,
}

/// Reports everything that is wrong with the service `name`.
pub(crate) fn check(key: &Node, node: &Node, surroundings: &Surroundings, report: &mut Report) {
    let name = key.key();
    warn_of_name(key, &name, report);
    let Some(entries) = node.entries() else {
        let message = format!(
            "the service `{name}` has to be a mapping, this is {}",
            node.what()
        );
        report.error(key.at, message);
        return;
    };
    for (key, value) in entries {
        check_key(key, value, surroundings, report);
    }
    let stateful = node.get("stateful").and_then(|node| node.scalar());
    let from = node.get("volumes_from");
    if let Some(from) = from.filter(|from| from.items().is_some_and(|items| !items.is_empty()))
        && stateful.is_some_and(Value::is_true)
    {
        report.error(from.at, "a stateful service cannot use `volumes_from`");
    }
}

fn warn_of_name(key: &Node, name: &str, report: &mut Report) {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.starts_with('-') || !name.chars().all(valid) {
        let message = format!("the service name `{name}` is no host name");
        let hint = "use a-z, 0-9 and `-` alone, and no `-` in front";
        report.warn_with_hint(key.at, message, hint);
    }
}

fn check_key(key: &Node, node: &Rc<Node>, surroundings: &Surroundings, report: &mut Report) {
    let name = key.key();
    let what = format!("`{name}`");
    if !SERVICE.contains(&name.as_str()) {
        refuse(key, "a service", &SERVICE, report);
        return;
    }
    if node.is_null() {
        return;
    }
    let mut checker = Checker { report };
    match name.as_str() {
        "image" | "command" | "entrypoint" | "user" => drop(checker.text(node, &what)),
        "mem_limit" | "mem_swaplimit" | "shm_size" => checker.memory(node, &what),
        "instances" => drop(checker.integer(node, &what, 0..=i64::MAX)),
        "cpu_shares" => drop(checker.integer(node, &what, 0..=1024)),
        "stateful" | "privileged" | "read_only" => checker.boolean(node, &what),
        "cpus" => drop(checker.float(node, &what)),
        "network_mode" => checker.choice(node, &what, &["bridge", "host"]),
        "pid" => checker.choice(node, &what, &["host"]),
        "stop_signal" => checker.signal(node),
        "stop_grace_period" => checker.duration(node, &what),
        "only_if" | "skip_if" => checker.condition(node, &what),
        "build" => checker.build(node),
        "extends" => checker.extends(node),
        "env_file" => checker.text_or_list(node, &what),
        "logging" => checker.logging(node),
        "deploy" => checker.deploy(node),
        "health_check" => checker.health_check(node),
        "hooks" => checker.hooks(node),
        "secrets" => checker.injected(node, "a secret", "secret"),
        "certificates" => checker.injected(node, "a certificate", "subject"),
        "environment" => lists::environment(&mut checker, node),
        "ports" => lists::ports(&mut checker, node),
        "volumes" => lists::volumes(&mut checker, node, surroundings),
        "affinity" => lists::affinity(&mut checker, node),
        _ => lists::texts(&mut checker, node, &what),
    }
}

/// Checks of single values.
pub(super) struct Checker<'a> {
    pub(super) report: &'a mut Report,
}

impl Checker<'_> {
    pub(super) fn wrong(&mut self, node: &Node, what: &str, wanted: &str) {
        let message = format!("{what} has to be {wanted}, this is {}", node.what());
        let hint = match node.scalar() {
            Some(Value::Integer(_) | Value::Float(_) | Value::Boolean(_)) if wanted == "a text" => {
                Some("put quotes around it".to_owned())
            }
            _ => None,
        };
        self.report.error_or_hint(node.at, message, hint);
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let text = node.text();
        if text.is_none() {
            self.wrong(node, what, "a text");
        }
        text
    }

    pub(super) fn integer(
        &mut self,
        node: &Node,
        what: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let number = node.scalar().and_then(Value::as_integer);
        match number {
            None => self.wrong(node, what, "a whole number"),
            Some(number) if !range.contains(&number) => {
                let (least, most) = (range.start(), range.end());
                let limits = match *most {
                    i64::MAX => format!("at least {least}"),
                    most => format!("from {least} to {most}"),
                };
                self.report.error(
                    node.at,
                    format!("{what} is {number}, it has to be {limits}"),
                );
            }
            Some(_) => {}
        }
        number
    }

    /// Kontena takes only what YAML takes for a number with a fraction.
    fn float(&mut self, node: &Node, what: &str) -> Option<f64> {
        match node.scalar() {
            Some(Value::Float(number)) => Some(*number),
            Some(Value::Integer(number)) => {
                let message = format!("{what} has to be a number with a point, this is {number}");
                self.report
                    .error_with_hint(node.at, message, format!("write `{number}.0`"));
                None
            }
            _ => {
                self.wrong(node, what, "a number with a point");
                None
            }
        }
    }

    fn boolean(&mut self, node: &Node, what: &str) {
        if !matches!(node.scalar(), Some(Value::Boolean(_))) {
            self.wrong(node, what, "true or false");
        }
    }

    pub(super) fn choice(&mut self, node: &Node, what: &str, choices: &[&str]) {
        let Some(text) = self.text(node, what) else {
            return;
        };
        if !choices.contains(&text) {
            let message = format!("{what} is `{text}`, not one of {}", choices.join(", "));
            let near = crate::suggestion::nearest(text, choices.iter().copied());
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            self.report.error_or_hint(node.at, message, hint);
        }
    }

    fn memory(&mut self, node: &Node, what: &str) {
        if let Some(text) = self.text(node, what)
            && units::memory(text).is_none()
        {
            let message = format!("{what} is `{text}`, not a size as `512m` or `2g`");
            self.report.error(node.at, message);
        }
    }

    fn signal(&mut self, node: &Node) {
        let text = node.key();
        let named = text.strip_prefix("SIG").is_some_and(|name| {
            let valid =
                |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '+' || c == '-';
            !name.is_empty() && name.chars().all(valid)
        });
        if node.scalar().is_none() || !named && units::digits(&text).is_none() {
            let message =
                format!("`stop_signal` is `{text}`, not a signal as `SIGTERM` or a number");
            self.report.error(node.at, message);
        }
    }

    fn duration(&mut self, node: &Node, what: &str) {
        if let Some(text) = self.text(node, what)
            && !units::is_duration(text)
        {
            let message = format!("{what} is `{text}`, not a duration as `30s` or `1m30s`");
            self.report.error(node.at, message);
        }
    }

    fn condition(&mut self, node: &Node, what: &str) {
        if matches!(node.scalar(), Some(value) if value.as_text().is_none()) {
            self.wrong(node, what, "the name of a variable, a list, or a mapping");
        }
    }

    fn text_or_list(&mut self, node: &Rc<Node>, what: &str) {
        match node.items() {
            Some(_) => lists::texts(self, node, what),
            None => drop(self.text(node, what)),
        }
    }

    /// The entries of a mapping with fixed keys; others are refused.
    pub(super) fn section<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        keys: &[&str],
    ) -> Option<&'n Entries> {
        let Some(entries) = node.entries() else {
            self.wrong(node, what, "a mapping");
            return None;
        };
        for (key, _) in entries {
            if !keys.contains(&key.key().as_str()) {
                refuse(key, what, keys, self.report);
            }
        }
        Some(entries)
    }

    /// A key that has to be there.
    fn required<'n>(&mut self, node: &'n Node, what: &str, key: &str) -> Option<&'n Rc<Node>> {
        let value = node.get(key).filter(|value| !value.is_null());
        if value.is_none() {
            self.report.error(node.at, format!("{what} has no `{key}`"));
        }
        value
    }

    pub(super) fn optional<'n>(&mut self, node: &'n Node, key: &str) -> Option<&'n Rc<Node>> {
        node.get(key).filter(|value| !value.is_null())
    }

    fn build(&mut self, node: &Rc<Node>) {
        if node.entries().is_none() {
            self.text(node, "`build`");
            return;
        }
        self.section(node, "`build`", &["context", "dockerfile", "args"]);
        if let Some(context) = self.required(node, "`build`", "context") {
            self.text(context, "`context`");
        }
        if let Some(dockerfile) = self.optional(node, "dockerfile") {
            self.text(dockerfile, "`dockerfile`");
        }
        if let Some(arguments) = self.optional(node, "args")
            && arguments.entries().is_none()
            && arguments.items().is_none()
        {
            self.wrong(arguments, "`args`", "a mapping or a list");
        }
    }

    fn extends(&mut self, node: &Rc<Node>) {
        if node.entries().is_none() {
            self.text(node, "`extends`");
            return;
        }
        self.section(node, "`extends`", &["service", "file", "stack"]);
        for key in ["service", "file", "stack"] {
            if let Some(value) = self.optional(node, key) {
                self.text(value, &format!("`{key}`"));
            }
        }
        self.required(node, "`extends`", "service");
    }

    fn logging(&mut self, node: &Rc<Node>) {
        if self
            .section(node, "`logging`", &["driver", "options"])
            .is_none()
        {
            return;
        }
        if let Some(driver) = self.optional(node, "driver") {
            self.text(driver, "`driver`");
        }
        if let Some(options) = self.optional(node, "options")
            && options.entries().is_none()
        {
            self.wrong(options, "`options`", "a mapping");
        }
    }

    fn deploy(&mut self, node: &Rc<Node>) {
        if self.section(node, "`deploy`", &DEPLOY).is_none() {
            return;
        }
        if let Some(strategy) = self.optional(node, "strategy") {
            self.choice(strategy, "`strategy`", &["ha", "daemon", "random"]);
        }
        if let Some(port) = self.optional(node, "wait_for_port") {
            self.integer(port, "`wait_for_port`", 1..=65_535);
        }
        if let Some(share) = self.optional(node, "min_health") {
            let number = self.float(share, "`min_health`");
            if number.is_some_and(|number| !(0.0..=1.0).contains(&number)) {
                self.report
                    .error(share.at, "`min_health` is a share from 0.0 to 1.0");
            }
        }
        if let Some(interval) = self.optional(node, "interval")
            && (interval.scalar().is_none() || units::interval(&interval.key()).is_none())
        {
            let message = "`interval` has to be a time as `30min`, `12h` or `7d`";
            self.report.error(interval.at, message);
        }
        if let Some(spread) = self.optional(node, "spread") {
            placing::spread(self, spread);
        }
        if let Some(most) = self.optional(node, "max_per_node") {
            self.integer(most, "`max_per_node`", 1..=placing::MAX_PER_NODE);
        }
        if let Some(rebalance) = self.optional(node, "rebalance") {
            self.boolean(rebalance, "`rebalance`");
        }
        if let Some(images) = self.optional(node, "standby_images") {
            self.integer(images, "`standby_images`", 0..=placing::MAX_STANDBY_IMAGES);
        }
        if let Some(offline) = self.optional(node, "offline") {
            self.offline(offline);
        }
        if let Some(order) = self.optional(node, "order") {
            self.choice(order, "`order`", &ORDER);
        }
        if let Some(on_failure) = self.optional(node, "on_failure") {
            self.choice(on_failure, "`on_failure`", &ON_FAILURE);
        }
        if let Some(canary) = self.optional(node, "canary") {
            self.integer(canary, "`canary`", 1..=placing::MAX_PER_NODE);
        }
        self.job(node);
        lease::lease(self, node);
    }

    /// Whether a schedule is one is for whoever runs it to say.
    fn job(&mut self, node: &Rc<Node>) {
        if let Some(schedule) = self.optional(node, "schedule") {
            self.text(schedule, "`schedule`");
        }
        if let Some(zone) = self.optional(node, "time_zone") {
            self.text(zone, "`time_zone`");
        }
        if let Some(concurrency) = self.optional(node, "concurrency") {
            self.choice(concurrency, "`concurrency`", &CONCURRENCY);
        }
        if let Some(limit) = self.optional(node, "time_limit") {
            self.duration(limit, "`time_limit`");
        }
        if let Some(takeover) = self.optional(node, "takeover") {
            self.boolean(takeover, "`takeover`");
        }
    }

    fn offline(&mut self, node: &Rc<Node>) {
        if self.section(node, "`offline`", &OFFLINE).is_none() {
            return;
        }
        if let Some(after) = self.optional(node, "replace_after") {
            self.duration(after, "`replace_after`");
        }
        if let Some(takeover) = self.optional(node, "takeover") {
            self.choice(takeover, "`takeover`", &placing::TAKEOVER);
        }
        if let Some(on_return) = self.optional(node, "on_return") {
            self.choice(on_return, "`on_return`", &placing::ON_RETURN);
        }
    }

    fn health_check(&mut self, node: &Rc<Node>) {
        if self
            .section(node, "`health_check`", &HEALTH_CHECK)
            .is_none()
        {
            return;
        }
        let protocol = self.required(node, "`health_check`", "protocol");
        if let Some(protocol) = protocol {
            self.choice(protocol, "`protocol`", &["http", "tcp", "exec"]);
        }
        let runs = protocol.and_then(|protocol| protocol.text()) == Some("exec");
        if runs {
            if let Some(command) = self.required(node, "a `health_check` by exec", "cmd") {
                self.text(command, "`cmd`");
            }
        } else if let Some(port) = self.required(node, "`health_check`", "port") {
            self.integer(port, "`port`", 1..=65_535);
        }
        self.belongs_to_protocol(node, runs);
        if let Some(uri) = self.optional(node, "uri")
            && let Some(text) = self.text(uri, "`uri`")
            && !text.starts_with('/')
        {
            self.report.error(
                uri.at,
                format!("`uri` is `{text}`, it has to begin with `/`"),
            );
        }
        let mut seconds = |key: &str| {
            let value = self.optional(node, key)?;
            self.integer(value, &format!("`{key}`"), 0..=i64::MAX)
        };
        let (timeout, interval) = (seconds("timeout"), seconds("interval"));
        seconds("initial_delay");
        if let (Some(timeout), Some(interval)) = (timeout, interval)
            && interval < timeout
        {
            let message =
                format!("`interval` is {interval}, shorter than `timeout`, which is {timeout}");
            self.report.error(node.at, message);
        }
    }

    /// A command is run, and a port asked: neither means anything to the other.
    fn belongs_to_protocol(&mut self, node: &Rc<Node>, runs: bool) {
        let foreign: &[&str] = if runs { &["port", "uri"] } else { &["cmd"] };
        for key in foreign {
            if let Some(value) = self.optional(node, key) {
                let message = match runs {
                    true => format!("`{key}` means nothing to the protocol `exec`"),
                    false => format!("`{key}` is only for the protocol `exec`"),
                };
                self.report.error(value.at, message);
            }
        }
    }

    fn hooks(&mut self, node: &Rc<Node>) {
        let stages = [
            "pre_build",
            "pre_start",
            "post_start",
            "pre_stop",
            "pre_backup",
            "post_backup",
        ];
        let Some(entries) = self.section(node, "`hooks`", &stages) else {
            return;
        };
        for (stage, hooks) in entries {
            if hooks.is_null() {
                continue;
            }
            let Some(hooks) = hooks.items() else {
                self.wrong(hooks, &format!("`{}`", stage.key()), "a list");
                continue;
            };
            let builds = stage.text() == Some("pre_build");
            hooks.iter().for_each(|hook| self.hook(hook, builds));
        }
    }

    fn hook(&mut self, node: &Rc<Node>, builds: bool) {
        let keys: &[&str] = if builds {
            &["name", "cmd"]
        } else {
            &["name", "cmd", "instances", "oneshot"]
        };
        if self.section(node, "a hook", keys).is_none() {
            return;
        }
        for key in ["name", "cmd"] {
            if let Some(value) = self.required(node, "a hook", key) {
                self.text(value, &format!("`{key}`"));
            }
        }
        if let Some(instances) = self.optional(node, "instances")
            && !instances.text().is_some_and(is_numbers)
        {
            self.integer(instances, "`instances`", 1..=i64::MAX);
        }
        if let Some(once) = self.optional(node, "oneshot") {
            self.boolean(once, "`oneshot`");
        }
    }

    /// Secrets and certificates: what, under which name, and how.
    fn injected(&mut self, node: &Rc<Node>, what: &str, key: &str) {
        let Some(items) = lists::items(self, node, &format!("`{key}s`")) else {
            return;
        };
        for item in items {
            if self.section(item, what, &[key, "name", "type"]).is_none() {
                continue;
            }
            for key in [key, "name", "type"] {
                if let Some(value) = self.required(item, what, key) {
                    self.text(value, &format!("`{key}`"));
                }
            }
        }
    }
}

/// `*`, or several numbers as Kontena's pages promise and its client refused: `1,2`.
fn is_numbers(text: &str) -> bool {
    let is_number = |part: &str| part.trim().parse::<u32>().is_ok_and(|number| number > 0);
    text == "*" || text.split(',').all(is_number)
}
