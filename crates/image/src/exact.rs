//! A layer's archive, byte for byte as it came, written again from its files.

use crate::{
    Error, ImageStore, Result,
    digester::Digester,
    framing::{self, Purpose},
};
use model::{Digest, Rootfs};
use rustix::fs::{Mode, OFlags};
use std::{
    io::{self, Write},
    os::fd::OwnedFd,
    path::PathBuf,
};

/// A layer that is here, of which any chain with this diff ID will do.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub chain: Digest,
    pub diff_id: Digest,
    /// Bytes of its archive.
    pub size: u64,
}

impl ImageStore {
    /// The layers of an image, lowest first.
    ///
    /// # Errors
    /// [`Error::Inexact`] when one is known not to be writable again.
    pub(crate) fn exact_layers(&self, image: &crate::Image) -> Result<Vec<Layer>> {
        let catalog = self.catalog();
        let diff_ids = image.config.rootfs.diff_ids.iter();
        let layer = |(chain, diff_id): (&Digest, &Digest)| {
            let missing =
                |reason: &str| Error::Inexact { diff_id: diff_id.clone(), reason: reason.to_owned() };
            let record = catalog.layers.get(chain).ok_or_else(|| missing("it is not here"))?;
            if !self.inner.framing.contains(diff_id) {
                return Err(missing("how its archive was framed is not known"));
            }
            Ok(Layer { chain: chain.clone(), diff_id: diff_id.clone(), size: record.archive_size })
        };
        image.layers.iter().zip(diff_ids).map(layer).collect()
    }

    /// Writes a layer's archive, and makes sure that it is the same. Blocking.
    ///
    /// # Errors
    /// [`Error::Inexact`], when files were changed; [`Error::Stream`] when `out` fails.
    pub(crate) fn write_layer(&self, layer: &Layer, out: &mut dyn Write) -> Result<()> {
        self.rebuild_layer(layer, Purpose::Copy, out)
    }

    /// Makes sure that the layer's files still give its archive. Blocking.
    ///
    /// # Errors
    /// [`Error::Inexact`], when files were changed.
    pub(crate) fn compare_layer(&self, layer: &Layer) -> Result<()> {
        let framing = self.inner.framing.get(&layer.diff_id)?;
        let inexact = |e: io::Error| Error::Inexact {
            diff_id: layer.diff_id.clone(),
            reason: archive::error::errno_text(&e),
        };
        let comparable = framing::is_comparable(framing).map_err(inexact)?;
        let purpose = if comparable { Purpose::Comparison } else { Purpose::Copy };
        self.rebuild_layer(layer, purpose, &mut io::sink())
    }

    fn rebuild_layer(&self, layer: &Layer, purpose: Purpose, out: &mut dyn Write) -> Result<()> {
        let inexact = |reason: String| Error::Inexact { diff_id: layer.diff_id.clone(), reason };
        let framing = self.inner.framing.get(&layer.diff_id)?;
        let root = self.open_layer(layer)?;
        let mut checked = Checked { out, left: layer.size, digest: Digester::new(), failure: None };
        let rebuilt = framing::rebuild(framing, root, purpose, &mut checked);
        if let Some(source) = checked.failure {
            return Err(Error::Stream { operation: "write archive", source });
        }
        rebuilt.map_err(|e| inexact(archive::error::errno_text(&e)))?;
        let (left, found) = (checked.left, checked.digest.finish());
        if left > 0 || found != layer.diff_id {
            return Err(inexact(format!("its files give digest {found} now")));
        }
        Ok(())
    }

    /// The directory that has the layer's own files.
    fn open_layer(&self, layer: &Layer) -> Result<OwnedFd> {
        let path: PathBuf = match self.inner.driver.layer_rootfs(&layer.chain)? {
            Rootfs::Dir { path } => path,
            Rootfs::Overlay { lower, .. } | Rootfs::FuseOverlay { lower, .. } => {
                lower.into_iter().next().unwrap_or_default()
            }
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| Error::file("open", path)(e.into()))
    }
}

/// Digests what goes out, and stops where the archive ends.
struct Checked<'a> {
    out: &'a mut dyn Write,
    left: u64,
    digest: Digester,
    /// Of `out`, not of the layer.
    failure: Option<io::Error>,
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its archive is longer now"));
        };
        if let Err(e) = self.out.write_all(bytes) {
            let reason = e.to_string();
            self.failure = Some(e);
            return Err(io::Error::other(reason));
        }
        self.left = left;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
