//! The directory as a whole: what survives, what is refused, what is repaired.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use kontena_core::document::SignedEnvelope;
use kontena_core::identity::Seal;
use kontena_core::node::{Record, SaveId};

use super::*;

fn envelope(number: u8, size: usize) -> Record {
    Record::Envelope(SignedEnvelope {
        bytes: vec![number; size],
        seal: Seal([number; 64]),
    })
}

fn local(key: &str, value: &[u8]) -> Record {
    Record::Local {
        key: key.to_owned(),
        value: value.to_vec(),
    }
}

fn key(key: &str, value: Option<&[u8]>) -> Record {
    Record::Key {
        key: key.to_owned(),
        value: value.map(<[u8]>::to_vec),
    }
}

fn first_bytes(loaded: &Loaded) -> Vec<u8> {
    loaded.envelopes.iter().map(|e| e.bytes[0]).collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_was_saved_is_there_after_a_restart_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let (mut disk, first) = Disk::open(&path).unwrap();
    assert_eq!(first.boot, 1);
    disk.save(&[envelope(1, 10), local("holds", b"x"), envelope(2, 10)])
        .unwrap();
    disk.save(&[envelope(3, 10), local("holds", b"y")]).unwrap();
    disk.save(&[key("/a", Some(b"1")), key("/b", Some(b"2"))])
        .unwrap();
    disk.save(&[key("/a", None), key("/b", Some(b"3"))])
        .unwrap();
    drop(disk);

    let (_disk, second) = Disk::open(&path).unwrap();
    assert_eq!(second.boot, 2);
    assert_ne!(second.nonce, first.nonce);
    assert_eq!(second.key.node_id(), first.key.node_id());
    assert_eq!(first_bytes(&second), [1, 2, 3]);
    assert_eq!(second.local["holds"], b"y");
    let keys: Vec<_> = second.keys.into_iter().collect();
    assert_eq!(keys, [("/b".to_owned(), b"3".to_vec())]);
}

#[test]
fn nothing_in_the_directory_is_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    drop(Disk::open(&path).unwrap());
    assert_eq!(mode(&path), 0o700);
    for file in ["node.key", "grid.redb", "FORMAT", "lock"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
    let key = path.join("node.key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    drop(Disk::open(&path).unwrap());
    assert_eq!(mode(&key), 0o600);
}

#[test]
fn a_second_daemon_is_refused_until_the_first_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, _) = Disk::open(folder.path()).unwrap();
    let refused = format!("{:#}", Disk::open(folder.path()).unwrap_err());
    assert!(refused.contains("another daemon uses"), "{refused}");
    drop(disk);
    Disk::open(folder.path()).unwrap();
}

#[test]
fn a_newer_format_a_damaged_one_and_another_s_directory_are_refused_untouched() {
    for (file, content, expected) in [
        ("FORMAT", "2\n", "newer version"),
        ("FORMAT", "one", "damaged"),
        ("holiday.jpg", "", "no kontena data"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), content).unwrap();
        let refused = format!("{:#}", Disk::open(folder.path()).unwrap_err());
        assert!(refused.contains(expected), "{refused}");
        assert!(!folder.path().join("node.key").exists());
    }
}

#[test]
fn a_lost_or_damaged_key_is_never_replaced_by_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    drop(Disk::open(folder.path()).unwrap());
    let key = folder.path().join("node.key");
    std::fs::write(&key, "").unwrap();
    let refused = format!("{:#}", Disk::open(folder.path()).unwrap_err());
    assert!(refused.contains("damaged"), "{refused}");
    std::fs::remove_file(&key).unwrap();
    let refused = format!("{:#}", Disk::open(folder.path()).unwrap_err());
    assert!(refused.contains("is missing"), "{refused}");
}

#[test]
fn after_leaving_the_next_boot_is_a_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let (mut disk, before) = Disk::open(folder.path()).unwrap();
    disk.save(&[envelope(1, 10), local("grid-key", b"secret")])
        .unwrap();
    disk.save(&[Record::Forget]).unwrap();
    disk.save(&[local("holds", b"too late")]).unwrap();
    drop(disk);
    let (_disk, after) = Disk::open(folder.path()).unwrap();
    assert_ne!(after.key.node_id(), before.key.node_id());
    assert_eq!(after.boot, 1);
    assert!(after.envelopes.is_empty() && after.local.is_empty());
}

#[test]
fn what_is_restored_after_a_node_left_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (mut disk, _) = Disk::open(folder.path()).unwrap();
    disk.save(&[envelope(1, 10), local("holds", b"old")])
        .unwrap();
    let restored = SecretKey::from_seed([9; 32]);
    let records = [envelope(2, 10), local("grid", b"new")];
    drop(disk);
    let refused = Disk::restore(folder.path(), &restored, 7, &records).unwrap_err();
    assert!(refused.to_string().contains("holds a node of a grid"));

    let (mut disk, _) = Disk::open(folder.path()).unwrap();
    disk.save(&[Record::Forget]).unwrap();
    disk.save(&[local("holds", b"too late")]).unwrap();
    drop(disk);
    Disk::restore(folder.path(), &restored, 7, &records).unwrap();
    for boot in [8, 9] {
        let (_disk, loaded) = Disk::open(folder.path()).unwrap();
        assert_eq!(loaded.key.node_id(), restored.node_id());
        assert_eq!((loaded.boot, first_bytes(&loaded)), (boot, vec![2]));
        let names: Vec<&str> = loaded.local.keys().map(String::as_str).collect();
        assert_eq!(names, ["grid"]);
    }
}

#[test]
fn leaving_is_completed_after_a_crash_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let (mut disk, before) = Disk::open(folder.path()).unwrap();
    // The transaction is on disk, and the key was not set aside yet.
    disk.store.save(&[Record::Forget]).unwrap();
    drop(disk);
    let (disk, after) = Disk::open(folder.path()).unwrap();
    assert_ne!(after.key.node_id(), before.key.node_id());
    drop(disk);
    let (_disk, again) = Disk::open(folder.path()).unwrap();
    assert_eq!(again.key.node_id(), after.key.node_id());
    assert_eq!(again.boot, 2);
}

#[test]
fn a_crash_at_any_time_keeps_what_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let (mut disk, _) = Disk::open(&path).unwrap();
    for number in 1..=20 {
        disk.save(&[envelope(number, 3000)]).unwrap();
        // A copy of the files of a running daemon is what a power cut leaves.
        let copy = folder.path().join(format!("copy-{number}"));
        std::fs::create_dir(&copy).unwrap();
        for file in ["FORMAT", "node.key", "grid.redb"] {
            std::fs::copy(path.join(file), copy.join(file)).unwrap();
        }
        let (_copy, loaded) = Disk::open(&copy).unwrap();
        assert_eq!(first_bytes(&loaded), (1..=number).collect::<Vec<u8>>());
    }
}

#[tokio::test]
async fn the_thread_answers_every_save_in_order_and_frees_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, _) = Disk::open(folder.path()).unwrap();
    let (saver, mut answers) = disk.start().unwrap();
    for number in 0..200 {
        let records = vec![envelope(number, 100)];
        saver.save(SaveId(number.into()), records).await.unwrap();
    }
    tokio::task::spawn_blocking(|| saver.close())
        .await
        .unwrap()
        .unwrap();
    for number in 0..200 {
        assert_eq!(answers.recv().await, Some((SaveId(number), Ok(()))));
    }
    assert_eq!(answers.recv().await, None);
    let (_disk, loaded) = Disk::open(folder.path()).unwrap();
    assert_eq!(first_bytes(&loaded), (0..200).collect::<Vec<u8>>());
}

/// A file system of 2 MiB, for the time of a test; `None` where we may not mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"])
            .arg(folder.path())
            .status();
        mounted.is_ok_and(|s| s.success()).then(|| Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_full_disk_is_an_answer_and_saving_goes_on_once_there_is_room() {
    let Some(small) = SmallDisk::mount() else {
        return;
    };
    let path = small.0.path();
    std::fs::create_dir(path.join("data")).unwrap();
    let (mut disk, _) = Disk::open(&path.join("data")).unwrap();
    disk.save(&[envelope(1, 1000)]).unwrap();
    let ballast = path.join("ballast");
    // Fills the file system; being cut short is the point.
    let filled = std::fs::write(&ballast, vec![0; 3 << 20]);
    assert!(filled.is_err());

    let mut saved: Vec<u8> = vec![1];
    let mut refused = 0;
    for number in 2..40 {
        match disk.save(&[envelope(number, 100_000)]) {
            Ok(()) => saved.push(number),
            Err(problem) => {
                assert!(format!("{problem:#}").contains("No space"), "{problem:#}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);

    std::fs::remove_file(&ballast).unwrap();
    disk.save(&[envelope(99, 1000)]).unwrap();
    saved.push(99);
    drop(disk);
    let (_disk, loaded) = Disk::open(&path.join("data")).unwrap();
    assert_eq!(first_bytes(&loaded), saved);
}
