use super::*;
use crate::lab::{Heard, Lab, block_on, bzip2, gzip, layer, xz};

fn import(lab: &Lab, archive: &[u8], request: ImportRequest) -> Result<Imported, String> {
    let archive = std::io::Cursor::new(archive.to_vec());
    block_on(lab.store.import(archive, request, Progress::none())).map_err(|e| e.to_string())
}

#[test]
fn an_archive_of_files_becomes_an_image() {
    testing::in_userns("import::tests::an_archive_of_files_becomes_an_image", || {
        let lab = Lab::new();
        let heard = Heard::default();
        let request = ImportRequest {
            name: Some("made:1".parse().unwrap()),
            message: "Imported from -".into(),
            changes: vec![r#"CMD ["/bin/sh"]"#.into(), "ENV A=b".into()],
            platform: Some("linux/arm64".parse().unwrap()),
        };
        let archive = std::io::Cursor::new(gzip(&layer(&[("etc/name", "x")])));
        let imported = block_on(lab.store.import(archive, request, heard.progress())).unwrap();
        assert_eq!(heard.texts().last(), Some(&imported.image.to_string()));
        let image = lab.store.resolve("made:1").unwrap();
        assert_eq!(image.config.config.cmd, Some(vec!["/bin/sh".into()]));
        assert_eq!(image.config.history[0].comment, "Imported from -");
        assert_eq!(image.config.platform().to_string(), "linux/arm64/v8");
        assert_eq!(lab.read_file(&image, "etc/name").as_deref(), Some("x"));
    });
}

#[test]
fn archives_may_be_compressed_by_bzip2_or_xz() {
    testing::in_userns("import::tests::archives_may_be_compressed_by_bzip2_or_xz", || {
        let lab = Lab::new();
        for (name, compress) in [("made:bzip2", bzip2 as fn(&[u8]) -> Vec<u8>), ("made:xz", xz)] {
            let request = ImportRequest { name: Some(name.parse().unwrap()), ..ImportRequest::default() };
            import(&lab, &compress(&layer(&[("etc/name", name)])), request).unwrap();
            let image = lab.store.resolve(name).unwrap();
            assert_eq!(lab.read_file(&image, "etc/name").as_deref(), Some(name));
        }
    });
}

#[test]
fn what_cannot_be_imported_leaves_nothing() {
    testing::in_userns("import::tests::what_cannot_be_imported_leaves_nothing", || {
        let lab = Lab::new();
        let run = ImportRequest { changes: vec!["RUN x".into()], ..ImportRequest::default() };
        assert_eq!(import(&lab, b"", run), Err("RUN is not a valid change command".into()));
        let elsewhere =
            ImportRequest { platform: Some("windows/amd64".parse().unwrap()), ..ImportRequest::default() };
        assert_eq!(import(&lab, b"", elsewhere), Err("operating system is not supported".into()));
        let lz4 = import(&lab, &[0x04, 0x22, 0x4d, 0x18, 0, 0], ImportRequest::default()).unwrap_err();
        assert!(
            lz4.contains("lz4 compression is not supported: use gzip, zstd, bzip2, xz, or none"),
            "{lz4}"
        );
        let cut = xz(&layer(&[("a", "x")]));
        let cut = import(&lab, &cut[..cut.len() - 20], ImportRequest::default()).unwrap_err();
        assert!(cut.contains("archive"), "{cut}");
        let garbage = import(&lab, &[b'x'; 2000], ImportRequest::default()).unwrap_err();
        assert!(garbage.contains("malformed archive"), "{garbage}");
        let digest = format!("a@sha256:{}", "0".repeat(64));
        let pinned = ImportRequest { name: Some(digest.parse().unwrap()), ..ImportRequest::default() };
        assert_eq!(import(&lab, b"", pinned), Err("refusing to create a tag with a digest reference".into()));
        assert_eq!(lab.store.count(), 0);
        lab.assert_tidy();
    });
}
