//! What comes of an instance, on the disk: a folder for each, under `moves` of the data directory.
//!
//! `note.json` says what it is, and is written before anything is made of it; `N.tar` is as much of copy N as has come, and
//! `N.marks` the SHA-256 of its first bytes up to some places, each written once those bytes are durable. What a crash leaves
//! behind the last mark is not believed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use data_encoding::HEXLOWER;
use kontena_core::id::InstanceId;
use kontena_core::reconcile::Arrival;
use kontena_core::volume::{Copy, Mounted};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::wire::Marks;

/// The folder in the data directory.
const FOLDER: &str = "moves";
const NOTE: &str = "note.json";

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
}

/// All arrivals of a data directory.
#[derive(Clone, Debug)]
pub(super) struct Arrivals(PathBuf);

impl Arrivals {
    pub(super) fn of(data: &Path) -> Self {
        Self(data.join(FOLDER))
    }

    pub(super) fn list(&self) -> anyhow::Result<BTreeMap<InstanceId, Arrival>> {
        let mut found = BTreeMap::new();
        let folders = match fs::read_dir(&self.0) {
            Ok(folders) => folders,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(problem) => return Err(problem).context("failed to look for data that moves"),
        };
        for folder in folders {
            let folder = folder.context("failed to look for data that moves")?.path();
            let Some(note) = read(&folder)? else {
                // Nothing was made of it.
                fs::remove_dir_all(&folder).context("failed to remove an arrival")?;
                continue;
            };
            let names = note.copies.iter().map(|part| part.name.clone());
            let arrival = Arrival {
                epoch: note.epoch,
                volumes: names.collect(),
            };
            found.insert(note.instance, arrival);
        }
        Ok(found)
    }

    pub(super) fn note(&self, instance: &InstanceId) -> anyhow::Result<Option<Note>> {
        read(&self.folder(instance))
    }

    /// The arrival of an instance, which may have begun before.
    pub(super) fn open(&self, landing: &Landing) -> anyhow::Result<Spool> {
        let folder = self.folder(&landing.instance);
        let note = read(&folder)?;
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

    /// From now on it is the instance's own.
    pub(super) fn accept(&self, instance: &InstanceId, epoch: u64) -> anyhow::Result<()> {
        match self.note(instance)? {
            Some(note) if note.epoch == epoch && note.whole.is_some() => self.remove(instance),
            Some(_) => bail!("not all of its data is here"),
            // An earlier life of the daemon accepted it, and did not come to say so.
            None => Ok(()),
        }
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
        let length = fs::metadata(self.tar(index)).map_or(0, |about| about.len());
        let mark = |line: &str| {
            let (place, digest) = line.split_once(' ')?;
            let place: u64 = place.parse().ok()?;
            let is_whole = digest.len() == 64 && place <= length;
            is_whole.then(|| (place, digest.to_owned()))
        };
        Ok(Marks(text.lines().map_while(mark).collect()))
    }

    /// Goes on with a copy at a place that the other node agrees to.
    pub(super) fn go_on(&self, index: usize, from: u64) -> anyhow::Result<Receiving> {
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
        let read = io::copy(&mut file, &mut Hashing(&mut hash));
        read.context("failed to read what has come")?;
        self.write_marks(index, &marks)?;
        Ok(Receiving {
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
        match self.length - self.marked >= Self::STEP {
            true => self.mark(),
            false => Ok(()),
        }
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
struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn line(place: u64, digest: &str) -> String {
    format!("{place} {digest}\n")
}

fn read(folder: &Path) -> anyhow::Result<Option<Note>> {
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
mod tests {
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

    fn landing(epoch: u64) -> Landing {
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
        let mut receiving = spool.go_on(0, 0).unwrap();
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
        let mut receiving = spool.go_on(0, *place).unwrap();
        receiving.take(&bytes[from..]).unwrap();
        receiving.end(bytes.len() as u64, &digest(&bytes)).unwrap();
        assert_eq!(fs::read(spool.tar(0)).unwrap(), bytes);
        assert_eq!(spool.marks(0).unwrap().0.len(), 2);
    }

    #[test]
    fn what_is_not_what_was_sent_is_refused() {
        let data = Data::new("digest");
        let spool = Arrivals::of(&data.0).open(&landing(3)).unwrap();
        let mut receiving = spool.go_on(0, 0).unwrap();
        receiving.take(b"data").unwrap();
        assert!(receiving.end(4, &digest(b"date")).is_err());
        let mut receiving = spool.go_on(0, 0).unwrap();
        receiving.take(b"dat").unwrap();
        assert!(receiving.end(4, &digest(b"data")).is_err());
        assert!(spool.go_on(0, 4).is_err(), "nobody has that much");
    }

    #[test]
    fn only_what_is_whole_and_of_that_move_is_accepted() {
        let data = Data::new("accept");
        let arrivals = Arrivals::of(&data.0);
        let instance = landing(3).instance;
        let mut spool = arrivals.open(&landing(3)).unwrap();
        assert!(
            arrivals.accept(&instance, 3).is_err(),
            "nothing is made of it"
        );
        spool.note.copies[0].made = true;
        spool.note.whole = Some(vec![digest(b"data")]);
        spool.write_note().unwrap();
        assert_eq!(arrivals.made(&instance).unwrap().len(), 1);
        assert!(arrivals.accept(&instance, 4).is_err(), "of another move");
        assert!(arrivals.open(&landing(4)).is_err(), "it is in the way");
        let listed = arrivals.list().unwrap();
        assert_eq!(listed[&instance].volumes, ["db.data-1".to_owned()].into());
        arrivals.accept(&instance, 3).unwrap();
        arrivals.accept(&instance, 3).unwrap();
        assert!(arrivals.list().unwrap().is_empty());
    }

    #[test]
    fn a_folder_without_a_note_is_nothing() {
        let data = Data::new("empty");
        let arrivals = Arrivals::of(&data.0);
        let spool = arrivals.open(&landing(3)).unwrap();
        fs::remove_file(spool.folder.join(NOTE)).unwrap();
        assert!(arrivals.list().unwrap().is_empty());
        assert!(!spool.folder.exists());
        arrivals.remove(&landing(3).instance).unwrap();
    }
}
