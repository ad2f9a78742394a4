use crate::{
    ImageStore,
    lab::{Lab, block_on, docker_archive, layer, tar, untar},
};

fn saved(store: &ImageStore, images: &[&str]) -> Result<Vec<u8>, String> {
    let images: Vec<String> = images.iter().map(|i| (*i).to_owned()).collect();
    block_on(async {
        let mut stream = store.save(&images, None).await.map_err(|e| e.to_string())?;
        let mut archive = Vec::new();
        while let Some(piece) = stream.recv().await {
            archive.extend(piece.map_err(|e| e.to_string())?);
        }
        Ok(archive)
    })
}

/// Two images with a layer in common, one of them with two names; layers big enough that their files are read back.
fn sample(lab: &Lab) {
    let big = "0123456789".repeat(100_000);
    let (base, top) = (layer(&[("dir/big", &big), ("small", "s")]), layer(&[("top", &big[..5000])]));
    lab.load(&docker_archive(&[
        (std::slice::from_ref(&base), &["base:1", "base:2"]),
        (&[base.clone(), top], &["top"]),
    ]))
    .unwrap();
}

#[test]
fn what_was_saved_loads_as_the_same_images() {
    testing::in_userns("save::tests::what_was_saved_loads_as_the_same_images", || {
        for driver in ["vfs", "overlay2"] {
            let lab = Lab::with(driver, crate::RegistryConfig::default());
            sample(&lab);
            let archive = saved(&lab.store, &["base", "top:latest"]).unwrap();
            assert_eq!(
                saved(&lab.store, &["base", "top:latest"]).unwrap(),
                archive,
                "the same bytes each time"
            );
            let other = Lab::new();
            other.load(&archive).unwrap();
            for name in ["base:1", "base:2", "top"] {
                assert_eq!(
                    other.store.resolve(name).unwrap().id,
                    lab.store.resolve(name).unwrap().id,
                    "{name}"
                );
            }
            // The OCI half of it, alone.
            let mut members = untar(&archive);
            for docker in ["manifest.json", "repositories", "blobs/", "blobs/sha256/"] {
                members.remove(docker);
            }
            let members: Vec<_> =
                members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
            let oci = Lab::new();
            oci.load(&tar(&members)).unwrap();
            assert_eq!(oci.store.resolve("base:2").unwrap().id, lab.store.resolve("base:2").unwrap().id);
        }
    });
}

#[test]
fn a_layer_is_in_the_archive_once() {
    testing::in_userns("save::tests::a_layer_is_in_the_archive_once", || {
        let lab = Lab::new();
        sample(&lab);
        let members = untar(&saved(&lab.store, &["base", "top"]).unwrap());
        // Two layers, two configurations, two manifests.
        assert_eq!(
            members.keys().filter(|n| n.len() > "blobs/sha256/".len() && n.starts_with("blobs/")).count(),
            6
        );
    });
}

#[test]
fn a_missing_image_is_told_before_the_first_byte() {
    testing::in_userns("save::tests::a_missing_image_is_told_before_the_first_byte", || {
        let lab = Lab::new();
        sample(&lab);
        assert_eq!(saved(&lab.store, &["base", "nope"]), Err("No such image: nope:latest".to_owned()));
    });
}

#[test]
fn a_changed_file_breaks_the_stream_and_says_so() {
    testing::in_userns("save::tests::a_changed_file_breaks_the_stream_and_says_so", || {
        let lab = Lab::new();
        sample(&lab);
        let image = lab.store.resolve("base:1").unwrap();
        let rootfs = lab.store.inner.driver.layer_rootfs(image.top_layer().unwrap()).unwrap();
        let model::Rootfs::Dir { path } = rootfs else { panic!("vfs has one directory") };
        for (change, reason) in
            [("x".repeat(1_000_000), "its files give digest"), ("short".into(), "shorter than it was")]
        {
            std::fs::write(path.join("dir/big"), change).unwrap();
            let error = saved(&lab.store, &["base:1"]).unwrap_err();
            assert!(
                error.contains("cannot be written exactly as it came") && error.contains(reason),
                "{error}"
            );
        }
    });
}
