use super::*;
use crate::support::{Tar, header, pax_record};

/// Path and payload of each entry.
fn read(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut reader = Reader::new(archive, &Limits::default());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        loop {
            let bytes = reader.payload()?;
            if bytes.is_empty() {
                break;
            }
            data.extend_from_slice(bytes);
            let count = bytes.len();
            reader.consume(count);
        }
        entries.push((String::from_utf8_lossy(&entry.path).into_owned(), data));
    }
    Ok(entries)
}

fn check(archive: Vec<u8>, expect: &[(&str, &str)]) {
    let got = read(&archive).unwrap();
    let got: Vec<_> =
        got.iter().map(|(path, data)| (path.as_str(), std::str::from_utf8(data).unwrap())).collect();
    assert_eq!(got, expect);
}

fn refused(what: &str, archive: Vec<u8>) {
    let error = read(&archive).map(|entries| panic!("accepted {entries:?}")).unwrap_err().to_string();
    assert!(error.contains(what), "{error}, expected {what}");
}

#[test]
fn the_pax_size_is_the_size() {
    // A reader that took the header's size to find the next header would see `hidden` (CVE-2025-62518).
    let inner = Tar::default().file("hidden", "x").0;
    let mut outer = Tar::default().pax(&[("size", &inner.len().to_string())]);
    outer = outer.raw(&header(b'0', "outer", "", 0), &inner);
    let got = read(&outer.file("next", "y").end()).unwrap();
    assert_eq!(got.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["outer", "next"]);
    assert_eq!(got[0].1, inner);
    // And the other way round.
    let smaller = Tar::default().pax(&[("size", "1")]).raw(&header(b'0', "outer", "", 1024), b"z");
    check(smaller.file("next", "y").end(), &[("outer", "z"), ("next", "y")]);
}

#[test]
fn a_size_for_one_entry_is_not_one_for_the_extension_before_it() {
    let long = "d/".repeat(60) + "f";
    let archive = Tar::default()
        .pax(&[("size", "3")])
        .extension(b'L', format!("{long}\0").as_bytes())
        .raw(&header(b'0', "short", "", 0), b"abc")
        .end();
    check(archive, &[(&long, "abc")]);
}

#[test]
fn records_replace_what_the_header_says() {
    let archive = Tar::default()
        .pax(&[
            ("path", "long"),
            ("mtime", "5.25"),
            ("uid", "3000000"),
            ("SCHILY.xattr.user.a", "1=2"),
            ("gid", ""),
        ])
        .file("short", "x")
        .end();
    let entry = Reader::new(&archive[..], &Limits::default()).next_entry().unwrap().unwrap();
    assert_eq!(
        (entry.path.as_slice(), entry.mtime, entry.uid, entry.gid),
        (&b"long"[..], (5, 250_000_000), 3_000_000, 0)
    );
    assert_eq!(entry.xattrs, [(b"user.a".to_vec(), b"1=2".to_vec())]);
}

#[test]
fn old_directories_end_with_a_slash() {
    let archive = Tar::default().raw(&header(0, "d/", "", 0), b"").end();
    let entry = Reader::new(&archive[..], &Limits::default()).next_entry().unwrap().unwrap();
    assert_eq!(entry.kind, Kind::Directory);
}

#[test]
fn the_end_may_be_missing_and_may_be_followed() {
    check(Tar::default().file("a", "1").0, &[("a", "1")]);
    check([Tar::default().file("a", "1").end(), b"anything".repeat(200)].concat(), &[("a", "1")]);
    check(Vec::new(), &[]);
}

#[test]
fn what_readers_would_read_differently_is_refused() {
    let tar = Tar::default;
    refused("checksum", [&[b'x'; 512][..], &tar().end()].concat());
    refused("ends within a header", tar().file("a", "1").0[..700 - 300].to_vec());
    refused("ends within an entry's data", tar().raw(&header(b'0', "a", "", 5000), b"short").0);
    refused("two extension headers", tar().pax(&[("path", "a")]).pax(&[("path", "b")]).file("c", "").end());
    refused(
        "two extension headers",
        tar().extension(b'L', b"a\0").extension(b'L', b"b\0").file("c", "").end(),
    );
    refused("precedes no entry", tar().pax(&[("path", "a")]).end());
    refused(
        "global pax record \"size\"",
        tar().extension(b'g', &pax_record("size", "1")).file("a", "").end(),
    );
    refused(
        "global pax record \"path\"",
        tar().extension(b'g', &pax_record("path", "b")).file("a", "").end(),
    );
    refused("LENGTH KEY=VALUE", tar().extension(b'x', b"99 a=b\n").file("a", "").end());
    refused("\"size\" has no valid value", tar().pax(&[("size", "-1")]).file("a", "").end());
    refused("\"size\" has no valid value", tar().pax(&[("size", "0x10")]).file("a", "").end());
    refused("\"uid\" has no valid value", tar().pax(&[("uid", "4294967296")]).file("a", "").end());
    refused("a path has a NUL", tar().pax(&[("path", "a\0b")]).file("a", "").end());
    refused("a link target is empty", tar().symlink("a", "").end());
    refused("a path is empty", tar().file("", "").end());
    refused("a directory carries data", tar().raw(&header(b'5', "a", "", 3), b"abc").end());
    refused("a symbolic link carries data", tar().raw(&header(b'2', "a", "b", 3), b"abc").end());
    refused("entry type 'Z' is unknown", tar().raw(&header(b'Z', "a", "", 0), b"").end());
    refused("entry type 'M' is unknown", tar().raw(&header(b'M', "a", "", 0), b"").end());
    refused("size is no number", {
        let mut bad = header(b'0', "a", "", 0);
        bad.as_mut_bytes()[124..136].copy_from_slice(&[0xff; 12]);
        bad.set_cksum();
        tar().raw(&bad, b"").end()
    });
}

#[test]
fn git_comments_are_harmless() {
    check(
        Tar::default().extension(b'g', &pax_record("comment", "c0ffee")).file("a", "1").end(),
        &[("a", "1")],
    );
}

#[test]
fn sparse_maps_must_fit_their_file() {
    let sparse = |records: &[(&str, &str)], data: &str| Tar::default().pax(records).file("s", data).end();
    let map = |map, size, data| sparse(&[("GNU.sparse.map", map), ("GNU.sparse.size", size)], data);
    assert!(read(&map("0,1,5,2", "9", "abc")).is_ok());
    for (name, archive) in [
        ("overlapping", map("0,2,1,1", "9", "abc")),
        ("past the end", map("0,1,8,2", "9", "abc")),
        ("overflowing", map("0,1,18446744073709551615,2", "9", "abc")),
        ("too little data", map("0,1,5,2", "9", "ab")),
        ("too much data", map("0,1,5,2", "9", "abcd")),
        ("odd", map("0,1,5", "9", "abc")),
        ("sizeless", sparse(&[("GNU.sparse.map", "0,1")], "a")),
        (
            "of unknown version",
            sparse(
                &[("GNU.sparse.major", "2"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "3")],
                "abc",
            ),
        ),
        (
            "with a runaway count",
            sparse(
                &[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "3")],
                &"9".repeat(512),
            ),
        ),
    ] {
        let error = read(&archive).map(|_| panic!("accepted a map that is {name}")).unwrap_err();
        assert!(matches!(error, Error::Malformed { what: Malformed::SparseMap, .. }), "{name}: {error}");
    }
}

/// CVE-2026-32288: each further block of an old GNU map says that another one follows, and none of them is counted.
#[test]
fn a_sparse_map_without_end_is_not_read_to_it() {
    let mut header = header(b'S', "s", "", 0);
    let bytes = header.as_mut_bytes();
    bytes[257..265].copy_from_slice(b"ustar  \0");
    bytes[482] = 1;
    bytes[483..495].copy_from_slice(b"00000000011\0");
    header.set_cksum();
    let endless = std::io::BufReader::new(std::io::repeat(1));
    let archive = std::io::Read::chain(&header.as_bytes()[..], endless);
    let error = Reader::new(archive, &Limits::default()).next_entry().unwrap_err().to_string();
    assert!(error.contains("262144 segments in a sparse file"), "{error}");
}

#[test]
fn limits_are_named() {
    let limits = Limits {
        entries: 2,
        file_bytes: 10,
        path_bytes: 150,
        extension_bytes: 400,
        sparse_segments: 2,
        ..Limits::default()
    };
    let check = |what: &str, archive: Vec<u8>| {
        let mut reader = Reader::new(&archive[..], &limits);
        let error = loop {
            match reader.next_entry() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("within the limit of {what}"),
                Err(e) => break e.to_string(),
            }
        };
        assert!(error.contains(what), "{error}, expected {what}");
    };
    let tar = Tar::default;
    check("2 entries", tar().file("a", "").file("b", "").file("c", "").end());
    check("10 bytes in a file", tar().file("a", "12345678901").end());
    check("150 bytes in a path", tar().pax(&[("path", &"p".repeat(200))]).file("a", "").end());
    check("400 bytes in an extension header", tar().extension(b'L', &[b'p'; 401]).file("a", "").end());
    check("400 bytes in an extension header", tar().raw(&header(b'x', "x", "", 1 << 40), b"").end());
    let map = [("GNU.sparse.map", "0,1,2,1,4,1"), ("GNU.sparse.size", "9")];
    check("2 segments in a sparse file", tar().pax(&map).file("s", "abc").end());
}
