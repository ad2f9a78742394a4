use super::*;
use crate::{
    chain::digest_of,
    lab::{self, Heard, Lab, blob, config, docker_archive, gzip, layer, tar},
    manifest::{self, Index, Manifest},
};
use std::{collections::BTreeMap, path::Path};

fn two_layers() -> Vec<Vec<u8>> {
    vec![layer(&[("etc/a", "lower"), ("etc/b", "b")]), layer(&[("etc/a", "upper"), ("etc/.wh.b", "")])]
}

#[test]
fn a_docker_archive_is_loaded_with_its_names() {
    testing::in_userns("load::tests::a_docker_archive_is_loaded_with_its_names", || {
        for (driver, compress) in [("vfs", gzip as fn(&[u8]) -> Vec<u8>), ("overlay2", lab::xz)] {
            let lab = Lab::with(driver, crate::RegistryConfig::default());
            let archive = docker_archive(&[(&two_layers(), &["app:v1", "localhost:5000/app"])]);
            let heard = Heard::default();
            let options = LoadOptions::default();
            let loaded = lab::load(&lab.store, &compress(&archive)[..], &options, &heard.progress()).unwrap();
            assert_eq!(loaded[0].names, ["app:v1", "localhost:5000/app:latest"]);
            let lines: Vec<_> = heard.texts().into_iter().filter(|t| t.starts_with("Loaded")).collect();
            assert_eq!(lines, ["Loaded image: app:v1\n", "Loaded image: localhost:5000/app:latest\n"]);
            let image = lab.store.resolve("app:v1").unwrap();
            assert_eq!(image.id, digest_of(&config(&two_layers())));
            assert_eq!(lab.read_file(&image, "etc/a").as_deref(), Some("upper"));
            let lab = lab.reopen();
            assert_eq!(lab.store.resolve("localhost:5000/app").unwrap().id, image.id);
            lab.assert_tidy();
        }
    });
}

#[test]
fn an_image_without_a_name_is_told_by_id() {
    testing::in_userns("load::tests::an_image_without_a_name_is_told_by_id", || {
        let lab = Lab::new();
        let heard = Heard::default();
        let archive = docker_archive(&[(&[layer(&[("a", "a")])], &[])]);
        let loaded = lab::load(&lab.store, &archive[..], &LoadOptions::default(), &heard.progress()).unwrap();
        assert_eq!(heard.texts().last(), Some(&format!("Loaded image ID: {}\n", loaded[0].image)));
        assert!(lab.store.resolve(&loaded[0].image.hex()[..6]).is_ok());
    });
}

#[test]
fn a_name_moves_to_the_newer_image() {
    testing::in_userns("load::tests::a_name_moves_to_the_newer_image", || {
        let lab = Lab::new();
        let old = lab.sample("app", "old");
        let heard = Heard::default();
        let archive = docker_archive(&[(&[layer(&[("file", "new")])], &["app"])]);
        lab::load(&lab.store, &archive[..], &LoadOptions::default(), &heard.progress()).unwrap();
        let told = format!(
            "The image app:latest already exists, renaming the old one with ID {} to empty string\n",
            old.id
        );
        assert!(heard.texts().contains(&told), "{:?}", heard.texts());
        assert_ne!(lab.store.resolve("app").unwrap().id, old.id);
        assert!(lab.store.names(&old.id).is_empty());
    });
}

/// An OCI layout of these blobs, whose index names `top`.
fn oci_layout(top: &[Descriptor], blobs: &[(Descriptor, Vec<u8>)]) -> Vec<u8> {
    let index = Index {
        schema_version: 2,
        media_type: manifest::OCI_INDEX.into(),
        manifests: top.to_vec(),
        annotations: BTreeMap::new(),
    };
    let mut files: Vec<(String, Vec<u8>)> = blobs
        .iter()
        .map(|(d, bytes)| (format!("./blobs/sha256/{}", d.digest.hex()), bytes.clone()))
        .collect();
    files.push(("./oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    files.push(("./index.json".into(), serde_json::to_vec(&index).unwrap()));
    let files: Vec<_> = files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    tar(&files)
}

/// Manifest, configuration and layers of an image whose layers are compressed.
fn oci_image(layers: &[Vec<u8>]) -> (Descriptor, Vec<(Descriptor, Vec<u8>)>) {
    let config = blob(manifest::OCI_CONFIG, &config(layers));
    let compressed: Vec<_> = layers
        .iter()
        .enumerate()
        .map(|(i, l)| {
            if i % 2 == 0 {
                blob(manifest::OCI_LAYER, &gzip(l))
            } else {
                blob(manifest::OCI_LAYER, &zstd::encode_all(&l[..], 3).unwrap())
            }
        })
        .collect();
    let manifest = Manifest {
        schema_version: 2,
        media_type: manifest::OCI_MANIFEST.into(),
        config: config.0.clone(),
        layers: compressed.iter().map(|(d, _)| d.clone()).collect(),
        annotations: BTreeMap::new(),
    };
    let manifest = blob(manifest::OCI_MANIFEST, &serde_json::to_vec(&manifest).unwrap());
    (manifest.0.clone(), [vec![manifest, config], compressed].concat())
}

#[test]
fn an_oci_layout_with_a_nested_index_is_loaded_for_this_platform() {
    testing::in_userns("load::tests::an_oci_layout_with_a_nested_index_is_loaded_for_this_platform", || {
        let lab = Lab::new();
        let (mut manifest, mut blobs) = oci_image(&two_layers());
        manifest.platform = Some(Platform::host());
        let mut other = Descriptor::new(manifest::OCI_MANIFEST, digest_of(b"absent"), 6);
        other.platform = Some("linux/s390x".parse().unwrap());
        let inner = Index {
            schema_version: 2,
            media_type: manifest::OCI_INDEX.into(),
            manifests: vec![other, manifest],
            annotations: BTreeMap::new(),
        };
        let (mut inner, bytes) = blob(manifest::OCI_INDEX, &serde_json::to_vec(&inner).unwrap());
        blobs.push((inner.clone(), bytes));
        inner.annotations.insert("org.opencontainers.image.ref.name".into(), "quay.io/org/app:1".into());
        let archive = oci_layout(&[inner], &blobs);
        let loaded = lab.load(&archive).unwrap();
        assert_eq!(loaded[0].names, ["quay.io/org/app:1"]);
        let image = lab.store.get(&loaded[0].image).unwrap();
        assert_eq!(lab.read_file(&image, "etc/a").as_deref(), Some("upper"));
        let wanted = LoadOptions { platform: Some("linux/s390x".parse().unwrap()), ..LoadOptions::default() };
        let error = lab::load(&lab.store, &archive[..], &wanted, &Progress::none()).unwrap_err();
        assert_eq!(error.to_string(), "no image of the archive is for platform linux/s390x");
        lab.assert_tidy();
    });
}

#[test]
fn the_oldest_layout_is_loaded() {
    testing::in_userns("load::tests::the_oldest_layout_is_loaded", || {
        let lab = Lab::new();
        let layers = two_layers();
        let archive = tar(&[
            ("aa/json", br#"{"id":"aa","created":"2014-01-01T00:00:00Z","container_config":{"Cmd":["ADD"]}}"#),
            ("aa/layer.tar", &layers[0]),
            ("bb/json", br#"{"id":"bb","parent":"aa","created":"2014-01-02T00:00:00Z","config":{"Cmd":["sh"]},"os":"linux","architecture":"amd64"}"#),
            ("bb/layer.tar", &layers[1]),
            ("repositories", br#"{"old":{"1":"bb","2":"bb"}}"#),
        ]);
        let loaded = lab.load(&archive).unwrap();
        assert_eq!(loaded[0].names, ["old:1", "old:2"]);
        let image = lab.store.resolve("old:2").unwrap();
        assert_eq!(image.config.config.cmd, Some(vec!["sh".into()]));
        assert_eq!(image.config.history[0].created_by, "ADD");
        assert_eq!(lab.read_file(&image, "etc/a").as_deref(), Some("upper"));
    });
}

#[test]
fn links_between_equal_layers_are_followed() {
    testing::in_userns("load::tests::links_between_equal_layers_are_followed", || {
        let lab = Lab::new();
        let layers = vec![layer(&[("a", "1")]), layer(&[("b", "2")])];
        let config = config(&layers);
        let mut builder = tar::Builder::new(Vec::new());
        let mut file = |path: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, bytes).unwrap();
        };
        file("x/layer.tar", &layers[0]);
        file("z/layer.tar", &layers[1]);
        file("config.json", &config);
        file(
            "manifest.json",
            br#"[{"Config":"config.json","RepoTags":["l:1"],"Layers":["y/layer.tar","z/layer.tar"]}]"#,
        );
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "y/layer.tar", "../x/layer.tar").unwrap();
        lab.load(&builder.into_inner().unwrap()).unwrap();
        assert!(lab.store.resolve("l:1").is_ok());
    });
}

/// Loading fails with `message`, and nothing is left of it.
fn check_refused(lab: &Lab, archive: &[u8], message: &str) {
    let error = lab.load(archive).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(message), "wanted {message:?}, got {error:?}");
    assert!(!error.contains('\n'), "{error:?}");
    assert_eq!(lab.store.count(), 0);
    lab.assert_tidy();
}

#[test]
fn hostile_archives_give_one_line_and_leave_nothing() {
    testing::in_userns("load::tests::hostile_archives_give_one_line_and_leave_nothing", || {
        let lab = Lab::new();
        let layers = two_layers();
        let config = config(&layers);
        let manifest =
            |layers: &str| format!(r#"[{{"Config":"c.json","RepoTags":["x:1"],"Layers":{layers}}}]"#);
        let with = |manifest: &str, extra: &[(&str, &[u8])]| {
            tar(&[&[("c.json", config.as_slice()), ("manifest.json", manifest.as_bytes())], extra].concat())
        };
        let both = manifest(r#"["0","1"]"#);
        check_refused(&lab, b"", "does not contain a manifest.json");
        check_refused(&lab, b"no archive at all, but longer than nothing", "malformed archive");
        check_refused(&lab, &tar(&[("a", b"b")]), "does not contain a manifest.json");
        check_refused(&lab, &with(&both, &[("0", &layers[0])]), "invalid archive: 1 is missing");
        check_refused(
            &lab,
            &with(&both, &[("0", &layers[0]), ("1", &layers[0])]),
            "invalid archive: 1 has digest sha256:",
        );
        check_refused(
            &lab,
            &with(&manifest(r#"["0"]"#), &[("0", &layers[0])]),
            "layers length mismatch: expected 1, got 2",
        );
        check_refused(
            &lab,
            &with(&manifest(r#"["../../etc/passwd","0"]"#), &[("0", &layers[0])]),
            "is missing",
        );
        check_refused(
            &lab,
            &with(&manifest(r#"["/etc/passwd","0"]"#), &[("0", &layers[0])]),
            "invalid archive: /etc/passwd is missing",
        );
        check_refused(&lab, &with("[", &[]), "invalid archive: manifest.json: EOF");
        check_refused(
            &lab,
            &with(r#"[{"Config":"c.json","RepoTags":["Bad:1"]}]"#, &[]),
            "invalid tag \"Bad:1\"",
        );
        let truncated = docker_archive(&[(&layers, &["x:1"])]);
        check_refused(&lab, &truncated[..truncated.len() / 2], "");
        let escape = tar(&[("../../../../tmp/lichen-escape", b"x"), ("manifest.json", b"[]")]);
        assert_eq!(lab.load(&escape).unwrap(), Vec::new());
        assert!(!Path::new("/tmp/lichen-escape").exists());
    });
}

#[test]
fn a_link_out_of_the_archive_is_refused() {
    testing::in_userns("load::tests::a_link_out_of_the_archive_is_refused", || {
        let lab = Lab::new();
        for target in ["/etc/passwd", "../../etc/passwd", "manifest.json"] {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, "manifest.json", target).unwrap();
            check_refused(
                &lab,
                &builder.into_inner().unwrap(),
                "invalid archive: the link manifest.json leads",
            );
        }
    });
}

#[test]
fn an_oci_layout_that_lies_about_digests_is_refused() {
    testing::in_userns("load::tests::an_oci_layout_that_lies_about_digests_is_refused", || {
        let lab = Lab::new();
        let (manifest, blobs) = oci_image(&two_layers());
        for lie in 0..blobs.len() {
            let mut blobs = blobs.clone();
            // Same length, other bytes; a gzip header still looks like one.
            let at = blobs[lie].1.len() - 1;
            blobs[lie].1[at] ^= 1;
            check_refused(&lab, &oci_layout(std::slice::from_ref(&manifest), &blobs), "");
        }
    });
}

#[test]
fn the_seeds_of_the_fuzz_target_are_archives_that_load() {
    testing::in_userns("load::tests::the_seeds_of_the_fuzz_target_are_archives_that_load", || {
        let seeds: [&[u8]; 3] = [
            include_bytes!("../../../../fuzz/corpus/load/docker"),
            include_bytes!("../../../../fuzz/corpus/load/oci"),
            include_bytes!("../../../../fuzz/corpus/load/legacy"),
        ];
        for seed in seeds {
            let lab = Lab::new();
            let loaded = lab.load(seed).unwrap();
            assert_eq!(loaded[0].names, ["a:1"]);
        }
    });
}
