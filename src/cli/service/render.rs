//! Services as people read them. Pure.

use kontena_core::stack::{Deploy, size_text};

use super::super::fields::Fields;
use super::super::table::{Cell, Table};
use super::super::text::{Colour, or_dash, yes_no};
use super::runs;
use crate::api::types::instance::{Container, Instance};
use crate::api::types::service::{
    Definition, DeployOptions, HealthCheck, Hook, JobTimes, Limits, OfflineOptions, Port,
    Privileges, Service, ServiceState,
};

/// `STACK/SERVICE`, or `SERVICE` without one.
pub(in crate::cli) fn name(service: &Service) -> String {
    match service.stack.name.as_str() {
        "null" => service.name.clone(),
        stack => format!("{stack}/{}", service.name),
    }
}

pub(super) fn table(services: &[Service]) -> Table {
    let mut table = Table::new(&["NAME", "INSTANCES", "STATEFUL", "STATE", "EXPOSED PORTS"]);
    for service in services {
        table.row([
            name(service).into(),
            format!("{} / {}", service.counts.running, service.counts.desired).into(),
            yes_no(service.definition.stateful).into(),
            Cell::coloured(service.state.as_str(), state_colour(service)),
            ports(&service.definition.ports).into(),
        ]);
    }
    table
}

pub(in crate::cli) fn state_colour(service: &Service) -> Option<Colour> {
    match service.state {
        ServiceState::Running | ServiceState::Scheduled
            if service.counts.healthy < service.counts.desired =>
        {
            Some(Colour::Yellow)
        }
        ServiceState::Running | ServiceState::Scheduled => Some(Colour::Green),
        ServiceState::Deploying => Some(Colour::Yellow),
        ServiceState::Initialized | ServiceState::Stopped => None,
    }
}

pub(in crate::cli) fn ports(ports: &[Port]) -> String {
    let ports = ports.iter().map(port);
    ports.collect::<Vec<_>>().join(", ")
}

fn port(port: &Port) -> String {
    let Port {
        ip,
        node_port,
        container_port,
        protocol,
    } = port;
    format!("{ip}:{node_port}->{container_port}/{protocol}")
}

pub(super) fn shown(service: &Service) -> String {
    let mut fields = Fields::new();
    fields.section(&name(service), |fields| {
        fields
            .field("created", or_dash(service.created_at.as_ref()))
            .field("updated", or_dash(service.updated_at.as_ref()))
            .field("stack", &service.stack.id)
            .field("state", service.state.as_str())
            .known("problem", service.problem.as_ref())
            .field("image", or_dash(service.definition.image.as_ref()))
            .field("revision", service.revision)
            .field("revision id", &service.revision_id)
            .field(
                "deployed revision",
                or_dash(
                    service
                        .deployed
                        .as_ref()
                        .map(|deployed| deployed.revision)
                        .as_ref(),
                ),
            )
            .known("deployed image", deployed_image(service))
            .known("stack revision", service.stack_revision)
            .field("stateful", yes_no(service.definition.stateful))
            .known("singleton", service.definition.deploy_opts.singleton)
            .known("witnesses", witnesses(service))
            .field("scaling", service.instances)
            .known("dns", service.dns.as_ref());
        if let Some(times) = &service.job {
            job(fields, &service.definition.deploy_opts, times);
        }
        definition(fields, &service.definition);
        let counts = service.counts;
        fields.section("counts", |fields| {
            fields
                .field("desired", counts.desired)
                .field("running", counts.running)
                .field("healthy", counts.healthy);
        });
        instances(
            fields,
            &name(service),
            service.instance_rows.as_deref().unwrap_or_default(),
        );
    });
    fields.finish()
}

/// When it runs, and how.
fn job(fields: &mut Fields, options: &DeployOptions, times: &JobTimes) {
    let limit = options
        .time_limit
        .map(|seconds| runs::duration(seconds * 1_000));
    fields.section("job", |fields| {
        fields
            .known("schedule", options.schedule.as_ref())
            .known("time zone", options.time_zone.as_ref())
            .known("concurrency", options.concurrency)
            .known("time limit", limit)
            .known("takeover", options.takeover.map(yes_no))
            .field("last run", or_dash(times.last_run.as_ref()))
            .field("next run", or_dash(times.next_run.as_ref()));
    });
}

/// Those that hold, not those that were written: a node may have another name by now.
fn witnesses(service: &Service) -> Option<String> {
    (!service.witnesses.is_empty()).then(|| service.witnesses.join(", "))
}

/// What the image's name meant when it was deployed.
fn deployed_image(service: &Service) -> Option<&str> {
    let deployed = service.deployed.as_ref()?;
    let unknown = "as each node finds it: nobody could say what its name means";
    Some(deployed.image.as_deref().unwrap_or(unknown))
}

fn definition(fields: &mut Fields, definition: &Definition) {
    fields.field("strategy", &definition.strategy);
    fields.section("deploy opts", |fields| {
        fields
            .field("min health", definition.deploy_opts.min_health)
            .known("wait for port", definition.deploy_opts.wait_for_port)
            .known("max per node", definition.deploy_opts.max_per_node)
            .known("canary", definition.deploy_opts.canary);
        if !definition.deploy_opts.order.is_stop_first() {
            fields.field("order", definition.deploy_opts.order);
        }
        if !definition.deploy_opts.on_failure.is_halt() {
            fields.field("on failure", definition.deploy_opts.on_failure);
        }
        if !definition.deploy_opts.spread.is_empty() {
            fields.list("spread", &definition.deploy_opts.spread);
        }
        offline(fields, &definition.deploy_opts.offline);
        fields.known(
            "rebalance",
            definition.deploy_opts.rebalance.then_some("yes"),
        );
        let standby = definition.deploy_opts.standby_images;
        let said = standby.filter(|images| *images != Deploy::MAX_STANDBY_IMAGES);
        fields.known("standby images", said);
    });
    fields
        .field("net", &definition.net)
        .known("stop signal", definition.stop_signal.as_ref())
        .field(
            "stop timeout",
            format!("{} s", definition.stop_grace_period),
        )
        .list("affinity", &definition.affinity)
        .known("entrypoint", definition.entrypoint.as_ref())
        .field(
            "cmd",
            definition
                .cmd
                .as_ref()
                .map_or_else(|| "-".to_owned(), |cmd| cmd.join(" ")),
        )
        .list("env", &definition.env)
        .list("ports", definition.ports.iter().map(port))
        .list("volumes", &definition.volumes);
    if !definition.volumes_from.is_empty() {
        fields.list("volumes from", &definition.volumes_from);
    }
    fields.list(
        "links",
        definition.links.iter().map(|link| link.id.as_str()),
    );
    limits(fields, &definition.limits);
    privileges(fields, &definition.privileges);
    logging(fields, definition);
    if !definition.hooks.is_empty() {
        hooks(fields, &definition.hooks);
    }
    if let Some(check) = &definition.health_check {
        health_check(fields, check);
    }
    if !definition.labels.is_empty() {
        let labels = definition.labels.iter();
        fields.list(
            "labels",
            labels.map(|(key, value)| format!("{key}={value}")),
        );
    }
}

/// What differs from what holds by itself.
fn offline(fields: &mut Fields, offline: &OfflineOptions) {
    if *offline == OfflineOptions::default() {
        return;
    }
    let after = offline.replace_after;
    fields.section("offline", |fields| {
        fields
            .known("replace after", (after > 0).then(|| format!("{after} s")))
            .field("takeover", offline.takeover)
            .field("on return", offline.on_return);
    });
}

fn limits(fields: &mut Fields, limits: &Limits) {
    let size = |bytes: Option<u64>| bytes.map(size_text);
    fields
        .known("cpus", limits.cpus)
        .known("cpu_shares", limits.cpu_shares)
        .known("memory", size(limits.memory))
        .known("memory_swap", size(limits.memory_swap))
        .known("shm_size", size(limits.shm_size));
}

fn privileges(fields: &mut Fields, privileges: &Privileges) {
    fields
        .known("user", privileges.user.as_ref())
        .known("privileged", privileges.privileged.then_some("yes"))
        .known("read_only", privileges.read_only.then_some("yes"))
        .known("pid", privileges.pid.as_ref());
    for (key, list) in [
        ("cap_add", &privileges.cap_add),
        ("cap_drop", &privileges.cap_drop),
    ] {
        if !list.is_empty() {
            fields.list(key, list);
        }
    }
}

fn logging(fields: &mut Fields, definition: &Definition) {
    fields.known("log_driver", definition.log_driver.as_ref());
    if !definition.log_opts.is_empty() {
        fields.section("log_opts", |fields| {
            for (name, value) in &definition.log_opts {
                fields.field(name, value);
            }
        });
    }
}

fn hooks(fields: &mut Fields, hooks: &[Hook]) {
    fields.section("hooks", |fields| {
        for hook in hooks {
            fields.section(&hook.name, |fields| {
                fields
                    .field("type", &hook.stage)
                    .field("cmd", &hook.cmd)
                    .field("instances", &hook.instances)
                    .field("oneshot", yes_no(hook.oneshot));
            });
        }
    });
}

/// In the words of Kontena's command line.
fn health_check(fields: &mut Fields, check: &HealthCheck) {
    fields.section("health check", |fields| {
        fields
            .field("protocol", &check.protocol)
            .known("uri", check.uri.as_ref())
            .known("port", check.port)
            .known("cmd", check.cmd.as_ref())
            .field("timeout", check.timeout)
            .field("interval", check.interval)
            .field("initial delay", check.initial_delay);
    });
}

/// One section for each holder of an instance.
fn instances(fields: &mut Fields, service: &str, instances: &[Instance]) {
    if instances.is_empty() {
        fields.field("instances", "-");
        return;
    }
    fields.section("instances", |fields| {
        for instance in instances {
            fields.section(
                &format!("{service}/{}", instance.instance_number),
                |fields| {
                    self::instance(fields, instance);
                },
            );
        }
    });
}

fn instance(fields: &mut Fields, instance: &Instance) {
    let node = instance.node.as_ref().map(|node| &node.name);
    let mut said = instance.error.iter().flat_map(|error| error.lines());
    let error = said.next();
    fields
        .field("node", or_dash(node))
        .field("state", &instance.state)
        .field("health", &instance.health)
        .known("since", instance.since)
        .known(
            "restarts",
            Some(instance.restarts).filter(|count| *count > 0),
        )
        .known("exit code", instance.exit_code)
        .known("error", error.as_ref())
        .known("updating", instance.updating.then_some("yes"))
        .known("rev", instance.rev)
        .known("other image", other_image(instance))
        .known("container", instance.container_id.as_ref())
        .known("ip", instance.ip.as_ref())
        .known("dns", instance.dns.as_ref());
    let said: Vec<&str> = said.collect();
    if !said.is_empty() {
        fields.list("last lines", said);
    }
}

/// Its node has another image of the name than the one that the deploy was accepted with.
fn other_image(instance: &Instance) -> Option<&str> {
    instance
        .image_id
        .as_deref()
        .filter(|_| instance.other_image)
}

pub(super) fn containers(containers: &[Container]) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "NODE",
        "STATE",
        "HEALTH",
        "IP",
        "IMAGE",
        "CONTAINER ID",
    ]);
    for container in containers {
        let id: String = container.container_id.chars().take(12).collect();
        table.row([
            container.name.as_str().into(),
            container.node.name.as_str().into(),
            container.status.as_str().into(),
            container.health_status.status.as_str().into(),
            or_dash(container.ip_address.as_ref()).into(),
            or_dash(container.image.as_ref()).into(),
            id.into(),
        ]);
    }
    table
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use expect_test::expect;

    use super::super::super::output::Look;
    use std::num::NonZeroU32;

    use kontena_core::stack::{OnFailure, OnReturn, Order, Singleton, Takeover};

    use super::*;
    use crate::api::types::instance::NodeRef;
    use crate::api::types::service::{
        Counts, Deployed, HealthStatus, InstanceCounts, LinkRef, StackRef,
    };

    pub(in crate::cli) fn example(stack: &str, name: &str) -> Service {
        let counts = Counts {
            desired: 2,
            running: 2,
            healthy: 1,
        };
        Service {
            id: format!("demo/{stack}/{name}"),
            name: name.to_owned(),
            stack: StackRef {
                id: format!("demo/{stack}"),
                name: stack.to_owned(),
            },
            created_at: Some("2026-01-31T12:00:00Z".parse().unwrap()),
            updated_at: None,
            state: ServiceState::Running,
            revision: 3,
            stack_revision: Some(1),
            instances: 2,
            dns: Some(format!("{name}.{stack}.demo.kontena.local")),
            health_status: HealthStatus {
                healthy: counts.healthy,
                total: counts.desired,
            },
            instance_counts: InstanceCounts {
                total: 2,
                running: 2,
            },
            definition: definition(),
            revision_id: "0f".repeat(32),
            counts,
            deployed: Some(Deployed {
                revision: 2,
                revision_id: "1e".repeat(32),
                deploy: "5".to_owned(),
                image: Some(format!("sha256:{}", "d1".repeat(32))),
                at: None,
            }),
            problem: None,
            job: None,
            witnesses: Vec::new(),
            instance_rows: Some(vec![row(1, Some("a")), row(2, None)]),
        }
    }

    fn definition() -> Definition {
        Definition {
            image: Some("nginx:latest".to_owned()),
            strategy: "ha".to_owned(),
            env: vec!["A=1".to_owned()],
            ports: vec![Port {
                ip: "0.0.0.0".to_owned(),
                node_port: 8080,
                container_port: 80,
                protocol: "tcp".to_owned(),
            }],
            links: vec![LinkRef {
                id: "demo/shop/api".to_owned(),
                alias: "api".to_owned(),
            }],
            cmd: Some(vec!["nginx".to_owned(), "-g".to_owned()]),
            health_check: Some(HealthCheck {
                protocol: "http".to_owned(),
                port: Some(80),
                uri: Some("/up".to_owned()),
                interval: 60,
                timeout: 10,
                initial_delay: 10,
                cmd: None,
            }),
            stop_grace_period: 10,
            deploy_opts: DeployOptions {
                min_health: 0.8,
                wait_for_port: Some(80),
                interval: None,
                spread: vec!["label=rack".to_owned()],
                max_per_node: NonZeroU32::new(2),
                offline: OfflineOptions {
                    replace_after: 120,
                    takeover: Takeover::Always,
                    on_return: OnReturn::KeepOriginal,
                },
                rebalance: true,
                standby_images: Some(1),
                order: Order::StartFirst,
                on_failure: OnFailure::Rollback,
                canary: NonZeroU32::new(1),
                schedule: None,
                time_zone: None,
                concurrency: None,
                time_limit: None,
                takeover: None,
                singleton: None,
                witnesses: Vec::new(),
            },
            ..Definition::default()
        }
    }

    fn row(number: u32, node: Option<&str>) -> Instance {
        Instance {
            id: format!("shop.web-{number}"),
            dns: Some(format!("web-{number}.shop.demo.kontena.local")),
            instance_number: number,
            node: node.map(|name| NodeRef {
                id: format!("demo/{name}"),
                name: name.to_owned(),
                public_ip: None,
            }),
            deploy_rev: None,
            rev: node.map(|_| 2),
            state: if node.is_some() { "running" } else { "pending" }.to_owned(),
            error: node
                .is_none()
                .then(|| "no node fits\nfirst\nlast".to_owned()),
            health: if node.is_some() { "healthy" } else { "unknown" }.to_owned(),
            restarts: if node.is_some() { 3 } else { 0 },
            exit_code: node.map(|_| 1),
            updating: false,
            container_id: node.map(|_| "c0ffee".to_owned()),
            image_id: None,
            other_image: false,
            ip: None,
            since: None,
        }
    }

    #[test]
    fn services_are_listed_with_their_stack() {
        let mut alone = example("null", "redis");
        alone.definition.ports.clear();
        alone.definition.stateful = true;
        alone.state = ServiceState::Initialized;
        expect![[r"
            NAME      INSTANCES  STATEFUL  STATE        EXPOSED PORTS
            shop/web  2 / 2      no        running      0.0.0.0:8080->80/tcp
            redis     2 / 2      yes       initialized
        "]]
        .assert_eq(&table(&[example("shop", "web"), alone]).render(Look::PLAIN));
    }

    #[test]
    fn a_singleton_with_a_lease_is_shown_with_its_witnesses() {
        let mut service = example("shop", "web");
        service.definition.deploy_opts.singleton = Some(Singleton::Lease);
        service.witnesses = ["a", "b", "c"].map(str::to_owned).into();
        let text = shown(&service);
        let lease = "  stateful: no
  singleton: lease
  witnesses: a, b, c
  scaling: 2
";
        assert!(text.contains(lease), "{text}");
    }

    #[test]
    fn a_service_is_shown_with_one_section_for_each_holder() {
        expect![[r#"
            shop/web:
              created: 2026-01-31T12:00:00.000Z
              updated: -
              stack: demo/shop
              state: running
              image: nginx:latest
              revision: 3
              revision id: 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f
              deployed revision: 2
              deployed image: sha256:d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1
              stack revision: 1
              stateful: no
              scaling: 2
              dns: web.shop.demo.kontena.local
              strategy: ha
              deploy opts:
                min health: 0.8
                wait for port: 80
                max per node: 2
                canary: 1
                order: start-first
                on failure: rollback
                spread:
                  - label=rack
                offline:
                  replace after: 120 s
                  takeover: always
                  on return: keep_original
                rebalance: yes
                standby images: 1
              net:
              stop timeout: 10 s
              affinity: -
              cmd: nginx -g
              env:
                - A=1
              ports:
                - 0.0.0.0:8080->80/tcp
              volumes: -
              links:
                - demo/shop/api
              health check:
                protocol: http
                uri: /up
                port: 80
                timeout: 10
                interval: 60
                initial delay: 10
              counts:
                desired: 2
                running: 2
                healthy: 1
              instances:
                shop/web/1:
                  node: a
                  state: running
                  health: healthy
                  restarts: 3
                  exit code: 1
                  rev: 2
                  container: c0ffee
                  dns: web-1.shop.demo.kontena.local
                shop/web/2:
                  node: -
                  state: pending
                  health: unknown
                  error: no node fits
                  dns: web-2.shop.demo.kontena.local
                  last lines:
                    - first
                    - last
        "#]]
        .assert_eq(&shown(&example("shop", "web")));
    }
}
