//! What becomes of a deploy: halts, the way back, promotions, and the list of orders.

use super::history::{command, install, try_command};
use super::*;
use std::collections::BTreeMap;

use crate::command::{Command, Refusal, images_of};
use crate::stack::{FrozenImage, Platforms};
use crate::view::{DeployRecord, Deployed, HaltCause, View};

fn failed(generation: u64, image: &str, rollback: bool) -> Edit {
    Edit::Halt {
        service: web(),
        generation,
        revision: Service::new(image).hash(),
        cause: HaltCause::failed(2, "exited with status 1"),
        rollback,
    }
}

/// `nginx:1` runs, and `nginx:2` is deployed over it.
fn updated(replica: &mut Replica) -> Deployed {
    create(replica);
    write(replica, &[revision("nginx:2"), deploy("nginx:2")]);
    deployed(replica)
}

#[track_caller]
fn deployed(replica: &mut Replica) -> Deployed {
    the_web(replica).deployed.unwrap()
}

fn image(deployed: &Deployed) -> String {
    deployed.revision.service.as_ref().unwrap().image.clone()
}

#[test]
fn a_deploy_knows_what_it_replaces_and_the_first_one_replaces_nothing() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    assert_eq!(deployed(&mut a).previous, None);
    write(&mut a, &[revision("nginx:2"), deploy("nginx:2")]);
    let second = deployed(&mut a);
    let previous = second.previous.unwrap();
    assert_eq!(
        (previous.hash, previous.number),
        (Service::new("nginx:1").hash(), 1)
    );
}

#[test]
fn a_halt_stays_with_its_deploy_and_the_next_one_goes_back_to_what_did_not_fail() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    let second = updated(&mut a);
    write(&mut a, &[failed(second.generation, "nginx:2", false)]);
    let halted = deployed(&mut a);
    assert_eq!(image(&halted), "nginx:2");
    assert_eq!(halted.generation, second.generation);
    assert_eq!(halted.halt.unwrap().by, node(1));

    write(&mut a, &[revision("nginx:3"), deploy("nginx:3")]);
    let third = deployed(&mut a);
    assert_eq!(third.halt, None);
    assert_eq!(third.previous.unwrap().hash, Service::new("nginx:1").hash());
}

#[test]
fn a_halt_that_wants_it_brings_back_what_ran_before_under_the_next_generation() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    let second = updated(&mut a);
    write(&mut a, &[failed(second.generation, "nginx:2", true)]);
    let back = deployed(&mut a);
    assert_eq!(image(&back), "nginx:1");
    assert_eq!(back.generation, second.generation + 1);
    assert_eq!(back.halt, None);
    let (born, old) = (the_web(&mut a).born, back.revision.hash);
    assert!(back.is_met_by(&old, born), "what was not replaced is right");
    assert!(!back.is_met_by(&old, born - 1), "of an earlier service");
    assert!(!back.is_met_by(&second.revision.hash, second.generation));
    let taken_back = back.takes_back.unwrap();
    assert_eq!(taken_back.generation, second.generation);
    assert_eq!(taken_back.revision.number, 2);

    // The way back fails as well: there is no way further back.
    write(&mut a, &[failed(back.generation, "nginx:1", true)]);
    let stuck = deployed(&mut a);
    assert_eq!(
        (image(&stuck), stuck.generation),
        ("nginx:1".to_owned(), back.generation)
    );
    assert!(stuck.halt.is_some());
    write(&mut a, &[revision("nginx:4"), deploy("nginx:4")]);
    assert_eq!(
        deployed(&mut a).previous.unwrap().hash,
        Service::new("nginx:1").hash()
    );
}

#[test]
fn halts_that_two_sides_wrote_are_one_and_no_conflict() {
    let [mut a, mut b] = <[Replica; 2]>::try_from(replicas(2)).ok().unwrap();
    let second = updated(&mut a);
    give(&a, &mut b);
    write(&mut a, &[failed(second.generation, "nginx:2", false)]);
    write(&mut b, &[failed(second.generation, "nginx:2", true)]);
    sync(&mut a, &mut b, 1 << 20);
    let documents = agree(&mut [a, b]);
    let deployed = documents.services[&web()].deployed.as_ref().unwrap();
    assert_eq!(image(deployed), "nginx:1", "one of them wants the way back");
    assert!(documents.conflicts.is_empty() && documents.stack_conflicts.is_empty());
}

#[test]
fn a_halt_of_an_older_deploy_or_of_another_revision_says_nothing_of_the_deploy_of_record() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    let first = deployed(&mut a);
    let second = updated(&mut a);
    write(&mut a, &[failed(first.generation, "nginx:1", true)]);
    write(&mut a, &[failed(second.generation, "nginx:7", true)]);
    assert_eq!(deployed(&mut a), second);
}

#[test]
fn a_forced_deploy_of_the_same_revision_has_no_other_to_go_back_to() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    write(&mut a, &[deploy("nginx:1")]);
    let again = deployed(&mut a);
    write(&mut a, &[failed(again.generation, "nginx:1", true)]);
    let halted = deployed(&mut a);
    assert_eq!(halted.generation, again.generation);
    assert!(halted.halt.is_some());
}

#[test]
fn what_went_wrong_is_kept_within_bounds_whoever_wrote_it() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    let second = updated(&mut a);
    let halt = Edit::Halt {
        service: web(),
        generation: second.generation,
        revision: second.revision.hash,
        cause: HaltCause::Failed {
            number: 1,
            problem: format!("it failed: {} at last", "ä".repeat(5000)),
        },
        rollback: false,
    };
    write(&mut a, &[halt]);
    let HaltCause::Failed { problem, .. } = deployed(&mut a).halt.unwrap().cause else {
        panic!("it failed");
    };
    assert!(problem.len() <= HaltCause::MAX_PROBLEM && problem.len() > HaltCause::MAX_PROBLEM - 4);
    let (beginning, end) = problem.split_once(" … ").unwrap();
    assert!(beginning.starts_with("it failed: ä"), "{beginning}");
    assert!(end.ends_with("ä at last"), "{end}");
}

#[test]
fn the_orders_are_listed_newest_first_with_what_became_of_them_and_go_with_the_service() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    let second = updated(&mut a);
    write(&mut a, &[failed(second.generation, "nginx:2", true)]);
    write(&mut a, &[revision("nginx:3"), deploy("nginx:3")]);
    let listed: Vec<(u64, bool, bool)> = the_web(&mut a)
        .deploys
        .iter()
        .map(|deploy| (deploy.number, deploy.halt.is_some(), deploy.is_taken_back))
        .collect();
    assert_eq!(
        listed,
        [(3, false, false), (2, true, true), (1, false, false)]
    );
    write(&mut a, &[Edit::RemoveService(web())]);
    create(&mut a);
    assert_eq!(the_web(&mut a).deploys.len(), 1);
}

#[test]
fn the_last_hundred_orders_are_listed() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    for _ in 0..DeployRecord::MAX {
        command(&mut a, 1, &deploy_again(true));
    }
    let listed = the_web(&mut a).deploys;
    assert_eq!(listed.len(), 100);
    assert_eq!(listed[0].generation, deployed(&mut a).generation);
}

#[test]
fn an_update_of_a_stateless_service_that_runs_is_deployed_by_itself() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    command(&mut a, 1, &update_to(Service::new("nginx:2")));
    assert_eq!(
        deployed(&mut a).revision.hash,
        Service::new("nginx:2").hash()
    );
}

fn canary(count: u32) -> Service {
    let mut service = Service::new("nginx:2");
    service.deploy.canary = std::num::NonZeroU32::new(count);
    service
}

fn update_to(service: Service) -> Command {
    Command::UpdateService {
        key: web(),
        service: Box::new(service),
        instances: None,
    }
}

fn abort(rollback: Option<bool>) -> Command {
    Command::AbortDeploy {
        key: web(),
        rollback,
    }
}

#[test]
fn a_deploy_with_a_canary_waits_until_it_is_promoted_and_an_abort_takes_it_back() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    command(&mut a, 1, &update_to(canary(1)));
    assert_eq!(deployed(&mut a).canary(), Some(1));
    let mut other = replicas(1).remove(0);
    give(&a, &mut other);

    command(&mut a, 1, &Command::PromoteDeploy(web()));
    assert_eq!(deployed(&mut a).canary(), None);
    let again = try_command(&mut a, 1, &Command::PromoteDeploy(web())).unwrap_err();
    assert_eq!(
        again,
        Refusal::Invalid("the deploy of service `shop/web` waits for nobody".to_owned())
    );

    command(&mut other, 1, &abort(Some(true)));
    assert_eq!(image(&deployed(&mut other)), "nginx:1");
}

#[test]
fn the_first_deploy_of_a_service_has_no_canary() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    let create = Command::CreateService {
        key: web(),
        service: Box::new(canary(1)),
        instances: 3,
    };
    command(&mut a, 1, &create);
    let deploy = Command::DeployService {
        key: web(),
        force: false,
    };
    command(&mut a, 1, &deploy);
    assert_eq!(deployed(&mut a).canary(), None);
    let refused = try_command(&mut a, 1, &abort(Some(true))).unwrap_err();
    assert_eq!(
        refused,
        Refusal::Invalid(
            "service `shop/web` has nothing before this deploy that it could go back to".to_owned()
        )
    );
}

#[test]
fn a_halted_deploy_is_deployed_anew_without_force() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    let second = updated(&mut a);
    let deploy = Command::DeployService {
        key: web(),
        force: false,
    };
    assert_eq!(try_command(&mut a, 1, &deploy), Ok(Vec::new()));
    write(&mut a, &[failed(second.generation, "nginx:2", false)]);
    command(&mut a, 1, &deploy);
    let third = deployed(&mut a);
    assert!(third.generation > second.generation && third.halt.is_none());
}

#[test]
fn what_was_never_promoted_is_nothing_to_go_back_to() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    command(&mut a, 1, &update_to(canary(1)));
    let mut restarted = replicas(1).remove(0);
    give(&a, &mut restarted);
    write(&mut a, &[revision("nginx:3"), deploy("nginx:3")]);
    let third = deployed(&mut a);
    assert_eq!(third.previous.unwrap().hash, Service::new("nginx:1").hash());

    command(&mut restarted, 1, &Command::RestartService(web()));
    command(&mut restarted, 1, &abort(Some(true)));
    assert_eq!(image(&deployed(&mut restarted)), "nginx:1");
}

#[test]
fn a_promotion_is_of_one_revision() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    command(&mut a, 1, &update_to(canary(1)));
    let other = Edit::Promote {
        service: web(),
        generation: deployed(&mut a).generation,
        revision: Service::new("nginx:9").hash(),
    };
    write(&mut a, &[other]);
    assert_eq!(deployed(&mut a).canary(), Some(1));
}

#[test]
fn nobody_waits_for_a_canary_of_all() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    command(&mut a, 1, &update_to(canary(2)));
    assert_eq!(deployed(&mut a).canary(), None);
}

#[test]
fn a_halt_that_is_turned_into_the_way_back_still_says_what_failed() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    let second = updated(&mut a);
    write(&mut a, &[failed(second.generation, "nginx:2", false)]);
    command(&mut a, 1, &abort(Some(true)));
    let back = deployed(&mut a).takes_back.unwrap();
    assert_eq!(
        back.halt.cause,
        HaltCause::failed(2, "exited with status 1")
    );
}

fn digest(text: &str) -> FrozenImage {
    FrozenImage::Digest {
        digest: format!("sha256:{text}"),
        id: None,
        platforms: Platforms::default(),
        said: true,
    }
}

/// As a node takes a command that deploys: its engine says what `image` means.
fn frozen(command: Command, image: &str, meaning: &str) -> Command {
    Command::Frozen {
        command: Box::new(command),
        images: BTreeMap::from([(image.to_owned(), digest(meaning))]),
    }
}

fn deploy_again(force: bool) -> Command {
    Command::DeployService { key: web(), force }
}

#[test]
fn a_deploy_keeps_what_its_image_meant_and_the_next_one_asks_anew() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    command(&mut a, 1, &frozen(deploy_again(true), "nginx:1", "one"));
    assert_eq!(deployed(&mut a).revision.image, Some(digest("one")));
    command(&mut a, 1, &Command::RestartService(web()));
    assert_eq!(deployed(&mut a).revision.image, Some(digest("one")));
    command(&mut a, 1, &frozen(deploy_again(true), "nginx:1", "two"));
    assert_eq!(deployed(&mut a).revision.image, Some(digest("two")));
    command(&mut a, 1, &deploy_again(true));
    assert_eq!(deployed(&mut a).revision.image, None);
    let orders = the_web(&mut a).deploys;
    let images: Vec<_> = orders.iter().map(|order| order.image.clone()).collect();
    let [one, two] = [digest("one"), digest("two")].map(Some);
    assert_eq!(images, [None, two, one.clone(), one, None]);
}

#[test]
fn a_deploy_that_changes_nothing_brings_a_tag_that_was_moved() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    command(&mut a, 1, &frozen(deploy_again(true), "nginx:1", "one"));
    let first = deployed(&mut a).generation;
    command(&mut a, 1, &frozen(deploy_again(false), "nginx:1", "one"));
    assert_eq!(deployed(&mut a).generation, first, "it means the same");
    command(&mut a, 1, &deploy_again(false));
    assert_eq!(deployed(&mut a).generation, first, "nobody knows");
    command(&mut a, 1, &frozen(deploy_again(false), "nginx:1", "two"));
    let second = deployed(&mut a);
    assert!(second.generation > first);
    assert_eq!(second.revision.image, Some(digest("two")));
    let number = |order: &DeployRecord| order.number;
    let numbers: Vec<_> = the_web(&mut a).deploys.iter().map(number).collect();
    assert_eq!(numbers, [1, 1, 1], "the definition is the same");
}

#[test]
fn the_deploy_of_a_stack_brings_tags_that_were_moved() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    let install = install(&[("api", "api:1"), ("web", "web:1")]);
    let Command::InstallStack { name, .. } = install.clone() else {
        panic!("an install");
    };
    command(&mut a, 1, &install);
    let deploy = |images: [(&str, &str); 2]| Command::Frozen {
        command: Box::new(Command::DeployStack(name.clone())),
        images: images
            .map(|(image, meaning)| (image.to_owned(), digest(meaning)))
            .into(),
    };
    command(&mut a, 1, &deploy([("api:1", "a"), ("web:1", "w")]));
    let generations = |a: &mut Replica| {
        ["api", "web"].map(|service| {
            let key = format!("{name}/{service}").parse().unwrap();
            let record = &a.documents().services[&key];
            record.deployed.as_ref().unwrap().generation
        })
    };
    let [api, web] = generations(&mut a);
    command(&mut a, 1, &deploy([("api:1", "a"), ("web:1", "anew")]));
    let [api_then, web_then] = generations(&mut a);
    assert_eq!(api_then, api);
    assert!(web_then > web);
}

#[test]
fn the_way_back_goes_to_the_image_that_ran() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    command(&mut a, 1, &frozen(deploy_again(true), "nginx:1", "one"));
    let update = update_to(Service::new("nginx:2"));
    command(&mut a, 1, &frozen(update, "nginx:2", "two"));
    let second = deployed(&mut a);
    assert_eq!(second.revision.image, Some(digest("two")));
    write(&mut a, &[failed(second.generation, "nginx:2", true)]);
    let back = deployed(&mut a);
    assert_eq!(back.revision.image, Some(digest("one")));
    assert_eq!(back.takes_back.unwrap().revision.image, Some(digest("two")));
}

#[test]
fn it_is_asked_what_an_image_means_where_a_command_deploys_it() {
    let [mut a] = <[Replica; 1]>::try_from(replicas(1)).ok().unwrap();
    create(&mut a);
    let pinned = format!("nginx@sha256:{}", "a".repeat(64));
    let mut asked = |command: &Command| {
        let view = View {
            documents: a.documents(),
            ..View::default()
        };
        let images = images_of(&view, node(1), command, WallTime(7));
        let names = images.into_iter().map(|asked| asked.image);
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(asked(&deploy_again(true)), "nginx:1");
    assert_eq!(
        asked(&deploy_again(false)),
        "nginx:1",
        "it may have been moved"
    );
    assert_eq!(asked(&update_to(Service::new("nginx:2"))), "nginx:2");
    assert_eq!(asked(&update_to(Service::new(pinned.clone()))), pinned);
    let other = "other".parse().unwrap();
    assert_eq!(asked(&Command::RestartService(other)), "", "it is refused");
}
