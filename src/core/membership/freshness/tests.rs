//! Stories of grids, told by their pulses alone.

mod world;

use proptest::prelude::*;

use self::world::{HOUR, MINUTE, SECOND, World, id};
use super::*;
use crate::time::WallTime;

#[test]
fn nobody_is_stale_while_a_tenth_of_all_messages_is_lost() {
    for (nodes, millis) in [(2, HOUR), (3, HOUR), (5, 30 * MINUTE), (10, 10 * MINUTE)] {
        lose_a_tenth(nodes, millis);
    }
    lose_a_tenth(100, 20 * SECOND);
}

#[test]
#[ignore = "minutes long: a day of ten nodes and an hour of a hundred"]
fn nobody_is_stale_in_a_long_time_of_losses() {
    for nodes in [3, 5, 7, 10] {
        lose_a_tenth(nodes, 24 * HOUR);
    }
    lose_a_tenth(30, 4 * HOUR);
    lose_a_tenth(100, HOUR);
}

#[track_caller]
fn lose_a_tenth(nodes: usize, millis: u64) {
    let mut world = World::settled(nodes, 1).with_loss(10);
    world.run(millis);
    assert!(world.worst() < Freshness::Stale, "{nodes} nodes");
}

#[test]
fn a_node_that_is_cut_from_four_fifths_of_its_peers_stays_in_service() {
    for (nodes, millis) in [(5, HOUR), (10, 20 * MINUTE), (100, 20 * SECOND)] {
        let mut world = World::settled(nodes, 2).with_loss(2);
        let far: Vec<usize> = (1..=(nodes - 1) * 8 / 10).collect();
        world.split(&[0], &far);
        world.run(millis);
        assert!(world.worst() < Freshness::Stale, "{nodes} nodes");
    }
}

#[test]
fn one_way_links_make_nobody_absent() {
    for seed in 0..20 {
        let turn = usize::try_from(seed).unwrap();
        let mut world = World::settled(6, seed);
        // Of each pair, one direction is dead.
        for a in 0..6 {
            for b in 0..a {
                let (from, to) = if (a + b + turn).is_multiple_of(2) {
                    (a, b)
                } else {
                    (b, a)
                };
                // One way round the circle stays open in both directions.
                if a - b != 1 {
                    world.cut(&[from], &[to]);
                }
            }
        }
        world.run(10 * MINUTE);
        assert!(world.worst() < Freshness::Absent, "seed {seed}");
    }
}

#[test]
fn a_crash_is_absent_to_all_within_the_stated_bound() {
    for (nodes, bound) in [
        (2, 8_500),
        (3, 8_500),
        (5, 9_500),
        (10, 18_500),
        (100, 36_000),
    ] {
        for seed in 0..if nodes > 10 { 1 } else { 20 } {
            let mut world = World::settled(nodes, seed);
            world.crash(1);
            let took = world.run_for_at_most(bound, |world| world.all_see(1, Freshness::Absent));
            let took =
                took.unwrap_or_else(|| panic!("{nodes} nodes, seed {seed}: {:?}", world.seen(1)));
            let grace = u64::try_from(Pace::of(nodes).absent.as_millis()).unwrap();
            assert!(
                took + 3 * SECOND > grace,
                "{nodes} nodes: too early, {took} ms"
            );
        }
    }
}

#[test]
fn a_node_behind_a_cut_link_is_taken_over_without_further_delay() {
    let mut world = World::settled(3, 4);
    world.split(&[2], &[0, 1]);
    let took = world.run_for_at_most(9 * SECOND, |world| {
        world.seen(2).iter().all(|seen| *seen == Freshness::Absent)
    });
    assert!(took.is_some());
    assert_eq!((world.suspicion(0), world.suspicion(1)), (None, None));
    assert_eq!(
        world.suspicion(2),
        Some(Cause::Unheard),
        "it waits before it takes over"
    );
}

#[test]
fn a_split_in_halves_heals_within_seconds_however_long_it_was() {
    for (nodes, split, bound) in [(10, 20 * MINUTE, 5 * SECOND), (100, MINUTE, 20 * SECOND)] {
        let mut world = World::settled(nodes, 5);
        let (left, right): (Vec<_>, Vec<_>) = (0..nodes).partition(|node| *node < nodes / 2);
        world.split(&left, &right);
        world.run(split);
        world.heal();
        let took = world.run_for_at_most(bound, |world| world.worst_now() == Freshness::Fresh);
        assert!(took.is_some(), "{nodes} nodes");
    }
}

#[test]
fn a_flapping_node_is_given_twice_the_time_and_an_hour_of_quiet_forgives() {
    let mut world = World::settled(3, 6);
    let graces: Vec<u64> = (0..4).map(|_| grace_of(&mut world, 2)).collect();
    for (nth, grace) in graces.iter().enumerate() {
        let expected = (7 * SECOND) << nth;
        assert!(
            (expected - 2_000..expected + 2_000).contains(grace),
            "{graces:?}"
        );
    }
    world.run(5 * HOUR);
    assert!(grace_of(&mut world, 2) < 9 * SECOND);
}

#[test]
fn a_grace_never_doubles_beyond_a_quarter_of_an_hour() {
    let mut world = World::settled(3, 6);
    let last = (0..9).map(|_| grace_of(&mut world, 2)).last().unwrap();
    assert!((14 * MINUTE..=15 * MINUTE).contains(&last), "{last}");
}

#[test]
fn a_cut_of_ones_own_is_held_against_nobody() {
    let mut world = World::settled(3, 7);
    for _ in 0..3 {
        world.split(&[0], &[1, 2]);
        world.run(20 * SECOND);
        world.heal();
        world.run(20 * SECOND);
    }
    // Node 0 was cut off three times, and has nothing against node 1.
    world.crash(1);
    world.run(9 * SECOND);
    assert_eq!(world.seen(1), [Freshness::Absent, Freshness::Absent]);
}

#[test]
fn alone_after_a_power_cut_nobody_is_absent_for_a_minute() {
    let mut world = World::new(3, 8);
    world.crash(1);
    world.crash(2);
    world.run(59 * SECOND);
    assert_eq!(world.seen(1), [Freshness::Stale]);
    world.run(2 * SECOND);
    assert_eq!(world.seen(1), [Freshness::Absent]);
}

#[test]
fn two_peers_that_know_better_spare_a_restarted_node_the_minute() {
    let mut world = World::settled(4, 9);
    world.crash(3);
    world.run(30 * SECOND);
    world.crash(0);
    world.start(0);
    world.run(3 * SECOND);
    assert_eq!(
        world.pulse(0).standing(&id(3)).unwrap().freshness,
        Freshness::Stale
    );
    world.run(8 * SECOND);
    assert_eq!(
        world.pulse(0).standing(&id(3)).unwrap().freshness,
        Freshness::Absent
    );
}

#[test]
fn a_rack_that_powers_up_slowly_condemns_nobody() {
    let mut world = World::new(4, 10);
    world.crash(3);
    world.run(50 * SECOND);
    world.start(3);
    world.run(15 * SECOND);
    assert_eq!(world.worst(), Freshness::Stale);
    assert!(world.all_see(3, Freshness::Fresh));
}

#[test]
fn what_others_knew_of_the_dead_does_not_raise_them() {
    let mut world = World::settled(4, 11);
    world.split(&[0, 1], &[2, 3]);
    world.run(5 * MINUTE);
    world.crash(3);
    world.run(MINUTE);
    world.heal();
    for _ in 0..100 {
        world.run(100);
        assert!(world.seen(3).iter().all(|seen| *seen >= Freshness::Absent));
    }
}

#[test]
fn a_day_after_it_was_absent_a_node_is_gone_and_comes_back_at_once() {
    let mut world = World::settled(2, 12);
    world.split(&[0], &[1]);
    world.run(24 * HOUR);
    assert_eq!(world.seen(1), [Freshness::Absent]);
    world.run(MINUTE);
    assert_eq!(world.seen(1), [Freshness::Gone]);
    world.heal();
    world.run(2 * SECOND);
    assert_eq!(world.seen(1), [Freshness::Fresh]);
}

#[test]
fn an_announced_restart_and_a_refused_connection_are_given_a_minute() {
    for announce in [true, false] {
        let mut world = World::settled(3, 13);
        world.crash(2);
        for viewer in [0, 1] {
            let now = world.time();
            match announce {
                true => world.pulse(viewer).restarts(id(2), now),
                false => world.pulse(viewer).refused(id(2), now),
            }
        }
        world.run(58 * SECOND);
        assert!(world.all_see(2, Freshness::Stale));
        world.run(3 * SECOND);
        assert!(world.all_see(2, Freshness::Absent));
    }
}

#[test]
fn patience_ends_with_the_restart_that_it_was_for() {
    let mut world = World::settled(3, 14);
    for viewer in [0, 1] {
        let now = world.time();
        world.pulse(viewer).restarts(id(2), now);
    }
    world.crash(2);
    world.run(2 * SECOND);
    world.start(2);
    world.run(10 * SECOND);
    world.crash(2);
    world.run(9 * SECOND);
    assert!(world.all_see(2, Freshness::Absent));
}

#[test]
fn a_node_that_stood_still_does_not_condemn_those_it_could_not_hear() {
    let mut world = World::settled(3, 16);
    world.stop_for(0, Duration::from_secs(30));
    world.forget();
    world.run(50);
    assert_eq!(world.suspicion(0), Some(Cause::Lagged));
    let seen = world.pulse(0).standings();
    assert!(
        seen.values()
            .all(|standing| standing.freshness < Freshness::Stale)
    );
    world.run(29 * SECOND);
    assert_eq!(world.suspicion(0), Some(Cause::Lagged));
    world.run(2 * SECOND);
    assert_eq!(world.suspicion(0), None);
}

#[test]
fn a_wedged_node_looks_dead_to_the_others() {
    let mut world = World::settled(3, 17);
    world.stop_for(0, Duration::from_secs(10));
    assert!(world.all_see(0, Freshness::Absent));
}

#[test]
fn a_node_that_loses_more_than_a_third_at_once_doubts_itself_first() {
    let mut world = World::settled(6, 18);
    world.split(&[0, 1, 2], &[3, 4, 5]);
    let absent = world.run_for_at_most(MINUTE, |world| world.seen(3).contains(&Freshness::Absent));
    assert!(absent.is_some());
    assert_eq!(world.suspicion(0), Some(Cause::ManyStale));
    world.run(20 * SECOND);
    assert_eq!(
        world.suspicion(0),
        None,
        "it delays once and forbids nothing"
    );
}

#[test]
fn a_hostile_member_cannot_wedge_another_with_an_invented_counter() {
    let mut world = World::settled(3, 19);
    let mut invented: BTreeMap<_, _> = beats(&world.pulse(0).vector());
    invented.get_mut(&id(1)).unwrap().counter = u64::MAX;
    let invented = invented.into_iter().collect();
    let now = world.time();
    world.pulse(0).hear(id(2), &invented, now);
    world.run(2 * SECOND);
    world.forget();
    world.run(10 * MINUTE);
    assert_eq!(world.worst(), Freshness::Fresh);
    let leap = Beat {
        boot: u64::MAX,
        nonce: 0,
        counter: 0,
    };
    let now = world.time();
    world
        .pulse(0)
        .hear(id(2), &Vector::from_iter([(id(1), leap)]), now);
    assert_ne!(world.pulse(0).vector().get(&id(1)), Some(&leap));
}

#[test]
fn a_report_waits_for_an_answer_and_not_for_ever() {
    let mut pulse = pulse_of(&[1, 2]);
    assert!(!pulse.may_report(Instant::ZERO));
    assert!(pulse.may_report(Instant::from_millis(3_000)));
    pulse.spoke(id(2), false, Now::default());
    assert!(!pulse.may_report(Instant::ZERO));
    pulse.spoke(id(2), true, Now::default());
    assert!(pulse.may_report(Instant::ZERO));
    assert!(pulse_of(&[1]).may_report(Instant::ZERO));
}

#[test]
fn a_standing_says_since_when() {
    let mut world = World::settled(2, 20);
    let before = world.time().wall;
    world.crash(1);
    world.run(HOUR);
    let since = world.pulse(0).standing(&id(1)).unwrap().since;
    let waited = since.0 - before.0;
    assert!((4 * SECOND..9 * SECOND).contains(&waited), "{waited}");
    assert!(since < WallTime(before.0 + HOUR));
}

proptest! {
    #[test]
    fn whatever_the_order_the_highest_beats_remain(beats in prop::collection::vec((0..5_usize, 0..3_u64, 0..3_u64, 0..9_u64), 0..30)) {
        let mut there = pulse_of(&[1, 2, 3]);
        let mut back = pulse_of(&[1, 2, 3]);
        let vector = |&(node, boot, nonce, counter): &(usize, u64, u64, u64)| {
            Vector::from_iter([(id(node), Beat { boot, nonce, counter })])
        };
        for beat in &beats {
            there.hear(id(2), &vector(beat), Now::default());
        }
        for beat in beats.iter().rev().chain(&beats) {
            back.hear(id(3), &vector(beat), Now::default());
        }
        prop_assert_eq!(there.vector(), back.vector());
        prop_assert!(there.vector().iter().all(|(node, _)| [id(1), id(2), id(3)].contains(node)));
        let own = there.own();
        prop_assert_eq!(there.vector().get(&id(1)).copied(), Some(own), "nobody else bumps it");
    }
}

fn beats(vector: &Vector) -> BTreeMap<NodeId, Beat> {
    vector.iter().map(|(node, beat)| (*node, *beat)).collect()
}

/// How long a cut has to last until everybody finds the node absent; heals it afterwards.
fn grace_of(world: &mut World, node: usize) -> u64 {
    let others: Vec<usize> = (0..3).filter(|other| *other != node).collect();
    world.split(&[node], &others);
    let took = world.run_for_at_most(HOUR, |world| world.all_see(node, Freshness::Absent));
    let took = took.expect("absent in the end");
    world.heal();
    world.run(20 * SECOND);
    took
}

fn pulse_of(roster: &[usize]) -> Pulse {
    let mut pulse = Pulse::new(id(1), 5, 100, 1, Now::default());
    pulse.set_roster(&roster.iter().copied().map(id).collect(), Now::default());
    pulse
}

#[test]
fn a_boot_that_nobody_can_have_made_is_not_followed() {
    let start = Now {
        monotonic: Instant::ZERO,
        wall: WallTime(0),
    };
    let mut pulse = Pulse::new(id(0), 3, 7, 1, start);
    let later = |boot| ReportOrder {
        boot,
        nonce: 9,
        sequence: 1,
    };
    let absurd = pulse.hear_own_report(later(u64::MAX), start.monotonic);
    assert_eq!(absurd, Own::Agreed);
    let restored = pulse.hear_own_report(later(9), start.monotonic);
    assert_eq!(restored, Own::RestartAbove { boot: 9 });
}
