//! What two sides of a split wrote, when they meet.

use expect_test::expect;

use super::*;
use crate::view::{Availability, Conflict, Lifecycle, Pin};

fn split(replicas: Vec<Replica>) -> (Replica, Replica) {
    let mut replicas = replicas.into_iter();
    (replicas.next().unwrap(), replicas.next().unwrap())
}

fn two_with_web() -> (Replica, Replica) {
    let (mut a, mut b) = split(replicas(2));
    create(&mut a);
    sync(&mut a, &mut b, 1 << 20);
    (a, b)
}

#[track_caller]
fn meet(a: &mut Replica, b: &mut Replica) -> Arc<Documents> {
    sync(a, b, 1 << 20);
    assert_eq!(a.documents(), b.documents());
    a.documents()
}

#[test]
fn a_new_grid_says_what_its_first_envelope_said() {
    let mut all = replicas(3);
    let documents = agree(&mut all);
    assert_eq!(documents.grid.id, Some(grid()));
    assert_eq!(documents.grid.name.as_ref().unwrap().as_str(), "home");
    assert_eq!(documents.grid.placement_version, 1);
    assert_eq!(documents.grid.created, WallTime(1));
    assert!(documents.admin_tokens.contains(&[9; 32]));
    assert!(!documents.join_tokens[&token()].revoked);
    let numbers: Vec<u32> = (1..=3).map(|n| documents.roster[&node(n)].number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(documents.roster[&node(2)].labels, ["a", "b"]);
    assert!(documents.conflicts.is_empty());
}

#[test]
fn scaling_on_one_side_and_deploying_on_the_other_both_survive() {
    let (mut a, mut b) = two_with_web();
    write(&mut a, &[scale(5)]);
    write(&mut b, &[revision("nginx:2"), deploy("nginx:2")]);
    let documents = meet(&mut a, &mut b);
    let web = &documents.services[&web()];
    assert_eq!(web.instances, 5);
    assert_eq!(web.latest.number, 2);
    assert_eq!(
        web.deployed.as_ref().unwrap().revision.hash,
        Service::new("nginx:2").hash()
    );
    assert!(documents.conflicts.is_empty());
}

#[test]
fn two_values_of_one_register_are_shown_until_somebody_settles_it() {
    let (mut a, mut b) = two_with_web();
    write(&mut a, &[scale(5)]);
    write(&mut b, &[scale(6)]);
    let documents = meet(&mut a, &mut b);
    let applied = documents.services[&web()].instances;
    let [
        Conflict {
            register, others, ..
        },
    ] = documents.conflicts.as_slice()
    else {
        panic!("{:?}", documents.conflicts);
    };
    assert_eq!(register, "service/web/instances");
    assert_eq!(others, &[(11 - applied).to_string()]);

    write(&mut b, &[scale(6)]);
    let documents = meet(&mut a, &mut b);
    assert_eq!(documents.services[&web()].instances, 6);
    assert!(documents.conflicts.is_empty());
}

#[test]
fn the_same_value_from_both_sides_is_no_conflict() {
    let (mut a, mut b) = two_with_web();
    write(&mut a, &[scale(5), deploy("nginx:1")]);
    write(&mut b, &[scale(5), deploy("nginx:1")]);
    assert!(meet(&mut a, &mut b).conflicts.is_empty());
}

#[test]
fn a_forced_deploy_of_the_same_revision_raises_the_generation() {
    let (mut a, _) = two_with_web();
    let before = the_web(&mut a).deployed.unwrap().generation;
    write(&mut a, &[deploy("nginx:1")]);
    assert!(the_web(&mut a).deployed.unwrap().generation > before);
}

#[test]
fn a_generation_never_falls_when_two_sides_meet() {
    let (mut a, mut b) = two_with_web();
    for _ in 0..3 {
        write(&mut a, &[scale(1)]);
    }
    write(&mut a, &[deploy("nginx:1")]);
    write(
        &mut b,
        &[scale(1), revision("x:1"), revision("x:2"), deploy("x:2")],
    );
    let (before_a, before_b) = (the_web(&mut a), the_web(&mut b));
    meet(&mut a, &mut b);
    let generation = the_web(&mut a).deployed.unwrap().generation;
    assert!(generation >= before_a.deployed.unwrap().generation);
    assert!(generation >= before_b.deployed.unwrap().generation);
}

#[test]
fn a_removal_wins_over_an_edit_beside_it_and_shows_it() {
    let (mut a, mut b) = two_with_web();
    write(&mut a, &[Edit::RemoveService(web())]);
    write(&mut b, &[scale(9)]);
    let documents = meet(&mut a, &mut b);
    assert!(!documents.services.contains_key(&web()));
    expect![[r#"
        [
            Conflict {
                document: "stack/shop",
                register: "service/web/removed",
                applied: "removed",
                others: [
                    "instances = 9",
                ],
            },
        ]
    "#]]
    .assert_debug_eq(&documents.conflicts);

    write(&mut b, &[Edit::RemoveService(web())]);
    assert!(meet(&mut a, &mut b).conflicts.is_empty());
}

#[test]
fn a_service_that_is_made_again_has_nothing_of_the_old_one() {
    let (mut a, mut b) = two_with_web();
    let pin = Pin {
        epoch: 1,
        node: node(1),
        moved: false,
    };
    let stop = Edit::Lifecycle {
        service: web(),
        state: Lifecycle::Stopped,
    };
    write(
        &mut a,
        &[
            Edit::Pin {
                service: web(),
                number: 1,
                pin,
            },
            stop,
        ],
    );
    assert_eq!(the_web(&mut a).pins[&1], pin);
    let old = the_web(&mut a).creation;
    write(&mut a, &[Edit::RemoveService(web())]);
    assert!(a.documents().services.is_empty());
    write(&mut a, &[revision("nginx:1"), scale(3)]);
    meet(&mut a, &mut b);
    let web = the_web(&mut b);
    assert_eq!(
        (web.instances, web.latest.number, web.state),
        (3, 1, Lifecycle::Running)
    );
    assert!(web.deployed.is_none());
    assert!(web.pins.is_empty());
    assert_ne!(web.creation, old);
}

#[test]
fn what_was_written_beside_a_removal_is_no_part_of_a_service_that_is_made_anew() {
    let (mut a, mut b) = two_with_web();
    let pin = Edit::Pin {
        service: web(),
        number: 2,
        pin: Pin {
            epoch: 1,
            node: node(2),
            moved: false,
        },
    };
    write(&mut b, &[scale(9), pin, deploy("nginx:1")]);
    write(&mut a, &[Edit::RemoveService(web())]);
    write(&mut a, &[revision("nginx:2")]);
    let documents = meet(&mut a, &mut b);
    let made_anew = &documents.services[&web()];
    assert_eq!(made_anew.instances, 1);
    assert!(made_anew.pins.is_empty(), "{:?}", made_anew.pins);
    assert!(made_anew.deployed.is_none());
    let [lost] = documents.conflicts.as_slice() else {
        panic!("{:?}", documents.conflicts);
    };
    assert_eq!(lost.applied, "removed and made anew");
    assert_eq!(lost.others, ["instances = 9"]);

    write(&mut b, &[scale(2)]);
    let documents = meet(&mut a, &mut b);
    assert_eq!(documents.services[&web()].instances, 2);
    assert!(documents.conflicts.is_empty(), "whoever knew it has spoken");
}

#[test]
fn a_service_stays_the_same_one_through_all_that_is_changed_of_it() {
    let (mut a, mut b) = two_with_web();
    let first = the_web(&mut a).creation;
    write(&mut b, &[revision("nginx:2"), deploy("nginx:2")]);
    write(&mut a, &[scale(5)]);
    meet(&mut a, &mut b);
    assert_eq!(the_web(&mut a).creation, first);
}

#[test]
fn of_a_service_that_both_sides_created_one_creation_counts_everywhere() {
    let (mut a, mut b) = split(replicas(2));
    write(&mut a, &[revision("nginx:1")]);
    write(&mut b, &[revision("nginx:2")]);
    let both = [the_web(&mut a).creation, the_web(&mut b).creation];
    assert_ne!(both[0], both[1]);
    meet(&mut a, &mut b);
    let kept = the_web(&mut a).creation;
    assert!(both.contains(&kept));
    write(&mut a, &[revision("nginx:3"), deploy("nginx:3")]);
    meet(&mut a, &mut b);
    assert_eq!(the_web(&mut b).creation, kept);
}

#[test]
fn removing_a_stack_removes_its_services_but_not_one_made_beside_it() {
    let (mut a, mut b) = two_with_web();
    write(&mut a, &[Edit::RemoveStack("shop".parse().unwrap())]);
    let other: ServiceKey = "shop/db".parse().unwrap();
    write(
        &mut b,
        &[Edit::Revision {
            service: other.clone(),
            encoded: Service::new("redis:7").encode(),
        }],
    );
    let documents = meet(&mut a, &mut b);
    assert_eq!(documents.services.keys().collect::<Vec<_>>(), [&other]);
}

#[test]
fn an_instance_bound_twice_keeps_the_lower_binding() {
    let (mut a, mut b) = two_with_web();
    let bind = |node| Edit::Pin {
        service: web(),
        number: 1,
        pin: Pin {
            epoch: 1,
            node,
            moved: false,
        },
    };
    write(&mut a, &[bind(node(1))]);
    write(&mut b, &[bind(node(2))]);
    let documents = meet(&mut a, &mut b);
    assert_eq!(
        documents.services[&web()].pins[&1].node,
        node(1).min(node(2))
    );
    assert_eq!(documents.conflicts.len(), 1);
}

#[test]
fn one_name_for_two_nodes_is_told_apart() {
    let (mut a, mut b) = split(replicas(2));
    let named = |admitted: u8, sponsor: u8| {
        Edit::Admit(Admission {
            name: "box".parse().unwrap(),
            ..admission(admitted, sponsor)
        })
    };
    write(
        &mut a,
        &[Edit::NodeAvailability {
            node: node(1),
            availability: Availability::Drain,
        }],
    );
    write(&mut a, &[named(3, 1)]);
    write(&mut b, &[named(4, 2)]);
    let documents = meet(&mut a, &mut b);
    let short = &node(3).to_string()[..4];
    assert_eq!(documents.roster[&node(4)].name.as_str(), "box");
    assert_eq!(
        documents.roster[&node(3)].name.as_str(),
        format!("box-{short}")
    );
    assert_eq!(documents.roster[&node(1)].availability, Availability::Drain);
    assert_eq!(documents.conflicts.len(), 1);
}

#[test]
fn numbers_of_revisions_count_and_an_older_one_keeps_its_number() {
    let (mut a, _) = two_with_web();
    write(&mut a, &[revision("nginx:2")]);
    write(&mut a, &[revision("nginx:3"), deploy("nginx:3")]);
    assert_eq!(the_web(&mut a).latest.number, 3);
    write(&mut a, &[deploy("nginx:1")]);
    assert_eq!(the_web(&mut a).deployed.unwrap().revision.number, 1);
    let refused = a.prepare(&[deploy("unheard:1")], WallTime(1));
    assert!(refused.unwrap_err().to_string().contains("is not known"));
}

#[test]
fn a_subnet_that_both_sides_gave_is_kept_by_one_and_the_other_gets_another() {
    let (mut a, mut b) = split(replicas(2));
    let clashing = |admitted: u8, sponsor: u8| Admission {
        subnet: "10.80.77.0/24".to_owned(),
        ..admission(admitted, sponsor)
    };
    write(&mut a, &[Edit::Admit(clashing(3, 1))]);
    write(&mut b, &[Edit::Admit(clashing(4, 2))]);
    let documents = meet(&mut a, &mut b);
    let subnets = [3, 4].map(|number| documents.roster[&node(number)].subnet.unwrap().to_string());
    let kept = subnets.iter().filter(|subnet| *subnet == "10.80.77.0/24");
    assert_eq!(kept.count(), 1, "{subnets:?}");
    assert_ne!(subnets[0], subnets[1]);
    assert_eq!(documents.conflicts.len(), 1, "people see it");
    assert_eq!(documents.conflicts[0].others, ["10.80.77.0/24"]);

    // Who sponsors next knows both.
    write(&mut a, &[Edit::Admit(clashing(5, 1))]);
    let documents = meet(&mut a, &mut b);
    let distinct: std::collections::BTreeSet<_> = documents
        .roster
        .values()
        .map(|member| member.subnet)
        .collect();
    assert_eq!(distinct.len(), 5);
    let before = [3, 4].map(|number| documents.roster[&node(number)].subnet.unwrap().to_string());
    assert_eq!(before, subnets, "and moves nobody");
}
