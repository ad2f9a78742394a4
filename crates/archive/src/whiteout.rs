//! Whiteouts: how a layer says that something below it is gone.
//!
//! In an archive (OCI image-spec, layer.md, "Whiteouts") an empty file `.wh.NAME` removes `NAME` of the layers below,
//! and `.wh..wh..opq` hides everything the layers below have in its directory. Both speak of lower layers only: a
//! `NAME` of the same archive stays, wherever in the archive it stands.
//!
//! A kernel overlay has its own marks (`Documentation/filesystems/overlayfs.rst`): a character device 0:0 removes, the
//! extended attribute `user.overlay.opaque=y` hides (`trusted.overlay.opaque` without the mount option `userxattr`).
//! Since Linux 5.8 mknod(2) of 0:0 needs no capability.

/// What an extractor does with whiteouts, which is what the tree it fills is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// The tree is one layer of a kernel overlay mounted with `userxattr`: translate to the kernel's marks.
    Overlay,
    /// The tree is a copy of the layers below: carry them out.
    Apply,
    /// The archive is no layer: a file that is named like a whiteout is a file (`docker cp`).
    Literal,
}

/// Prefix of a whiteout's name.
pub const PREFIX: &[u8] = b".wh.";
/// Name of the mark of an opaque directory. Other names with [`PREFIX`] twice are AUFS' own files, and are skipped.
pub const OPAQUE: &[u8] = b".wh..wh..opq";
/// The kernel's mark of an opaque directory.
pub const OVERLAY_OPAQUE: &str = "user.overlay.opaque";
