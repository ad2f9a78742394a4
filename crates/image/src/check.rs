//! Whether layers still are what was pulled: each archive is put together again from its files and digested.

use crate::{ImageStore, Result, exact::Layer};
use model::Digest;

/// A layer whose files were changed, or cannot be read.
#[derive(Debug)]
pub struct DamagedLayer {
    pub chain: Digest,
    pub problem: String,
    /// The images that have it, by ID.
    pub images: Vec<Digest>,
}

impl ImageStore {
    /// Reads every layer whose archive can be put together again. Blocking, and as long as that takes.
    ///
    /// # Errors
    /// None of a layer's own.
    pub fn check_layers(&self) -> Result<Vec<DamagedLayer>> {
        let layers: Vec<Layer> = {
            let catalog = self.catalog();
            let known =
                catalog.layers.iter().filter(|(_, record)| self.inner.framing.contains(&record.diff_id));
            known
                .map(|(chain, record)| Layer {
                    chain: chain.clone(),
                    diff_id: record.diff_id.clone(),
                    size: record.archive_size,
                })
                .collect()
        };
        let mut damaged = Vec::new();
        for layer in layers {
            let _pin = self.pin(vec![layer.chain.clone()]);
            // Removed since the list was made.
            if !self.catalog().layers.contains_key(&layer.chain) {
                continue;
            }
            let Err(problem) = self.compare_layer(&layer) else { continue };
            let images = self
                .catalog()
                .images
                .values()
                .filter(|i| i.layers.contains(&layer.chain))
                .map(|i| i.id.clone())
                .collect();
            damaged.push(DamagedLayer { chain: layer.chain, problem: problem.to_string(), images });
        }
        Ok(damaged)
    }
}

#[cfg(test)]
mod tests {
    use crate::lab::Lab;

    #[test]
    fn a_layer_whose_files_were_changed_is_found() {
        testing::in_userns("check::tests::a_layer_whose_files_were_changed_is_found", || {
            let lab = Lab::new();
            let image = lab.sample("one:1", "contents");
            assert!(lab.store.check_layers().unwrap().is_empty());
            let chain = image.top_layer().unwrap();
            let tree = lab.store.inner.driver.layer_rootfs(chain).unwrap();
            std::fs::write(tree.topmost().unwrap().join("file"), "content!").unwrap();
            let damaged = lab.store.check_layers().unwrap();
            let [layer] = &damaged[..] else { panic!("{damaged:?}") };
            assert_eq!((&layer.chain, &layer.images[..]), (chain, &[image.id.clone()][..]));
            assert!(layer.problem.contains("its files give digest"), "{}", layer.problem);
            std::fs::write(tree.topmost().unwrap().join("file"), "contents and more").unwrap();
            let damaged = lab.store.check_layers().unwrap();
            assert!(damaged[0].problem.contains("longer or shorter than it was"), "{damaged:?}");
        });
    }
}
