//! The keys of a service, and words of other formats that people try.

use crate::problem::Report;
use crate::suggestion::nearest;
use crate::yaml::Node;

/// All keys that Kontena's stack format knows.
pub(crate) const SERVICE: [&str; 38] = [
    "affinity",
    "build",
    "cap_add",
    "cap_drop",
    "certificates",
    "command",
    "cpu_shares",
    "cpus",
    "depends_on",
    "deploy",
    "entrypoint",
    "env_file",
    "environment",
    "extends",
    "external_links",
    "health_check",
    "hooks",
    "image",
    "instances",
    "links",
    "logging",
    "mem_limit",
    "mem_swaplimit",
    "network_mode",
    "only_if",
    "pid",
    "ports",
    "privileged",
    "read_only",
    "secrets",
    "shm_size",
    "skip_if",
    "stateful",
    "stop_grace_period",
    "stop_signal",
    "user",
    "volumes",
    "volumes_from",
];

/// The keys of `deploy`; those behind `interval` are ours.
pub(crate) const DEPLOY: [&str; 19] = [
    "strategy",
    "wait_for_port",
    "min_health",
    "interval",
    "spread",
    "max_per_node",
    "offline",
    "rebalance",
    "standby_images",
    "order",
    "on_failure",
    "canary",
    "schedule",
    "time_zone",
    "concurrency",
    "time_limit",
    "takeover",
    "singleton",
    "witnesses",
];

/// What becomes of a job's slot while the run before it goes on.
pub(crate) const CONCURRENCY: [&str; 3] = ["forbid", "replace", "allow"];

/// Which container comes first in a replacement.
pub(crate) const ORDER: [&str; 2] = ["stop-first", "start-first"];

/// What becomes of a deploy that fails.
pub(crate) const ON_FAILURE: [&str; 2] = ["halt", "rollback"];

/// The keys of `deploy.offline`.
pub(super) const OFFLINE: [&str; 3] = ["replace_after", "takeover", "on_return"];

/// The keys of `health_check`; the last is ours.
pub(super) const HEALTH_CHECK: [&str; 7] = [
    "protocol",
    "port",
    "uri",
    "timeout",
    "interval",
    "initial_delay",
    "cmd",
];

/// Keys of others, each with what to do instead.
const FOREIGN: [(&str, &str); 21] = [
    ("restart", "remove it: instances are always restarted"),
    (
        "container_name",
        "remove it: instances are named STACK.SERVICE-NUMBER",
    ),
    (
        "hostname",
        "remove it: instances are named SERVICE-NUMBER.STACK",
    ),
    (
        "networks",
        "remove it: all services of a grid share one network",
    ),
    ("net", "the key is `network_mode`"),
    ("env", "the key is `environment`"),
    ("cmd", "the key is `command`"),
    (
        "expose",
        "remove it: services reach each other on every port",
    ),
    ("healthcheck", "the key is `health_check`"),
    ("replicas", "the key is `instances`"),
    ("scale", "the key is `instances`"),
    ("strategy", "it belongs under `deploy`"),
    ("wait_for_port", "it belongs under `deploy`"),
    ("min_health", "it belongs under `deploy`"),
    ("spread", "it belongs under `deploy`"),
    ("max_per_node", "it belongs under `deploy`"),
    ("singleton", "it belongs under `deploy`"),
    ("witnesses", "it belongs under `deploy`"),
    ("memory", "the key is `mem_limit`"),
    ("dockerfile", "it belongs under `build`, beside `context`"),
    ("log_driver", "it is `driver` under `logging`"),
];

/// Refuses an unknown key of `what`.
pub(super) fn refuse(key: &Node, what: &str, known: &[&str], report: &mut Report) {
    let name = key.key();
    let foreign = FOREIGN.iter().find(|(foreign, _)| *foreign == name);
    let hint = match foreign.filter(|_| what == "a service") {
        Some((_, hint)) => Some((*hint).to_owned()),
        None => nearest(&name, known.iter().copied()).map(|near| format!("did you mean `{near}`?")),
    };
    report.error_or_hint(key.at, format!("`{name}` is not a key of {what}"), hint);
}
