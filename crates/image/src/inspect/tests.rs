use crate::{
    ListFilter,
    lab::{Lab, docker_archive, layer},
};

#[test]
fn the_list_is_filtered() {
    testing::in_userns("inspect::tests::the_list_is_filtered", || {
        let lab = Lab::new();
        lab.sample("app:1", "old"); // Loses its name to the next.
        lab.sample("app:1", "new");
        lab.sample("localhost:5000/team/app:2", "other");
        let list = |pairs: &[(&str, &str)]| {
            let found = lab.store.list(&ListFilter::parse(pairs.iter().copied()).unwrap()).unwrap();
            let mut names: Vec<_> = found
                .into_iter()
                .flat_map(|s| if s.repo_tags.is_empty() { vec!["-".to_owned()] } else { s.repo_tags })
                .collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(list(&[]), "- app:1 localhost:5000/team/app:2");
        assert_eq!(list(&[("dangling", "true")]), "-");
        assert_eq!(list(&[("dangling", "false")]), "app:1 localhost:5000/team/app:2");
        assert_eq!(list(&[("reference", "app")]), "app:1");
        assert_eq!(
            list(&[("reference", "*/*/app:2"), ("reference", "app:1")]),
            "app:1 localhost:5000/team/app:2"
        );
        assert_eq!(list(&[("label", "made-by=lab")]), "- app:1 localhost:5000/team/app:2");
        assert_eq!(list(&[("label", "made-by=me")]), "");
        assert_eq!(list(&[("until", "2026-01-01T00:00:01Z")]), "- app:1 localhost:5000/team/app:2");
        assert_eq!(list(&[("until", "2025-01-01T00:00:00Z")]), "");
        assert_eq!(list(&[("before", "app:1")]), "", "all were made at the same time");
        let unknown = ListFilter { since: vec!["nope".into()], ..ListFilter::default() };
        assert_eq!(lab.store.list(&unknown).unwrap_err().to_string(), "No such image: nope:latest");
    });
}

#[test]
fn sizes_and_history_are_those_of_the_layers() {
    testing::in_userns("inspect::tests::sizes_and_history_are_those_of_the_layers", || {
        let lab = Lab::with("overlay2", crate::RegistryConfig::default());
        let (base, top) = (layer(&[("a", "12345")]), layer(&[("b", "123")]));
        lab.load(&docker_archive(&[
            (std::slice::from_ref(&base), &["base"]),
            (&[base.clone(), top], &["both:1", "both:2"]),
        ]))
        .unwrap();
        let both = lab.store.inspect("both:1").unwrap();
        assert_eq!(both.image.record.size, 8);
        assert_eq!(lab.store.shared_size(&both.image.id), 5);
        assert_eq!(lab.store.layers_size(), 8);
        assert_eq!(both.repo_tags, ["both:1", "both:2"]);
        assert_eq!(both.driver, "overlay2");
        let keys: Vec<_> = both.driver_data.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["LowerDir", "UpperDir"]);
        let lines = lab.store.history("both:2").unwrap();
        assert_eq!(lines.iter().map(|l| l.size).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(lines[0].image.as_ref(), Some(&both.image.id));
        assert_eq!(lines[0].tags, ["both:1", "both:2"]);
        assert_eq!(lines[1].image, None);
    });
}
