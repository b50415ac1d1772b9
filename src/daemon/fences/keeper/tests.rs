//! The keeper, by a clock and with a fence that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;

use super::*;
use crate::fence::Fences;

fn tag(digit: char) -> Tag {
    Tag::read(&digit.to_string().repeat(32)).unwrap()
}

fn after(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A keeper whose fence the test plays.
struct Bench {
    keeper: Keeper,
    folder: Folder,
    starts: Arc<AtomicU32>,
    known: watch::Receiver<Standing>,
    now: Moment,
    _place: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::that_starts(|| Ok(()))
    }

    fn that_starts(start: impl Fn() -> anyhow::Result<()> + Send + 'static) -> Self {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let starts = Arc::<AtomicU32>::default();
        let (standing, _fences) = Fences::channel();
        let known = standing.subscribe();
        let counted = Arc::clone(&starts);
        let start = Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            start()
        });
        Self {
            keeper: Keeper::new(folder.clone(), start, standing).unwrap(),
            folder,
            starts,
            known,
            now: Moment::now(),
            _place: place,
        }
    }

    fn hold(&mut self, digit: char, seconds: u64) -> Option<Result<(), String>> {
        let until = self.now.after(after(seconds));
        let wanted = BTreeMap::from([(tag(digit), until)]);
        self.keeper.step(wanted, self.now)
    }

    /// So much later.
    fn step(&mut self, seconds: u64) -> Option<Result<(), String>> {
        self.now = self.now.after(after(seconds));
        self.keeper.step(BTreeMap::new(), self.now)
    }

    fn beat(&self) {
        self.beat_of(env!("CARGO_PKG_VERSION"));
    }

    fn beat_of(&self, version: &str) {
        let beat = Beat {
            pid: 7,
            version: version.to_owned(),
            started_nanos: self.now,
            at_nanos: self.now,
        };
        self.folder.write_beat(&beat).unwrap();
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }

    fn process(&self) -> Result<Moment, String> {
        self.known.borrow().process.clone()
    }
}

#[test]
fn no_fence_is_started_where_nothing_is_fenced() {
    let mut bench = Bench::new();
    assert_eq!(bench.step(1), None);
    assert_eq!(bench.starts(), 0);
    assert_eq!(bench.keeper.pause(), LOOKS_EVERY);
}

#[test]
fn a_fence_is_started_for_the_first_that_is_fenced_and_told_once_it_beats() {
    let mut bench = Bench::new();
    assert_eq!(bench.hold('a', 20), None);
    assert_eq!(bench.keeper.pause(), LOOKS_AT_STARTING);
    assert!(bench.process().is_err());
    let until = bench.now.after(after(20));
    assert_eq!(bench.known.borrow().deadlines[&tag('a')], until);
    assert_eq!(
        bench.folder.deadlines().unwrap()[&tag('a')],
        Deadline::At(until)
    );
    bench.beat();
    assert_eq!(bench.step(1), Some(Ok(())));
    assert!(bench.process().is_ok());
    bench.beat();
    assert_eq!(bench.step(1), None, "told already");
    assert_eq!(bench.starts(), 1);
}

#[test]
fn the_last_word_on_a_tag_counts_also_if_it_is_an_earlier_time() {
    let mut bench = Bench::new();
    bench.hold('a', 20);
    bench.hold('a', 0);
    let deadline = Deadline::At(bench.now);
    assert_eq!(bench.folder.deadlines().unwrap()[&tag('a')], deadline);
}

#[test]
fn a_fence_that_falls_silent_is_replaced_and_nobody_is_alarmed_meanwhile() {
    let mut bench = Bench::new();
    bench.beat();
    assert_eq!(bench.hold('a', 20), Some(Ok(())));
    assert_eq!(bench.starts(), 0, "one was there");
    assert_eq!(bench.step(2), None);
    assert_eq!(bench.step(1), None);
    assert_eq!(bench.starts(), 1);
    bench.beat();
    assert_eq!(bench.step(1), None);
    assert!(bench.process().is_ok());
}

#[test]
fn a_fence_that_gives_no_sign_of_life_is_told_once_and_tried_again() {
    let mut bench = Bench::new();
    bench.hold('a', 20);
    assert_eq!(bench.step(2), None);
    let told = bench.step(1).unwrap().unwrap_err();
    assert!(told.contains("no sign of life"), "{told}");
    assert_eq!(bench.starts(), 2);
    assert_eq!(bench.step(1), None);
    assert_eq!(bench.process(), Err(told));
    assert_eq!(bench.step(2), None);
    assert_eq!(bench.starts(), 3);
    // Also when nothing is fenced any more: else nothing ever would be again.
    assert_eq!(bench.step(60), None);
    bench.beat();
    assert_eq!(bench.step(1), Some(Ok(())));
}

#[test]
fn why_no_fence_can_be_started_is_told() {
    let mut bench = Bench::that_starts(|| anyhow::bail!("no memory"));
    assert_eq!(bench.hold('a', 20), Some(Err("no memory".to_owned())));
    assert_eq!(bench.process(), Err("no memory".to_owned()));
    assert_eq!(bench.step(1), None);
    assert_eq!(bench.starts(), 1);
    assert_eq!(bench.step(2), None);
    assert_eq!(bench.starts(), 2);
}

#[test]
fn a_fence_of_another_version_is_replaced() {
    let mut bench = Bench::new();
    bench.beat_of("1.0.0");
    assert_eq!(bench.hold('a', 20), None);
    assert_eq!(bench.starts(), 1);
}

#[test]
fn a_file_that_cannot_be_written_is_no_fence_and_is_written_later() {
    let mut bench = Bench::new();
    bench.beat();
    let place = bench.folder.path().join(tag('a').to_string());
    std::fs::create_dir(&place).unwrap();
    let told = bench.hold('a', 20).unwrap().unwrap_err();
    assert!(told.contains("failed to write"), "{told}");
    assert!(!bench.known.borrow().deadlines.contains_key(&tag('a')));
    std::fs::remove_dir(place).unwrap();
    bench.beat();
    assert_eq!(bench.step(1), Some(Ok(())));
    assert!(bench.known.borrow().deadlines.contains_key(&tag('a')));
}

#[test]
fn files_go_when_they_were_over_for_long() {
    let mut bench = Bench::new();
    bench.hold('a', 20);
    bench.step(600);
    assert_eq!(bench.folder.deadlines().unwrap().len(), 1);
    bench.step(21);
    assert_eq!(bench.folder.deadlines().unwrap().len(), 0);
    assert!(bench.known.borrow().deadlines.is_empty());
}

#[test]
fn what_a_former_daemon_wrote_counts_on() {
    let former = Bench::new();
    let until = former.now.after(after(20));
    former.folder.write(&tag('a'), until).unwrap();
    let (standing, _fences) = Fences::channel();
    let known = standing.subscribe();
    let mut keeper = Keeper::new(former.folder.clone(), Box::new(|| Ok(())), standing).unwrap();
    former.beat();
    assert_eq!(keeper.step(BTreeMap::new(), former.now), Some(Ok(())));
    assert_eq!(known.borrow().deadlines[&tag('a')], until);
}
