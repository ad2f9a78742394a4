//! systemd's journal, by its native protocol.
//!
//! One datagram an entry, of fields as lines (systemd `docs/JOURNAL_NATIVE_PROTOCOL.md`); what is too large for a
//! datagram goes as a sealed memory file, of which the datagram carries the descriptor alone. The fields are those of
//! Docker's driver (moby `daemon/logger/journald/journald.go`), because people's filters name them.

use crate::{Entry, Error, Identity, Result, Stream};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, sockopt,
};
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

/// systemd-journald.service(8).
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a journal that reads nothing is waited for at a time.
const PATIENCE: Duration = Duration::from_secs(5);

/// syslog(3), `LOG_ERR` and `LOG_INFO`.
const ERROR: u8 = 3;
const INFO: u8 = 6;

/// The journal, for one container.
#[derive(Debug)]
pub struct Journald {
    path: PathBuf,
    socket: OwnedFd,
    /// The fields that all entries share.
    common: Vec<u8>,
    ordinal: u64,
    pieces: [Pieces; 2],
}

/// The line of one stream that is being given out in pieces.
#[derive(Debug, Default)]
struct Pieces {
    id: String,
    ordinal: u32,
}

impl Journald {
    pub(crate) fn new(path: PathBuf, identity: &Identity) -> Result<Self> {
        let failed = |source: Errno| Error::Journal {
            operation: "open a socket for",
            path: path.clone(),
            source: source.into(),
        };
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).map_err(failed)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(PATIENCE)).map_err(failed)?;
        let epoch = random_id().map_err(failed)?;
        // The epoch tells this writer's ordinals from an earlier one's.
        let mut common = Vec::new();
        let id = identity.id.as_str();
        for (name, value) in [
            ("CONTAINER_ID", &id[..id.len().min(12)]),
            ("CONTAINER_ID_FULL", id),
            ("CONTAINER_NAME", &identity.name),
            ("CONTAINER_TAG", &identity.tag),
            ("SYSLOG_IDENTIFIER", &identity.tag),
            ("IMAGE_NAME", &identity.image),
            ("CONTAINER_LOG_EPOCH", &epoch),
        ] {
            field(&mut common, name, value.as_bytes());
        }
        for (name, value) in &identity.attributes {
            let name = field_name(name);
            if !name.is_empty() {
                field(&mut common, &name, value.as_bytes());
            }
        }
        Ok(Self { path, socket, common, ordinal: 0, pieces: <[Pieces; 2]>::default() })
    }

    pub(crate) fn check(&self) -> Result<()> {
        let no_journal = |source: Errno| Error::NoJournal { path: self.path.clone(), source: source.into() };
        let address = SocketAddrUnix::new(&self.path).map_err(no_journal)?;
        let flags = SocketFlags::CLOEXEC;
        let probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
            .map_err(no_journal)?;
        rustix::net::connect(&probe, &address).map_err(no_journal)
    }

    pub(crate) fn deliver(&mut self, entry: &Entry) -> Result<()> {
        let message = self.message(entry).map_err(|e| self.failed("describe an entry for")(e))?;
        self.send(&message)?;
        // Only now: an entry that is tried again is the same one.
        self.ordinal += 1;
        self.advance(entry);
        Ok(())
    }

    fn message(&mut self, entry: &Entry) -> std::result::Result<Vec<u8>, Errno> {
        let (text, ends) = entry.text();
        let mut out = self.common.clone();
        field(&mut out, "MESSAGE", text);
        let priority = if entry.stream == Stream::Stderr { ERROR } else { INFO };
        field(&mut out, "PRIORITY", priority.to_string().as_bytes());
        field(&mut out, "SYSLOG_TIMESTAMP", entry.at.to_string().as_bytes());
        field(&mut out, "CONTAINER_LOG_ORDINAL", (self.ordinal + 1).to_string().as_bytes());
        let pieces = &mut self.pieces[usize::from(entry.stream == Stream::Stderr)];
        if ends && pieces.id.is_empty() {
            return Ok(out);
        }
        if pieces.id.is_empty() {
            *pieces = Pieces { id: random_id()?, ordinal: 1 };
        }
        field(&mut out, "CONTAINER_PARTIAL_ID", pieces.id.as_bytes());
        field(&mut out, "CONTAINER_PARTIAL_ORDINAL", pieces.ordinal.to_string().as_bytes());
        field(&mut out, "CONTAINER_PARTIAL_LAST", ends.to_string().as_bytes());
        if !ends {
            field(&mut out, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        Ok(out)
    }

    fn advance(&mut self, entry: &Entry) {
        let pieces = &mut self.pieces[usize::from(entry.stream == Stream::Stderr)];
        if entry.text().1 {
            *pieces = Pieces::default();
        } else {
            pieces.ordinal += 1;
        }
    }

    fn send(&self, message: &[u8]) -> Result<()> {
        let failed = self.failed("send to");
        let address = SocketAddrUnix::new(&self.path).map_err(&failed)?;
        loop {
            match rustix::net::sendto(&self.socket, message, SendFlags::NOSIGNAL, &address) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                // Larger than the socket's buffer, or than the kernel has memory in one piece for.
                Err(Errno::MSGSIZE | Errno::NOBUFS) => return self.send_file(message, &address),
                Err(e) => return Err(failed(e)),
            }
        }
    }

    /// journald takes a file only when nobody can change it any more.
    fn send_file(&self, message: &[u8], address: &SocketAddrUnix) -> Result<()> {
        let failed = self.failed("send a large entry to");
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = std::fs::File::from(rustix::fs::memfd_create("journal", flags).map_err(&failed)?);
        file.write_all(message).map_err(|source| Error::Journal {
            operation: "write a large entry for",
            path: self.path.clone(),
            source,
        })?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals).map_err(&failed)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = [file.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)), "there is room for one");
        let none: [IoSlice<'_>; 0] = [];
        rustix::net::sendmsg_addr(&self.socket, address, &none, &mut ancillary, SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(failed)
    }

    fn failed(&self, operation: &'static str) -> impl Fn(Errno) -> Error + 'static {
        let path = self.path.clone();
        move |source| Error::Journal { operation, path: path.clone(), source: io::Error::from(source) }
    }
}

/// `NAME=value`, or, where the value has lines of its own, the name, the length in eight bytes and the value.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// What journald accepts: capitals, digits and underscores, the first no underscore, which marks fields that it sets
/// itself, and no digit; at most 64.
fn field_name(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    name.trim_start_matches(|c: char| c == '_' || c.is_ascii_digit()).chars().take(64).collect()
}

fn random_id() -> std::result::Result<String, Errno> {
    let mut bytes = [0u8; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
    use std::collections::BTreeMap;
    use std::io::{IoSliceMut, Read, Seek};
    use std::os::unix::net::UnixDatagram;

    fn identity(attributes: &[(&str, &str)]) -> Identity {
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let (name, image) = ("web".to_owned(), "busybox".to_owned());
        Identity { id: "0123456789abcdef".into(), name, image, tag: "the tag".into(), attributes }
    }

    /// What a server gets: the datagram, or the file that came instead of one.
    fn receive(server: &UnixDatagram) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut bytes)];
        let n = rustix::net::recvmsg(server, slices, &mut ancillary, RecvFlags::empty()).unwrap().bytes;
        bytes.truncate(n);
        for message in ancillary.drain() {
            let RecvAncillaryMessage::ScmRights(rights) = message else { continue };
            for fd in rights {
                assert_eq!(n, 0, "the file is all there is");
                let seals = rustix::fs::fcntl_get_seals(&fd).unwrap();
                assert!(
                    seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
                );
                let mut file = std::fs::File::from(fd);
                file.rewind().unwrap();
                file.read_to_end(&mut bytes).unwrap();
            }
        }
        bytes
    }

    /// The protocol, read back.
    fn fields(mut bytes: &[u8]) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|b| matches!(b, b'=' | b'\n')).unwrap();
            let name = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let (value, rest) = if bytes[end] == b'=' {
                let length = bytes[end..].iter().position(|b| *b == b'\n').unwrap();
                (&bytes[end + 1..end + length], &bytes[end + length + 1..])
            } else {
                let length = u64::from_le_bytes(bytes[end + 1..end + 9].try_into().unwrap()) as usize;
                assert_eq!(bytes[end + 9 + length], b'\n');
                (&bytes[end + 9..end + 9 + length], &bytes[end + 10 + length..])
            };
            found.insert(name, String::from_utf8(value.to_vec()).unwrap());
            bytes = rest;
        }
        found
    }

    fn entry(stream: Stream, line: &str) -> Entry {
        Entry { stream, at: Timestamp::from_unix(1, 5), line: line.into() }
    }

    #[test]
    fn an_entry_has_dockers_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let mut journal =
            Journald::new(path.clone(), &identity(&[("com.example/tier", "a\nb"), ("_X1", "y")])).unwrap();
        let missing = journal.check().unwrap_err().to_string();
        assert!(missing.starts_with("journald is not enabled on this host"), "{missing}");
        let server = UnixDatagram::bind(&path).unwrap();
        journal.check().unwrap();
        journal.deliver(&entry(Stream::Stderr, "hello\n")).unwrap();
        let mut seen = fields(&receive(&server));
        assert_eq!(seen.remove("CONTAINER_LOG_EPOCH").unwrap().len(), 64);
        let expect = [
            ("COM_EXAMPLE_TIER", "a\nb"),
            ("CONTAINER_ID", "0123456789ab"),
            ("CONTAINER_ID_FULL", "0123456789abcdef"),
            ("CONTAINER_LOG_ORDINAL", "1"),
            ("CONTAINER_NAME", "web"),
            ("CONTAINER_TAG", "the tag"),
            ("IMAGE_NAME", "busybox"),
            ("MESSAGE", "hello"),
            ("PRIORITY", "3"),
            ("SYSLOG_IDENTIFIER", "the tag"),
            ("SYSLOG_TIMESTAMP", "1970-01-01T00:00:01.000000005Z"),
            ("X1", "y"),
        ];
        let seen: Vec<_> = seen.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(seen, expect);
    }

    #[test]
    fn pieces_of_a_line_say_so_and_a_restarted_journal_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let mut journal = Journald::new(path.clone(), &identity(&[])).unwrap();
        let server = UnixDatagram::bind(&path).unwrap();
        journal.deliver(&entry(Stream::Stdout, "one")).unwrap();
        let first = fields(&receive(&server));
        drop(server);
        journal.deliver(&entry(Stream::Stdout, "two\n")).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        let server = UnixDatagram::bind(&path).unwrap();
        for line in ["two\n", "three\n"] {
            journal.deliver(&entry(Stream::Stdout, line)).unwrap();
        }
        let (second, third) = (fields(&receive(&server)), fields(&receive(&server)));
        assert_eq!(
            (first["CONTAINER_PARTIAL_MESSAGE"].as_str(), first["CONTAINER_PARTIAL_LAST"].as_str()),
            ("true", "false")
        );
        assert_eq!(first["CONTAINER_PARTIAL_ID"], second["CONTAINER_PARTIAL_ID"]);
        assert_eq!(
            (second["CONTAINER_PARTIAL_ORDINAL"].as_str(), second["CONTAINER_PARTIAL_LAST"].as_str()),
            ("2", "true")
        );
        assert_eq!((third.get("CONTAINER_PARTIAL_ID"), third["CONTAINER_LOG_ORDINAL"].as_str()), (None, "3"));
    }

    #[test]
    fn what_no_datagram_holds_goes_as_a_sealed_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let server = UnixDatagram::bind(&path).unwrap();
        let large = "x".repeat(600_000);
        let mut journal = Journald::new(path, &identity(&[("large", &large)])).unwrap();
        journal.deliver(&entry(Stream::Stdout, "hello\n")).unwrap();
        let seen = fields(&receive(&server));
        assert_eq!((seen["MESSAGE"].as_str(), seen["LARGE"].len()), ("hello", large.len()));
    }

    #[test]
    fn names_of_fields_are_what_the_journal_takes() {
        for (name, expect) in [("a.b-c", "A_B_C"), ("__x", "X"), ("9to5", "TO5"), ("ü", ""), ("___", "")] {
            assert_eq!(field_name(name), expect);
        }
    }
}
