//! What each thing looks like on the wire and in `--json`.

use std::sync::Arc;

use expect_test::{Expect, expect};
use kontena_core::report::{Health, InstanceState};
use kontena_core::time::WallTime;
use kontena_core::view::{Availability, Freshness, Standing};

use super::fixture::{NOON, Server, add_report, hold, key, node, view};
use crate::api::types::deploy::{DeployState, ServiceDeploy, StackDeploy};
use crate::api::types::grid::{Grid, GridJson};
use crate::api::types::instance::Instances;
use crate::api::types::node::{Node, NodeJson, NodeStatus, Nodes};
use crate::api::types::service::{Service, ServiceJson, ServiceState, Services};
use crate::api::types::stack::{Stack, StackJson};

#[track_caller]
fn check_json(value: &impl serde::Serialize, expected: &Expect) {
    expected.assert_eq(&serde_json::to_string_pretty(value).unwrap());
}

#[tokio::test]
async fn a_node_has_kontenas_fields_and_ours() {
    let server = Server::reading(view()).await;
    expect![[r#"
        {
          "addresses": [
            "10.0.0.1:8470",
            "192.0.2.1:8470"
          ],
          "agent_version": "2.0.0",
          "availability": "active",
          "connected": true,
          "connected_at": "2026-01-02T03:04:07.000Z",
          "cpus": 2,
          "created_at": "2026-01-02T03:04:05.000Z",
          "disconnected_at": null,
          "dns": "alpha.node.home.kontena.local",
          "docker_version": "20.10.24",
          "driver": null,
          "engine_root_dir": null,
          "freshness": "fresh",
          "id": "home/alpha",
          "initial_member": false,
          "instance_count": 1,
          "kernel_version": "6.1.0",
          "labels": [
            "az=a",
            "ssd"
          ],
          "last_seen_at": "2026-01-02T03:04:07.000Z",
          "mem_total": 4294967296,
          "name": "alpha",
          "node_id": "0101010101010101010101010101010101010101010101010101010101010101",
          "node_number": 1,
          "os": "Debian GNU/Linux 12",
          "overlay_ip": "10.80.1.1",
          "private_ip": "10.0.0.1",
          "problems": [],
          "public_ip": "192.0.2.1",
          "resource_usage": null,
          "since": "2026-01-02T03:04:07.000Z",
          "status": "online",
          "volume_drivers": [
            {
              "name": "local"
            }
          ]
        }"#]]
    .assert_eq(&server.get("/v1/nodes/home/alpha").await);
}

#[tokio::test]
async fn nodes_in_json_are_what_the_documentation_says() {
    let server = Server::reading(view()).await;
    let Nodes { nodes } = server.client.get("/v1/grids/home/nodes").await.unwrap();
    let nodes: Vec<NodeJson> = nodes.into_iter().map(NodeJson::from).collect();
    check_json(
        &nodes,
        &expect![[r#"
            [
              {
                "name": "alpha",
                "id": "0101010101010101010101010101010101010101010101010101010101010101",
                "status": "online",
                "freshness": "fresh",
                "since": "2026-01-02T03:04:07.000Z",
                "availability": "active",
                "labels": [
                  "az=a",
                  "ssd"
                ],
                "address": "10.0.0.1:8470",
                "version": "2.0.0",
                "problems": []
              },
              {
                "name": "beta",
                "id": "0202020202020202020202020202020202020202020202020202020202020202",
                "status": "online",
                "freshness": "late",
                "since": "2026-01-02T03:04:07.000Z",
                "availability": "drain",
                "labels": [],
                "address": "10.0.0.2:8470",
                "version": "2.0.0",
                "problems": []
              },
              {
                "name": "gamma",
                "id": "0303030303030303030303030303030303030303030303030303030303030303",
                "status": "offline",
                "freshness": "absent",
                "since": "2026-01-02T03:04:07.000Z",
                "availability": "active",
                "labels": [],
                "address": "10.0.0.3:8470",
                "version": "2.0.0",
                "problems": []
              },
              {
                "name": "delta",
                "id": "0404040404040404040404040404040404040404040404040404040404040404",
                "status": "offline",
                "freshness": "absent",
                "since": null,
                "availability": "active",
                "labels": [],
                "address": "10.0.0.4:8470",
                "version": null,
                "problems": []
              }
            ]"#]],
    );
}

#[tokio::test]
async fn a_node_that_never_reported_joins_while_it_is_heard_of_and_is_offline_after_that() {
    let server = Server::reading(view()).await;
    for (freshness, expected) in [
        (Freshness::Fresh, NodeStatus::Connecting),
        (Freshness::Late, NodeStatus::Connecting),
        (Freshness::Stale, NodeStatus::Offline),
        (Freshness::Absent, NodeStatus::Offline),
    ] {
        let mut view = view();
        let since = WallTime(NOON);
        let standing = Standing { freshness, since };
        view.standings.insert(node(4), standing);
        server.view.send_replace(Arc::new(view));
        let delta: Node = server.client.get("/v1/nodes/home/delta").await.unwrap();
        assert_eq!(delta.status, expected, "{freshness}");
    }
}

#[tokio::test]
async fn a_node_that_drains_says_so_as_its_status() {
    let mut view = view();
    let documents = Arc::make_mut(&mut view.documents);
    let member = documents.roster.get_mut(&node(1)).unwrap();
    member.availability = Availability::Drain;
    let server = Server::reading(view).await;
    let alpha: Node = server.client.get("/v1/nodes/home/alpha").await.unwrap();
    assert_eq!(alpha.status, NodeStatus::Drain);
}

#[tokio::test]
async fn a_service_has_kontenas_fields_and_ours() {
    let server = Server::reading(view()).await;
    expect![[r#"
        {
          "affinity": [
            "label!=~az=b"
          ],
          "cap_add": [],
          "cap_drop": [],
          "certificates": [],
          "cmd": [
            "nginx",
            "-g",
            "daemon off;"
          ],
          "counts": {
            "desired": 2,
            "healthy": 1,
            "running": 1
          },
          "cpu_shares": null,
          "cpus": null,
          "created_at": "2026-01-02T03:04:05.000Z",
          "deploy_opts": {
            "canary": null,
            "interval": null,
            "max_per_node": null,
            "min_health": 0.5,
            "offline": {
              "on_return": "keep_original",
              "replace_after": 0,
              "takeover": "half"
            },
            "on_failure": "halt",
            "order": "stop-first",
            "rebalance": false,
            "spread": [],
            "standby_images": 2,
            "wait_for_port": 8080
          },
          "deployed": {
            "at": "2026-01-02T03:04:05.000Z",
            "deploy": "7",
            "image": null,
            "revision": 2,
            "revision_id": "3380634edd7548ba5ff4841ccb2894e0d35db3e7dbea377e5fa81a71d5feabf8"
          },
          "dns": "web.shop.home.kontena.local",
          "entrypoint": null,
          "env": [
            "MODE=live"
          ],
          "health_check": null,
          "health_status": {
            "healthy": 1,
            "total": 2
          },
          "hooks": [],
          "id": "home/shop/web",
          "image": "nginx:1.25",
          "instance_counts": {
            "running": 1,
            "total": 2
          },
          "instance_rows": [
            {
              "container_id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
              "deploy_rev": 7,
              "dns": "web-1.shop.home.kontena.local",
              "error": null,
              "exit_code": null,
              "health": "healthy",
              "id": "shop.web-1",
              "image_id": "sha256:1234",
              "instance_number": 1,
              "ip": "172.17.0.2",
              "node": {
                "id": "home/alpha",
                "name": "alpha",
                "public_ip": "192.0.2.1"
              },
              "other_image": false,
              "restarts": 0,
              "rev": 2,
              "since": "2026-01-02T03:04:05.500Z",
              "state": "running",
              "updating": false
            },
            {
              "container_id": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
              "deploy_rev": 7,
              "dns": "web-2.shop.home.kontena.local",
              "error": null,
              "exit_code": null,
              "health": "unknown",
              "id": "shop.web-2",
              "image_id": "sha256:1234",
              "instance_number": 2,
              "ip": "172.17.0.2",
              "node": {
                "id": "home/gamma",
                "name": "gamma",
                "public_ip": "192.0.2.3"
              },
              "other_image": false,
              "restarts": 0,
              "rev": 2,
              "since": "2026-01-02T03:04:05.500Z",
              "state": "unknown",
              "updating": false
            }
          ],
          "instances": 2,
          "labels": {
            "team": "a"
          },
          "links": [
            {
              "alias": "database",
              "id": "home/shop/db"
            }
          ],
          "log_driver": null,
          "log_opts": {},
          "memory": null,
          "memory_swap": null,
          "name": "web",
          "net": "bridge",
          "pid": null,
          "ports": [
            {
              "container_port": 8080,
              "ip": "0.0.0.0",
              "node_port": 80,
              "protocol": "tcp"
            }
          ],
          "privileged": false,
          "problem": null,
          "read_only": false,
          "revision": 2,
          "revision_id": "3380634edd7548ba5ff4841ccb2894e0d35db3e7dbea377e5fa81a71d5feabf8",
          "secrets": [],
          "shm_size": null,
          "stack": {
            "id": "home/shop",
            "name": "shop"
          },
          "stack_revision": 3,
          "state": "running",
          "stateful": false,
          "stop_grace_period": 3,
          "stop_signal": null,
          "strategy": "ha",
          "updated_at": "2026-01-02T03:04:06.000Z",
          "user": null,
          "volumes": [
            "/srv/cache:/cache:ro"
          ],
          "volumes_from": []
        }"#]]
    .assert_eq(&server.get("/v1/services/home/shop/web").await);
}

#[tokio::test]
async fn a_service_in_json_has_a_row_for_each_holder() {
    let server = Server::reading(view()).await;
    let path = "/v1/services/home/shop/web";
    let service: Service = server.client.get(path).await.unwrap();
    check_json(
        &ServiceJson::from(service),
        &expect![[r#"
            {
              "name": "web",
              "stack": "shop",
              "state": "running",
              "image": "nginx:1.25",
              "revision": 2,
              "revision_id": "3380634edd7548ba5ff4841ccb2894e0d35db3e7dbea377e5fa81a71d5feabf8",
              "counts": {
                "desired": 2,
                "running": 1,
                "healthy": 1
              },
              "instances": [
                {
                  "number": 1,
                  "dns": "web-1.shop.home.kontena.local",
                  "node": "alpha",
                  "state": "running",
                  "health": "healthy",
                  "container_id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                  "ip": "172.17.0.2",
                  "since": "2026-01-02T03:04:05.500Z",
                  "restarts": 0,
                  "exit_code": null,
                  "problem": null
                },
                {
                  "number": 2,
                  "dns": "web-2.shop.home.kontena.local",
                  "node": "gamma",
                  "state": "unknown",
                  "health": "unknown",
                  "container_id": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                  "ip": "172.17.0.2",
                  "since": "2026-01-02T03:04:05.500Z",
                  "restarts": 0,
                  "exit_code": null,
                  "problem": null
                }
              ]
            }"#]],
    );
}

#[tokio::test]
async fn a_service_without_a_stack_has_null_for_it_in_json() {
    let server = Server::reading(view()).await;
    let path = "/v1/grids/home/services?stack=null";
    let Services { services } = server.client.get(path).await.unwrap();
    let services: Vec<ServiceJson> = services.into_iter().map(ServiceJson::from).collect();
    check_json(
        &services,
        &expect![[r#"
        [
          {
            "name": "redis",
            "stack": null,
            "state": "initialized",
            "image": "redis:7",
            "revision": 1,
            "revision_id": "e9d3a124058f11a39667114db41872ba2eb955a18254cfe5ff845e1ce3b26f60",
            "counts": {
              "desired": 0,
              "running": 0,
              "healthy": 0
            }
          }
        ]"#]],
    );
}

#[tokio::test]
async fn the_containers_of_absent_nodes_are_hidden() {
    let server = Server::reading(view()).await;
    let containers = server.get("/v1/services/home/shop/web/containers").await;
    expect![[r#"
        {
          "containers": [
            {
              "cmd": [
                "nginx",
                "-g",
                "daemon off;"
              ],
              "container_id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
              "created_at": "2026-01-02T03:04:05.500Z",
              "deploy_rev": 7,
              "domainname": "shop.home.kontena.local",
              "health_status": {
                "status": "healthy",
                "updated_at": "2026-01-02T03:04:05.500Z"
              },
              "hostname": "web-1",
              "id": "home/alpha/shop.web-1",
              "image": "nginx:1.25",
              "instance_number": 1,
              "ip_address": "172.17.0.2",
              "name": "shop.web-1",
              "node": {
                "id": "home/alpha",
                "name": "alpha",
                "public_ip": "192.0.2.1"
              },
              "service_id": "home/shop/web",
              "service_rev": 2,
              "state": {
                "dead": false,
                "error": "",
                "exit_code": null,
                "oom_killed": false,
                "paused": false,
                "restarting": false,
                "running": true
              },
              "status": "running"
            }
          ]
        }"#]]
    .assert_eq(&containers);
}

#[tokio::test]
async fn a_stack_in_json_names_its_services() {
    let server = Server::reading(view()).await;
    let stack: Stack = server.client.get("/v1/stacks/home/shop").await.unwrap();
    assert_eq!(stack.source.as_deref(), Some("stack: acme/shop\n"));
    let mut json = serde_json::to_value(StackJson::from(stack)).unwrap();
    for service in json["services"].as_array_mut().unwrap() {
        service.as_object_mut().unwrap().remove("revision_id");
    }
    check_json(
        &json,
        &expect![[r#"
            {
              "children": [],
              "conflicts": [],
              "created_at": "2026-01-02T03:04:05.000Z",
              "labels": [],
              "metadata": {
                "tags": [
                  "store"
                ]
              },
              "name": "shop",
              "parent": null,
              "revision": 3,
              "services": [
                {
                  "counts": {
                    "desired": 0,
                    "healthy": 0,
                    "running": 0
                  },
                  "image": "postgres:15",
                  "name": "db",
                  "revision": 1,
                  "stack": "shop",
                  "state": "initialized"
                },
                {
                  "counts": {
                    "desired": 2,
                    "healthy": 1,
                    "running": 1
                  },
                  "image": "nginx:1.25",
                  "name": "web",
                  "revision": 2,
                  "stack": "shop",
                  "state": "running"
                }
              ],
              "stack": "acme/shop",
              "state": "partially_running",
              "updated_at": "2026-01-02T03:04:06.000Z",
              "variables": {},
              "version": "1.2.0"
            }"#]],
    );
}

#[tokio::test]
async fn the_grid_shows_its_conflicts() {
    let server = Server::reading(view()).await;
    let grid: Grid = server.client.get("/v1/grids/home").await.unwrap();
    check_json(
        &GridJson::from(grid),
        &expect![[r#"
            {
              "name": "home",
              "id": "0909090909090909090909090909090909090909090909090909090909090909",
              "created_at": "2026-01-02T03:04:05.000Z",
              "node_count": 4,
              "service_count": 3,
              "container_count": 1,
              "placement_version": 1,
              "default_affinity": [],
              "subnet": "10.80.0.0/12",
              "supernet": "10.80.0.0/12",
              "conflicts": [
                {
                  "document": "stack/shop",
                  "register": "service/web/instances",
                  "applied": "2",
                  "others": [
                    "3"
                  ]
                }
              ]
            }"#]],
    );
    expect![[r#"
        {
          "grids": [
            {
              "conflicts": [
                {
                  "applied": "2",
                  "document": "stack/shop",
                  "others": [
                    "3"
                  ],
                  "register": "service/web/instances"
                }
              ],
              "container_count": 1,
              "created_at": "2026-01-02T03:04:05.000Z",
              "default_affinity": [],
              "id": "home",
              "initial_size": 1,
              "key": "0909090909090909090909090909090909090909090909090909090909090909",
              "logs": null,
              "name": "home",
              "node_count": 4,
              "placement_version": 1,
              "service_count": 3,
              "stats": {
                "statsd": null
              },
              "subnet": "10.80.0.0/12",
              "supernet": "10.80.0.0/12",
              "token": null,
              "trusted_subnets": [],
              "user_count": 0
            }
          ]
        }"#]]
    .assert_eq(&server.get("/v1/grids").await);
}

#[tokio::test]
async fn this_node_tells_its_state() {
    let server = Server::reading(view()).await;
    expect![[r#"
        {
          "addresses": [
            "10.0.0.1:8470"
          ],
          "grid": "home",
          "name": "alpha",
          "node_id": "0101010101010101010101010101010101010101010101010101010101010101",
          "phase": "member",
          "problems": [
            "docker engine: it is tired"
          ],
          "version": "2.0.0-test"
        }"#]]
    .assert_eq(&server.get("/v1/status").await);
    expect![[r#"
        {
          "name": "kontena",
          "version": "2.0.0-test"
        }"#]]
    .assert_eq(&server.get("/").await);
}

/// The state of deploy 7 while `alpha` holds the first instance so, and `delta` the second.
async fn deploy_with(
    first: (InstanceState, Health),
    second: Option<(InstanceState, Health)>,
) -> ServiceDeploy {
    let mut view = view();
    let hash = view.documents.services[&key("shop/web")].latest.hash;
    let holds = [("shop/web-1", hold(hash, 'a', first.0, first.1))];
    add_report(&mut view, 1, Freshness::Fresh, &holds);
    if let Some(second) = second {
        let mut hold = hold(hash, 'd', second.0, second.1);
        hold.problem = (second.0 == InstanceState::Failed).then(|| "no such image".to_owned());
        add_report(&mut view, 4, Freshness::Fresh, &[("shop/web-2", hold)]);
    }
    let server = Server::reading(view).await;
    let path = "/v1/services/home/shop/web/deploys/7";
    server.client.get(path).await.unwrap()
}

#[tokio::test]
async fn a_deploy_is_done_when_every_wanted_instance_is_healthy() {
    use Health::{Healthy, Unknown};
    use InstanceState::{Creating, Failed, Running};

    // The second one is held by an absent node alone.
    let waiting = deploy_with((Running, Healthy), None).await;
    assert_eq!(waiting.state, DeployState::Ongoing);
    assert_eq!(waiting.finished_at, None);

    for (second, state) in [
        ((Creating, Unknown), DeployState::Ongoing),
        ((Running, Unknown), DeployState::Ongoing),
        ((Running, Healthy), DeployState::Success),
    ] {
        let deploy = deploy_with((Running, Healthy), Some(second)).await;
        assert_eq!(deploy.state, state, "{second:?}");
        assert_eq!(deploy.finished_at.is_some(), state.is_finished());
    }

    let failed = deploy_with((Running, Healthy), Some((Failed, Unknown))).await;
    check_json(
        &failed,
        &expect![[r#"
            {
              "id": "7",
              "service_id": "home/shop/web",
              "state": "error",
              "created_at": "2026-01-02T03:04:05.000Z",
              "finished_at": "2026-01-02T03:04:05.500Z",
              "reason": "instance 2: no such image",
              "awaits_promotion": false,
              "halted": false,
              "instance_deploys": [
                {
                  "instance_number": 1,
                  "node": "alpha",
                  "state": "success",
                  "error": null
                },
                {
                  "instance_number": 2,
                  "node": "delta",
                  "state": "error",
                  "error": "no such image"
                }
              ]
            }"#]],
    );
}

#[tokio::test]
async fn an_older_deploy_is_replaced_and_a_later_one_is_not_there() {
    let server = Server::reading(view()).await;
    let deploys = "/v1/services/home/shop/web/deploys";
    let older: ServiceDeploy = server.client.get(&format!("{deploys}/6")).await.unwrap();
    assert_eq!(older.state, DeployState::Error);
    assert_eq!(
        older.reason.as_deref(),
        Some("deploy 7 of this service replaced it")
    );
    for absent in ["8", "x", "-1"] {
        let refused = server.refused(&format!("{deploys}/{absent}")).await;
        assert_eq!(refused.status, Some(404), "{absent}");
    }
}

#[tokio::test]
async fn the_deploy_of_a_stack_is_that_of_its_services() {
    let server = Server::reading(view()).await;
    let path = "/v1/stacks/home/shop/deploys/7";
    let deploy: StackDeploy = server.client.get(path).await.unwrap();
    assert_eq!(deploy.id, "7");
    assert_eq!(deploy.state, DeployState::Ongoing);
    assert_eq!(deploy.service_deploys.len(), 2);
}

#[tokio::test]
async fn an_instance_that_no_node_fits_says_so() {
    let mut view = view();
    let documents = Arc::make_mut(&mut view.documents);
    let record = documents.services.get_mut(&key("shop/web")).unwrap();
    let revision = &mut record.deployed.as_mut().unwrap().revision;
    let mut service = kontena_core::stack::Service::clone(revision.service.as_ref().unwrap());
    service.affinity = vec!["label==nowhere".parse().unwrap()];
    revision.service = Ok(Arc::new(service));
    for report in view.reports.values_mut() {
        Arc::make_mut(report).holds.clear();
    }
    let server = Server::reading(view).await;
    let path = "/v1/services/home/shop/web/instances";
    let found: Instances = server.client.get(path).await.unwrap();
    let errors = found.instances.iter().map(|one| one.error.as_deref());
    assert!(
        errors
            .clone()
            .all(|error| error == Some("waits: no node fits")),
        "{:?}",
        errors.collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn an_instance_that_nobody_holds_is_pending_and_says_who_refuses_it() {
    let mut view = view();
    add_report(&mut view, 1, Freshness::Fresh, &[]);
    add_report(&mut view, 3, Freshness::Absent, &[]);
    let report = view.reports.get_mut(&node(1)).unwrap();
    let refusals = &mut Arc::make_mut(report).refusals;
    refusals.insert("shop/web-1".parse().unwrap(), "port 80 is taken".to_owned());

    let server = Server::reading(view).await;
    let path = "/v1/services/home/shop/web/instances";
    let Instances { instances } = server.client.get(path).await.unwrap();
    let rows: Vec<_> = instances
        .iter()
        .map(|row| (row.instance_number, row.node.is_none(), row.state.as_str()))
        .collect();
    assert_eq!(rows, [(1, true, "pending"), (2, true, "pending")]);
    let error = instances[0].error.as_deref();
    assert_eq!(error, Some("node `alpha` refuses it: port 80 is taken"));
}

#[tokio::test]
async fn an_instance_with_two_holders_has_two_rows_and_counts_once() {
    let mut view = view();
    let hash = view.documents.services[&key("shop/web")].latest.hash;
    let starting = hold(hash, 'd', InstanceState::Creating, Health::Unknown);
    add_report(&mut view, 4, Freshness::Fresh, &[("shop/web-1", starting)]);
    let server = Server::reading(view).await;

    let path = "/v1/services/home/shop/web";
    let service: Service = server.client.get(path).await.unwrap();
    assert_eq!(
        (
            service.counts.desired,
            service.counts.running,
            service.counts.healthy
        ),
        (2, 1, 1)
    );
    let rows: Vec<_> = service
        .instance_rows
        .unwrap()
        .into_iter()
        .map(|row| (row.instance_number, row.node.unwrap().name, row.state))
        .collect();
    let row = |number: u32, node: &str, state: &str| (number, node.to_owned(), state.to_owned());
    assert_eq!(
        rows,
        [
            row(1, "alpha", "running"),
            row(1, "delta", "creating"),
            row(2, "gamma", "unknown")
        ]
    );
}

#[tokio::test]
async fn a_definition_that_cannot_be_read_is_shown_with_the_reason() {
    let mut view = view();
    let documents = Arc::make_mut(&mut view.documents);
    let record = documents.services.get_mut(&key("redis")).unwrap();
    record.latest.service = Err("it has a field `gpu` of a newer version".to_owned());
    let server = Server::reading(view).await;
    let service: Service = server
        .client
        .get("/v1/services/home/null/redis")
        .await
        .unwrap();
    assert_eq!(service.definition.image, None);
    assert!(service.problem.unwrap().contains("gpu"));
}

#[tokio::test]
async fn why_explains_the_placement() {
    let server = Server::reading(view()).await;
    let path = "/v1/why/shop/web?instance=1";
    let explanation: kontena_core::placement::Explanation = server.client.get(path).await.unwrap();
    assert_eq!(explanation.instances.len(), 1);
    let holder = explanation.instances[0].holder.as_ref();
    assert_eq!(holder.map(|name| name.as_str()), Some("alpha"));
}

#[tokio::test]
async fn a_service_that_loses_a_node_is_running_and_not_deploying() {
    let mut view = view();
    let path = "/v1/services/home/shop/web";
    let server = Server::reading(view.clone()).await;
    let service: Service = server.client.get(path).await.unwrap();
    assert_eq!(service.state, ServiceState::Running);

    // Its successor starts.
    let hash = view.documents.services[&key("shop/web")].latest.hash;
    let starting = hold(hash, 'd', InstanceState::Creating, Health::Unknown);
    add_report(&mut view, 4, Freshness::Fresh, &[("shop/web-2", starting)]);
    server.view.send_replace(view.clone().into());
    let service: Service = server.client.get(path).await.unwrap();
    assert_eq!(service.state, ServiceState::Running);

    // A new deploy that nobody has begun.
    let documents = Arc::make_mut(&mut view.documents);
    let record = documents.services.get_mut(&key("shop/web")).unwrap();
    record.deployed.as_mut().unwrap().generation = 8;
    server.view.send_replace(view.into());
    let service: Service = server.client.get(path).await.unwrap();
    assert_eq!(service.state, ServiceState::Deploying);
}

#[tokio::test]
async fn what_containers_use_is_told_as_kontena_tells_it_and_who_is_silent_is_named() {
    let mut view = view();
    let hash = view.documents.services[&key("shop/web")].latest.hash;
    let there = hold(hash, 'b', InstanceState::Running, Health::Healthy);
    add_report(&mut view, 2, Freshness::Fresh, &[("shop/web-2", there)]);
    let server = Server::reading(view).await;
    expect![[r#"
        {
          "missing": [
            {
              "name": "shop.web-2",
              "node": "beta",
              "problem": "it is cut off"
            }
          ],
          "stats": [
            {
              "container_id": "shop.web-1",
              "cpu": {
                "usage": 12.5
              },
              "id": "home/alpha/shop.web-1",
              "memory": {
                "limit": 4194304,
                "usage": 1048576
              },
              "network": null,
              "node": "alpha"
            }
          ]
        }"#]]
    .assert_eq(&server.get("/v1/services/home/shop/web/stats").await);
}
