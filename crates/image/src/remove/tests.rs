use super::*;
use crate::lab::{Lab, container, docker_archive, layer};

fn check_conflict(lab: &Lab, image: &str, force: bool, uses: &[ContainerUse], message: &str) {
    let error = lab.remove(image, force, uses).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.kind(), model::ErrorKind::Conflict);
}

#[test]
fn the_last_name_takes_the_image_and_its_layers() {
    testing::in_userns("remove::tests::the_last_name_takes_the_image_and_its_layers", || {
        let lab = Lab::new();
        let image = lab.sample("app:1", "x");
        lab.store.tag("app:1", &"other".parse().unwrap()).unwrap();
        assert_eq!(lab.remove("app:1", false, &[]).unwrap(), ["untagged app:1"]);
        assert_eq!(lab.remove("other", false, &[]).unwrap(), ["untagged other:latest", "image", "layer"]);
        let gone = lab.remove("other", false, &[]).unwrap_err();
        assert_eq!(gone.to_string(), "No such image: other:latest");
        assert!(!lab.store.inner.content.contains(&image.id));
        lab.assert_tidy();
        let lab = lab.reopen();
        assert_eq!(lab.store.count(), 0);
    });
}

#[test]
fn layers_that_another_image_has_stay() {
    testing::in_userns("remove::tests::layers_that_another_image_has_stay", || {
        let lab = Lab::new();
        let (base, top) = (layer(&[("a", "a")]), layer(&[("b", "b")]));
        lab.load(&docker_archive(&[
            (std::slice::from_ref(&base), &["base"]),
            (&[base.clone(), top], &["both"]),
        ]))
        .unwrap();
        assert_eq!(lab.remove("base", false, &[]).unwrap(), ["untagged base:latest", "image"]);
        let both = lab.store.resolve("both").unwrap();
        assert_eq!(lab.read_file(&both, "a").as_deref(), Some("a"));
        assert_eq!(
            lab.remove("both", false, &[]).unwrap(),
            ["untagged both:latest", "image", "layer", "layer"]
        );
    });
}

#[test]
fn conflicts_are_worded_as_dockers() {
    testing::in_userns("remove::tests::conflicts_are_worded_as_dockers", || {
        let lab = Lab::new();
        let image = lab.sample("app", "x");
        let (id, hex) = (image.id.short(), image.id.hex());
        let running = container(&image, true);
        let stopped = container(&image, false);
        let short = running.id.short().to_owned();
        check_conflict(
            &lab,
            "app",
            false,
            std::slice::from_ref(&running),
            &format!(
                "conflict: unable to remove repository reference \"app\" (must force) - container {short} is using its referenced image {id}"
            ),
        );
        check_conflict(
            &lab,
            hex,
            true,
            &[running],
            &format!(
                "conflict: unable to delete {id} (cannot be forced) - image is being used by running container {short}"
            ),
        );
        check_conflict(
            &lab,
            hex,
            false,
            std::slice::from_ref(&stopped),
            &format!(
                "conflict: unable to delete {id} (must be forced) - image is being used by stopped container {}",
                stopped.id.short()
            ),
        );
        lab.store.tag("app", &"second/name".parse().unwrap()).unwrap();
        check_conflict(
            &lab,
            id,
            false,
            &[],
            &format!(
                "conflict: unable to delete {id} (must be forced) - image is referenced in multiple repositories"
            ),
        );
        assert_eq!(
            lab.remove(id, true, &[]).unwrap(),
            ["untagged app:latest", "untagged second/name:latest", "image", "layer"]
        );
    });
}

#[test]
fn a_forced_removal_leaves_a_stopped_container_its_layers() {
    testing::in_userns("remove::tests::a_forced_removal_leaves_a_stopped_container_its_layers", || {
        let lab = Lab::new();
        let image = lab.sample("app", "x");
        let stopped = [container(&image, false)];
        assert_eq!(lab.remove("app", true, &stopped).unwrap(), ["untagged app:latest", "image"]);
        assert_eq!(lab.read_file(&image, "file").as_deref(), Some("x"));
        assert_eq!(lab.store.collect_garbage(&|| stopped.to_vec()).unwrap().removed, []);
        assert_eq!(lab.store.collect_garbage(&Vec::new).unwrap().removed.len(), 1);
    });
}

/// Nothing but the container's record keeps an image that is only mounted.
#[test]
fn a_layer_that_is_mounted_while_it_is_judged_stays() {
    testing::in_userns("remove::tests::a_layer_that_is_mounted_while_it_is_judged_stays", || {
        let lab = Lab::new();
        let image = lab.sample("app", "x");
        let top = image.top_layer().unwrap();
        let first = [container(&image, false)];
        lab.remove("app", true, &first).unwrap();
        for release in [true, false] {
            let asked = std::cell::Cell::new(0);
            let containers = || {
                asked.set(asked.get() + 1);
                if asked.get() > 1 {
                    return vec![container(&image, false)];
                }
                // Another container is created right after the answer, with the mounts of the one that goes.
                drop(lab.store.pin_layers(Some(top)).unwrap());
                Vec::new()
            };
            match release {
                true => lab.store.release_layers(top, &containers).unwrap(),
                false => assert_eq!(lab.store.collect_garbage(&containers).unwrap().removed, []),
            }
            assert_eq!(asked.get(), 2, "release: {release}");
            assert_eq!(lab.read_file(&image, "file").as_deref(), Some("x"));
        }
        lab.store.release_layers(top, &Vec::new).unwrap();
        assert!(lab.store.pin_layers(Some(top)).is_none(), "what is gone cannot be mounted again");
    });
}

#[test]
fn a_pinned_image_cannot_go() {
    testing::in_userns("remove::tests::a_pinned_image_cannot_go", || {
        let lab = Lab::new();
        let image = lab.sample("app", "x");
        let (_, pin) = lab.store.resolve_pinned("app").unwrap();
        let id = image.id.short();
        let message = format!(
            "conflict: unable to delete {id} (cannot be forced) - image is being used by an operation in progress"
        );
        check_conflict(&lab, id, true, &[], &message);
        assert_eq!(
            lab.store
                .prune(&crate::ListFilter { dangling: Some(false), ..Default::default() }, &Vec::new)
                .unwrap()
                .removed,
            []
        );
        drop(pin);
        assert_eq!(lab.remove(id, false, &[]).unwrap(), ["untagged app:latest", "image", "layer"]);
    });
}

#[test]
fn a_container_made_during_the_question_is_seen() {
    testing::in_userns("remove::tests::a_container_made_during_the_question_is_seen", || {
        let lab = Lab::new();
        let image = lab.sample("app", "x");
        let asked = std::cell::Cell::new(0);
        let containers = || {
            asked.set(asked.get() + 1);
            if asked.get() > 1 {
                return vec![container(&image, true)];
            }
            // The engine creates a container right after it has answered.
            drop(lab.store.resolve_pinned("app").unwrap());
            Vec::new()
        };
        let options = RemoveOptions { force: true, no_prune: false };
        let error = lab.store.remove(image.id.hex(), options, &containers).unwrap_err();
        assert!(error.to_string().contains("used by running container"), "{error}");
        assert_eq!(asked.get(), 2);
    });
}

#[test]
fn prune_takes_what_is_unnamed_and_unused() {
    testing::in_userns("remove::tests::prune_takes_what_is_unnamed_and_unused", || {
        let lab = Lab::new();
        let used = lab.sample("app", "used");
        let unused = lab.sample("app", "unused");
        let named = lab.sample("app", "named");
        let uses = [container(&used, false)];
        let pruned = lab.store.prune(&crate::ListFilter::default(), &|| uses.to_vec()).unwrap();
        assert_eq!(pruned.removed[0], Removed::Image(unused.id.clone()));
        assert_eq!(pruned.reclaimed, "unused".len() as u64);
        let all = crate::ListFilter::parse([("dangling", "false")]).unwrap();
        let pruned = lab.store.prune(&all, &|| uses.to_vec()).unwrap();
        assert!(pruned.removed.contains(&Removed::Image(named.id.clone())), "{pruned:?}");
        assert_eq!(lab.store.count(), 1);
    });
}
