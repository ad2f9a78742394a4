use super::*;
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    digest(context)
}

fn all(blob: impl Read + Send) -> Result<(Vec<u8>, Facts)> {
    decode(blob, &Limits::default(), |chunks| {
        let mut out = Vec::new();
        chunks.read_to_end(&mut out).map_err(Error::Read)?;
        Ok(out)
    })
}

#[test]
fn every_compression_gives_the_same_bytes_and_both_digests() {
    let plain: Vec<u8> = (0..3_000_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    let members = [gzip(&plain[..1000]), gzip(&[]), gzip(&plain[1000..])].concat();
    let frame = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let frames = [&skippable[..], &frame(&plain[..5]), &frame(&plain[5..]), &skippable].concat();
    for (blob, compression) in [
        (plain.clone(), Compression::None),
        (gzip(&plain), Compression::Gzip),
        (members, Compression::Gzip),
        (frame(&plain), Compression::Zstd),
        (frames, Compression::Zstd),
        (Vec::new(), Compression::None),
    ] {
        let (out, facts) = all(&blob[..]).unwrap();
        let expect: &[u8] = if blob.is_empty() { &[] } else { &plain };
        assert!(out == expect, "{compression:?}");
        assert_eq!((facts.compression, &facts.blob_digest), (compression, &sha256(&blob)));
        assert_eq!((facts.blob_size, facts.archive_size), (blob.len() as u64, expect.len() as u64));
        assert_eq!(facts.diff_id, sha256(expect));
    }
}

#[test]
fn damage_is_told_from_a_failing_source() {
    let whole = gzip(&[7; 100_000]);
    let kind = |blob: &[u8]| all(blob).map(drop).unwrap_err();
    assert!(matches!(kind(&whole[..whole.len() - 4]), Error::Decompress(_)));
    let mut wrong = whole.clone();
    let last = wrong.len() - 6;
    wrong[last] ^= 1;
    assert!(matches!(kind(&wrong), Error::Decompress(_)), "the checksum counts");
    assert!(matches!(kind(b"BZh91AY"), Error::Compression("bzip2")));
    assert!(matches!(kind(b"\xfd7zXZ\0\0"), Error::Compression("xz")));

    struct Failing(usize, Vec<u8>);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == self.1.len() {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            buffer[0] = self.1[self.0];
            self.0 += 1;
            Ok(1)
        }
    }
    for start in [whole[..50].to_vec(), vec![1; 10], Vec::new()] {
        match all(Failing(0, start)).map(drop).unwrap_err() {
            Error::Read(e) => assert_eq!(e.kind(), io::ErrorKind::ConnectionReset),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_bomb_stops_at_the_ratio() {
    let limits = Limits { ratio: 10, ratio_free_bytes: 1 << 20, ..Limits::default() };
    for bomb in [gzip(&vec![0; 8 << 20]), zstd::encode_all(&vec![0; 8 << 20][..], 1).unwrap()] {
        let error =
            decode(&bomb[..], &limits, |chunks| io::copy(chunks, &mut io::sink()).map_err(Error::Read));
        assert!(matches!(error.map(drop).unwrap_err(), Error::Limit { limit: 10, .. }));
    }
}

#[test]
fn a_consumer_that_gives_up_stops_the_decoder() {
    let endless = io::repeat(1);
    let gave_up = decode(endless, &Limits::default(), |_| -> Result<()> { Err(Error::Compression("test")) });
    assert!(matches!(gave_up.map(drop), Err(Error::Compression("test"))));
}
