//! An instance and its data go to another node, or stay, whatever happens on the way.

use std::time::Duration;

use kontena_core::command::Command;
use kontena_core::id::InstanceId;
use kontena_core::stack::Service;
use kontena_core::view::MoveState;
use kontena_core::volume::{Definition, Scope};
use kontena_simulations::world::World;

use crate::support::{MINUTE, SOON, accept, deploy_service, grid, key};

const COPY: &str = "db.data-1";

/// A grid where a database runs; gives where, and another node.
fn with_database(hosts: usize, seed: u64) -> (World, usize, usize) {
    let mut world = grid(hosts, seed);
    let create = Command::CreateVolume {
        name: "data".parse().unwrap(),
        definition: Definition::local(Scope::Instance),
    };
    accept(&mut world, 0, create);
    world.run_for(SOON);
    let mut service = Service::new("web:1");
    service.stateful = true;
    service.volumes = vec!["data:/data".parse().unwrap()];
    deploy_service(&mut world, 0, "db", service, 1);
    world.until(MINUTE, "it runs", |world| world.runs_exactly("db", 1));
    world.run_for(MINUTE);
    let home = holders(&world)[0];
    (world, home, (home + 1) % hosts)
}

fn instance() -> InstanceId {
    InstanceId::new(key("db"), 1)
}

fn holders(world: &World) -> Vec<usize> {
    let running = world.running();
    running.get(&instance()).cloned().unwrap_or_default()
}

fn copies(world: &World) -> Vec<usize> {
    let hosts = world.hosts.iter().enumerate();
    let having = hosts.filter(|(_, host)| host.engine.volumes().contains_key(COPY));
    having.map(|(index, _)| index).collect()
}

fn order(world: &mut World, on: usize, to: usize) {
    let command = Command::MoveInstance {
        instance: instance(),
        node: world.id(to),
        megabits: None,
    };
    accept(world, on, command);
}

fn state(world: &World, host: usize) -> MoveState {
    let record = &world.hosts[host].view.documents.services[&key("db")];
    record.moves[&1].state.clone()
}

fn is_done(world: &World, host: usize) -> bool {
    matches!(state(world, host), MoveState::Done { .. })
}

/// What a container there found when it was started.
fn found(world: &World, host: usize) -> u64 {
    let engine = &world.hosts[host].engine;
    let container = engine
        .running()
        .find(|one| one.owner.instance == instance());
    engine.found(&container.unwrap().id)[COPY]
}

#[test]
fn an_instance_moves_with_its_data_and_what_it_left_goes() {
    let (mut world, home, away) = with_database(3, 91);
    order(&mut world, 2, away);
    world.until(2 * MINUTE, "its data is away", |world| is_done(world, home));
    let left = world.hosts[home].engine.data(COPY);
    world.until(MINUTE, "it runs there", |world| holders(world) == [away]);
    assert_eq!(found(&world, away), left);
    world.until(MINUTE, "what it left goes", |world| copies(world) == [away]);
    world.run_for(SOON);
    order(&mut world, away, home);
    world.until(2 * MINUTE, "it is back", |world| {
        holders(world) == [home] && copies(world) == [home]
    });
    world.run_for(10 * MINUTE);
    assert_eq!((holders(&world), copies(&world)), (vec![home], vec![home]));
}

#[test]
fn whichever_node_is_killed_at_whatever_moment_it_is_here_or_there() {
    for (moment, is_home) in (0..20).flat_map(|moment| [(moment, true), (moment, false)]) {
        let (mut world, home, away) = with_database(3, 300 + moment);
        order(&mut world, 2, away);
        world.run_for(Duration::from_millis(1500 * moment));
        let killed = if is_home { home } else { away };
        world.kill_node(killed);
        world.run_for(5 * SOON);
        assert!(holders(&world).len() <= 1);
        world.boot(killed);
        world.until(30 * MINUTE, "it is there alone", |world| {
            holders(world) == [away] && copies(world) == [away]
        });
        assert!(
            world
                .hosts
                .iter()
                .all(|host| host.engine.landings().is_empty())
        );
    }
}

#[test]
fn a_move_that_is_taken_back_leaves_nothing_behind() {
    for moment in 0..16 {
        let (mut world, home, away) = with_database(3, 400 + moment);
        order(&mut world, 2, away);
        world.run_for(Duration::from_millis(1500 * moment));
        let cancelled = world.command(away, Command::CancelMove(instance()));
        world.run_for(5 * MINUTE);
        let where_it_is = match is_done(&world, home) {
            true => away,
            false => {
                cancelled.expect("what is not done can be taken back");
                home
            }
        };
        assert_eq!(holders(&world), [where_it_is], "{moment}");
        assert_eq!(copies(&world), [where_it_is], "{moment}");
    }
}

#[test]
fn a_node_without_room_is_given_up_and_the_instance_runs_on() {
    let (mut world, home, away) = with_database(3, 95);
    world.hosts[away].engine.trouble.no_room = true;
    order(&mut world, 2, away);
    world.until(60 * MINUTE, "it is given up", |world| {
        matches!(state(world, 2), MoveState::GivenUp { .. })
    });
    let MoveState::GivenUp { problem } = state(&world, 2) else {
        panic!("it is given up");
    };
    assert!(problem.contains("no space left"), "{problem}");
    world.run_for(5 * MINUTE);
    assert_eq!((holders(&world), copies(&world)), (vec![home], vec![home]));
}

#[test]
fn a_node_that_never_asks_is_given_up_after_an_hour() {
    let (mut world, home, away) = with_database(3, 96);
    order(&mut world, 2, away);
    world.kill_node(away);
    world.until(90 * MINUTE, "it is given up", |world| {
        matches!(state(world, home), MoveState::GivenUp { .. })
    });
    assert_eq!(holders(&world), [home]);
}

#[test]
fn what_is_cut_off_on_the_way_runs_on_where_it_was_and_moves_later() {
    let (mut world, home, away) = with_database(3, 97);
    order(&mut world, 2, away);
    world.until(MINUTE, "it is stopped", |world| holders(world).is_empty());
    world.network.split(&[home], &[away]);
    world.until(3 * MINUTE, "it runs again", |world| {
        holders(world) == [home]
    });
    world.run_for(10 * MINUTE);
    assert_eq!(holders(&world), [home]);
    world.network.heal();
    world.until(30 * MINUTE, "it is there", |world| {
        holders(world) == [away] && copies(world) == [away]
    });
}

#[test]
fn what_is_drained_can_be_moved_from_there() {
    let (mut world, home, away) = with_database(3, 98);
    let drain = Command::UpdateNode {
        node: world.id(home),
        labels: None,
        availability: Some(kontena_core::view::Availability::Drain),
    };
    accept(&mut world, away, drain);
    world.until(MINUTE, "it is stopped", |world| holders(world).is_empty());
    order(&mut world, 2, away);
    world.until(5 * MINUTE, "it runs there", |world| {
        holders(world) == [away] && copies(world) == [away]
    });
}

#[test]
fn who_gives_the_data_up_on_the_way_has_the_instance_without_it() {
    let (mut world, home, away) = with_database(4, 99);
    order(&mut world, home, away);
    world.until(MINUTE, "it is stopped", |world| holders(world).is_empty());
    let third = (away + 1) % 4;
    let force = Command::ForceMove {
        instance: instance(),
        node: world.id(third),
        data_loss: true,
    };
    accept(&mut world, home, force);
    world.until(5 * MINUTE, "it runs there", |world| {
        holders(world) == [third]
    });
    world.run_for(5 * MINUTE);
    let mut both = vec![home, third];
    both.sort_unstable();
    assert_eq!(copies(&world), both);
}
