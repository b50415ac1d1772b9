//! What runs under a lease, against a real engine.

use std::collections::{BTreeMap, BTreeSet};

use kontena_core::id::NodeId;
use kontena_core::lease::{FenceTag, Fenced, LeaseId};
use tokio::sync::watch;

use super::*;
use crate::fence::{Fences, Moment, Standing, Tag, is_carried, remove_groups};

/// An engine, and what is told of its fences.
struct Bench {
    engine: TestEngine,
    docker: Docker,
    shown: watch::Sender<Standing>,
    tag: FenceTag,
}

impl Bench {
    /// `None`, after saying so, where there can be none.
    async fn start() -> Option<Self> {
        let engine = TestEngine::start().await?;
        let (shown, fences) = Fences::channel();
        let service = "shop/web".parse().unwrap();
        let lease = LeaseId::of(&service, EnvelopeHash([1; 32]), &BTreeSet::new());
        Some(Self {
            docker: engine.docker.clone().with_fences(fences),
            engine,
            shown,
            tag: FenceTag::of(&lease, &NodeId(random())),
        })
    }

    fn spec(&self, instance: &str) -> ContainerSpec {
        let fence = Fenced {
            tag: self.tag,
            token: 1,
        };
        ContainerSpec {
            fence: Some(fence),
            ..spec(instance, SERVE)
        }
    }

    /// By a fence that beats as long as the test takes.
    fn hold(&self, seconds: u64) {
        let after = |seconds| Moment::now().after(Duration::from_secs(seconds));
        self.shown.send_replace(Standing {
            deadlines: BTreeMap::from([(self.tag.into(), after(seconds))]),
            process: Ok(after(600)),
        });
    }

    fn is_carried(&self) -> bool {
        is_carried(&Tag::from(self.tag)).unwrap()
    }
}

/// The engine leaves the control group that is above a container's own.
impl Drop for Bench {
    fn drop(&mut self) {
        for container in self.engine.cli(&["ps", "-aq"]).lines() {
            self.engine.cli(&["rm", "-f", container]);
        }
        remove_groups(&self.tag.into());
    }
}

/// No two tests have a tag in common: they share a kernel.
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty()).unwrap();
    bytes
}

fn problem(outcome: Outcome) -> String {
    match outcome {
        Err(Failure::Unfenced { problem }) => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_runs_under_a_lease_is_started_while_it_is_fenced_and_found_by_its_tag() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let docker = &bench.docker;
    let web = bench.spec("shop/web-1");
    let why = problem(run(docker, &web).await);
    assert_eq!(why, "the fence process does not run: nobody started it");
    bench.hold(3);
    assert_eq!(problem(run(docker, &web).await), "the lease is over");
    assert_eq!(bench.engine.cli(&["ps", "-aq"]), "", "nothing is made");

    bench.hold(60);
    let container = run_well(docker, &web).await;
    assert!(is_running(&container));
    assert!(bench.is_carried());
    assert_eq!(run_well(docker, &web).await, container);
    stop(docker, &container.id).await.unwrap();
    assert!(!bench.is_carried());

    // What exists needs leave as well: to be started, and to be adopted.
    let start = || Action::Start {
        container: container.id.clone(),
    };
    bench.hold(3);
    assert_eq!(
        problem(docker.carry_out(start()).await),
        "the lease is over"
    );
    bench.hold(60);
    assert_eq!(docker.carry_out(start()).await, Ok(Success::Done));
    assert!(bench.is_carried());
    bench.engine.cli(&["pause", &container.id.0]);
    assert!(is_running(&run_well(docker, &web).await));
}

#[tokio::test]
async fn a_container_that_the_fence_would_not_find_is_not_adopted() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    bench.hold(60);
    let fenced = bench.spec("shop/web-1");
    let bare = ContainerSpec {
        fence: None,
        ..fenced.clone()
    };
    let found = run_well(&bench.docker, &bare).await;
    let occupied = || Failure::Occupied {
        name: "shop.web-1".to_owned(),
    };
    assert_eq!(run(&bench.docker, &fenced).await, Err(occupied()));
    bench.engine.cli(&["rm", "-f", &found.id.0]);
    run_well(&bench.docker, &fenced).await;
    assert_eq!(run(&bench.docker, &bare).await, Err(occupied()));
}

#[tokio::test]
async fn a_hook_of_what_runs_under_a_lease_is_fenced_as_well() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let hook = || Action::Hook {
        spec: Box::new(bench.spec("shop/web-1")),
        hook: "prepare".to_owned(),
        command: SERVE.to_owned(),
        limit: Duration::from_secs(5),
    };
    bench.hold(3);
    let refused = bench.docker.carry_out(hook()).await;
    assert_eq!(problem(refused), "the lease is over");
    bench.hold(60);
    let is_seen = async {
        while !bench.is_carried() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (ended, ()) = tokio::join!(bench.docker.carry_out(hook()), is_seen);
    assert!(
        matches!(ended, Err(Failure::HookFailed { .. })),
        "{ended:?}"
    );
    assert!(!bench.is_carried());
}
