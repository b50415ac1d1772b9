//! The keys of a stack file: which are read, which Kontena has and this version has not yet, and
//! which belong to Docker Compose.

use super::suggestion::nearest;

/// A mapping of the file whose keys are fixed.
pub(super) struct Section {
    /// Where the key stands, for messages: "a service".
    pub(super) name: &'static str,
    pub(super) supported: &'static [&'static str],
    pub(super) not_yet: &'static [&'static str],
    /// Keys of others that people try, each with what to do instead.
    pub(super) foreign: &'static [(&'static str, &'static str)],
}

pub(super) const STACK: Section = Section {
    name: "a stack file",
    supported: &[
        "stack",
        "version",
        "description",
        "services",
        "volumes",
        "networks",
    ],
    not_yet: &["expose", "variables", "depends", "labels", "meta"],
    foreign: &[
        ("name", "the name of a stack is its `stack` key"),
        ("secrets", "secrets are listed by each service"),
        (
            "configs",
            "give a configuration in the environment, or build it into the image",
        ),
    ],
};

pub(super) const SERVICE: Section = Section {
    name: "a service",
    supported: &[
        "image",
        "instances",
        "stateful",
        "command",
        "environment",
        "ports",
        "links",
        "depends_on",
        "volumes",
        "affinity",
        "stop_signal",
        "stop_grace_period",
        "network_mode",
        "deploy",
        "labels",
    ],
    not_yet: &[
        "build",
        "extends",
        "entrypoint",
        "env_file",
        "secrets",
        "certificates",
        "external_links",
        "pid",
        "privileged",
        "cap_add",
        "cap_drop",
        "user",
        "read_only",
        "cpus",
        "cpu_shares",
        "mem_limit",
        "memswap_limit",
        "mem_swaplimit",
        "shm_size",
        "volumes_from",
        "logging",
        "health_check",
        "hooks",
        "only_if",
        "skip_if",
    ],
    foreign: &[
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
    ],
};

pub(super) const DEPLOY: Section = Section {
    name: "`deploy`",
    supported: &["strategy", "wait_for_port", "min_health"],
    not_yet: &["interval"],
    foreign: &[
        (
            "replicas",
            "the number of instances is the service's `instances`",
        ),
        (
            "restart_policy",
            "remove it: instances are always restarted",
        ),
    ],
};

pub(super) const NODES: Section = Section {
    name: "a node file",
    supported: &["nodes"],
    not_yet: &[],
    foreign: &[
        ("services", "services are in the stack file"),
        ("stack", "this is the place for the node file"),
    ],
};

pub(super) const NODE: Section = Section {
    name: "a node",
    supported: &["zone", "labels", "availability"],
    not_yet: &[],
    foreign: &[
        ("name", "the name of a node is its key under `nodes`"),
        ("az", "the key is `zone`"),
        ("region", "the key is `zone`"),
        ("cpus", "remove it: placement looks at no capacity"),
        ("memory", "remove it: placement looks at no capacity"),
    ],
};

/// Why a key is refused.
pub(super) enum Refusal {
    NotYet,
    Unknown { hint: Option<String> },
}

impl Section {
    /// Only for keys that are not supported.
    pub(super) fn refuse(&self, key: &str) -> Refusal {
        if self.not_yet.contains(&key) {
            return Refusal::NotYet;
        }
        let foreign = self.foreign.iter().find(|(name, _)| *name == key);
        let hint = foreign.map(|(_, hint)| (*hint).to_owned());
        Refusal::Unknown {
            hint: hint.or_else(|| self.suggestion(key)),
        }
    }

    fn suggestion(&self, key: &str) -> Option<String> {
        let known = self.supported.iter().chain(self.not_yet).copied();
        nearest(key, known).map(|key| format!("did you mean `{key}`?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_in_two_lists() {
        for section in [STACK, SERVICE, DEPLOY, NODES, NODE] {
            let foreign = section.foreign.iter().map(|(key, _)| key);
            let all = section
                .supported
                .iter()
                .chain(section.not_yet)
                .chain(foreign);
            let mut keys: Vec<&&str> = all.collect();
            let count = keys.len();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), count, "{}", section.name);
        }
    }
}
