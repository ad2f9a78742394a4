use super::*;
use crate::lab::{Lab, block_on, container};
use std::{fs, path::PathBuf};

/// Where a container's own files are.
fn tree(lab: &Lab, id: &Id) -> PathBuf {
    lab.store.inner.driver.rootfs(id).unwrap().topmost().unwrap().clone()
}

fn request(lab: &Lab, image: &Image, name: &str) -> CommitRequest {
    let id = Id::random();
    lab.store.inner.driver.create_container(&id, image.top_layer()).unwrap();
    CommitRequest {
        container: id,
        image: Some(image.id.clone()),
        top_layer: image.top_layer().cloned(),
        config: image.config.config.clone(),
        changes: vec!["ENV A=b".into(), r#"CMD ["new"]"#.into()],
        author: "me".into(),
        comment: "why".into(),
        created_by: "sh -c change".into(),
        name: Some(name.parse().unwrap()),
    }
}

#[test]
fn a_containers_changes_become_a_layer() {
    testing::in_userns("commit::tests::a_containers_changes_become_a_layer", || {
        for driver in ["vfs", "overlay2"] {
            let lab = Lab::with(driver, crate::RegistryConfig::default());
            let base = lab.sample("base", "old");
            let request = request(&lab, &base, "changed");
            fs::write(tree(&lab, &request.container).join("added"), "new").unwrap();
            let id = block_on(lab.store.commit(request.clone())).unwrap();
            let image = lab.store.resolve("changed").unwrap();
            assert_eq!(image.id, id);
            assert_eq!(image.layers.len(), 2);
            assert_eq!(lab.read_file(&image, "added").as_deref(), Some("new"));
            assert_eq!(lab.read_file(&image, "file").as_deref(), Some("old"));
            assert_eq!(image.config.config.cmd, Some(vec!["new".into()]));
            assert_eq!(image.config.config.env, ["A=b"]);
            assert_eq!(image.config.config.labels["made-by"], "lab");
            let last = image.config.history.last().unwrap();
            assert_eq!(
                (last.created_by.as_str(), last.author.as_str(), last.comment.as_str()),
                ("sh -c change", "me", "why")
            );
            let error = lab.remove(base.id.hex(), true, &[]).unwrap_err().to_string();
            assert!(error.ends_with("(cannot be forced) - image has dependent child images"), "{error}");
            lab.store.inner.driver.remove_container(&request.container).unwrap();
            lab.assert_tidy();
        }
    });
}

#[test]
fn no_change_is_no_layer() {
    testing::in_userns("commit::tests::no_change_is_no_layer", || {
        let lab = Lab::new();
        let base = lab.sample("base", "old");
        block_on(lab.store.commit(request(&lab, &base, "same"))).unwrap();
        let image = lab.store.resolve("same").unwrap();
        assert_eq!(image.layers, base.layers);
        assert!(image.config.history.last().unwrap().empty_layer);
    });
}

#[test]
fn a_container_outlives_its_image_and_can_be_committed() {
    testing::in_userns("commit::tests::a_container_outlives_its_image_and_can_be_committed", || {
        let lab = Lab::new();
        let base = lab.sample("base", "old");
        let request = request(&lab, &base, "again");
        fs::write(tree(&lab, &request.container).join("added"), "new").unwrap();
        lab.remove("base", true, &[container(&base, false)]).unwrap();
        block_on(lab.store.commit(request)).unwrap();
        let image = lab.store.resolve("again").unwrap();
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.layers[0], base.layers[0]);
    });
}
