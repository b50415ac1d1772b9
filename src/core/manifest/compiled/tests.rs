//! Round trips, and what a wrong body is told.

use std::num::NonZeroU32;

use expect_test::expect;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::stack::{
    Affinity, Deploy, Link, Logging, NetworkMode, Offline, OnFailure, OnReturn, Order, PidMode,
    Port, Privileges, Protocol, Resources, Service, Spread, Strategy as Spreading, Takeover,
    Volume, Witnesses,
};

proptest! {
    #[test]
    fn what_is_written_is_read_back(compiled in any_compiled()) {
        let text = write(&compiled).to_string();
        let value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read(&value), Ok(compiled));
    }

    #[test]
    fn a_change_is_read_back_and_does_what_it_says(from in any_declared(), to in any_declared()) {
        let mut from = from;
        // A limit or a spread that the change does not speak of may contradict what it sets.
        from.service.resources = Resources::default();
        from.service.deploy = Deploy::default();
        from.service.stateful &= !to.service.deploy.rebalance && !to.service.is_leased();
        let mut change = ServiceChange::from_declared(&to);
        change.stateful = None;
        let read = ServiceChange::read(&change.write()).unwrap();
        prop_assert_eq!(&read, &change);
        let changed = read.apply(&from.service).unwrap();
        prop_assert_eq!(&changed.image, &to.service.image);
        prop_assert_eq!(&changed.environment, &to.service.environment);
        prop_assert_eq!(changed.stateful, from.service.stateful);
        prop_assert_eq!(ServiceChange::default().apply(&from.service), Ok(from.service));
    }

    #[test]
    fn no_body_makes_it_panic(text in "[\\[\\]{}:,\"a0.e-]{0,40}") {
        if let Ok(value) = serde_json::from_str(&text) {
            let _ = read(&value);
            let _ = ServiceChange::read(&value);
        }
    }
}

#[test]
fn an_empty_value_clears_and_a_missing_one_keeps() {
    let mut service = Service::new("a:1");
    service.command = Some(vec!["run".to_owned()]);
    service.stop_signal = Some("SIGQUIT".to_owned());
    service.deploy.wait_for_port = Some(80);
    service.environment = vec!["A=1".to_owned()];
    let clear =
        json!({"cmd": [], "stop_signal": "", "deploy_opts": {"wait_for_port": 0}, "env": []});
    let cleared = ServiceChange::read(&clear).unwrap().apply(&service);
    assert_eq!(cleared, Ok(Service::new("a:1")));
    let keep = json!({"cmd": null, "image": "b"});
    let kept = ServiceChange::read(&keep).unwrap().apply(&service).unwrap();
    assert_eq!(
        kept,
        Service {
            image: "b:latest".to_owned(),
            ..service
        }
    );
}

#[test]
fn limits_and_rights_are_set_and_taken_back() {
    let set = json!({
        "entrypoint": "/init", "cpus": 1.5, "cpu_shares": 512, "memory": 536_870_912, "memory_swap": "1g",
        "shm_size": "128m", "user": "1000:1000", "privileged": true, "read_only": true, "pid": "host",
        "cap_add": ["net_admin", "CAP_NET_ADMIN"], "cap_drop": ["ALL"],
        "log_driver": "syslog", "log_opts": {"tag": "web", "syslog-tls-skip-verify": true},
    });
    let service = ServiceChange::read(&set)
        .unwrap()
        .apply(&Service::new("a:1"))
        .unwrap();
    expect![[r#"{"image":"a:1","entrypoint":"/init","resources":{"cpus":1500,"cpu_shares":512,"mem_limit":536870912,"memswap_limit":1073741824,"shm_size":134217728},"privileges":{"user":"1000:1000","privileged":true,"read_only":true,"cap_add":["NET_ADMIN"],"cap_drop":["ALL"],"pid":"host"},"logging":{"driver":"syslog","options":{"syslog-tls-skip-verify":"true","tag":"web"}},"deploy":{"strategy":"ha","min_health":800}}"#]].assert_eq(&String::from_utf8(service.encode()).unwrap());
    let clear = json!({
        "entrypoint": "", "cpus": 0, "cpu_shares": 0, "memory": 0, "memory_swap": 0, "shm_size": 0,
        "user": "", "privileged": false, "read_only": false, "pid": "", "cap_add": [], "cap_drop": [],
        "log_driver": "", "log_opts": {},
    });
    let cleared = ServiceChange::read(&clear).unwrap().apply(&service);
    assert_eq!(cleared, Ok(Service::new("a:1")));
}

#[test]
fn wrong_limits_and_rights_are_told() {
    let body = json!({
        "cpus": -1, "cpu_shares": 2000, "memory": "much", "memory_swap": 5, "user": "a b", "pid": "container",
        "cap_add": ["NET ADMIN"], "log_driver": "a b", "log_opts": ["tag"], "entrypoint": ["/init"],
    });
    let told = |problems: Vec<FieldProblem>| {
        let lines = problems.iter().map(|problem| format!("{problem}\n"));
        lines.collect::<String>()
    };
    expect![[r#"
        entrypoint: has to be a text, this is a list
        cpus: `-1` is no number of cores: expected 0.001 to 10000, as `0.5`
        cpu_shares: has to be a whole number from 0 to 1024
        memory: `much` is not a size: expected bytes, or a whole number with `k`, `m` or `g`, as `512m`
        user: `a b` is no user: expected a name or number, and perhaps `:GROUP`
        cap_add[0]: `NET ADMIN` is no capability: expected one as `NET_ADMIN`, or `ALL`
        pid: `container` is not possible: only `host`
        log_driver: `a b` is no log driver: expected a name as `syslog`
        log_opts: has to be an object, this is a list
    "#]].assert_eq(&told(ServiceChange::read(&body).unwrap_err()));
    let change = ServiceChange::read(&json!({"memory_swap": 5})).unwrap();
    expect![[r#"
        memory_swap: memory and swap together are limited, and memory is not
    "#]]
    .assert_eq(&told(change.apply(&Service::new("a:1")).unwrap_err()));
}

#[test]
fn a_stateful_service_stays_one() {
    let change = ServiceChange::read(&json!({"stateful": true})).unwrap();
    let problems = change.apply(&Service::new("a:1")).unwrap_err();
    assert_eq!(problems[0].path, "stateful");
}

#[test]
fn kontenas_own_client_is_understood() {
    let body = json!({
        "name": "bot", "stack": "acme/bot", "version": 0.1, "registry": "file://", "expose": null,
        "labels": [], "metadata": {"tags": ["bot"], "x": {"y": null}}, "parent": null, "variables": {}, "volumes": [],
        "services": [{
            "name": "db", "image": "mongo", "instances": 1, "stateful": true, "net": "bridge",
            "health_check": {"port": null}, "hooks": {}, "log_opts": null, "secrets": [],
            "deploy_opts": {"interval": null, "min_health": null, "wait_for_port": null},
            "links": [{"alias": "system/lb", "name": "system/lb"}, {"alias": "x", "id": "home/other/db2"}],
            "ports": [{"container_port": "27017", "ip": "0.0.0.0", "node_port": 27000, "protocol": "tcp"}],
            "stop_grace_period": 1.5,
        }],
    });
    let compiled = read(&body).unwrap();
    assert_eq!(compiled.stack.version, "0.1");
    assert_eq!(json!(compiled.metadata), body["metadata"]);
    let service = &compiled.stack.services[&"db".parse().unwrap()].service;
    assert_eq!(service.image, "mongo:latest");
    assert_eq!(service.ports[0].to_string(), "0.0.0.0:27000:27017/tcp");
    assert_eq!(service.links[1].to_string(), "other/db2:x");
    assert_eq!(service.stop_grace_millis, Some(1_500));
}

#[test]
fn what_a_stack_says_of_itself_is_small_and_an_object() {
    let told = |metadata: Value| {
        let services = json!([{"name": "a", "image": "x"}]);
        let body = json!({"stack": "shop", "services": services, "metadata": metadata});
        let problems = read(&body).err().unwrap_or_default();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join(", ")
    };
    let of_size = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    assert_eq!(told(json!(null)), "");
    assert_eq!(told(of_size(MAX_METADATA_BYTES)), "");
    let large = told(of_size(MAX_METADATA_BYTES + 1));
    assert_eq!(large, "metadata: is larger than 16 KiB as JSON");
    assert_eq!(told(nested(MAX_METADATA_DEPTH + 1)), "");
    let deep = told(nested(MAX_METADATA_DEPTH + 2));
    assert_eq!(deep, "metadata: is nested deeper than 32 levels");
    let list = told(json!(["a"]));
    assert_eq!(list, "metadata: has to be an object, this is a list");
}

#[test]
fn links_are_checked_whoever_sends_them() {
    let body = json!({"stack": "shop", "services": [
        {"name": "a", "image": "x", "links": [{"name": "shop/b"}, {"name": "c"}]},
        {"name": "b", "image": "x", "links": [{"name": "a"}]},
    ]});
    let problems = read(&body).unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    expect![[r#"
        services.a.links[1]: service `a` needs `c`, which this stack does not define
        services.a.links[0]: services need each other in a circle: `a` → `b` → `a`"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_wrong_body_is_told_every_field() {
    let body = json!({
        "stack": "shop", "expose": "shop", "colour": "red",
        "services": [
            {"name": "web", "image": "Nginx", "env": ["A"], "privileged": true, "instances": -1,
             "ports": [{"node_port": 0}], "links": [{"name": "B"}], "labels": ["a"]},
            {"name": "db", "image": "redis", "volumes": ["/data", "x:/data"],
             "deploy_opts": {"min_health": 2}, "secrets": [{"secret": "s"}]},
            7,
        ],
    });
    let problems = read(&body).unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    expect![[r#"
        colour: is not a known field
        services[0].image: `Nginx` is not an image: expected `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`, the name in lower case
        services[0].env[0]: `A` is not an environment variable: expected `NAME=VALUE`
        services[0].ports[0].node_port: has to be a whole number from 1 to 65535
        services[0].ports[0].container_port: is missing
        services[0].links[0].name: `B` is not a valid service name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter or digit, not ending with `-`
        services[0].instances: has to be a whole number from 0 to 10000
        services[0].labels[0]: `a` is not a label: expected `KEY=VALUE`
        services[1].secrets: is not supported yet
        services[1].deploy_opts.min_health: has to be from 0 to 1
        services[1].volumes[1]: the path `/data` is mounted twice
        services[2]: has to be an object, this is a number
        expose: `expose` names service `shop`, which this stack does not define"#]].assert_eq(&lines.join("\n"));
    let of_other_versions = problems
        .iter()
        .filter(|problem| problem.kind == FieldProblemKind::NotCarriedOut);
    let paths: Vec<&str> = of_other_versions
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(paths, ["services[1].secrets"]);
}

#[test]
fn a_lease_has_witnesses_and_one_instance() {
    let told = |body: Value| {
        let change = ServiceChange::read(&body);
        let problems = change.and_then(|change| change.create()).unwrap_err();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let of = |deploy: Value| told(json!({"image": "a", "instances": 2, "deploy_opts": deploy}));
    let names = json!(["a", "b", "c"]);
    expect!["deploy_opts.singleton: has nobody who grants the lease: name three or five nodes in `witnesses`"]
        .assert_eq(&of(json!({"singleton": "lease"})));
    expect!["deploy_opts.witnesses: grants a lease, and without `singleton: lease` there is none"]
        .assert_eq(&of(json!({"witnesses": names})));
    expect!["deploy_opts.witnesses: the witness `a` is given twice"].assert_eq(&of(
        json!({"singleton": "lease", "witnesses": ["a", "b", "a"]}),
    ));
    expect![[r#"
        deploy_opts.singleton: has to be `lease`, this is `raft`
        deploy_opts.witnesses: 4 witnesses, a lease is granted by three or five"#]]
    .assert_eq(&of(
        json!({"singleton": "raft", "witnesses": ["a", "b", "c", "d"]}),
    ));
    expect!["deploy_opts.witnesses[1]: `B` is not a valid node name: use 1 to 63 of a-z, 0-9 and `-`, starting with a letter or digit, not ending with `-`"]
        .assert_eq(&of(json!({"singleton": "lease", "witnesses": ["a", "B", "c"]})));
    let all = json!({"singleton": "lease", "witnesses": names, "canary": 1, "offline": {"takeover": "never"}});
    expect![[r#"
        instances: is one at most with `singleton: lease`
        deploy_opts.offline.takeover: not with `singleton: lease`: the witnesses say who takes it over
        deploy_opts.canary: not with `singleton: lease`: there is no other instance that could wait"#]]
    .assert_eq(&of(all));
}

#[test]
fn whose_volumes_are_mounted_is_read_and_each_problem_told_at_its_place() {
    let services = |from: Value, of: &str| {
        json!({"stack": "shop", "services": [
            {"name": "db", "image": "redis"},
            {"name": "web", "image": "nginx", "volumes_from": from, "stateful": of == "stateful",
             "deploy_opts": if of == "job" { json!({"schedule": "0 3 * * *"}) } else { json!({}) }},
        ]})
    };
    let compiled = read(&services(json!(["db-%s", "db-1"]), "")).unwrap();
    let web = &compiled.stack.services[&"web".parse().unwrap()].service;
    let from: Vec<String> = web.volumes_from.iter().map(ToString::to_string).collect();
    assert_eq!(from, ["db-%s", "db-1"]);
    let lines = |from: Value, of: &str| {
        let problems = read(&services(from, of)).unwrap_err();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    expect![[r#"
        services[1].volumes_from[0]: `db` names no instance: write `db-%s` for the one of the same number, or `db-1` for the first
        services[1].volumes_from[2]: `other/db-1` is in another stack: only volumes of the same stack's services can be mounted"#]]
    .assert_eq(&lines(json!(["db", "db-1", "other/db-1"]), ""));
    expect![[r#"
        services.web.volumes_from[1]: service `web` needs `data`, which this stack does not define"#]]
    .assert_eq(&lines(json!(["db-1", "data-1"]), ""));
    expect![[r#"
        services[1].volumes_from[0]: a stateful service cannot use `volumes_from`: it is bound to its own data, and they may be elsewhere
        services[1].volumes_from[1]: the volumes of `db-1` are mounted twice"#]]
    .assert_eq(&{
        let mut lines: Vec<String> = lines(json!(["db-1", "db-1"]), "stateful").lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    });
    expect![[r#"
        services[1].volumes_from: a job is not kept running: it is bound to its node, and follows nobody: name the volumes in `volumes`"#]]
    .assert_eq(&lines(json!(["db-1"]), "job"));
}

#[test]
fn what_of_kontena_is_not_carried_out_is_told_and_not_left_aside() {
    let body = json!({
        "stack": "shop",
        "services": [{
            "name": "db", "image": "redis", "secrets": ["data"], "net": "container:web-1",
            "deploy_opts": {"interval": 86400},
        }],
    });
    let problems = read(&body).unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    expect![[r#"
        services[0].secrets: is not supported yet
        services[0].net: has to be bridge or host
        services[0].deploy_opts.interval: is not supported yet"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn what_a_stack_calls_its_volumes_is_what_the_grid_does() {
    let of = |volumes: Value| {
        let services =
            json!([{"name": "db", "image": "redis", "volumes": ["store:/data:ro", "own:/b"]}]);
        read(&json!({"stack": "shop", "services": services, "volumes": volumes}))
    };
    let mounted = |volumes: Value| {
        let compiled = of(volumes).unwrap();
        let service = &compiled.stack.services[&"db".parse().unwrap()].service;
        let mounts = service.volumes.iter();
        mounts.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(mounted(json!([])), ["store:/data:ro", "own:/b"]);
    let renamed =
        json!([{"name": "store", "external": "redis-data"}, {"name": "own", "external": true}]);
    assert_eq!(mounted(renamed), ["redis-data:/data:ro", "own:/b"]);
    let lines = |volumes: Value| {
        let problems = of(volumes).err().unwrap_or_default();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let wrong = json!([{"name": "store"}, {"name": "own", "external": false}, {"name": "a/b", "external": true}, 7]);
    expect![[r#"
        volumes[0]: has to be `external`: a stack creates no volumes, `kontena volume create` does
        volumes[1].external: has to be `external`: a stack creates no volumes, `kontena volume create` does
        volumes[2].name: `a/b` is not a volume name: 1 to 64 letters, digits, `_` and `-` are expected, the first a letter or a digit
        volumes[3]: has to be an object, this is a number"#]].assert_eq(&lines(wrong));
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>() -> impl Strategy<Value = T>
{
    "[a-z][a-z0-9]{0,5}".prop_map(|text| text.parse().unwrap())
}

fn any_port() -> impl Strategy<Value = Port> {
    let number = 1..=u16::MAX;
    let ip = prop_oneof![Just("0.0.0.0"), Just("127.0.0.1"), Just("::1")];
    (ip, number.clone(), number, any::<bool>()).prop_map(|(ip, node_port, container_port, udp)| {
        Port {
            ip: ip.parse().unwrap(),
            node_port,
            container_port,
            protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
        }
    })
}

fn any_link() -> impl Strategy<Value = Link> {
    let text = "([a-z]{1,4}/)?[a-z]{1,4}(:[a-z]{1,4})?";
    text.prop_map(|text| text.parse().unwrap())
}

fn any_volume() -> impl Strategy<Value = Volume> {
    "(/[a-z]{1,4}:)?/[a-z]{1,4}(/[a-z]{1,2})?".prop_map(|text| text.parse().unwrap())
}

fn any_affinity() -> impl Strategy<Value = Affinity> {
    "(node|label|service)(==|!=)~?(/\\^[a-z]+/|[a-z]+)".prop_map(|text| text.parse().unwrap())
}

fn any_offline() -> impl Strategy<Value = Offline> {
    let takeover = select(Takeover::NAMES).prop_map(|name| name.parse().unwrap());
    let on_return = select(OnReturn::NAMES).prop_map(|name| name.parse().unwrap());
    (0..=86_400_000_u64, takeover, on_return).prop_map(
        |(replace_after_millis, takeover, on_return)| Offline {
            replace_after_millis,
            takeover,
            on_return,
            ..Offline::default()
        },
    )
}

fn any_spread() -> impl Strategy<Value = Spread> {
    let labels = btree_set("label=[a-z]{1,3}", 0..3);
    labels.prop_map(|labels| {
        let labels = labels.iter().map(|label| label.parse().unwrap());
        Spread::new(labels.collect()).unwrap()
    })
}

fn any_lease() -> impl Strategy<Value = Option<Witnesses>> {
    let names = select(&[3, 5][..]).prop_flat_map(|count| btree_set("[a-z]{1,3}", count));
    let witnesses = names.prop_map(|names| {
        let names = names.iter().map(|name| name.parse().unwrap());
        Witnesses::new(names.collect()).unwrap()
    });
    option::weighted(0.2, witnesses)
}

impl Deploy {
    /// With a lease, and without all that contradicts it.
    fn leased(self, lease: Option<Witnesses>) -> Self {
        if lease.is_none() {
            return self;
        }
        Self {
            min_health: self.min_health,
            wait_for_port: self.wait_for_port,
            standby_images: self.standby_images,
            lease,
            ..Self::default()
        }
    }
}

fn any_rollout() -> impl Strategy<Value = (OnFailure, Option<NonZeroU32>, Order)> {
    let order = prop_oneof![Just(Order::StopFirst), Just(Order::StartFirst)];
    let on_failure = prop_oneof![Just(OnFailure::Halt), Just(OnFailure::Rollback)];
    (on_failure, (0..9_u32).prop_map(NonZeroU32::new), order)
}

fn any_deploy() -> impl Strategy<Value = Deploy> {
    let strategy = prop_oneof![
        Just(Spreading::Ha),
        Just(Spreading::Daemon),
        Just(Spreading::Random)
    ];
    let port = option::of(1..=u16::MAX);
    let most = option::of((1..=9_u32).prop_map(|most| NonZeroU32::new(most).unwrap()));
    (
        strategy,
        port,
        0..=1_000_u16,
        any_spread(),
        most,
        any_offline(),
        (any::<bool>(), 0..=Deploy::MAX_STANDBY_IMAGES),
        (any_rollout(), any_lease()),
    )
        .prop_map(
            |(
                strategy,
                wait_for_port,
                min_health,
                spread,
                max_per_node,
                offline,
                (rebalance, standby_images),
                (rollout, lease),
            )| {
                let spreads = strategy == Spreading::Ha;
                let is_daemon = strategy == Spreading::Daemon;
                Deploy {
                    strategy,
                    wait_for_port,
                    min_health,
                    spread: if spreads { spread } else { Spread::default() },
                    max_per_node: max_per_node.filter(|_| !is_daemon),
                    offline,
                    rebalance: rebalance && spreads,
                    standby_images,
                    on_failure: rollout.0,
                    canary: rollout.1,
                    order: rollout.2,
                    ..Deploy::default()
                }
                .leased(lease)
            },
        )
}

prop_compose! {
    fn any_resources()(
        cpus in option::of((1..=64_000_u32).prop_map(|thousandths| thousandths.try_into().unwrap())),
        cpu_shares in option::of(1..=Resources::MAX_CPU_SHARES),
        memory in option::of(1..=u64::MAX >> 1),
        memory_swap in option::of(1..=u64::MAX >> 1),
        shm_size in option::of(1..=u64::MAX >> 1),
    ) -> Resources {
        Resources { cpus, cpu_shares, memory, memory_swap, shm_size, ..Resources::default() }
    }
}

prop_compose! {
    fn any_privileges()(
        user in option::of("[a-z]{1,3}(:[0-9]{1,3})?"),
        privileged in any::<bool>(),
        read_only in any::<bool>(),
        cap_add in btree_set("[A-Z]{1,3}", 0..3),
        cap_drop in btree_set("[A-Z]{1,3}", 0..3),
        pid in option::of(Just(PidMode::Host)),
    ) -> Privileges {
        let (cap_add, cap_drop) = (cap_add.into_iter().collect(), cap_drop.into_iter().collect());
        Privileges { user, privileged, read_only, cap_add, cap_drop, pid, ..Privileges::default() }
    }
}

prop_compose! {
    fn any_logging()(
        driver in option::of("[a-z]{1,5}"),
        options in btree_map("[a-z-]{1,4}", "\\PC{0,6}", 0..3),
    ) -> Logging {
        Logging { driver, options, ..Logging::default() }
    }
}

prop_compose! {
    fn any_service()(
        plain in any_plain_service(),
        entrypoint in option::of("[a-z/]{1,6}"),
        resources in any_resources(),
        privileges in any_privileges(),
        logging in any_logging(),
    ) -> Service {
        Service { entrypoint, resources, privileges, logging, ..plain }
    }
}

prop_compose! {
    /// Without what limits and confines it.
    fn any_plain_service()(
        stateful in any::<bool>(),
        command in option::of(vec("\\PC{1,5}", 1..3)),
        environment in btree_map("[A-Z]{1,3}", "\\PC{0,6}", 0..3),
        ports in vec(any_port(), 0..3),
        links in vec(any_link(), 0..3),
        volumes in vec(any_volume(), 0..3),
        affinity in vec(any_affinity(), 0..3),
        stop_signal in option::of(Just("SIGTERM".to_owned())),
        stop_grace_millis in option::of(0..=86_400_000_u64),
        network_mode in prop_oneof![Just(NetworkMode::Bridge), Just(NetworkMode::Host)],
        deploy in any_deploy(),
        labels in btree_map("[a-z]{1,3}", "\\PC{0,6}", 0..3),
    ) -> Service {
        let environment = environment.into_iter().map(|(name, value)| format!("{name}={value}"));
        let stateful = stateful && deploy.lease.is_none();
        Service {
            stateful, command, environment: environment.collect(), ports, links, volumes, affinity,
            stop_signal, stop_grace_millis, network_mode, deploy, labels, ..Service::new("a:1")
        }
    }
}

fn any_declared() -> impl Strategy<Value = Declared> {
    let sound =
        any_service().prop_filter("contradicts itself", |service| service.faults().is_empty());
    (sound, option::of(0..=10_000_u32)).prop_map(|(service, instances)| Declared {
        instances: instances.map(|count| {
            if service.is_leased() {
                count.min(1)
            } else {
                count
            }
        }),
        service,
    })
}

prop_compose! {
    fn any_compiled()(
        name in name::<StackName>(),
        own in name::<StackName>(),
        user in option::of("[a-z]{1,4}"),
        version in "[0-9]\\.[0-9]{1,2}",
        description in option::of("\\PC{0,9}"),
        source in option::of("\\PC{0,9}"),
        services in btree_map(name::<ServiceName>(), any_declared(), 1..4),
        exposes in any::<bool>(),
        labels in vec("[a-z.]{1,4}=\\PC{0,3}".prop_map(|label| label.parse().unwrap()), 0..3),
        variables in btree_map("[a-z]{1,3}", any::<u32>().prop_map(Value::from), 0..3),
        metadata in btree_map("[a-z]{1,3}", any::<u32>().prop_map(|tag| json!({"tags": [tag, null]})), 0..3),
        parent in option::of(name::<StackName>()),
    ) -> Compiled {
        let mut services = services;
        for declared in services.values_mut() {
            declared.service.localize_links(&name);
            declared.service.links.retain(|link| link.stack.is_some());
        }
        let expose = services.keys().next().filter(|_| exposes).cloned();
        let stack = match user {
            Some(user) => format!("{user}/{own}"),
            None => own.to_string(),
        };
        Compiled { name, source, labels, variables, metadata, parent, stack: Stack { stack, default_name: own, version, description, expose, services } }
    }
}
