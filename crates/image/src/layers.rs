//! From a layer blob to a committed, recorded layer, in one pass.

use crate::{
    Error, ImageStore, Pin, Result,
    blob::Blob,
    chain::chain_id,
    framing::Recorder,
    records::{LayerRecord, SeenBlob},
};
use archive::{Limits, blob::UnpackedLayer};
use model::Digest;
use snapshot::StagedLayer;
use std::{
    fs,
    io::{self, Read, Write},
};

/// What is known about a layer before it arrives.
pub(crate) struct Expected<'a> {
    pub parent: Option<&'a Digest>,
    /// The digest the blob was asked for by; none for archives that name no digest.
    pub blob: Option<&'a Digest>,
    /// What the image configuration says it unpacks to; none when the configuration is made afterwards.
    pub diff_id: Option<&'a Digest>,
    /// Remembered with the layer.
    pub seen: Option<SeenBlob>,
}

/// A layer that is there now, and is kept until the value goes: by then something must be recorded that needs it.
pub(crate) struct Made {
    pub chain: Digest,
    pub diff_id: Digest,
    _pin: Pin,
}

/// A layer whose files are there and that nobody sees yet. Dropping it removes them, which takes its time.
pub(crate) struct Unpacked {
    staged: StagedLayer,
    framing: Recorder<fs::File>,
    found: UnpackedLayer,
    seen: Vec<SeenBlob>,
}

impl ImageStore {
    /// Unpacks, verifies, commits and records one layer. Blocking. The caller has pinned the chain, when it knows it.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::DiffIdMismatch`], or what unpacking gives. Nothing is left of the layer.
    pub(crate) fn make_layer(&self, blob: impl Read + Send, expected: &Expected<'_>) -> Result<Made> {
        let staged = self.inner.driver.begin_layer(expected.parent)?;
        let unpacked = self.unpack_layer(staged, blob, expected)?;
        self.commit_layer(unpacked)
    }

    /// The first half of [`ImageStore::make_layer`]: nothing is promised yet.
    pub(crate) fn unpack_layer(
        &self,
        mut staged: StagedLayer,
        blob: impl Read + Send,
        expected: &Expected<'_>,
    ) -> Result<Unpacked> {
        let limits = Limits::default();
        let mut framing = self.inner.framing.record()?;
        let mut blob = Blob::new(blob, &limits).map_err(Error::Layer)?;
        let encoder = blob.encoder();
        let unpacked = staged.unpack(Tee { from: &mut blob, to: &mut framing }, &limits);
        let source_failure = blob.take_failure();
        let unpacked = match (unpacked, source_failure) {
            // The reason behind a failed read says more than the archive code can.
            (Err(_), Some(failure)) => {
                return Err(Error::Stream { operation: "read layer", source: failure });
            }
            (unpacked, _) => unpacked?,
        };
        let found = blob.finish().map_err(|source| Error::Stream { operation: "read layer", source })?;
        if let Some(wanted) = expected.blob.filter(|wanted| **wanted != found) {
            return Err(Error::DigestMismatch { what: "layer".to_owned(), wanted: wanted.clone(), found });
        }
        if let Some(wanted) = expected.diff_id.filter(|wanted| **wanted != unpacked.diff_id) {
            return Err(Error::DiffIdMismatch {
                blob: found,
                wanted: wanted.clone(),
                found: unpacked.diff_id,
            });
        }
        let seen = expected.seen.iter().map(|seen| SeenBlob { encoder, ..seen.clone() }).collect();
        Ok(Unpacked { staged, framing, found: unpacked, seen })
    }

    /// The second half: what is below is committed already. Blocking.
    pub(crate) fn commit_layer(&self, unpacked: Unpacked) -> Result<Made> {
        let inner = &self.inner;
        let Unpacked { staged, framing, found, seen } = unpacked;
        let UnpackedLayer { diff_id, archive_size, contents, .. } = found;
        let chain = chain_id(staged.parent(), &diff_id);
        // Garbage is collected at any time, and the framing comes before the record. A pull's own pins go with its
        // future, which may be dropped while this thread is at work.
        let pin = self.pin(vec![chain.clone(), diff_id.clone()]);
        inner.framing.keep(framing, &diff_id)?;
        match inner.driver.commit_layer(staged, &chain) {
            // Somebody else made it first, which is as good.
            Ok(()) | Err(snapshot::Error::LayerExists(_)) => {}
            Err(e) => return Err(e.into()),
        }
        let record =
            LayerRecord { diff_id: diff_id.clone(), size: contents.file_bytes, archive_size, blobs: seen };
        self.add_layer(&chain, record)?;
        Ok(Made { chain, diff_id, _pin: pin })
    }

    /// Whether a layer is here and recorded, so that it need not be made.
    pub(crate) fn has_layer(&self, chain: &Digest) -> bool {
        self.inner.driver.layer_exists(chain) && self.catalog().layers.contains_key(chain)
    }
}

/// Hands on what is read, and writes it elsewhere too.
struct Tee<R, W> {
    from: R,
    to: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        self.to.write_all(&buffer[..got])?;
        Ok(got)
    }
}
