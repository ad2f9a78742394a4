//! New volumes start with what the image has at their place (moby `populateVolume`).

use crate::{
    Engine, Error,
    container::record::MountKind,
    create::Invalid,
    mounts::{self, Wanted},
};
use archive::{
    at, pack,
    unpack::{self, Ownership},
    whiteout::Whiteouts,
};
use model::Id;
use rustix::{
    fs::{FileType, Mode, OFlags, fchmod, fchown, fstat},
    io::Errno,
};
use std::{
    io::{self, BufReader, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Copies the image's files into each empty volume that wants them. Blocks.
pub(super) fn populate(engine: &Engine, id: &Id, wanted: &[Wanted]) -> Result<(), Error> {
    let volumes: Vec<_> = wanted.iter().filter(|w| w.copy && w.mount.kind == MountKind::Volume).collect();
    let mut root = None;
    for Wanted { mount, .. } in volumes {
        let source_path = match mounts::plan::below(PathBuf::from(&mount.source), &mount.subpath) {
            // Missing, or leading out of the volume: the start says so.
            Err(Error::NotAccessible { .. } | Error::EscapesVolume { .. }) => continue,
            found => found?,
        };
        let Some(volume) = open_directory(&source_path)? else { continue };
        if !is_empty(volume.as_fd()).map_err(Error::file("read directory", &mount.source))? {
            continue;
        }
        // Mounted once, and only when a volume asks for it.
        let root: &OwnedFd = match &mut root {
            Some(root) => root,
            none => none.insert(sys::overlay::mount_detached(&engine.snapshots.rootfs(id)?)?),
        };
        if let Some(source) = source(root.as_fd(), &mount.destination, mount.anonymous)? {
            copy(source.as_fd(), volume.as_fd(), engine.config.gids.len() > 1)?;
        }
    }
    Ok(())
}

/// None when it is a file, which a subpath may name.
fn open_directory(path: &Path) -> Result<Option<OwnedFd>, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOTDIR) => Ok(None),
        opened => opened.map(Some).map_err(|errno| Error::file("open directory", path)(errno.into())),
    }
}

fn is_empty(directory: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(at::names(directory)?.is_empty())
}

/// The image's directory at a volume's place; none when there is nothing, or, for a volume with a name, no directory.
fn source(root: BorrowedFd<'_>, destination: &str, anonymous: bool) -> Result<Option<OwnedFd>, Error> {
    let opened = at::open_in_root(root, destination.as_bytes(), OFlags::PATH | OFlags::CLOEXEC);
    let found = match opened {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        found => found.map_err(Error::file("open in the image", destination))?,
    };
    let kind = fstat(&found).map(|s| FileType::from_raw_mode(s.st_mode)).map_err(io::Error::from);
    match kind.map_err(Error::file("look at", destination))? {
        FileType::Directory => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            at::open_in_root(root, destination.as_bytes(), flags)
                .map(Some)
                .map_err(Error::file("open in the image", destination))
        }
        _ if anonymous => Err(Invalid::VolumeOverFile(destination.to_owned()).into()),
        _ => Ok(None),
    }
}

/// Everything below `from`, through an archive, so that links, owners, times and attributes come along; and the owner
/// and mode of the directory itself.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, many_ids: bool) -> Result<(), Error> {
    let options = unpack::Options {
        whiteouts: Whiteouts::Literal,
        ownership: if many_ids { Ownership::Archive } else { Ownership::Recorded },
        overwrite_kinds: false,
        limits: archive::Limits::default(),
        below: None,
    };
    let (reader, writer) = io::pipe().map_err(|source| Error::Stream { operation: "make a pipe", source })?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let mut writer = io::BufWriter::new(writer);
            pack::tree(from, &mut writer)?;
            writer.flush().map_err(archive::Error::Write)
        });
        let unpacked = unpack::archive(BufReader::new(reader), to, &options);
        let packed = packing.join().map_err(|_| Error::Panicked { operation: "fill a volume" })?;
        unpacked?;
        packed.map_err(Error::from)
    })?;
    own(from, to).map_err(|source| Error::Stream { operation: "own the volume as the image has it", source })
}

fn own(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let stat = fstat(from)?;
    fchown(to, Some(rustix::fs::Uid::from_raw(stat.st_uid)), Some(rustix::fs::Gid::from_raw(stat.st_gid)))?;
    Ok(fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?)
}
