//! Splits of the network and what both sides do meanwhile.

use std::time::Duration;

use kontena_core::command::Command;
use kontena_core::stack::Service;
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, deploy, grid, key};

#[test]
fn edits_on_both_sides_of_a_split_survive_it() {
    let mut world = grid(3, 21);
    deploy(&mut world, 0, "web", 2);
    world.network.split(&[0], &[1, 2]);
    world.run_for(SOON);
    accept(
        &mut world,
        0,
        Command::ScaleService {
            key: key("web"),
            instances: 4,
        },
    );
    let update = Command::UpdateService {
        key: key("web"),
        service: Service::new("web:2"),
        instances: None,
    };
    accept(&mut world, 1, update);
    world.run_for(MINUTE);
    world.network.heal();
    world.until(MINUTE, "four of the new revision run", |world| {
        let new = world
            .hosts
            .iter()
            .flat_map(|host| host.engine.running())
            .filter(|c| c.image == "sha256:web:2");
        new.count() == 4 && world.runs_exactly("web", 4)
    });
    let first = &world.hosts[0].view.documents;
    assert!(world.hosts.iter().all(|host| host.view.documents == *first));
}

#[test]
fn duplicates_of_a_split_are_gone_soon_after_it_heals() {
    let mut world = grid(4, 22);
    deploy(&mut world, 0, "web", 4);
    world.network.split(&[0, 1], &[2, 3]);
    world.run_for(2 * MINUTE);
    world.network.heal();
    let took = world.until(MINUTE, "each runs once", |world| {
        world.runs_exactly("web", 4)
    });
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_small_side_keeps_what_it_has_and_takes_nothing_over() {
    let mut world = grid(5, 23);
    deploy(&mut world, 0, "web", 5);
    world.network.split(&[0], &[1, 2, 3, 4]);
    world.run_for(2 * MINUTE);
    assert_eq!(
        world.hosts[0].engine.running().count(),
        1,
        "{}",
        world.summary()
    );
    let rest: usize = (1..5)
        .map(|host| world.hosts[host].engine.running().count())
        .sum();
    assert_eq!(rest, 5, "the large side runs all of them");
    world.network.heal();
    world.until(MINUTE, "each runs once", |world| {
        world.runs_exactly("web", 5)
    });
}

#[test]
fn a_minority_that_is_back_takes_nothing_over_while_it_hears_one_after_the_other() {
    let mut world = grid(10, 27);
    deploy(&mut world, 0, "web", 30);
    let (few, many): (Vec<usize>, Vec<usize>) = (0..10).partition(|host| *host < 4);
    world.network.split(&few, &many);
    world.run_for(5 * MINUTE);
    let starts = |world: &World| -> u64 {
        few.iter()
            .map(|host| world.hosts[*host].engine.starts)
            .sum()
    };
    let before = starts(&world);
    world.network.heal();
    world.run_for(MINUTE);
    assert_eq!(starts(&world), before, "{}", world.summary());
    assert!(world.runs_exactly("web", 30), "{}", world.summary());
}

#[test]
fn a_one_way_link_moves_nothing() {
    let mut world = grid(5, 24);
    deploy(&mut world, 0, "web", 5);
    let starts = world.starts();
    world.network.cut_one_way(0, 1);
    world.network.cut_one_way(3, 0);
    world.run_for(10 * MINUTE);
    assert_eq!(world.starts(), starts, "{}", world.summary());
}

#[test]
fn a_link_shorter_cut_than_the_grace_moves_nothing() {
    let mut world = grid(5, 25);
    deploy(&mut world, 0, "web", 5);
    let starts = world.starts();
    for _ in 0..30 {
        world.network.split(&[4], &[0, 1, 2, 3]);
        world.run_for(Duration::from_secs(5));
        world.network.heal();
        world.run_for(Duration::from_secs(20));
    }
    assert_eq!(world.starts(), starts, "{}", world.summary());
}

#[test]
fn heavy_loss_and_doubled_messages_move_nothing() {
    let mut world = grid(5, 26);
    deploy(&mut world, 0, "web", 5);
    let starts = world.starts();
    world.network.loss = 100;
    world.network.doubled = 100;
    world.run_for(60 * MINUTE);
    assert_eq!(world.starts(), starts, "{}", world.summary());
}
