use super::*;
use crate::lab::Lab;

#[test]
fn an_image_is_found_by_everything_it_is_called() {
    testing::in_userns("images::tests::an_image_is_found_by_everything_it_is_called", || {
        let lab = Lab::new();
        let image = lab.sample("app:v1", "x");
        let (id, hex) = (image.id.as_str(), image.id.hex());
        for text in [
            "app:v1",
            "docker.io/library/app:v1",
            "index.docker.io/app:v1",
            id,
            hex,
            &hex[..12],
            &hex[..3],
            &id[..20],
        ] {
            assert_eq!(lab.store.resolve(text).map(|i| i.id.clone()).ok(), Some(image.id.clone()), "{text}");
        }
    });
}

#[test]
fn what_is_not_found_is_said_in_dockers_words() {
    testing::in_userns("images::tests::what_is_not_found_is_said_in_dockers_words", || {
        let lab = Lab::new();
        lab.sample("app:v1", "x");
        let zeros = "0".repeat(64);
        for (text, message) in [
            ("app", "No such image: app:latest".to_owned()),
            ("quay.io/a/b:c", "No such image: quay.io/a/b:c".to_owned()),
            (zeros.as_str(), format!("No such image: sha256:{zeros}")),
            ("App", "invalid reference format: repository name (library/App) must be lowercase".to_owned()),
            ("a b", "invalid reference format".to_owned()),
        ] {
            assert_eq!(lab.store.resolve(text).unwrap_err().to_string(), message);
        }
    });
}

#[test]
fn a_prefix_of_two_ids_is_ambiguous() {
    testing::in_userns("images::tests::a_prefix_of_two_ids_is_ambiguous", || {
        let lab = Lab::new();
        // Seventeen IDs share a first digit somewhere.
        let images: Vec<_> = (0..17).map(|i| lab.sample(&format!("app:{i}"), &format!("{i}"))).collect();
        let digit = |i: &Arc<Image>| i.id.hex()[..1].to_owned();
        let twice =
            images.iter().map(digit).find(|d| images.iter().filter(|i| digit(i) == *d).count() > 1).unwrap();
        let count = images.iter().filter(|i| digit(i) == twice).count();
        let error = lab.store.resolve(&twice).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "No such image: {twice}: the ID prefix is ambiguous, it fits {count} images: give more digits"
            )
        );
    });
}

#[test]
fn a_tag_is_given_and_taken() {
    testing::in_userns("images::tests::a_tag_is_given_and_taken", || {
        let lab = Lab::new();
        let (one, two) = (lab.sample("one", "1"), lab.sample("two", "2"));
        lab.store.tag("one", &"name".parse().unwrap()).unwrap();
        assert_eq!(lab.store.resolve("name:latest").unwrap().id, one.id);
        lab.store.tag(two.id.hex(), &"name".parse().unwrap()).unwrap();
        let lab = lab.reopen();
        assert_eq!(lab.store.resolve("name").unwrap().id, two.id);
        assert!(!lab.store.resolve("name").unwrap().record.last_tagged.is_zero());
        let digest = format!("x@{}", one.id).parse().unwrap();
        assert_eq!(
            lab.store.tag("one", &digest).unwrap_err().to_string(),
            "refusing to create a tag with a digest reference"
        );
        let algorithm = lab.store.tag("one", &"sha256:abc".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(algorithm, "refusing to create an ambiguous tag using digest algorithm as name");
    });
}

#[test]
fn an_image_whose_layers_are_gone_is_dropped_and_the_rest_opens() {
    testing::in_userns("images::tests::an_image_whose_layers_are_gone_is_dropped_and_the_rest_opens", || {
        let lab = Lab::new();
        let (lost, kept) = (lab.sample("lost", "1"), lab.sample("kept", "2"));
        let broken = lab.sample("broken", "3");
        lab.store.inner.driver.remove_layer(lost.top_layer().unwrap()).unwrap();
        std::fs::write(lab.root().join("content/sha256").join(broken.id.hex()), "{}").unwrap();
        let lab = lab.reopen();
        assert_eq!(lab.store.resolve("kept").unwrap().id, kept.id);
        assert!(lab.store.resolve("lost").is_err());
        assert!(lab.store.resolve("broken").is_err());
        lab.store.collect_garbage(&Vec::new).unwrap();
        lab.assert_tidy();
        lab.sample("lost", "1");
    });
}
