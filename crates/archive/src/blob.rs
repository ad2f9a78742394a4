//! What one pass over a blob tells about it.

use model::Digest;

/// What [`crate::unpack::layer`] found while it unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedLayer {
    /// Digest of the blob as it was read, for comparison with the manifest.
    pub blob_digest: Digest,
    /// Bytes of the blob.
    pub blob_size: u64,
    /// Digest of the uncompressed archive, for comparison with the configuration's `rootfs.diff_ids`.
    pub diff_id: Digest,
    /// Bytes of the uncompressed archive.
    pub archive_size: u64,
    pub compression: Compression,
    pub contents: Contents,
}

/// What an archive put into a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contents {
    pub entries: u64,
    /// Files, directories and everything else that was made.
    pub inodes: u64,
    /// Sum of the sizes of regular files, each hard-linked one once; Docker's "size" of a layer.
    pub file_bytes: u64,
    /// Device nodes left out: no user namespace but the first may make them (mknod(2), `EPERM`).
    pub skipped_devices: u64,
    /// Extended attributes left out, because the file system or the user namespace refuses their kind.
    pub skipped_xattrs: u64,
    /// Whether an entry said what the root itself is like.
    pub has_root: bool,
}

/// How a blob is compressed, told by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    None,
    /// RFC 1952; any number of members, as `pigz` and `bgzip` write them.
    Gzip,
    /// RFC 8878; any number of frames, skippable ones included.
    Zstd,
    /// Any number of streams.
    Bzip2,
    /// Any number of streams, and padding (the .xz file format, version 1.2.1).
    Xz,
}
