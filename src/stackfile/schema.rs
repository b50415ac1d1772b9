//! A JSON schema of stack files, for editors.

use serde_json::{Value as Json, json};

use crate::service::{CONCURRENCY, ON_FAILURE, ON_RETURN, ORDER, SINGLETON, TAKEOVER};

/// The schema (draft 7). Values may also be texts with variables or templates in them, so that numbers
/// and the like are not held to their type where a text is given.
pub fn schema() -> Json {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Kontena stack file",
        "type": "object",
        "required": ["stack"],
        "additionalProperties": true,
        "properties": {
            "stack": text("NAME or USER/NAME"),
            "version": {"type": ["string", "number"], "description": "The stack's own version"},
            "description": text("Free text"),
            "expose": text("The service that has the stack's own name in DNS"),
            "labels": texts("KEY=VALUE"),
            "meta": {"type": "object"},
            "variables": {"type": "object", "additionalProperties": variable()},
            "depends": {"type": "object", "additionalProperties": {
                "type": "object",
                "required": ["stack"],
                "properties": {"stack": text("A file, or USER/STACK:VERSION"), "variables": {"type": "object"}},
            }},
            "volumes": {"type": "object", "additionalProperties": {
                "type": "object",
                "required": ["external"],
                "properties": {"external": {"anyOf": [
                    {"const": true},
                    {"type": "object", "properties": {"name": text("The volume of the grid")}},
                ]}},
            }},
            "services": {"type": "object", "additionalProperties": service()},
        },
    })
}

fn text(description: &str) -> Json {
    json!({"type": ["string", "null"], "description": description})
}

fn texts(description: &str) -> Json {
    let item = json!({"type": ["string", "null"]});
    json!({"type": ["array", "null"], "items": item, "description": description})
}

/// A value of a type, or a text that becomes one when variables are filled in.
fn typed(kind: &str, description: &str) -> Json {
    json!({"type": [kind, "string", "object", "null"], "description": description})
}

fn choice(choices: &[&str], description: &str) -> Json {
    json!({"anyOf": [{"enum": choices}, {"type": ["null"]}, {"type": "string", "pattern": "[${]"}], "description": description})
}

fn variable() -> Json {
    let places = json!({"type": ["string", "array", "object", "null"]});
    let condition = json!({"type": ["string", "array", "object", "null"]});
    json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"enum": crate::variables::TYPES},
            "from": places,
            "to": places,
            "required": {"type": "boolean", "description": "Whether it has to have a value (true)"},
            "only_if": condition,
            "skip_if": condition,
            "label": {"type": "string"},
            "description": {"type": "string"},
        },
    })
}

fn hooks() -> Json {
    let hook = json!({
        "type": "object",
        "required": ["name", "cmd"],
        "properties": {
            "name": {"type": "string"},
            "cmd": {"type": "string"},
            "instances": {"type": ["integer", "string", "object"], "description": "A number, or *"},
            "oneshot": {"type": "boolean", "description": "Once in the life of an instance"},
        },
    });
    let stage = json!({"type": ["array", "null"], "items": hook});
    json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "pre_build": stage, "pre_start": stage, "post_start": stage, "pre_stop": stage,
            "pre_backup": stage, "post_backup": stage,
        },
    })
}

fn section(properties: &Json, required: &[&str]) -> Json {
    json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

fn injected(key: &str) -> Json {
    let item = json!({
        "type": "object",
        "required": [key, "name", "type"],
        "properties": {key: {"type": ["string", "object"]}, "name": {"type": "string"}, "type": {"type": "string"}},
    });
    json!({"type": ["array", "null"], "items": item})
}

fn service() -> Json {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": service_keys(),
    })
}

fn service_keys() -> Json {
    let condition = json!({"type": ["string", "array", "object", "null"]});
    json!({
        "image": typed("string", "The image; `:latest` where no tag is given"),
        "build": {"type": ["string", "object", "null"], "description": "How the image is built"},
        "extends": {"type": ["string", "object", "null"], "description": "A service to take over"},
        "instances": typed("integer", "How many (1); for `daemon` on each node"),
        "stateful": typed("boolean", "Keeps its volumes, and stays where they are"),
        "command": text("The arguments, as one line"),
        "entrypoint": text("What runs instead of the image's own"),
        "environment": {"type": ["array", "object", "null"], "description": "NAME=VALUE"},
        "env_file": {"type": ["string", "array", "null"], "description": "Files of NAME=VALUE"},
        "secrets": injected("secret"),
        "certificates": injected("subject"),
        "links": texts("SERVICE or STACK/SERVICE"),
        "external_links": texts("STACK/SERVICE"),
        "depends_on": texts("Services that start before"),
        "ports": texts("[IP:]HOST:CONTAINER[/PROTOCOL], in quotes"),
        "network_mode": choice(&["bridge", "host"], "bridge is the default"),
        "pid": choice(&["host"], "Sees the processes of the node"),
        "privileged": typed("boolean", "Can do everything on the node"),
        "cap_add": texts("Linux capabilities to add"),
        "cap_drop": texts("Linux capabilities to take"),
        "user": text("Who runs it"),
        "read_only": typed("boolean", "The container cannot write to its own files"),
        "cpus": typed("number", "CPUs at most, with a point: 1.0"),
        "cpu_shares": typed("integer", "0 to 1024"),
        "mem_limit": text("512m, 2g"),
        "mem_swaplimit": text("Has no effect, as in Kontena"),
        "shm_size": text("64m"),
        "volumes": texts("/PATH, /HOST:/PATH or VOLUME:/PATH, with :FLAGS"),
        "volumes_from": texts("SERVICE-%s"),
        "logging": section(&json!({"driver": {"type": "string"}, "options": {"type": "object"}}), &[]),
        "affinity": texts("node==NAME, label!=LABEL, service==~NAME"),
        "deploy": deploy(),
        "health_check": section(&json!({
            "protocol": choice(&["http", "tcp", "exec"], "How it is asked"),
            "port": typed("integer", "The container's port"),
            "uri": text("For http: what is asked for (/)"),
            "timeout": typed("integer", "Seconds (10)"),
            "interval": typed("integer", "Seconds (60)"),
            "initial_delay": typed("integer", "Seconds (10)"),
            "cmd": text("For exec: what /bin/sh runs in the container"),
        }), &["protocol"]),
        "hooks": hooks(),
        "stop_signal": {"type": ["string", "integer", "null"], "description": "SIGTERM, or a number"},
        "stop_grace_period": text("10s, 1m30s"),
        "only_if": condition,
        "skip_if": condition,
    })
}

fn deploy() -> Json {
    let keys = json!({
        "strategy": choice(&["ha", "daemon", "random"], "ha is the default"),
        "wait_for_port": typed("integer", "Has to accept connections before the next one is replaced"),
        "min_health": typed("number", "The share that stays up, with a point: 0.8"),
        "interval": {"type": ["string", "integer"], "description": "Deployed anew when older: 30min, 12h, 7d"},
        "spread": {"type": ["string", "array"], "description": "Over which labels instances are spread, the widest first: label=KEY (label=az)"},
        "max_per_node": typed("integer", "The most instances on one node"),
        "offline": offline(),
        "order": choice(&ORDER, "Whether the new container is started before the old one stops (stop-first)"),
        "on_failure": choice(&ON_FAILURE, "What becomes of a deploy that fails (halt)"),
        "schedule": text("Run at these times, not kept running: */5 * * * *, or with seconds before it"),
        "time_zone": text("Of the schedule: Europe/Helsinki (UTC)"),
        "concurrency": choice(&CONCURRENCY, "What becomes of a run while the one before goes on (forbid)"),
        "time_limit": text("How long a run may take: 90s, 2h (24h)"),
        "takeover": typed("boolean", "Whether another node runs it while its own is away, if need be twice"),
        "singleton": choice(&SINGLETON, "One instance, which runs only while a majority of its witnesses lets it"),
        "witnesses": texts("The three or five nodes that grant its lease"),
        "canary": typed("integer", "How many instances are replaced before the deploy is promoted"),
        "standby_images": typed("integer", "How many of the nodes that come next keep the image ready: 0, 1 or 2 (2)"),
        "rebalance": typed("boolean", "Moves what runs to where fewer of it run, one after the other"),
    });
    section(&keys, &[])
}

fn offline() -> Json {
    let after = "How long a node has to be absent before others start what it ran: 2m (0s)";
    let properties = json!({
        "replace_after": text(after),
        "takeover": choice(&TAKEOVER, "Which side of a split may; half is the default"),
        "on_return": choice(&ON_RETURN, "Who keeps it when the node is back"),
    });
    section(&properties, &[])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::service::{DEPLOY_KEYS, KEYS};

    #[test]
    fn the_schema_has_the_keys_that_the_reader_knows() {
        let service = service_keys();
        for (schema, known) in [
            (&service, KEYS.as_slice()),
            (&service["deploy"]["properties"], DEPLOY_KEYS.as_slice()),
        ] {
            let keys = schema.as_object().unwrap().keys();
            let in_schema: BTreeSet<&str> = keys.map(String::as_str).collect();
            assert_eq!(in_schema, known.iter().copied().collect());
        }
    }
}
