//! What the tests stand on: a lab of real hosts for one test, removed at its end however it ends.
//!
//! Everything here blocks, so that a test reads from top to bottom, and panics with what it saw.

pub(crate) mod disk;
pub(crate) mod grid;
pub(crate) mod load;
mod node;
pub(crate) mod postgres;
pub(crate) mod registry;
pub(crate) mod settle;
pub(crate) mod talk;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

pub(crate) use self::grid::Grid;
pub(crate) use self::node::{Node, Ran};
use crate::source::demo::images::{self, Demo, Recipe};
use crate::source::demo::lab;

/// Between two looks of [`eventually`].
const POLL: Duration = Duration::from_millis(100);
const PREFIX: &str = "kt-e2e-";

/// Several hosts, each with an engine that has the images of [`images`].
pub(crate) struct Lab {
    lab: lab::Lab,
    runtime: Runtime,
    kontena: PathBuf,
}

impl Lab {
    /// A lab whose engines have all images. `None`, with a message, for anybody but root.
    pub(crate) fn up(hosts: u8) -> Option<Self> {
        let lab = Self::bare(hosts)?;
        lab.load::<Demo>();
        Some(lab)
    }

    /// Gives the images of an archive to every engine.
    #[track_caller]
    pub(crate) fn load<R: Recipe>(&self) {
        let archive = self.wait(images::build::<R>(&image_cache(), self.name()));
        self.wait(self.lab.load(&archive));
    }

    /// A lab whose engines are empty.
    pub(crate) fn bare(hosts: u8) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            say("skipped: needs root, for network namespaces and Docker engines");
            return None;
        }
        let runtime = Runtime::new().expect("threads can be started");
        runtime.block_on(remove_stale());
        let lab = lab::Lab::new(&fresh_name(), hosts).expect("the name and number are fine");
        // Made before it comes up, so that a half-built one is removed as well.
        let mut this = Self {
            lab,
            runtime,
            kontena: PathBuf::new(),
        };
        this.wait(this.lab.up());
        this.kontena = this.wait(this.lab.install(&program()));
        Some(this)
    }

    #[track_caller]
    fn wait<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> T {
        match self.runtime.block_on(work) {
            Ok(done) => done,
            Err(problem) => panic!("{problem:#}"),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.lab.name()
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.lab.directory()
    }

    /// Host `number`, counted from 1.
    pub(crate) fn host(&self, number: u8) -> Node<'_> {
        Node {
            lab: self,
            host: self.lab.host(number),
        }
    }

    pub(crate) fn hosts(&self) -> Vec<Node<'_>> {
        self.lab
            .hosts()
            .into_iter()
            .map(|host| Node { lab: self, host })
            .collect()
    }

    /// Cuts the cable of host `number`.
    #[track_caller]
    pub(crate) fn cut(&self, number: u8) {
        self.wait(self.lab.cut(number));
    }

    #[track_caller]
    pub(crate) fn heal(&self, number: u8) {
        self.wait(self.lab.heal(number));
    }

    /// The page at a host's port, asked for from beside the switch, or why there is none.
    pub(crate) fn get(&self, host: u8, port: u16) -> Result<String, String> {
        let page = self.lab.get(host, port, "/", Duration::from_secs(2));
        self.runtime
            .block_on(page)
            .map_err(|problem| format!("{problem:#}"))
    }

    /// Removes the lab before the end of the test.
    #[track_caller]
    pub(crate) fn down(&self) {
        self.wait(self.lab.down());
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.hosts().iter().for_each(Node::say_last_words);
        }
        if let Err(problem) = self.runtime.block_on(self.lab.down()) {
            say(&format!("the lab could not be removed: {problem:#}"));
        }
    }
}

/// Looks every 100 ms until `look` has an answer; panics with the last thing seen when time is up.
#[track_caller]
pub(crate) fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(answer) => return answer,
            Err(seen) if start.elapsed() > deadline => {
                panic!("gave up after {deadline:?} waiting for {what}; last seen: {seen}")
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Whether the counts that take hours were asked for (`scripts/test --long`).
pub(crate) fn long() -> bool {
    std::env::var_os("KONTENA_TEST_LONG").is_some()
}

/// An answer for [`eventually`]: done if `holds`, else what was seen instead.
pub(crate) fn seen(holds: bool, observation: impl Debug) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(format!("{observation:?}"))
    }
}

/// The program under test: this build's, or another that `KONTENA_TEST_BINARY` names.
fn program() -> PathBuf {
    let named = std::env::var_os("KONTENA_TEST_BINARY");
    named.map_or_else(|| env!("CARGO_BIN_EXE_kontena").into(), PathBuf::from)
}

/// Where all tests of this build share the images.
fn image_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("images")
}

/// Unique among all test processes that run, and telling whose it is.
fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{count}", std::process::id())
}

/// Removes the labs of test processes that were killed before they could.
async fn remove_stale() {
    for name in known_labs() {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let lab = lab::Lab::new(&name, 1).expect("the name was fine before");
            if let Err(problem) = lab.down().await {
                say(&format!(
                    "the stale lab `{name}` could not be removed: {problem:#}"
                ));
            }
        }
    }
}

fn known_labs() -> Vec<String> {
    let folders = std::fs::read_dir("/var/lib").into_iter().flatten();
    folders
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(PREFIX))
        .collect()
}

#[expect(
    clippy::print_stderr,
    reason = "the test runner shows it with the test's result"
)]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
