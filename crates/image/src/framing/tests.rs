use super::*;
use proptest::prelude::*;
use std::io::Write;

/// An archive of files with these names and lengths, and the directory they were unpacked to.
fn sample(files: &[(String, usize)]) -> (Vec<u8>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    for (name, length) in files {
        let contents: Vec<u8> = (0..*length).map(|i| (i * 7 + name.len()) as u8).collect();
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &contents).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o640);
        builder.append_data(&mut header, name, &contents[..]).unwrap();
    }
    (builder.into_inner().unwrap(), dir)
}

fn record(archive: &[u8], piece: usize) -> Vec<u8> {
    let mut recorder = Recorder::new(Vec::new()).unwrap();
    for bytes in archive.chunks(piece) {
        recorder.write_all(bytes).unwrap();
    }
    recorder.into_inner().unwrap()
}

fn replay(framing: &[u8], root: &Path) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    rebuild(framing, fs::File::open(root).unwrap(), super::Purpose::Copy, &mut out)?;
    Ok(out)
}

#[test]
fn an_archive_is_rebuilt_byte_for_byte() {
    let long = format!("{}/{}", "d".repeat(90), "n".repeat(90));
    let files = [("a".to_owned(), 3), ("b/c".to_owned(), 100_000), (long, 5_000), ("e".to_owned(), 512)];
    let (archive, dir) = sample(&files);
    for piece in [1, 511, 512, 4096, 1 << 20] {
        let framing = record(&archive, piece);
        assert!(framing.len() < 2_000, "{} bytes of framing", framing.len());
        assert!(replay(&framing, dir.path()).unwrap() == archive, "in pieces of {piece}");
    }
}

#[test]
fn what_follows_the_archive_is_kept_too() {
    let (mut archive, dir) = sample(&[("a".to_owned(), 1000)]);
    archive.extend_from_slice(&[0; 9 * 1024]);
    archive.extend_from_slice(b"trailing");
    assert!(replay(&record(&archive, 777), dir.path()).unwrap() == archive);
}

#[test]
fn an_archive_with_a_path_twice_has_no_framing() {
    let (mut archive, _) = sample(&[("a".to_owned(), 1000)]);
    let (again, _) = sample(&[("a".to_owned(), 2000)]);
    archive.truncate(512 + 1024);
    archive.extend_from_slice(&again);
    let dir = tempfile::tempdir().unwrap();
    let framings = Framings::open(dir.path()).unwrap();
    let diff_id = crate::chain::digest_of(&archive);
    let mut recorder = framings.record().unwrap();
    recorder.write_all(&archive).unwrap();
    framings.keep(recorder, &diff_id).unwrap();
    assert!(!framings.contains(&diff_id));
    assert_eq!(fs::read_dir(dir.path().join("framing")).unwrap().count(), 0);
}

#[test]
fn a_kept_framing_is_found_and_an_abandoned_one_is_gone() {
    let (archive, _) = sample(&[("a".to_owned(), 1000)]);
    let dir = tempfile::tempdir().unwrap();
    let framings = Framings::open(dir.path()).unwrap();
    drop(framings.record().unwrap());
    let mut recorder = framings.record().unwrap();
    recorder.write_all(&archive).unwrap();
    let diff_id = crate::chain::digest_of(&archive);
    framings.keep(recorder, &diff_id).unwrap();
    assert_eq!(framings.list().unwrap(), vec![diff_id.clone()]);
    framings.remove(&diff_id).unwrap();
    assert!(framings.get(&diff_id).is_err());
    assert_eq!(fs::read_dir(dir.path().join("framing")).unwrap().count(), 0);
}

#[test]
fn links_lead_nowhere_outside() {
    let (archive, dir) = sample(&[("etc/passwd".to_owned(), 600)]);
    fs::remove_dir_all(dir.path().join("etc")).unwrap();
    std::os::unix::fs::symlink("/etc", dir.path().join("etc")).unwrap();
    assert_eq!(
        replay(&record(&archive, 512), dir.path()).unwrap_err().raw_os_error(),
        Some(40),
        "ELOOP: /etc in the root is the link itself"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_recorded_and_rebuilt(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        // Random bytes hold no valid header, or one whose file does not exist; both must end in an orderly way.
        let dir = tempfile::tempdir().unwrap();
        if let Ok(out) = replay(&record(&bytes, 100), dir.path()) {
            prop_assert_eq!(out, bytes);
        }
    }

    #[test]
    fn damaged_framings_end_in_errors(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        let framing = zstd::encode_all(&bytes[..], 1).unwrap();
        drop(replay(&framing, dir.path()));
    }
}
