//! An image is there before anything runs, and the registry may be gone by then.

use std::time::Duration;

use crate::source::demo::images::BUSYBOX;
use crate::support::grid::{LATER, SOON};
use crate::support::settle::hosts_of;
use crate::support::{Grid, eventually, registry, seen};

const ALL: [u8; 3] = [1, 2, 3];
/// Who comes next is asked every half minute.
const ASKED: Duration = Duration::from_secs(90);

#[test]
fn the_next_nodes_have_the_image_and_start_it_without_a_registry() {
    let Some(grid) = Grid::up(3) else { return };
    let image = registry::publish(&grid.lab, BUSYBOX);
    let repository = image.trim_end_matches(":1");
    let has = |node: u8| {
        let images =
            grid.node(node)
                .docker(&["images", "--digests", "--format", "{{.Repository}}"]);
        images.lines().any(|line| line == repository)
    };
    assert!(!ALL.into_iter().any(has), "nobody has it yet");
    let create = ["service", "create", "app", &image, "--cmd", "sleep 100000"];
    grid.node(1).kontena(&create);
    grid.node(1).kontena(&["service", "deploy", "app"]);
    let before = grid.settled(&ALL, &[("app", 1)], SOON);
    let home = *hosts_of(&before, "app").first().expect("it runs");

    eventually(ASKED, "all hosts to have the image", || {
        let missing: Vec<u8> = ALL.into_iter().filter(|node| !has(*node)).collect();
        seen(missing.is_empty(), missing)
    });
    let others: Vec<u8> = ALL.into_iter().filter(|node| *node != home).collect();
    for other in &others {
        assert_eq!(grid.node(*other).containers(), Vec::<String>::new());
    }
    eventually(SOON, "both to be told as standbys", || {
        let why = grid.node(others[0]).kontena(&["why", "app"]);
        seen(why.matches("; standby\n").count() == 2, why)
    });

    for node in ALL {
        registry::end(&grid.node(node));
    }
    grid.node(home).kill();
    let after = grid.settled(&others, &[("app", 1)], LATER);
    assert_ne!(hosts_of(&after, "app").first(), Some(&home));
}
