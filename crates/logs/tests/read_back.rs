//! What the writer writes, the reader reads: across rotations, compression, crashes, and while it is being written.

use logs::{Config, Entry, FileConfig, ReadOptions, Reader, Stream, Tail, Watch, Writer, compress};
use model::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

const DRIVERS: [&str; 2] = ["json-file", "local"];

fn config(driver: &str, options: &[(&str, &str)]) -> FileConfig {
    let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::parse(driver, &options).unwrap().file.expect("a driver with files")
}

/// Small files, so that a few entries rotate them.
fn rotating(driver: &str, compress: &str) -> FileConfig {
    config(driver, &[("max-size", "300"), ("max-file", "4"), ("compress", compress)])
}

fn writer(config: &FileConfig, path: &Path) -> Writer {
    Writer::open(*config, path, &BTreeMap::new()).unwrap()
}

fn log(writer: &mut Writer, lines: std::ops::Range<u32>) {
    for n in lines {
        let now = Timestamp::from_unix(i64::from(n), 0);
        writer.write(Stream::Stdout, format!("line {n}\n").as_bytes(), now).unwrap();
        if let Some(rotated) = writer.take_compression() {
            compress(&rotated).unwrap();
            writer.compressed();
        }
    }
}

fn read(config: &FileConfig, path: &Path, options: ReadOptions) -> Vec<String> {
    let mut reader = Reader::open(config, path, options).unwrap();
    rest(&mut reader)
}

fn rest(reader: &mut Reader) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(Entry { line, .. }) = reader.entry().unwrap() {
        lines.push(String::from_utf8(line).unwrap());
    }
    lines
}

fn lines(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("line {n}\n")).collect()
}

fn dir() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x-json.log");
    (dir, path)
}

#[test]
fn entries_come_back_in_order_across_rotated_and_compressed_files() {
    for (driver, gzip) in DRIVERS.into_iter().flat_map(|d| [(d, "false"), (d, "true")]) {
        let (dir, path) = dir();
        let config = rotating(driver, gzip);
        log(&mut writer(&config, &path), 0..25);
        let seen = read(&config, &path, ReadOptions::default());
        assert_eq!(seen, lines(25 - u32::try_from(seen.len()).unwrap()..25), "{driver} {gzip}");
        assert!(seen.len() > 8, "several files' worth: {}", seen.len());
        let gz = fs::read_dir(dir.path())
            .unwrap()
            .filter(|e| e.as_ref().unwrap().path().extension().unwrap() == "gz");
        assert_eq!(gz.count() > 0, gzip == "true");
    }
}

#[test]
fn no_more_files_are_kept_than_asked_for() {
    let (dir, path) = dir();
    log(&mut writer(&rotating("json-file", "false"), &path), 0..200);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    let single = config("json-file", &[("max-size", "300")]);
    log(&mut writer(&single, &dir.path().join("y.log")), 0..200);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5);
}

#[test]
fn tail_counts_back_over_file_borders() {
    for (driver, gzip) in DRIVERS.into_iter().flat_map(|d| [(d, "false"), (d, "true")]) {
        let (_dir, path) = dir();
        let config = rotating(driver, gzip);
        log(&mut writer(&config, &path), 0..25);
        let all = read(&config, &path, ReadOptions::default());
        for n in 0..all.len() + 3 {
            let tail = Tail::Last(n as u64);
            let seen = read(&config, &path, ReadOptions { tail, ..Default::default() });
            assert_eq!(seen, all[all.len().saturating_sub(n)..], "{driver} {gzip} {n}");
        }
    }
}

#[test]
fn since_and_until_include_their_own_instant() {
    for driver in DRIVERS {
        let (_dir, path) = dir();
        let config = config(driver, &[]);
        log(&mut writer(&config, &path), 0..10);
        let at = |s| Some(Timestamp::from_unix(s, 0));
        let options = ReadOptions { since: at(3), until: at(6), ..Default::default() };
        assert_eq!(read(&config, &path, options), lines(3..7));
    }
}

#[test]
fn a_follower_misses_nothing_however_often_the_log_rotates_meanwhile() {
    for (driver, gzip) in DRIVERS.into_iter().flat_map(|d| [(d, "false"), (d, "true")]) {
        let (_dir, path) = dir();
        let config = rotating(driver, gzip);
        let mut writer = writer(&config, &path);
        let mut reader = Reader::open(&config, &path, ReadOptions::default()).unwrap();
        let mut seen = rest(&mut reader);
        for (from, to) in [(0, 1), (1, 2), (2, 8), (8, 9), (9, 20)] {
            log(&mut writer, from..to);
            seen.extend(rest(&mut reader));
        }
        assert_eq!(seen, lines(0..20), "{driver} {gzip}");
    }
}

#[test]
fn a_torn_entry_is_not_shown_and_the_next_writer_cuts_it_off() {
    for driver in DRIVERS {
        let (_dir, path) = dir();
        let config = config(driver, &[]);
        log(&mut writer(&config, &path), 0..3);
        let whole = fs::read(&path).unwrap();
        for cut in [1, 5, 20] {
            let mut file = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
            file.write_all(&whole[..whole.len() - cut]).unwrap();
            assert_eq!(read(&config, &path, ReadOptions::default()), lines(0..2));
            log(&mut writer(&config, &path), 7..8);
            assert_eq!(read(&config, &path, ReadOptions::default()), ["line 0\n", "line 1\n", "line 7\n"]);
        }
    }
}

#[test]
fn a_follower_gets_the_rest_of_an_entry_that_it_saw_half_of() {
    let (_dir, path) = dir();
    let config = config("json-file", &[]);
    log(&mut writer(&config, &path), 0..2);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let mut reader = Reader::open(&config, &path, ReadOptions::default()).unwrap();
    assert_eq!(rest(&mut reader), lines(0..1));
    OpenOptions::new().append(true).open(&path).unwrap().write_all(&whole[whole.len() - 9..]).unwrap();
    assert_eq!(rest(&mut reader), lines(1..2));
}

#[test]
fn a_watch_becomes_readable_when_the_log_grows_and_when_it_rotates() {
    let (_dir, path) = dir();
    let config = rotating("json-file", "false");
    let mut writer = writer(&config, &path);
    let watch = Watch::new(&path).unwrap();
    let ready = || {
        let mut fds = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    };
    assert!(!ready());
    log(&mut writer, 0..1);
    assert!(ready());
    watch.drain().unwrap();
    assert!(!ready());
    log(&mut writer, 1..12);
    assert!(ready());
}

#[test]
fn the_last_line_without_a_newline_and_long_lines_are_kept_byte_for_byte() {
    for driver in DRIVERS {
        let (_dir, path) = dir();
        let config = config(driver, &[]);
        let mut writer = writer(&config, &path);
        let text = format!("{}\nend", "x".repeat(40_000));
        for chunk in text.as_bytes().chunks(1000) {
            writer.write(Stream::Stderr, chunk, Timestamp::now()).unwrap();
        }
        assert_eq!(writer.pending(Stream::Stderr), b"end");
        writer.finish(Stream::Stderr, Timestamp::now()).unwrap();
        assert_eq!(read(&config, &path, ReadOptions::default()).concat(), text);
    }
}

proptest! {
    #[test]
    fn damaged_files_neither_panic_nor_hang(bytes in prop::collection::vec(any::<u8>(), 0..300), n in 0u64..5) {
        for driver in DRIVERS {
            let (_dir, path) = dir();
            fs::write(&path, &bytes).unwrap();
            let config = config(driver, &[]);
            for tail in [Tail::All, Tail::Last(n)] {
                let options = ReadOptions { tail, ..Default::default() };
                let mut reader = Reader::open(&config, &path, options).unwrap();
                while reader.entry().unwrap().is_some() {}
            }
        }
    }
}
