//! What comes of an instance, on the disk: a folder for each, under `moves` of the data directory.
//!
//! `note.json` says what it is, and is written before anything is made of it; `N.tar` is as much of copy N as has come, and
//! `N.marks` the SHA-256 of its first bytes up to some places, each written once those bytes are durable. What a crash leaves
//! behind the last mark is not believed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use data_encoding::HEXLOWER;
use kontena_core::id::InstanceId;
use kontena_core::reconcile::Arrival;
use kontena_core::volume::{Copy, Mounted};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use tokio_util::sync::CancellationToken;

use super::UNWANTED;
use super::room::{self, Room};
use super::wire::Marks;

/// The folder in the data directory.
const FOLDER: &str = "moves";
const NOTE: &str = "note.json";
/// What ends the name of a folder that is being removed.
const GONE: &str = ".gone";

/// An instance that comes.
#[derive(Clone, Debug)]
pub(super) struct Landing {
    pub(super) instance: InstanceId,
    pub(super) epoch: u64,
    pub(super) copies: Vec<Mounted>,
}

impl Landing {
    pub(super) fn new(instance: InstanceId, epoch: u64, copies: Vec<Mounted>) -> Self {
        Self {
            instance,
            epoch,
            copies,
        }
    }
}

/// What is known of an arrival.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    instance: InstanceId,
    /// Of the binding that the move leaves.
    pub(super) epoch: u64,
    pub(super) copies: Vec<Part>,
    /// The SHA-256 of what each Docker volume was made from, once all are made, durably.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) whole: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) copy: Copy,
    /// The Docker volume is the arrival's, or is about to be.
    pub(super) made: bool,
    /// All of it is in the Docker volume, durably.
    pub(super) filled: bool,
}

/// What of a note is of use to whoever cannot read the rest: a newer version's, perhaps.
#[derive(Deserialize)]
struct Outline {
    instance: InstanceId,
    #[serde(default)]
    epoch: u64,
    #[serde(default)]
    copies: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// All arrivals of a data directory.
#[derive(Clone, Debug)]
pub(super) struct Arrivals(PathBuf);

impl Arrivals {
    pub(super) fn of(data: &Path) -> Self {
        Self(data.join(FOLDER))
    }

    /// Those that are in the way of an order, and folders that are to be removed. What nobody knows is left alone.
    pub(super) fn list(&self) -> anyhow::Result<(BTreeMap<InstanceId, Arrival>, Vec<PathBuf>)> {
        let (mut found, mut gone) = (BTreeMap::new(), Vec::new());
        let folders = match fs::read_dir(&self.0) {
            Ok(folders) => folders,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok((found, gone)),
            Err(problem) => return Err(problem).context("failed to look for data that moves"),
        };
        for folder in folders {
            let folder = folder.context("failed to look for data that moves")?.path();
            match look_at(&folder) {
                Ok(Entry::Arrival(outline)) => {
                    let (instance, arrival) = outline.arrival();
                    found.insert(instance, arrival);
                }
                Ok(Entry::Gone(folder)) => gone.push(folder),
                Ok(Entry::Foreign) => {
                    tracing::warn!(path = %folder.display(), "Something that is no data of a move is left where it is");
                }
                // Whoever would bring the same instance finds it in the way, and nobody else.
                Err(problem) => {
                    let problem = format!("{problem:#}");
                    tracing::warn!(path = %folder.display(), problem, "Data of a move cannot be used, and is left where it is");
                }
            }
        }
        Ok((found, gone))
    }

    pub(super) fn note(&self, instance: &InstanceId) -> anyhow::Result<Option<Note>> {
        read(&self.folder(instance))
    }

    /// What is known of an arrival, with its folder.
    pub(super) fn spool(&self, instance: &InstanceId) -> anyhow::Result<Option<Spool>> {
        let folder = self.folder(instance);
        let note = self.note(instance)?;
        Ok(note.map(|note| Spool { folder, note }))
    }

    /// The arrival of an instance, which may have begun before.
    pub(super) fn open(&self, landing: &Landing) -> anyhow::Result<Spool> {
        let folder = self.folder(&landing.instance);
        let note: Option<Note> = read(&folder)?;
        let begun = |note: &Note| {
            let names = note.copies.iter().map(|part| &part.name);
            note.epoch == landing.epoch && names.eq(landing.copies.iter().map(|copy| &copy.name))
        };
        if let Some(note) = note {
            ensure!(begun(&note), "an earlier move of it is not cleared yet");
            return Ok(Spool { folder, note });
        }
        let part = |copy: &Mounted| Part {
            name: copy.name.clone(),
            copy: copy.copy.clone(),
            made: false,
            filled: false,
        };
        let note = Note {
            instance: landing.instance.clone(),
            epoch: landing.epoch,
            copies: landing.copies.iter().map(part).collect(),
            whole: None,
        };
        fs::create_dir_all(&folder).context("failed to make a folder for what comes")?;
        sync_folder(&self.0)?;
        let spool = Spool { folder, note };
        spool.write_note()?;
        Ok(spool)
    }

    /// Docker volumes that were made of an arrival, or may have been.
    pub(super) fn made(&self, instance: &InstanceId) -> anyhow::Result<Vec<(String, Copy)>> {
        let note = self.note(instance)?;
        let parts = note.into_iter().flat_map(|note| note.copies);
        let made = parts.filter(|part| part.made);
        Ok(made.map(|part| (part.name, part.copy)).collect())
    }

    /// The note goes first: without it the rest is nothing.
    pub(super) fn remove(&self, instance: &InstanceId) -> anyhow::Result<()> {
        let folder = self.folder(instance);
        for gone in [fs::remove_file(folder.join(NOTE)), sync(&folder)] {
            none_is_fine(gone).context("failed to remove an arrival's note")?;
        }
        none_is_fine(fs::remove_dir_all(&folder)).context("failed to remove an arrival")
    }

    /// Names of instances may be long.
    fn folder(&self, instance: &InstanceId) -> PathBuf {
        let digest = Sha256::digest(instance.to_string().as_bytes());
        self.0.join(HEXLOWER.encode(&digest[..16]))
    }
}

/// Something in the folder of all arrivals.
enum Entry {
    Arrival(Outline),
    /// Nothing was made of it, or nothing is left that was: it is to be removed.
    Gone(PathBuf),
    Foreign,
}

impl Outline {
    fn arrival(self) -> (InstanceId, Arrival) {
        let volumes = self.copies.into_iter().map(|copy| copy.name);
        let arrival = Arrival {
            epoch: self.epoch,
            volumes: volumes.collect(),
        };
        (self.instance, arrival)
    }
}

fn look_at(folder: &Path) -> anyhow::Result<Entry> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name.unwrap_or_default();
    if name.ends_with(GONE) {
        return Ok(Entry::Gone(folder.to_owned()));
    }
    let is_ours = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_ours {
        return Ok(Entry::Foreign);
    }
    match read(folder)? {
        Some(outline) => Ok(Entry::Arrival(outline)),
        None => set_aside(folder).map(Entry::Gone),
    }
}

/// Its removal may take minutes: meanwhile its place is free for the next arrival.
fn set_aside(folder: &Path) -> anyhow::Result<PathBuf> {
    let random = crate::entropy::entropy().context("failed to make a name")?;
    let name = format!("{}{GONE}", HEXLOWER.encode(&random[..8]));
    let aside = folder.with_file_name(name);
    fs::rename(folder, &aside).context("failed to set an arrival aside")?;
    Ok(aside)
}

/// The folder of one arrival.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    pub(super) note: Note,
}

impl Spool {
    pub(super) fn write_note(&self) -> anyhow::Result<()> {
        let text = serde_json::to_vec(&self.note).context("failed to write an arrival's note")?;
        replace(&self.folder, NOTE, &text).context("failed to write an arrival's note")
    }

    /// What was made is to be made anew.
    pub(super) fn is_whole_no_more(&mut self) -> anyhow::Result<()> {
        match self.note.whole.take() {
            Some(_) => self.write_note(),
            None => Ok(()),
        }
    }

    /// That what came of a copy is all that was sent, and is here yet.
    pub(super) fn check_is_whole(&self, index: usize) -> anyhow::Result<()> {
        let whole = self.note.whole.as_ref().and_then(|whole| whole.get(index));
        let whole = whole.context("not all of its data is here")?;
        let length = fs::metadata(self.tar(index)).context("what came of it is gone")?;
        let marks = self.marks(index)?;
        let is_whole = marks.0.last() == Some(&(length.len(), whole.clone()));
        ensure!(is_whole, "what came of it is not all here any more");
        Ok(())
    }

    /// How much of a copy is here.
    pub(super) fn length(&self, index: usize) -> u64 {
        fs::metadata(self.tar(index)).map_or(0, |about| about.len())
    }

    /// What came is removed, because there is no room for it.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        for index in 0..self.note.copies.len() {
            for file in [self.marks_file(index), self.tar(index)] {
                none_is_fine(fs::remove_file(file)).context("failed to remove what came")?;
            }
        }
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn tar(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{index}.tar"))
    }

    fn marks_file(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{index}.marks"))
    }

    /// What a crash tore is left out.
    pub(super) fn marks(&self, index: usize) -> anyhow::Result<Marks> {
        let text = match fs::read_to_string(self.marks_file(index)) {
            Ok(text) => text,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => String::new(),
            Err(problem) => return Err(problem).context("failed to read what has come"),
        };
        let length = self.length(index);
        let mark = |line: &str| {
            let (place, digest) = line.split_once(' ')?;
            let place: u64 = place.parse().ok()?;
            let is_whole = digest.len() == 64 && place <= length;
            is_whole.then(|| (place, digest.to_owned()))
        };
        Ok(Marks(text.lines().map_while(mark).collect()))
    }

    /// Goes on with a copy at a place that the other node agrees to, unless nobody waits for that any more.
    pub(super) fn go_on(
        &self,
        index: usize,
        from: u64,
        stop: &CancellationToken,
    ) -> anyhow::Result<Receiving> {
        let mut marks = self.marks(index)?;
        marks.0.retain(|(place, _)| *place <= from);
        let mut file = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(self.tar(index))
            .context("failed to open what has come")?;
        let length = file.metadata().context("failed to look at what has come")?;
        ensure!(length.len() >= from, "it goes on behind what has come");
        file.set_len(from).context("failed to cut what has come")?;
        let mut hash = Sha256::new();
        let mut hashing = Hashing {
            hash: &mut hash,
            stop,
        };
        let read = io::copy(&mut file, &mut hashing);
        read.context("failed to read what has come")?;
        self.write_marks(index, &marks)?;
        let room = Room::at(&self.folder).context("failed to look how much room there is")?;
        Ok(Receiving {
            folder: self.folder.clone(),
            reserve: room.reserve(),
            file,
            hash,
            length: from,
            marked: from,
            marks: self.marks_file(index),
        })
    }

    fn write_marks(&self, index: usize, marks: &Marks) -> anyhow::Result<()> {
        let lines = marks.0.iter().map(|(place, digest)| line(*place, digest));
        let text: String = lines.collect();
        let name = format!("{index}.marks");
        replace(&self.folder, &name, text.as_bytes()).context("failed to note what has come")
    }
}

/// One copy that comes.
#[derive(Debug)]
pub(super) struct Receiving {
    folder: PathBuf,
    /// So much of the disk is left free.
    reserve: u64,
    file: File,
    hash: Sha256,
    length: u64,
    marked: u64,
    marks: PathBuf,
}

impl Receiving {
    /// So much is lost at most when the connection breaks.
    const STEP: u64 = 16 * 1024 * 1024;

    pub(super) fn take(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.file
            .write_all(piece)
            .context("failed to write what comes")?;
        self.hash.update(piece);
        self.length += piece.len() as u64;
        if self.length - self.marked < Self::STEP {
            return Ok(());
        }
        self.mark()?;
        room::check_is_left(&self.folder, self.reserve)
    }

    /// Everything is durable, and then noted.
    fn mark(&mut self) -> anyhow::Result<()> {
        self.file
            .sync_data()
            .context("failed to write what comes")?;
        let digest = self.digest();
        let append = File::options().append(true).create(true).open(&self.marks);
        let noted = append.and_then(|mut file| {
            file.write_all(line(self.length, &digest).as_bytes())?;
            file.sync_data()
        });
        noted.context("failed to note what has come")?;
        self.marked = self.length;
        Ok(())
    }

    fn digest(&self) -> String {
        HEXLOWER.encode(&self.hash.clone().finalize())
    }

    /// All of it has come: it is compared with what was sent, and durable.
    pub(super) fn end(mut self, length: u64, digest: &str) -> anyhow::Result<()> {
        let is_same = self.length == length && self.digest() == digest;
        ensure!(is_same, "what came is not what was sent");
        if self.marked < self.length {
            self.mark()?;
        }
        Ok(())
    }
}

/// Feeds a hash.
struct Hashing<'a> {
    hash: &'a mut Sha256,
    stop: &'a CancellationToken,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other(UNWANTED));
        }
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn line(place: u64, digest: &str) -> String {
    format!("{place} {digest}\n")
}

fn read<T: DeserializeOwned>(folder: &Path) -> anyhow::Result<Option<T>> {
    match fs::read(folder.join(NOTE)) {
        Ok(text) => {
            let note = serde_json::from_slice(&text);
            note.context("failed to read an arrival's note").map(Some)
        }
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(problem) => Err(problem).context("failed to read an arrival's note"),
    }
}

/// All of the new file or the old one, whatever ends when.
fn replace(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(name))?;
    sync(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    sync(folder).context("failed to make a folder durable")
}

fn none_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use kontena_core::id::EnvelopeHash;
    use kontena_core::volume::{Definition, Scope};

    use super::*;

    struct Data(PathBuf);

    impl Data {
        fn new(name: &str) -> Self {
            let process = std::process::id();
            let path = std::env::temp_dir().join(format!("kontena-moves-{name}-{process}"));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Data {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    pub(in crate::daemon::moves) fn landing(epoch: u64) -> Landing {
        let copy = Mounted {
            name: "db.data-1".to_owned(),
            definition: Definition::local(Scope::Instance),
            copy: Copy::Volume {
                volume: "data".parse().unwrap(),
                creation: EnvelopeHash([1; 32]),
            },
        };
        Landing::new("db-1".parse().unwrap(), epoch, vec![copy])
    }

    fn go() -> CancellationToken {
        CancellationToken::new()
    }

    fn digest(bytes: &[u8]) -> String {
        HEXLOWER.encode(&Sha256::digest(bytes))
    }

    #[test]
    fn what_came_is_there_after_a_crash_up_to_the_last_mark() {
        let data = Data::new("resume");
        let arrivals = Arrivals::of(&data.0);
        let step = usize::try_from(Receiving::STEP).unwrap();
        let bytes: Vec<u8> = (0..step + 300_000).map(|at| at.to_le_bytes()[1]).collect();
        let spool = arrivals.open(&landing(3)).unwrap();
        let mut receiving = spool.go_on(0, 0, &go()).unwrap();
        for piece in bytes.chunks(100_000) {
            receiving.take(piece).unwrap();
        }
        drop(receiving);
        fs::write(spool.folder.join("0.marks.new"), "torn").unwrap();
        let mut torn = fs::read_to_string(spool.marks_file(0)).unwrap();
        torn.push_str("99 ab");
        fs::write(spool.marks_file(0), torn).unwrap();
        let spool = arrivals.open(&landing(3)).unwrap();
        let [(place, said)] = &spool.marks(0).unwrap().0[..] else {
            panic!("there is one mark");
        };
        let from = usize::try_from(*place).unwrap();
        assert_eq!(*said, digest(&bytes[..from]));
        let mut receiving = spool.go_on(0, *place, &go()).unwrap();
        receiving.take(&bytes[from..]).unwrap();
        receiving.end(bytes.len() as u64, &digest(&bytes)).unwrap();
        assert_eq!(fs::read(spool.tar(0)).unwrap(), bytes);
        assert_eq!(spool.marks(0).unwrap().0.len(), 2);
    }

    #[test]
    fn what_is_not_what_was_sent_is_refused() {
        let data = Data::new("digest");
        let spool = Arrivals::of(&data.0).open(&landing(3)).unwrap();
        let mut receiving = spool.go_on(0, 0, &go()).unwrap();
        receiving.take(b"data").unwrap();
        assert!(receiving.end(4, &digest(b"date")).is_err());
        let mut receiving = spool.go_on(0, 0, &go()).unwrap();
        receiving.take(b"dat").unwrap();
        assert!(receiving.end(4, &digest(b"data")).is_err());
        assert!(spool.go_on(0, 4, &go()).is_err(), "nobody has that much");
    }

    #[test]
    fn what_is_read_again_for_nobody_ends() {
        let data = Data::new("stop");
        let spool = Arrivals::of(&data.0).open(&landing(3)).unwrap();
        let mut receiving = spool.go_on(0, 0, &go()).unwrap();
        receiving.take(b"data").unwrap();
        let stop = go();
        stop.cancel();
        assert!(spool.go_on(0, 4, &stop).is_err());
    }

    #[test]
    fn a_disk_that_is_about_to_be_full_ends_it_and_what_came_goes() {
        let data = Data::new("full");
        let spool = Arrivals::of(&data.0).open(&landing(3)).unwrap();
        let mut receiving = spool.go_on(0, 0, &go()).unwrap();
        receiving.reserve = u64::MAX;
        let step = usize::try_from(Receiving::STEP).unwrap();
        receiving.take(&vec![7; step - 1]).unwrap();
        let problem = receiving.take(&[7]).unwrap_err();
        assert!(room::is_want_of_it(&problem), "{problem:#}");
        assert_eq!(spool.length(0), Receiving::STEP);
        spool.clear().unwrap();
        assert_eq!(spool.length(0), 0);
        assert_eq!(spool.marks(0).unwrap(), Marks::default());
    }

    #[test]
    fn what_came_is_known_to_be_whole_as_long_as_all_of_it_is_here() {
        let data = Data::new("whole");
        let mut spool = Arrivals::of(&data.0).open(&landing(3)).unwrap();
        let mut receiving = spool.go_on(0, 0, &go()).unwrap();
        receiving.take(b"data").unwrap();
        receiving.end(4, &digest(b"data")).unwrap();
        assert!(spool.check_is_whole(0).is_err(), "nobody has said so");
        spool.note.whole = Some(vec![digest(b"data")]);
        spool.check_is_whole(0).unwrap();
        spool.note.whole = Some(vec![digest(b"date")]);
        assert!(spool.check_is_whole(0).is_err(), "it is another one's");
        spool.note.whole = Some(vec![digest(b"data")]);
        fs::write(spool.tar(0), b"dat").unwrap();
        assert!(spool.check_is_whole(0).is_err());
        spool.clear().unwrap();
        assert!(spool.check_is_whole(0).is_err());
    }

    #[test]
    fn an_arrival_is_in_the_way_until_it_is_removed() {
        let data = Data::new("accept");
        let arrivals = Arrivals::of(&data.0);
        let instance = landing(3).instance;
        let mut spool = arrivals.open(&landing(3)).unwrap();
        spool.note.copies[0].made = true;
        spool.note.whole = Some(vec![digest(b"data")]);
        spool.write_note().unwrap();
        assert_eq!(arrivals.made(&instance).unwrap().len(), 1);
        assert!(arrivals.open(&landing(4)).is_err(), "it is in the way");
        let (listed, gone) = arrivals.list().unwrap();
        assert_eq!(listed[&instance].volumes, ["db.data-1".to_owned()].into());
        assert!(gone.is_empty());
        arrivals.remove(&instance).unwrap();
        arrivals.remove(&instance).unwrap();
        assert!(arrivals.list().unwrap().0.is_empty());
    }

    #[test]
    fn a_folder_without_a_note_is_nothing_and_gives_its_place_to_the_next_arrival() {
        let data = Data::new("empty");
        let arrivals = Arrivals::of(&data.0);
        let spool = arrivals.open(&landing(3)).unwrap();
        fs::remove_file(spool.folder.join(NOTE)).unwrap();
        for _ in 0..2 {
            let (listed, gone) = arrivals.list().unwrap();
            assert!(listed.is_empty());
            assert!(gone.len() == 1 && gone[0].exists(), "{gone:?}");
        }
        assert!(!spool.folder.exists());
        arrivals.remove(&landing(3).instance).unwrap();
        arrivals.open(&landing(4)).unwrap();
    }

    #[test]
    fn what_nobody_can_read_is_in_the_way_of_its_instance_alone() {
        let data = Data::new("foreign");
        let arrivals = Arrivals::of(&data.0);
        let spool = arrivals.open(&landing(3)).unwrap();
        let (file, folder) = (arrivals.0.join("README"), arrivals.0.join("lost+found"));
        fs::write(&file, "a person's").unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(arrivals.0.join("ab".repeat(16)), "no folder").unwrap();
        let torn = arrivals.0.join("cd".repeat(16));
        fs::create_dir(&torn).unwrap();
        fs::write(torn.join(NOTE), "{").unwrap();
        let newer =
            r#"{"instance":"db-1","epoch":7,"copies":[{"name":"x","copy":"another kind"}]}"#;
        fs::write(spool.folder.join(NOTE), newer).unwrap();
        let (listed, gone) = arrivals.list().unwrap();
        let arrival = &listed[&landing(3).instance];
        assert_eq!((listed.len(), arrival.epoch), (1, 7));
        assert_eq!(arrival.volumes, ["x".to_owned()].into());
        assert!(gone.is_empty() && file.exists() && folder.exists() && torn.exists());
        assert!(arrivals.open(&landing(3)).is_err());
        assert!(arrivals.note(&landing(3).instance).is_err());
    }
}
