//! How much an archive may ask for.

/// Bounds on one archive. An archive beyond one of them is refused with [`crate::Error::Limit`], which names it.
///
/// The defaults admit every layer seen on public registries with room to spare; they exist so that a few kilobytes
/// cannot claim the disk, the memory or the inodes of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries in one archive.
    pub entries: u64,
    /// Bytes of one file as it will be seen, holes of a sparse file included.
    pub file_bytes: u64,
    /// Bytes written for all files together; holes cost nothing.
    pub total_bytes: u64,
    /// Bytes of one entry's path or link target (`PATH_MAX` is 4096, and longer ones cannot be opened).
    pub path_bytes: usize,
    /// Directories above one entry.
    pub depth: usize,
    /// Bytes of one entry's pax records or GNU long name.
    pub extension_bytes: u64,
    /// Segments of one sparse file.
    pub sparse_segments: usize,
    /// Archive bytes for each blob byte. gzip reaches 1,032 at the most; zstd has no bound of its own.
    pub ratio: u64,
    /// Archive bytes that any blob may reach before [`Limits::ratio`] counts.
    pub ratio_free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            entries: 4_000_000,
            file_bytes: 1024 * GIB,
            total_bytes: 1024 * GIB,
            path_bytes: 4096,
            depth: 512,
            extension_bytes: 1 << 20,
            sparse_segments: 1 << 18,
            ratio: 1200,
            ratio_free_bytes: GIB,
        }
    }
}
