//! Layers of an archive that are unpacked at the same time.

use super::*;
use crate::lab::{self, Heard, Lab, docker_archive, layer};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

fn inside(name: &str, test: impl FnOnce()) {
    testing::in_userns(&format!("load::parallel::{name}"), test);
}

/// The driver has nothing half-made.
fn assert_no_staged(lab: &Lab, driver: &str) {
    let staged = lab.root().join(driver).join("tmp");
    assert_eq!(std::fs::read_dir(&staged).unwrap().count(), 0, "{}", staged.display());
}

/// The base layer's thread stands still, in its own report, until the upper layer's last byte is unpacked.
#[test]
fn a_layer_is_unpacked_while_the_one_below_still_is() {
    inside("a_layer_is_unpacked_while_the_one_below_still_is", || {
        let layers = vec![layer(&[("base", "1")]), layer(&[("top", "2")])];
        let ids: Vec<_> = layers.iter().map(|l| crate::chain::digest_of(l).short().to_owned()).collect();
        let (done, order) = (Arc::new(Mutex::new(Vec::new())), ids.clone());
        let seen = done.clone();
        let progress = Progress::new(move |message| {
            let Some(id) = message.id.filter(|_| message.status.as_deref() == Some("Loading layer")) else {
                return;
            };
            let deadline = Instant::now() + Duration::from_secs(60);
            while id == order[0] && !seen.lock().unwrap().contains(&order[1]) {
                assert!(Instant::now() < deadline, "the upper layer waits for the lower one");
                std::thread::sleep(Duration::from_millis(2));
            }
            seen.lock().unwrap().push(id);
        });
        let lab = Lab::with("overlay2", crate::RegistryConfig::default());
        // Where there is one processor there is one turn.
        lab.store.inner.unpacking.add_permits(1);
        let archive = docker_archive(&[(&layers, &["app"])]);
        lab::load(&lab.store, &archive[..], &LoadOptions::default(), &progress).unwrap();
        assert_eq!(done.lock().unwrap()[0], ids[1]);
        let image = lab.store.resolve("app").unwrap();
        assert_eq!(lab.read_file(&image, "base").as_deref(), Some("1"));
        assert_eq!(lab.read_file(&image, "top").as_deref(), Some("2"));
        lab.assert_tidy();
    });
}

/// More of them than there are turns, each of which has to look into what is below; of several images that share some.
#[test]
fn layers_that_ask_for_what_is_below_come_through() {
    inside("layers_that_ask_for_what_is_below_come_through", || {
        for driver in ["overlay2", "vfs"] {
            let names: Vec<String> = (0..12).map(|n| format!("in/a/directory/f{n}")).collect();
            let layers: Vec<_> = names.iter().map(|name| layer(&[(name, name)])).collect();
            let other = [&layers[..5], &[layer(&[("in/a/other", "x")])]].concat();
            let archives = [
                docker_archive(&[(&layers, &["app"]), (&other, &["other"])]),
                docker_archive(&[(&other, &["again"])]),
            ];
            let lab = Lab::with(driver, crate::RegistryConfig::default());
            lab::block_on(async {
                let loads = archives.map(|archive| {
                    let store = lab.store.clone();
                    let load = async move {
                        store
                            .load(std::io::Cursor::new(archive), LoadOptions::default(), Progress::none())
                            .await
                    };
                    tokio::spawn(load)
                });
                for load in loads {
                    load.await.unwrap().unwrap();
                }
            });
            let image = lab.store.resolve("app").unwrap();
            for name in names.iter().filter(|_| driver == "overlay2") {
                assert_eq!(lab.read_file(&image, name).as_ref(), Some(name));
            }
            assert_eq!(lab.store.inner.driver.layers().len(), 13, "each once");
            assert_eq!(lab.store.resolve("again").unwrap().id, lab.store.resolve("other").unwrap().id);
            assert_no_staged(&lab, driver);
            lab.assert_tidy();
        }
    });
}

#[test]
fn a_damaged_layer_takes_its_neighbours_along_and_not_those_of_others() {
    inside("a_damaged_layer_takes_its_neighbours_along_and_not_those_of_others", || {
        let layers: Vec<_> =
            (0..6).map(|n| layer(&[(&format!("d/f{n}"), &format!("{n}").repeat(20_000))])).collect();
        for damaged in [0, 2, 3, 5] {
            let lab = Lab::with("overlay2", crate::RegistryConfig::default());
            lab.load(&docker_archive(&[(&layers[..2], &["whole"])])).unwrap();
            let mut archive = docker_archive(&[(&layers, &["app"])]);
            let marker = format!("{damaged}").repeat(1000).into_bytes();
            let at = archive.windows(marker.len()).position(|window| window == marker).unwrap();
            archive[at] = b'x';
            let heard = Heard::default();
            let error = lab::load(&lab.store, &archive[..], &LoadOptions::default(), &heard.progress());
            let loaded = match (damaged, error) {
                // It is here already, whole, and what the archive has of it is not looked at.
                (0, Ok(loaded)) => loaded.len(),
                (_, Err(error)) => {
                    let path = format!("{}/layer.tar", crate::chain::digest_of(&layers[damaged]).hex());
                    let expect = format!("invalid archive: {path} has digest sha256:");
                    assert!(error.to_string().starts_with(&expect), "{error}");
                    0
                }
                (_, Ok(_)) => panic!("layer {damaged} was damaged"),
            };
            let layers_left = if loaded == 0 { 2 } else { 6 };
            assert_eq!(lab.store.inner.driver.layers().len(), layers_left, "damaged: {damaged}");
            assert!(lab.store.resolve("whole").is_ok());
            assert_no_staged(&lab, "overlay2");
            lab.assert_tidy();
        }
    });
}
