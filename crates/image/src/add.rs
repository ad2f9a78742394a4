//! Recording layers and images: the last step of pull, load, import, commit and build.

use crate::{
    Error, Image, ImageConfig, ImageStore, Reference, Result,
    catalog::Catalog,
    chain::{chain_ids, digest_of},
    manifest::Descriptor,
    records::{ImageRecord, LayerRecord, NameRecord, SeenBlob, merge_seen},
};
use model::{Digest, Timestamp};
use std::sync::Arc;

/// An image to record; its layers are recorded already.
pub(crate) struct NewImage<'a> {
    /// The configuration, verbatim.
    pub config: &'a [u8],
    pub parent: Option<Digest>,
    /// Manifest as it came: bytes go into the content store.
    pub manifest: Option<(Descriptor, &'a [u8])>,
    pub names: &'a [Reference],
}

impl ImageStore {
    /// Records a layer that the driver has committed.
    pub(crate) fn add_layer(&self, chain: &Digest, mut layer: LayerRecord) -> Result<()> {
        let records = &self.inner.records;
        let mut catalog = self.catalog();
        let known = catalog.layers.get(chain).map(|known| known.blobs.as_slice()).unwrap_or_default();
        layer.blobs = merge_seen(known, &layer.blobs);
        if catalog.layers.get(chain) != Some(&layer) {
            records.layers.put(&records.key(chain), &layer)?;
            catalog.layers.insert(chain.clone(), layer);
        }
        Ok(())
    }

    /// Notes that a layer has been seen as this blob.
    pub(crate) fn note_blob(&self, chain: &Digest, seen: SeenBlob) -> Result<()> {
        let known = self.catalog().layers.get(chain).cloned();
        match known {
            Some(layer) => self.add_layer(chain, LayerRecord { blobs: vec![seen], ..layer }),
            None => Ok(()),
        }
    }

    /// Records an image and its names, durably. The caller holds pins on its layers.
    pub(crate) fn add_image(&self, new: &NewImage<'_>) -> Result<Arc<Image>> {
        // Until the record names them, a collection would take the documents for what a crash has left.
        let documents = [Some(new.config), new.manifest.as_ref().map(|(_, bytes)| *bytes)];
        let _pin = self.pin(documents.into_iter().flatten().map(digest_of).collect());
        let id = self.inner.content.put(new.config)?;
        let config =
            ImageConfig::parse(new.config).map_err(|source| Error::Config { digest: id.clone(), source })?;
        if let Some((descriptor, bytes)) = &new.manifest {
            debug_assert_eq!(descriptor.digest, digest_of(bytes));
            self.inner.content.put(bytes)?;
        }
        let layers = chain_ids(&config.rootfs.diff_ids);
        let mut catalog = self.catalog();
        let size = stack_size(&catalog, &layers);
        let known = catalog.images.get(&id).map(|i| i.record.clone());
        let record = ImageRecord {
            parent: new.parent.clone().or_else(|| known.as_ref().and_then(|k| k.parent.clone())),
            manifest: new
                .manifest
                .as_ref()
                .map(|(d, _)| d.clone())
                .or_else(|| known.as_ref()?.manifest.clone()),
            index: known.as_ref().and_then(|k| k.index.clone()),
            last_tagged: if new.names.is_empty() {
                known.map_or(Timestamp::ZERO, |k| k.last_tagged)
            } else {
                Timestamp::now()
            },
            size,
        };
        let image =
            Arc::new(Image { id: id.clone(), config, config_size: new.config.len() as u64, layers, record });
        self.write_image(&mut catalog, &image, new.names)?;
        drop(catalog);
        // What is reported as pulled must survive a power loss; the layers' files already do.
        self.inner.records.store.flush()?;
        Ok(image)
    }

    fn write_image(&self, catalog: &mut Catalog, image: &Arc<Image>, names: &[Reference]) -> Result<()> {
        let records = &self.inner.records;
        records.store.batch::<_, Error>(|batch| {
            batch.put(&records.images, &records.key(&image.id), &image.record)?;
            for name in names {
                batch.put(&records.names, &records.key(name), &NameRecord { image: image.id.clone() })?;
            }
            Ok(())
        })?;
        catalog.images.insert(image.id.clone(), image.clone());
        catalog.names.extend(names.iter().map(|name| (name.clone(), image.id.clone())));
        Ok(())
    }
}

fn stack_size(catalog: &Catalog, layers: &[Digest]) -> u64 {
    layers.iter().filter_map(|chain| catalog.layers.get(chain)).map(|layer| layer.size).sum()
}
