//! Every call of Kontena's own command line that has a counterpart, spoken as plain HTTP: the path, what is sent, and
//! the fields that it reads from the answer.

use std::fmt::Write as _;
use std::sync::Arc;

use kontena_core::id::EnvelopeHash;
use kontena_core::stack::Service;
use kontena_core::view::View;
use kontena_core::volume::Copy;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fixture::{ADMIN_TOKEN, Server, accepted, view};

/// A call: verb, path, body, and pointers into the answer that have to lead to something.
struct Call(
    &'static str,
    &'static str,
    Option<Value>,
    &'static [&'static str],
);

const WEB: &str = "/v1/services/home/shop/web";

fn reads() -> Vec<Call> {
    let get = |path, fields| Call("GET", path, None, fields);
    vec![
        get("/", &["/version"]),
        get("/v1/user", &["/email"]),
        get(
            "/v1/grids/home/external_registries",
            &[
                "/external_registries/0/name",
                "/external_registries/0/username",
                "/external_registries/0/email",
            ],
        ),
        get(
            "/v1/grids",
            &[
                "/grids/0/id",
                "/grids/0/name",
                "/grids/0/token",
                "/grids/0/initial_size",
                "/grids/0/default_affinity",
                "/grids/0/subnet",
                "/grids/0/supernet",
                "/grids/0/node_count",
                "/grids/0/service_count",
                "/grids/0/container_count",
                "/grids/0/user_count",
                "/grids/0/stats",
                "/grids/0/logs",
            ],
        ),
        get(
            "/v1/grids/home",
            &["/name", "/trusted_subnets", "/initial_size"],
        ),
        get(
            "/v1/grids/home/container_logs?limit=10&nodes=alpha&services=shop%2Fweb&containers=shop.web-1",
            &["/logs"],
        ),
        get(
            "/v1/grids/home/nodes",
            &[
                "/nodes/0/id",
                "/nodes/0/node_id",
                "/nodes/0/name",
                "/nodes/0/agent_version",
                "/nodes/0/status",
                "/nodes/0/created_at",
                "/nodes/0/connected_at",
                "/nodes/0/connected",
                "/nodes/0/initial_member",
                "/nodes/0/node_number",
                "/nodes/0/labels",
                "/nodes/0/public_ip",
                "/nodes/0/private_ip",
                "/nodes/0/overlay_ip",
                "/nodes/0/cpus",
                "/nodes/0/mem_total",
                "/nodes/0/engine_root_dir",
                "/nodes/0/resource_usage",
            ],
        ),
        get(
            "/v1/nodes/home/alpha",
            &[
                "/id",
                "/node_id",
                "/name",
                "/agent_version",
                "/docker_version",
                "/connected",
                "/connected_at",
                "/last_seen_at",
                "/availability",
                "/public_ip",
                "/private_ip",
                "/overlay_ip",
                "/os",
                "/kernel_version",
                "/driver",
                "/volume_drivers",
                "/initial_member",
                "/labels",
                "/cpus",
            ],
        ),
        get(
            "/v1/nodes/home/alpha/health",
            &["/name", "/status", "/connected_at", "/etcd_health/health"],
        ),
        get(
            "/v1/grids/home/services?stack=shop",
            &[
                "/services/0/id",
                "/services/0/name",
                "/services/0/stack/id",
                "/services/0/stack/name",
                "/services/0/updated_at",
                "/services/0/stateful",
                "/services/0/state",
                "/services/0/image",
                "/services/0/instances",
                "/services/0/instance_counts/running",
                "/services/0/ports",
                "/services/0/health_status/healthy",
                "/services/0/health_status/total",
            ],
        ),
        get(
            WEB,
            &[
                "/id",
                "/name",
                "/created_at",
                "/updated_at",
                "/stack/id",
                "/state",
                "/image",
                "/revision",
                "/stack_revision",
                "/stateful",
                "/instances",
                "/strategy",
                "/read_only",
                "/stop_signal",
                "/stop_grace_period",
                "/deploy_opts/min_health",
                "/deploy_opts/wait_for_port",
                "/deploy_opts/interval",
                "/dns",
                "/affinity",
                "/cmd",
                "/hooks",
                "/secrets",
                "/certificates",
                "/env",
                "/net",
                "/ports/0/ip",
                "/ports/0/node_port",
                "/ports/0/container_port",
                "/ports/0/protocol",
                "/volumes",
                "/volumes_from",
                "/links/0/id",
                "/links/0/alias",
                "/cap_add",
                "/cap_drop",
                "/log_driver",
                "/log_opts",
                "/cpus",
                "/cpu_shares",
                "/memory",
                "/memory_swap",
                "/shm_size",
                "/pid",
                "/health_status/healthy",
            ],
        ),
        get(
            "/v1/services/home/shop/web/instances",
            &[
                "/instances/0/id",
                "/instances/0/instance_number",
                "/instances/0/node/name",
                "/instances/0/deploy_rev",
                "/instances/0/rev",
                "/instances/0/state",
                "/instances/0/error",
            ],
        ),
        get(
            "/v1/services/home/shop/web/containers",
            &[
                "/containers/0/id",
                "/containers/0/name",
                "/containers/0/instance_number",
                "/containers/0/status",
                "/containers/0/node/name",
                "/containers/0/node/public_ip",
                "/containers/0/hostname",
                "/containers/0/domainname",
                "/containers/0/ip_address",
                "/containers/0/deploy_rev",
                "/containers/0/service_rev",
                "/containers/0/health_status/status",
                "/containers/0/state/error",
                "/containers/0/state/exit_code",
            ],
        ),
        get(
            "/v1/services/home/shop/web/stats",
            &[
                "/stats/0/container_id",
                "/stats/0/cpu/usage",
                "/stats/0/memory/usage",
                "/stats/0/memory/limit",
                "/stats/0/network",
            ],
        ),
        get(
            "/v1/services/home/shop/web/container_logs?limit=100&since=2026-01-01T00%3A00%3A00Z",
            &["/logs"],
        ),
        get(
            "/v1/grids/home/stacks",
            &[
                "/stacks/0/name",
                "/stacks/0/stack",
                "/stacks/0/version",
                "/stacks/0/state",
                "/stacks/0/labels",
                "/stacks/0/parent",
                "/stacks/0/children",
                "/stacks/0/services/0/ports",
                "/stacks/0/services/0/health_status/healthy",
            ],
        ),
        get(
            "/v1/stacks/home/shop",
            &[
                "/name",
                "/stack",
                "/version",
                "/revision",
                "/state",
                "/created_at",
                "/updated_at",
                "/expose",
                "/source",
                "/labels",
                "/variables",
                "/metadata",
                "/parent",
                "/children",
                "/services/0/id",
                "/services/0/name",
                "/services/0/instances",
            ],
        ),
        get("/v1/stacks/home/shop/container_logs?limit=100", &["/logs"]),
        get(
            "/v1/containers/home?all=1",
            &[
                "/containers/0/name",
                "/containers/0/node/name",
                "/containers/0/image",
                "/containers/0/cmd",
                "/containers/0/created_at",
                "/containers/0/state/paused",
                "/containers/0/state/restarting",
                "/containers/0/state/oom_killed",
                "/containers/0/state/dead",
                "/containers/0/state/running",
            ],
        ),
        get("/v1/containers/home/alpha/shop.web-1/inspect", &["/Id"]),
        get(
            "/v1/containers/home/alpha/shop.web-1/logs?limit=100",
            &["/logs"],
        ),
        get(
            "/v1/services/home/shop/web/deploys/7",
            &[
                "/id",
                "/service_id",
                "/state",
                "/finished_at",
                "/reason",
                "/instance_deploys/0/instance_number",
                "/instance_deploys/0/node",
                "/instance_deploys/0/state",
                "/instance_deploys/0/error",
            ],
        ),
        get(
            "/v1/stacks/home/shop/deploys/7",
            &[
                "/id",
                "/stack_id",
                "/state",
                "/service_deploys/0/id",
                "/service_deploys/0/service_id",
                "/service_deploys/0/state",
                "/service_deploys/0/reason",
                "/service_deploys/0/finished_at",
                "/service_deploys/1/instance_deploys/0/state",
                "/service_deploys/1/instance_deploys/0/error",
                "/service_deploys/1/instance_deploys/0/node",
            ],
        ),
        get(
            "/v1/volumes/home",
            &[
                "/volumes/0/name",
                "/volumes/0/scope",
                "/volumes/0/driver",
                "/volumes/0/created_at",
            ],
        ),
        get(
            "/v1/volumes/home/data",
            &[
                "/id",
                "/name",
                "/created_at",
                "/scope",
                "/driver",
                "/driver_opts",
                "/instances/0/name",
                "/instances/0/node",
                "/services/0/id",
            ],
        ),
    ]
}

fn changes() -> Vec<Call> {
    let deploy: &[&str] = &[
        "/id",
        "/service_id",
        "/state",
        "/finished_at",
        "/reason",
        "/instance_deploys",
    ];
    let of_stack: &[&str] = &["/id", "/stack_id", "/state", "/service_deploys"];
    vec![
        Call(
            "PUT",
            "/v1/grids/home",
            Some(json!({"default_affinity": ["label==az=a"]})),
            &[],
        ),
        Call(
            "PUT",
            "/v1/nodes/home/alpha",
            Some(json!({"labels": ["az=a", "ssd"]})),
            &[],
        ),
        Call(
            "PUT",
            "/v1/nodes/home/alpha",
            Some(json!({"availability": "active"})),
            &[],
        ),
        Call(
            "PUT",
            WEB,
            Some(json!({"env": ["A=b"], "links": [{"name": "db", "alias": "database"}]})),
            &[],
        ),
        Call(
            "POST",
            "/v1/services/home/shop/web/deploy",
            Some(json!({"force": true})),
            deploy,
        ),
        Call(
            "POST",
            "/v1/services/home/shop/web/scale",
            Some(json!({"instances": 2})),
            deploy,
        ),
        Call(
            "POST",
            "/v1/services/home/shop/web/start",
            Some(json!({})),
            &[],
        ),
        Call(
            "POST",
            "/v1/services/home/shop/web/stop",
            Some(json!({})),
            &[],
        ),
        Call(
            "POST",
            "/v1/services/home/shop/web/restart",
            Some(json!({})),
            &[],
        ),
        Call(
            "POST",
            "/v1/services/home/shop/web/envs",
            Some(json!({"env": "A=b"})),
            &[],
        ),
        Call("DELETE", "/v1/services/home/shop/web/envs/MODE", None, &[]),
        Call("DELETE", "/v1/services/home/null/redis", None, &[]),
        Call(
            "PATCH",
            "/v1/stacks/home/shop",
            Some(json!({"labels": ["team=a"]})),
            &[],
        ),
        Call(
            "POST",
            "/v1/stacks/home/shop/deploy",
            Some(json!({})),
            of_stack,
        ),
        Call("POST", "/v1/stacks/home/shop/stop", Some(json!({})), &[]),
        Call("POST", "/v1/stacks/home/shop/restart", Some(json!({})), &[]),
        Call("DELETE", "/v1/stacks/home/shop", None, &[]),
        Call(
            "POST",
            "/v1/grids/home/external_registries",
            Some(json!({
                "username": "me", "password": "x", "email": null, "url": "https://quay.io"
            })),
            &[],
        ),
        Call("DELETE", "/v1/external_registries/home/quay.io", None, &[]),
        Call(
            "POST",
            "/v1/volumes/home",
            Some(json!({
                "name": "data", "scope": "instance", "driver": "local", "driver_opts": {}
            })),
            &[],
        ),
        Call("DELETE", "/v1/volumes/home/data", None, &[]),
        Call("DELETE", "/v1/nodes/home/gamma", None, &[]),
        // Empty options and all.
        Call(
            "POST",
            "/v1/grids/home/services",
            Some(json!({
                "name": "redis", "image": "redis", "stateful": false, "ports": [], "links": [], "volumes": [],
                "volumes_from": [], "memory": null, "memory_swap": null, "shm_size": null, "cpus": null,
                "cpu_shares": null, "affinity": [], "env": ["A=b"], "secrets": [], "container_count": 3,
                "cmd": [], "user": null, "privileged": false, "cap_add": [], "cap_drop": [], "net": null,
                "log_driver": null, "log_opts": {}, "strategy": null, "deploy_opts": {"min_health": 0.5},
                "health_check": {}, "pid": null, "stop_signal": null, "stop_grace_period": null, "read_only": false
            })),
            &[],
        ),
        Call("POST", "/v1/grids/home/stacks", Some(compiled()), &[]),
        Call("PUT", "/v1/stacks/home/shop", Some(compiled()), &["/id"]),
        Call(
            "POST",
            "/v1/containers/home/alpha/shop.web-1/exec",
            Some(json!({"cmd": ["say", "hi"]})),
            &["/0/0", "/1"],
        ),
    ]
}

/// A stack as Kontena's command line compiles it.
fn compiled() -> Value {
    json!({
        "name": "shop", "stack": "acme/shop", "version": "1.2.0", "registry": "file://", "source": "stack: acme/shop",
        "expose": null, "labels": [], "variables": {}, "metadata": {}, "dependencies": null, "parent": null,
        "volumes": [], "services": [{"name": "web", "image": "nginx", "instances": 2}]
    })
}

/// One after the other.
fn keys() -> Vec<Call> {
    vec![
        Call(
            "POST",
            "/v1/etcd/home//app/mode",
            Some(json!({"value": "fast"})),
            &[],
        ),
        Call("GET", "/v1/etcd/home//app/mode", None, &["/value"]),
        Call("GET", "/v1/etcd/home//", None, &["/children/0/key"]),
        Call(
            "GET",
            "/v1/etcd/home//app?recursive=true",
            None,
            &["/children/0/key"],
        ),
        Call("POST", "/v1/etcd/home//new", Some(json!({})), &[]),
        Call(
            "DELETE",
            "/v1/etcd/home//app",
            Some(json!({"recursive": true})),
            &[],
        ),
    ]
}

/// The status and the body of an answer.
async fn asked(server: &Server, call: &Call) -> (u16, Value) {
    let Call(verb, path, body, _) = call;
    let token = data_encoding::HEXLOWER.encode(&ADMIN_TOKEN);
    let body = body.as_ref().map(Value::to_string).unwrap_or_default();
    let mut request = format!("{verb} {path} HTTP/1.1\r\nHost: master:9292\r\n");
    write!(request, "Authorization: Bearer {token}\r\nAccept: application/json\r\nContent-Type: application/json\r\n").unwrap();
    write!(
        request,
        "User-Agent: kontena-cli/1.6.0\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut stream = TcpStream::connect(server.tcp).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.to_lowercase().contains("x-kontena-version: 1.6"),
        "{head}"
    );
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// A service mounts the volume, and a node has a copy of it.
fn with_a_copy() -> View {
    let mut view = view();
    let documents = Arc::make_mut(&mut view.documents);
    let redis = documents.services.get_mut(&"redis".parse().unwrap());
    let mut service = Service::new("redis:7");
    service.volumes = vec!["data:/data".parse().unwrap()];
    redis.unwrap().latest.service = Ok(Arc::new(service));
    let copy = Copy::Volume {
        volume: "data".parse().unwrap(),
        creation: EnvelopeHash([9; 32]),
    };
    let report = view.reports.values_mut().next().unwrap();
    let report = Arc::make_mut(report);
    report.volumes.insert("redis.data-1".to_owned(), copy);
    view
}

async fn wrong(calls: Vec<Call>) -> Vec<String> {
    let mut wrong = Vec::new();
    for call in calls {
        let server = Server::start(with_a_copy(), |_, _| accepted()).await;
        wrong.extend(wrong_of(&server, &call).await);
    }
    wrong
}

async fn wrong_of(server: &Server, call: &Call) -> Vec<String> {
    let (status, answer) = asked(server, call).await;
    let Call(verb, path, _, fields) = call;
    if !(200..300).contains(&status) {
        return vec![format!("{verb} {path}: {status} {answer}")];
    }
    let missing = fields
        .iter()
        .filter(|field| answer.pointer(field).is_none());
    missing
        .map(|field| format!("{verb} {path}: no {field}"))
        .collect()
}

#[tokio::test]
async fn what_kontenas_command_line_reads_is_there() {
    assert_eq!(wrong(reads()).await, [""; 0]);
}

#[tokio::test]
async fn what_kontenas_command_line_changes_is_taken() {
    assert_eq!(wrong(changes()).await, [""; 0]);
}

#[tokio::test]
async fn what_kontenas_command_line_does_with_keys_is_done() {
    let server = Server::reading(view()).await;
    let mut wrong = Vec::new();
    for call in keys() {
        wrong.extend(wrong_of(&server, &call).await);
    }
    assert_eq!(wrong, [""; 0]);
}
