use super::*;
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8], dictionary: u32) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(1);
    options.lzma_options.dict_size = dictionary;
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
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
        (bzip2(&plain), Compression::Bzip2),
        ([bzip2(&plain[..9]), bzip2(&plain[9..])].concat(), Compression::Bzip2),
        (xz(&plain, 1 << 20), Compression::Xz),
        ([xz(&plain[..9], 1 << 20), xz(&plain[9..], 1 << 20), vec![0; 8]].concat(), Compression::Xz),
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
    let varied: Vec<u8> = (0..40_000u32).flat_map(|n| (n * n).to_le_bytes()).collect();
    for whole in [gzip(&varied), bzip2(&varied), xz(&varied, 1 << 16)] {
        assert!(matches!(kind(&whole[..whole.len() - 4]), Error::Decompress(_)));
        for at in [whole.len() / 2, whole.len() - 6] {
            let mut wrong = whole.clone();
            wrong[at] ^= 1;
            assert!(matches!(kind(&wrong), Error::Decompress(_)), "{:x?} at {at}", &wrong[..6]);
        }
    }
    assert!(matches!(kind(b"\x04\x22\x4d\x18"), Error::Compression("lz4")));

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
    let zeros = vec![0; 8 << 20];
    let zstd = zstd::encode_all(&zeros[..], 1).unwrap();
    for bomb in [gzip(&zeros), zstd, bzip2(&zeros), xz(&zeros, 1 << 16)] {
        let error =
            decode(&bomb[..], &limits, |chunks| io::copy(chunks, &mut io::sink()).map_err(Error::Read));
        assert!(matches!(error.map(drop).unwrap_err(), Error::Limit { limit: 10, .. }));
    }
}

#[test]
fn an_xz_stream_gets_no_more_memory_than_xz_asks_for() {
    let largest = |dictionary| {
        // The size is in the header of the first block, which says what is to be had (the .xz file format, 5.3.1).
        let mut stream = xz(b"small", 1 << 16);
        let at = stream.windows(2).position(|two| two == [0x21, 1]).unwrap() + 2;
        stream[at] = dictionary;
        let header = 12..12 + (usize::from(stream[12]) + 1) * 4;
        let sum = crc32(&stream[header.start..header.end - 4]);
        stream[header.end - 4..header.end].copy_from_slice(&sum.to_le_bytes());
        all(&stream[..]).map(|(out, _)| out)
    };
    assert_eq!(largest(28).unwrap(), b"small", "64 MiB");
    assert!(matches!(largest(40), Err(Error::Decompress(_))), "4 GiB");
}

/// As gzip has it at the end of a member.
fn crc32(bytes: &[u8]) -> u32 {
    let member = gzip(bytes);
    let at = member.len() - 8;
    u32::from_le_bytes(member[at..at + 4].try_into().unwrap())
}

#[test]
fn a_consumer_that_gives_up_stops_the_decoder() {
    let endless = io::repeat(1);
    let gave_up = decode(endless, &Limits::default(), |_| -> Result<()> { Err(Error::Compression("test")) });
    assert!(matches!(gave_up.map(drop), Err(Error::Compression("test"))));
}
