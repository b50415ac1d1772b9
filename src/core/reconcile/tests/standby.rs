//! Images that are kept ready for services that this node holds nothing of.

use std::collections::{BTreeMap, BTreeSet};

use crate::placement::StandbyImage;
use crate::stack::{ImageMark, Service};

use super::bench::{Bench, of_service, wanted};

fn image(name: &str) -> (ImageMark, StandbyImage) {
    let image = StandbyImage {
        image: name.to_owned(),
        frozen: None,
    };
    (image.mark(), image)
}

impl Bench {
    fn stand_by(&mut self, names: &[&str]) {
        let images: BTreeMap<_, _> = names.iter().map(|name| image(name)).collect();
        self.instances.stand_by(images, self.now());
    }

    fn has_ready(&self, names: &[&str]) -> bool {
        let expected: BTreeSet<_> = names.iter().map(|name| image(name).0).collect();
        *self.instances.ready_images() == expected
    }
}

#[test]
fn what_nothing_needs_yet_is_fetched_one_at_a_time_after_all_that_is_needed() {
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.stand_by(&["a:1", "b:1"]);
    assert_eq!(
        bench.next_action().map(|(id, _)| id.0),
        Some(1),
        "the image of the instance"
    );
    assert!(bench.next_action().is_none(), "nothing beside it");
    let mut bench = Bench::with([wanted("web-1", 1)]);
    bench.stand_by(&["a:1", "b:1"]);
    bench.settle();
    let did = bench.did();
    assert!(
        did.starts_with("fetch web:1, run web-1 g1, fetch "),
        "{did}"
    );
    assert!(bench.has_ready(&["a:1", "b:1"]));
    let mut bench = Bench::with([]);
    bench.stand_by(&["a:1", "b:1"]);
    assert!(bench.next_action().is_some());
    assert!(bench.next_action().is_none(), "one at a time");
}

#[test]
fn a_pull_of_a_standby_image_takes_no_place_of_what_is_needed() {
    let mut bench = Bench::with([]);
    bench.stand_by(&["a:1"]);
    assert!(bench.next_action().is_some());
    bench.want((1..=5).map(|at| {
        let service = Service::new(format!("web:{at}"));
        of_service(&format!("web{at}-1"), 1, 1, service)
    }));
    let begun = std::iter::from_fn(|| bench.next_action());
    assert_eq!(begun.count(), 4, "as many as without it");
}

#[test]
fn what_is_ready_is_told_once_and_looked_for_again_after_ten_minutes() {
    let mut bench = Bench::with([]);
    bench.stand_by(&["a:1"]);
    bench.settle();
    assert_eq!(bench.did(), "fetch a:1");
    let version = bench.instances.version();
    bench.seconds(599);
    assert_eq!(bench.did(), "");
    bench.seconds(2);
    assert_eq!(bench.did(), "fetch a:1");
    assert_eq!(bench.instances.version(), version);
    // Somebody removed it, and the registry is gone.
    bench.engine.missing_images.insert("a:1".to_owned());
    bench.seconds(600);
    assert!(bench.has_ready(&[]));
    let missing = bench.instances.missing_images();
    assert_eq!(missing.keys().collect::<Vec<_>>(), [&image("a:1").0]);
    bench.engine.missing_images.clear();
    bench.seconds(600);
    assert!(bench.has_ready(&["a:1"]));
    assert!(bench.instances.missing_images().is_empty());
}

#[test]
fn an_image_that_cannot_be_fetched_holds_up_no_other() {
    let mut bench = Bench::with([]);
    bench.engine.missing_images.insert("a:1".to_owned());
    bench.engine.missing_images.insert("web:1".to_owned());
    bench.stand_by(&["a:1", "b:1"]);
    bench.want([wanted("web-1", 1)]);
    bench.seconds(60);
    assert!(bench.has_ready(&["b:1"]));
}

#[test]
fn nothing_is_fetched_while_the_engine_is_in_trouble() {
    let mut bench = Bench::with([]);
    bench.trouble();
    bench.stand_by(&["a:1"]);
    bench.settle();
    assert_eq!(bench.did(), "");
    bench.observe();
    bench.settle();
    assert_eq!(bench.did(), "fetch a:1");
}
