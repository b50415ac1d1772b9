//! The edge against a real engine of its own, where there is `dockerd` and we are root; elsewhere
//! these tests say that they were skipped.

pub(crate) mod engine;
mod fencing;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use futures::StreamExt;
use kontena_core::id::{EnvelopeHash, RevisionHash};
use kontena_core::reconcile::action::{
    Action, Attachment, Care, CheckTarget, Container, ContainerId, ContainerSpec, ContainerState,
    Failure, Mount, Observed, Outcome, Ownership, Success,
};
use kontena_core::stack::{
    Logging, PidMode, Port, Privileges, Protocol, Resources, Volume, VolumeSource,
};
use kontena_core::time::WallTime;
use kontena_core::volume::{Copy, Definition, Mounted, Scope};
use tokio::io::AsyncWriteExt;

use super::*;
use engine::{IMAGE, TestEngine};

const GRID: &str = "0123";

/// A container that runs `script`.
fn spec(instance: &str, script: &str) -> ContainerSpec {
    let instance: kontena_core::id::InstanceId = instance.parse().unwrap();
    ContainerSpec {
        name: instance.container_name(),
        labels: Ownership {
            grid: GRID.to_owned(),
            instance,
            epoch: 1,
            generation: 1,
            revision: RevisionHash([1; 32]),
            slot: None,
        },
        care: Care::default(),
        image: IMAGE.to_owned(),
        command: Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec()),
        environment: vec!["COLOUR=red".to_owned()],
        ports: Vec::new(),
        mounts: Vec::new(),
        volumes_from: Vec::new(),
        network: Attachment::Plain,
        entrypoint: None,
        resources: Resources::default(),
        privileges: Privileges::default(),
        logging: Logging::default(),
        fence: None,
        stop_signal: None,
        stop_grace: Duration::from_secs(1),
        hostname: "web-1".to_owned(),
        domainname: "shop.grid.kontena.local".to_owned(),
        extra_labels: BTreeMap::from([("team".to_owned(), "red".to_owned())]),
    }
}

/// Ends at once when it is told to.
const SERVE: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

async fn run(docker: &Docker, spec: &ContainerSpec) -> Outcome {
    docker.carry_out(Action::Run(Box::new(spec.clone()))).await
}

async fn run_well(docker: &Docker, spec: &ContainerSpec) -> Container {
    match run(docker, spec).await {
        Ok(Success::Running(container)) => *container,
        other => panic!("{other:?}"),
    }
}

async fn stop(docker: &Docker, container: &ContainerId) -> Outcome {
    let action = Action::Stop {
        container: container.clone(),
        grace: Duration::from_secs(5),
    };
    docker.carry_out(action).await
}

async fn remove(docker: &Docker, container: &ContainerId) -> Outcome {
    let container = container.clone();
    docker.carry_out(Action::Remove { container }).await
}

fn is_running(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running { .. })
}

#[tokio::test]
async fn every_action_may_be_repeated() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let web = spec("shop/web-1", SERVE);

    let first = run_well(docker, &web).await;
    assert!(is_running(&first));
    assert_eq!(first.owner, web.labels);
    assert_eq!(first.name, "shop.web-1");
    assert!(first.image.starts_with("sha256:"));
    assert!(matches!(first.address, Some(IpAddr::V4(_))));
    assert_eq!(run_well(docker, &web).await, first);
    let format = "{{.HostConfig.RestartPolicy.Name}}";
    let policy = engine.cli(&["inspect", "--format", format, &first.id.0]);
    assert_eq!(policy.trim(), "no", "the engine restarts nothing by itself");

    for _ in 0..2 {
        assert_eq!(stop(docker, &first.id).await, Ok(Success::Done));
    }
    // Stopped and wanted again: the same container is started and adopted.
    assert_eq!(run_well(docker, &web).await.id, first.id);
    assert_eq!(stop(docker, &first.id).await, Ok(Success::Done));
    let start = Action::Start {
        container: first.id.clone(),
    };
    for _ in 0..2 {
        assert_eq!(docker.carry_out(start.clone()).await, Ok(Success::Done));
    }
    // One that runs is never removed.
    assert!(matches!(
        remove(docker, &first.id).await,
        Err(Failure::Refused { .. })
    ));
    assert_eq!(stop(docker, &first.id).await, Ok(Success::Done));
    for _ in 0..2 {
        assert_eq!(remove(docker, &first.id).await, Ok(Success::Done));
    }
    assert_eq!(stop(docker, &first.id).await, Ok(Success::Done));
    assert_eq!(docker.carry_out(start).await, Err(Failure::Gone));
}

#[tokio::test]
async fn what_is_in_the_way_is_left_alone() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let mut web = spec("shop/web-1", SERVE);
    let older = run_well(docker, &web).await;
    web.labels.generation = 2;
    let name = web.name.clone();
    assert_eq!(
        run(docker, &web).await,
        Err(Failure::Occupied { name: name.clone() })
    );
    web.labels.generation = 0;
    assert_eq!(
        run(docker, &web).await,
        Err(Failure::Occupied { name: name.clone() })
    );
    assert!(engine.cli(&["inspect", &older.id.0]).contains("running"));

    engine.cli(&["rm", "-f", &older.id.0]);
    engine.cli(&["create", "--name", &name, IMAGE, "/bin/cat"]);
    assert_eq!(
        run(docker, &web).await,
        Err(Failure::Occupied { name: name.clone() })
    );
}

#[tokio::test]
async fn a_container_that_cannot_start_says_why_and_leaves_nothing() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let published = |instance| {
        let mut spec = spec(instance, SERVE);
        spec.ports = vec![Port {
            ip: Ipv4Addr::UNSPECIFIED.into(),
            node_port: 8099,
            container_port: 80,
            protocol: Protocol::Tcp,
        }];
        spec
    };
    run_well(docker, &published("web-1")).await;
    assert_eq!(
        run(docker, &published("web-2")).await,
        Err(Failure::PortTaken { port: 8099 })
    );

    let mut broken = spec("web-3", "");
    broken.command = Some(vec!["/no/such/program".to_owned()]);
    assert!(matches!(
        run(docker, &broken).await,
        Err(Failure::Refused { problem }) if problem.contains("no such")
    ));
    let mut nowhere = spec("web-4", SERVE);
    nowhere.image = "nowhere:1".to_owned();
    assert!(matches!(
        run(docker, &nowhere).await,
        Err(Failure::NoImage { .. })
    ));
    let names = engine.cli(&["ps", "-a", "--format", "{{.Names}}"]);
    assert_eq!(names.trim(), "web-1");
}

#[tokio::test]
async fn an_image_is_pinned_if_present_and_missed_quickly_if_not() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let fetch = |image: &str| {
        let image = image.to_owned();
        let frozen = None;
        engine.docker.carry_out(Action::Fetch { image, frozen })
    };
    let Ok(Success::Image { pinned }) = fetch(IMAGE).await else {
        panic!("the image is there");
    };
    assert!(pinned.starts_with("sha256:"));
    assert_eq!(
        fetch(&pinned).await,
        Ok(Success::Image {
            pinned: pinned.clone()
        })
    );
    let before = Instant::now();
    // The engine takes the beginning of an id for the id: only a whole one is certainly another.
    let other = format!("sha256:{}", "0".repeat(64));
    for missing in ["nowhere:1", "127.0.0.1:9/nothing:1", &other] {
        let outcome = fetch(missing).await;
        assert!(
            matches!(outcome, Err(Failure::NoImage { .. })),
            "{outcome:?}"
        );
    }
    assert!(before.elapsed() < Duration::from_secs(30));

    let mut web = spec("web-1", SERVE);
    web.image = pinned.clone();
    assert_eq!(run_well(&engine.docker, &web).await.image, pinned);
}

#[tokio::test]
async fn a_volume_with_a_name_outlives_its_container() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let mut writer = spec("db-1", "echo kept > /data/file");
    let volume = Volume {
        path: "/data".to_owned(),
        source: VolumeSource::Anonymous,
        flags: None,
    };
    let copy = Copy::Volume {
        volume: "data".parse().unwrap(),
        creation: EnvelopeHash([5; 32]),
    };
    let mounted = Mounted {
        name: "db-1.data".to_owned(),
        definition: Definition::local(Scope::Instance),
        copy: copy.clone(),
    };
    writer.mounts = vec![Mount {
        volume,
        docker_volume: Some(mounted),
    }];
    // Where no container comes of it there is no volume either: it would look like data.
    let mut broken = writer.clone();
    broken.command = Some(vec!["/no/such/program".to_owned()]);
    run(docker, &broken).await.unwrap_err();
    assert_eq!(engine.cli(&["volume", "ls", "--quiet"]).trim(), "");
    let first = run_well(docker, &writer).await;
    engine.cli(&["wait", &first.id.0]);
    assert_eq!(remove(docker, &first.id).await, Ok(Success::Done));

    let mut reader = writer.clone();
    reader.labels.generation = 2;
    reader.command = Some(["/bin/cat", "/data/file"].map(str::to_owned).to_vec());
    let second = run_well(docker, &reader).await;
    engine.cli(&["wait", &second.id.0]);
    assert_eq!(engine.cli(&["logs", &second.id.0]).trim(), "kept");

    // Its labels say whose it is, and it goes by order once no container has it.
    let grid = &writer.labels.grid;
    let listed = docker.list_volumes(grid).await.unwrap();
    assert_eq!(
        listed,
        BTreeMap::from([("db-1.data".to_owned(), copy.clone())])
    );
    let remove_it = |copy: &Copy| Action::RemoveVolume {
        name: "db-1.data".to_owned(),
        copy: copy.clone(),
    };
    let in_use = docker.carry_out(remove_it(&copy)).await;
    assert!(matches!(in_use, Err(Failure::Refused { .. })), "{in_use:?}");
    assert_eq!(remove(docker, &second.id).await, Ok(Success::Done));
    let another = Copy::Volume {
        volume: "data".parse().unwrap(),
        creation: EnvelopeHash([6; 32]),
    };
    for (wanted, left) in [(another, 1), (copy.clone(), 0), (copy, 0)] {
        let removed = docker.carry_out(remove_it(&wanted)).await;
        assert_eq!(removed, Ok(Success::Done));
        assert_eq!(docker.list_volumes(grid).await.unwrap().len(), left);
    }
    // A driver that is not there is told, and a volume of another driver is not taken.
    let mut foreign = writer.clone();
    let mounted = foreign.mounts[0].docker_volume.as_mut().unwrap();
    mounted.definition.driver = "no-such-driver".to_owned();
    let refused = run(docker, &foreign).await;
    assert!(
        matches!(&refused, Err(Failure::Refused { problem }) if problem.contains("no-such-driver")),
        "{refused:?}"
    );
}

/// What the limits and rights of a container come to, asked from within by a shell that has nothing else.
const ASK: &str = r#"
    while read key value _; do case $key in Uid:|Gid:|CapEff:) echo $key $value;; esac; done < /proc/self/status
    while read _ path _ options _; do
        case $path in
            /) echo root ${options%%,*};;
            /dev/shm) size=${options##*size=}; echo shm ${size%%,*};;
        esac
    done < /proc/mounts
    [ $$ = 1 ] || echo processes of the host
    echo end
    while :; do sleep 0.1; done"#;

#[tokio::test]
async fn a_container_has_the_limits_and_rights_that_it_was_given() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let mut web = spec("shop/web-1", ASK);
    web.entrypoint = Some("/bin/sh".to_owned());
    web.command = Some(["-c", ASK].map(str::to_owned).to_vec());
    web.resources = Resources {
        cpus: Some("0.5".parse().unwrap()),
        cpu_shares: Some(512),
        memory: Some(64 << 20),
        memory_swap: Some(128 << 20),
        shm_size: Some(8 << 20),
        ..Resources::default()
    };
    web.privileges = Privileges {
        user: Some("65534:100".to_owned()),
        read_only: true,
        cap_add: vec!["NET_ADMIN".to_owned()],
        cap_drop: vec!["CHOWN".to_owned()],
        pid: Some(PidMode::Host),
        ..Privileges::default()
    };
    web.logging = Logging {
        driver: Some("json-file".to_owned()),
        options: BTreeMap::from([("max-size".to_owned(), "1m".to_owned())]),
        ..Logging::default()
    };
    let container = run_well(docker, &web).await;
    let said = said_before(docker, &container.id, "end").await;
    assert_eq!(
        said,
        [
            "Uid: 65534",
            "Gid: 100",
            "CapEff: 0000000000000000",
            "root ro",
            "shm 8192k",
            "processes of the host",
        ]
    );
    let format = "{{.HostConfig.CpuQuota}} {{.HostConfig.CpuPeriod}} {{.HostConfig.CpuShares}} \
        {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}} \
        {{.HostConfig.LogConfig.Type}} {{index .HostConfig.LogConfig.Config \"max-size\"}}";
    let shown = engine.cli(&["inspect", "--format", format, &container.id.0]);
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(
        words.join(" "),
        "50000 100000 512 67108864 134217728 [NET_ADMIN] [CHOWN] json-file 1m"
    );
}

#[tokio::test]
async fn a_container_without_limits_is_as_docker_makes_it() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let plain = run_well(docker, &spec("shop/web-1", ASK)).await;
    let said = said_before(docker, &plain.id, "end").await;
    assert_eq!(said[..2], ["Uid: 0", "Gid: 0"]);
    assert_eq!(said[3..], ["root rw", "shm 65536k"]);
    let mut bare = spec("shop/web-2", ASK);
    bare.privileges.cap_drop = vec!["ALL".to_owned()];
    let bare = run_well(docker, &bare).await;
    let may = said_before(docker, &bare.id, "end").await;
    assert_eq!(may[2], "CapEff: 0000000000000000");
    assert!(said[2] > may[2], "{said:?}");
}

/// The lines of a container's log before the one that says `end`.
async fn said_before(docker: &Docker, container: &ContainerId, end: &str) -> Vec<String> {
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let lines = docker.logs(container, options);
    let text = |line: Result<LogLine, _>| String::from_utf8(line.unwrap().text).unwrap();
    let lines = lines.map(text).take_while(|line| {
        let goes_on = line != end;
        async move { goes_on }
    });
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, lines.collect()).await.unwrap()
}

#[tokio::test]
async fn the_log_is_read_by_line_with_its_times_and_followed() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let script = "echo one; echo two >&2; sleep 1; printf three; printf '\\nfour'; sleep 1";
    let web = run_well(docker, &spec("web-1", script)).await;
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let followed = read_log(docker, &web.id, follow).await;
    engine.cli(&["wait", &web.id.0]);
    let lines = read_log(docker, &web.id, LogOptions::default()).await;
    let line = |stream, text: &str| (stream, text.to_owned());
    let mut expected = vec![
        line(LogStream::Stdout, "four"),
        line(LogStream::Stdout, "one"),
        line(LogStream::Stdout, "three"),
        line(LogStream::Stderr, "two"),
    ];
    assert_eq!(sorted_texts(&lines), expected);
    // The engine itself may leave out of a followed log what had no newline at the end.
    let unended = expected.remove(0);
    let mut followed = sorted_texts(&followed);
    followed.retain(|line| *line != unended);
    assert_eq!(followed, expected);

    let last = lines.iter().map(|line| line.nanos).max();
    let newest = LogOptions {
        since: last.map(|nanos| WallTime(nanos / 1_000_000)),
        ..LogOptions::default()
    };
    let newest: Vec<_> = docker.logs(&web.id, newest).collect().await;
    assert!(newest.len() <= 2 && !newest.is_empty());
    let tail = LogOptions {
        tail: Some(1),
        ..LogOptions::default()
    };
    assert_eq!(
        docker.logs(&web.id, tail).collect::<Vec<_>>().await.len(),
        1
    );
    let nothing = ContainerId("nothing".to_owned());
    let missing: Vec<_> = docker.logs(&nothing, follow).collect().await;
    assert!(missing[0].is_err());
}

async fn read_log(docker: &Docker, container: &ContainerId, options: LogOptions) -> Vec<LogLine> {
    let lines = docker.logs(container, options);
    lines.map(|line| line.unwrap()).collect().await
}

fn sorted_texts(lines: &[LogLine]) -> Vec<(LogStream, String)> {
    let text = |line: &LogLine| {
        let text = String::from_utf8(line.text.clone()).unwrap();
        (line.stream, text)
    };
    let mut texts: Vec<_> = lines.iter().map(text).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn the_watch_sees_containers_come_and_go_and_the_engine_too() {
    let Some(mut engine) = TestEngine::start().await else {
        return;
    };
    let docker = engine.docker.clone();
    let (grid, grid_receiver) = tokio::sync::watch::channel(None);
    let mut watch = docker.watch(grid_receiver);
    let Observed::Engine(seen) = watch.next().await else {
        panic!("the engine comes first");
    };
    assert!(seen.cpus > 0 && seen.memory_bytes > 0 && !seen.version.is_empty());

    grid.send_replace(Some(GRID.to_owned()));
    until(&mut watch, |containers| containers.is_empty()).await;

    let mut foreign = spec("web-2", SERVE);
    foreign.labels.grid = "4567".to_owned();
    run_well(&docker, &foreign).await;
    let web = run_well(&docker, &spec("web-1", "sleep 2; exit 3")).await;
    let started = Instant::now();
    until(&mut watch, |containers| {
        containers.values().eq(std::iter::once(&web))
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(1));
    until(&mut watch, |containers| {
        containers
            .values()
            .all(|container| matches!(container.state, ContainerState::Exited { code: 3, at } if at.0 > 0))
    })
    .await;

    let again = docker
        .carry_out(Action::Start {
            container: web.id.clone(),
        })
        .await;
    assert_eq!(again, Ok(Success::Done));
    until(&mut watch, |containers| {
        containers
            .values()
            .any(|container| is_running(container) && container.state != web.state)
    })
    .await;

    engine.kill();
    while !matches!(watch.next().await, Observed::EngineTrouble { .. }) {}
    assert!(matches!(
        run(&docker, &spec("web-3", SERVE)).await,
        Err(Failure::Unreachable { .. })
    ));
    engine.start_again().await;
    while !matches!(watch.next().await, Observed::Engine(_)) {}
    until(&mut watch, |containers| {
        containers.len() == 1 && !containers.values().any(is_running)
    })
    .await;
    remove(&docker, &web.id).await.unwrap();
    until(&mut watch, |containers| containers.is_empty()).await;
}

/// Reads on until the containers are as they should be.
async fn until(watch: &mut Watch, right: impl Fn(&BTreeMap<ContainerId, Container>) -> bool) {
    let waiting = async {
        loop {
            if let Observed::Containers(containers) = watch.next().await
                && right(&containers)
            {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .unwrap();
}

#[tokio::test]
async fn running_costs_little_more_than_the_engine_s_own_create_and_start() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 1..=5 {
        let own = format!("own-{number}");
        let before = Instant::now();
        engine.cli(&["run", "-d", "--name", &own, IMAGE, "/bin/sleep", "100"]);
        theirs.push(before.elapsed());
        let web = spec(&format!("web-{number}"), SERVE);
        let before = Instant::now();
        run_well(&engine.docker, &web).await;
        ours.push(before.elapsed());
    }
    ours.sort();
    theirs.sort();
    assert!(ours[2] < theirs[2] * 3 / 2, "{ours:?} {theirs:?}");
}

#[tokio::test]
async fn a_probe_waits_for_the_port_and_not_longer_than_it_may() {
    let docker = Docker::connect(Some("/nowhere"), "kontena").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let probe = |millis| Action::Probe {
        address: target.ip(),
        port: target.port(),
        limit: Duration::from_millis(millis),
    };
    assert_eq!(docker.carry_out(probe(1000)).await, Ok(Success::Done));
    drop(listener);
    let before = Instant::now();
    let outcome = docker.carry_out(probe(300)).await;
    assert!(matches!(outcome, Err(Failure::NotReady { .. })));
    assert!(before.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_check_runs_a_command_in_the_container_and_takes_no_longer_than_it_may() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let mut web = spec("shop/web-1", SERVE);
    web.care.on_host = true;
    let running = run_well(docker, &web).await;
    assert_eq!(*running.care, web.care);
    let check = |command: &str| Action::Check {
        target: CheckTarget::Exec {
            container: running.id.clone(),
            command: command.to_owned(),
        },
        limit: Duration::from_secs(1),
    };
    let well = docker.carry_out(check("test $COLOUR = red")).await;
    assert_eq!(well, Ok(Success::Done));
    let not_ready = |problem: &str| {
        let problem = problem.to_owned();
        Err(Failure::NotReady { problem })
    };
    let ill = docker.carry_out(check("echo no disk >&2; exit 3"));
    assert_eq!(ill.await, not_ready("the command ended with 3: no disk"));
    let before = Instant::now();
    let slow = docker.carry_out(check("echo begins; sleep 30")).await;
    assert_eq!(
        slow,
        not_ready("the command did not end in 1 s; it said last: begins")
    );
    assert!(before.elapsed() < Duration::from_secs(8));
    assert_eq!(stop(docker, &running.id).await, Ok(Success::Done));
    assert_eq!(docker.carry_out(check("true")).await, Err(Failure::Gone));
}

#[tokio::test]
async fn a_hook_runs_in_a_container_of_its_own_and_says_why_it_failed() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let hook = |command: &str| {
        let mut spec = spec("shop/web-1", SERVE);
        spec.name = "shop.web-1-hook".to_owned();
        Action::Hook {
            spec: Box::new(spec),
            hook: "migrate".to_owned(),
            command: command.to_owned(),
            limit: Duration::from_secs(3),
        }
    };
    let well = docker.carry_out(hook("test $COLOUR = red")).await;
    assert_eq!(well, Ok(Success::Done));
    let failed = |problem: &str| {
        let (hook, problem) = ("migrate".to_owned(), problem.to_owned());
        Err(Failure::HookFailed { hook, problem })
    };
    let lines = "i=0; while [ $i -lt 12 ]; do i=$((i+1)); echo line $i; done; exit 4";
    let last: Vec<String> = (3..=12).map(|number| format!("line {number}")).collect();
    assert_eq!(
        docker.carry_out(hook(lines)).await,
        failed(&format!("ended with 4:\n{}", last.join("\n")))
    );
    let slow = docker.carry_out(hook("sleep 30")).await;
    assert_eq!(slow, failed("did not end in 3 s"));
    // One that was cut off half way is in nobody's way.
    let cut = docker.carry_out(hook("sleep 30"));
    assert!(
        tokio::time::timeout(Duration::from_secs(2), cut)
            .await
            .is_err()
    );
    assert_eq!(docker.carry_out(hook("true")).await, Ok(Success::Done));
    let cut = docker.carry_out(hook("sleep 30"));
    assert!(
        tokio::time::timeout(Duration::from_secs(2), cut)
            .await
            .is_err()
    );
    docker.remove_old_hooks(GRID).await.unwrap();
    assert_eq!(engine.cli(&["ps", "-aq"]), "", "nothing is left over");
}

#[tokio::test]
async fn a_one_off_container_is_its_command_and_nothing_is_left_of_it() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let one_off = |name: &str, words: &[&str]| ContainerSpec {
        name: format!("shop.web-run-{name}"),
        command: Some(words.iter().map(ToString::to_string).collect()),
        ..spec("shop/web-1", SERVE)
    };
    let options = ExecOptions {
        command: Vec::new(),
        environment: Vec::new(),
        tty: false,
        stdin: true,
        size: None,
    };

    // Its input comes back as it was, and its code is told.
    let script = "cat; echo $COLOUR >&2; exit 7";
    let spec = one_off("a", &["/bin/sh", "-c", script]);
    let mounts = docker.claim_mounts(&spec).unwrap();
    let started = docker.start_one_off(&spec, &options, mounts).await;
    let mut running = started.unwrap();
    let sent: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let mut input = running.input;
    let to_send = sent.clone();
    let sending = tokio::spawn(async move {
        input.write_all(&to_send).await.unwrap();
        input.shutdown().await.unwrap();
    });
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    while let Some(piece) = running.output.next().await {
        match piece.unwrap() {
            Piece::Output(bytes) => output.extend_from_slice(&bytes),
            Piece::Errors(bytes) => errors.extend_from_slice(&bytes),
        }
    }
    sending.await.unwrap();
    assert!(output == sent, "{} of {}", output.len(), sent.len());
    assert_eq!(errors, b"red\n");
    assert_eq!(docker.ended(&running.process).await, Ok(7));
    docker.clear(&running.process).await;
    assert_eq!(engine.cli(&["ps", "-aq"]), "");

    // No program, or none that can be run.
    for (word, expected) in [("no-such-program", 127), ("/etc", 126)] {
        let spec = one_off("b", &[word]);
        let mounts = docker.claim_mounts(&spec).unwrap();
        match docker.start_one_off(&spec, &options, mounts).await {
            Err(NotStarted::Program { code, .. }) => assert_eq!(code, expected, "{word}"),
            Err(other) => panic!("{word}: {other:?}"),
            Ok(_) => panic!("{word} runs"),
        }
    }
    assert_eq!(engine.cli(&["ps", "-aq"]), "");

    // It is no instance, is told of while somebody waits for it, and goes with the next look where nobody does.
    let (_grid, grids) = tokio::sync::watch::channel(Some(GRID.to_owned()));
    let spec = one_off("c", &["sleep", "1000"]);
    let mounts = docker.claim_mounts(&spec).unwrap();
    let started = docker.start_one_off(&spec, &options, mounts).await;
    let running = started.unwrap();
    let mut watching = docker.watch(grids);
    let (mut listed, mut told) = (None, None);
    while listed.is_none() || told.is_none() {
        match watching.next().await {
            Observed::Containers(containers) => listed = Some(containers.len()),
            Observed::OneOffs(one_offs) => told = Some(one_offs),
            Observed::Engine(_) | Observed::Volumes(_) => {}
            Observed::EngineTrouble { problem } => panic!("{problem}"),
        }
    }
    assert_eq!(listed, Some(0));
    let told = told.unwrap();
    let names: Vec<&str> = told.keys().map(String::as_str).collect();
    assert_eq!(names, ["shop.web-run-c"]);
    drop(running);
    let began = Instant::now();
    while !engine.cli(&["ps", "-aq"]).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "it stays");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_hook_runs_inside_and_says_why_it_failed() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    let web = run_well(docker, &spec("shop/web-1", SERVE)).await;
    let inside = |command: &str| Action::Command {
        container: web.id.clone(),
        hook: "drain".to_owned(),
        command: command.to_owned(),
        limit: Duration::from_secs(1),
    };
    let well = docker.carry_out(inside("echo x >/tmp/x")).await;
    assert_eq!(well, Ok(Success::Done));
    let failed = |problem: &str| {
        let (hook, problem) = ("drain".to_owned(), problem.to_owned());
        Err(Failure::HookFailed { hook, problem })
    };
    assert_eq!(
        docker.carry_out(inside("echo a; echo b; exit 2")).await,
        failed("ended with 2:\na\nb")
    );
    assert_eq!(
        docker.carry_out(inside("sleep 30")).await,
        failed("failed: the command did not end in 1 s")
    );
}

/// The grid's network with the third number `subnet`.
fn network(subnet: u8) -> BridgeNetwork {
    BridgeNetwork {
        name: "kontena".to_owned(),
        bridge: "kontena-br".to_owned(),
        interface: "kontena0".to_owned(),
        subnet: format!("10.80.{subnet}.0/24"),
        gateway: Ipv4Addr::new(10, 80, subnet, 1),
        by_hand: format!("10.80.{subnet}.240/28"),
        mtu: 1396,
    }
}

/// Where a container is in the grid's network, as the engine says it; nothing where it is not in it.
fn address_in_grid(engine: &TestEngine, container: &str) -> String {
    let format = "{{with .NetworkSettings.Networks.kontena}}{{.IPAddress}}{{end}}";
    let said = engine.cli(&["inspect", "--format", format, container]);
    said.trim().to_owned()
}

#[tokio::test]
async fn a_move_to_another_subnet_that_was_interrupted_anywhere_is_completed_by_the_next_look() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    assert_eq!(docker.ensure_network(&network(7)).await, Ensured::Ready);
    let mut containers = Vec::new();
    for number in [13, 14] {
        let mut web = spec(&format!("shop/web-{number}"), SERVE);
        web.network = Attachment::Grid(Ipv4Addr::new(10, 80, 7, number));
        containers.push(run_well(docker, &web).await.name);
    }
    let addresses = || [0, 1].map(|at: usize| address_in_grid(&engine, &containers[at]));

    assert_eq!(docker.ensure_network(&network(9)).await, Ensured::Ready);
    assert_eq!(addresses(), ["10.80.9.13", "10.80.9.14"], "a whole move");

    engine.cli(&["network", "disconnect", "kontena", &containers[0]]);
    assert_eq!(docker.ensure_network(&network(11)).await, Ensured::Ready);
    assert_eq!(
        addresses(),
        ["10.80.11.13", "10.80.11.14"],
        "ended before the network was removed"
    );

    for container in &containers {
        engine.cli(&["network", "disconnect", "kontena", container]);
    }
    engine.cli(&["network", "rm", "kontena"]);
    assert_eq!(docker.ensure_network(&network(13)).await, Ensured::Ready);
    assert_eq!(
        addresses(),
        ["10.80.13.13", "10.80.13.14"],
        "ended before the new one was made"
    );

    engine.cli(&["network", "disconnect", "kontena", &containers[1]]);
    assert_eq!(docker.ensure_network(&network(13)).await, Ensured::Ready);
    assert_eq!(
        addresses(),
        ["10.80.13.13", "10.80.13.14"],
        "ended before all were attached"
    );
}

#[tokio::test]
async fn a_container_whose_address_something_else_has_is_named_and_keeps_nobody_else_out() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let docker = &engine.docker;
    assert_eq!(docker.ensure_network(&network(7)).await, Ensured::Ready);
    for number in [13, 14] {
        let mut web = spec(&format!("shop/web-{number}"), SERVE);
        web.network = Attachment::Grid(Ipv4Addr::new(10, 80, 7, number));
        let name = run_well(docker, &web).await.name;
        engine.cli(&["network", "disconnect", "kontena", &name]);
    }
    let by_hand = [
        "run",
        "-d",
        "--network",
        "kontena",
        "--ip",
        "10.80.7.13",
        IMAGE,
    ];
    engine.cli(&[&by_hand[..], &["/bin/sleep", "600"]].concat());
    let ensured = docker.ensure_network(&network(7)).await;
    let Ensured::Incomplete(problem) = ensured else {
        panic!("{ensured:?}");
    };
    assert!(
        problem.contains("`shop.web-13`") && problem.contains("ddress already in use"),
        "{problem}"
    );
    assert_eq!(address_in_grid(&engine, "shop.web-14"), "10.80.7.14");
}

#[tokio::test]
async fn what_a_container_uses_is_counted() {
    let Some(engine) = TestEngine::start().await else {
        return;
    };
    let busy = spec("shop/web-1", "while :; do :; done");
    let container = run_well(&engine.docker, &busy).await;
    let used = engine.docker.usage(&container.id, GRID).await.unwrap();
    assert!(used.cpu_percent.unwrap() > 10.0, "{used:?}");
    assert!(used.received_bytes.is_some(), "{used:?}");
    let other = engine.docker.usage(&container.id, "another").await;
    assert_eq!(other.unwrap_err(), "it is no container of this grid");
}
