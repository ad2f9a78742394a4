//! Reading the records when the engine starts.

use crate::{
    Image, ImageConfig, Result, catalog::Catalog, chain::chain_ids, content::Content, images::Records,
    records::ImageRecord,
};
use model::Digest;
use snapshot::Driver;
use std::sync::Arc;

/// Everything that is still whole. What is not is dropped from the records too: a promise that cannot be kept would
/// make `docker run` fail where a pull would help.
pub(crate) fn read(records: &Records, content: &Content, driver: &dyn Driver) -> Result<Catalog> {
    let mut catalog = Catalog::default();
    for (chain, record) in entries(records, records.layers.list_lossy()?) {
        match (chain.parse::<Digest>(), record) {
            (Ok(chain), Ok(record)) if driver.layer_exists(&chain) => {
                drop(catalog.layers.insert(chain, record))
            }
            _ => drop_record(records, &records.layers, &chain, "its files are gone")?,
        }
    }
    for (id, record) in entries(records, records.images.list_lossy()?) {
        match read_image(&catalog, content, &id, record) {
            Ok(image) => drop(catalog.images.insert(image.id.clone(), Arc::new(image))),
            Err(reason) => drop_record(records, &records.images, &id, &reason)?,
        }
    }
    for (name, record) in entries(records, records.names.list_lossy()?) {
        match (name.parse(), record) {
            (Ok(reference), Ok(record)) if catalog.images.contains_key(&record.image) => {
                drop(catalog.names.insert(reference, record.image));
            }
            _ => drop_record(records, &records.names, &name, "its image is gone")?,
        }
    }
    Ok(catalog)
}

/// The documents of this storage driver, keys without its prefix.
fn entries<T>(records: &Records, all: Vec<(String, T)>) -> Vec<(String, T)> {
    let prefix = records.key("");
    all.into_iter()
        .filter_map(|(key, document)| Some((key.strip_prefix(&prefix)?.to_owned(), document)))
        .collect()
}

fn drop_record<T: serde::Serialize + serde::de::DeserializeOwned>(
    records: &Records,
    set: &store::Collection<T>,
    key: &str,
    reason: &str,
) -> Result<()> {
    tracing::warn!(%key, %reason, "dropped the record of an image, name or layer; pull or load it again");
    set.delete(&records.key(key))?;
    Ok(())
}

fn read_image(
    catalog: &Catalog,
    content: &Content,
    id: &str,
    record: Result<ImageRecord, store::Error>,
) -> Result<Image, String> {
    let record = record.map_err(|e| e.to_string())?;
    let id: Digest = id.parse().map_err(|e: model::digest::InvalidDigest| e.to_string())?;
    let bytes = content.get(&id).map_err(|e| e.to_string())?;
    let config = ImageConfig::parse(&bytes).map_err(|e| e.to_string())?;
    let layers = chain_ids(&config.rootfs.diff_ids);
    match layers.iter().find(|chain| !catalog.layers.contains_key(chain)) {
        Some(missing) => Err(format!("layer {missing} is gone")),
        None => Ok(Image { id, config, config_size: bytes.len() as u64, layers, record }),
    }
}
