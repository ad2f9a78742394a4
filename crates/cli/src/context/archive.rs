//! `context export` and `context import`: a context with its keys as one archive, in docker's form.
//!
//! `meta.json` is the context; `tls/ENDPOINT/NAME` are its TLS files. An archive comes from someone else: names other
//! than these are refused, and so is what is larger than any context could be.

use std::fs::OpenOptions;
use std::io::{Cursor, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use crate::args::{Action, Arity, Command, Parsed};
use crate::cli::{Cli, complain, print, println, stdout_is_terminal};
use crate::config::contexts::{Context, Contexts, TlsFile, check_name};
use crate::error::Error;

pub static EXPORT: Command = Command {
    usage: "[OPTIONS] CONTEXT [FILE|-]",
    about: "Export a context to a tar archive FILE or a tar stream on standard output",
    arity: Arity::Between(1, 2),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(export(cli, args))),
};

pub static IMPORT: Command = Command {
    usage: "CONTEXT FILE|-",
    about: "Import a context from a tar or zip file",
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[],
    action: Action::Run(|cli, args| Box::pin(import(cli, args))),
};

/// docker takes no more either.
const LARGEST: u64 = 10 << 20;
const BLOCK: usize = 512;

async fn export(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let name = args.args[0].as_str();
    let contexts = Contexts::new(&cli.config()?.dir);
    let (context, files) = super::create::load(cli, &contexts, name)?;
    let archive = pack(&context, &files).map_err(Error::io("write an archive"))?;
    let target = args.args.get(1).cloned().unwrap_or_else(|| format!("{name}.dockercontext"));
    if target == "-" {
        if stdout_is_terminal() {
            return Err(Error::invalid("cowardly refusing to export to a terminal, specify a file path"));
        }
        return print(archive).map(|()| 0);
    }
    // Keys may be inside; and a file that is there is not for us to replace.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target);
    let written = file.and_then(|mut file| file.write_all(&archive));
    written.map_err(Error::file("open", &target))?;
    complain(format!("Written file \"{target}\""));
    Ok(0)
}

async fn import(cli: &Cli, args: &Parsed) -> Result<i32, Error> {
    let (name, source) = (args.args[0].as_str(), args.args[1].as_str());
    check_name(name)?;
    let contexts = Contexts::new(&cli.config()?.dir);
    if contexts.get(name).is_ok() {
        return Err(Error::invalid(format!("context \"{name}\" already exists")));
    }
    let bytes = match source {
        "-" => limited(std::io::stdin().lock()).map_err(Error::io("read stdin"))?,
        path => std::fs::File::open(path).and_then(limited).map_err(Error::file("open", path))?,
    };
    let (mut context, files) = unpack(&bytes)?;
    context.name = name.into();
    super::create::save(&contexts, &context, &files)?;
    println(name)?;
    complain(format!("Successfully imported context \"{name}\""));
    Ok(0)
}

fn limited(mut from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.by_ref().take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(std::io::Error::other(format!("more than {LARGEST} bytes are no context"))),
        false => Ok(bytes),
    }
}

fn pack(context: &Context, files: &[TlsFile]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut entry = |name: &str, mode: u32, kind: tar::EntryType, data: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        archive.append_data(&mut header, name, data)
    };
    entry("meta.json", 0o644, tar::EntryType::Regular, &serde_json::to_vec(context)?)?;
    entry("tls", 0o700, tar::EntryType::Directory, &[])?;
    let mut last = "";
    for file in files {
        if last != file.endpoint {
            entry(&format!("tls/{}", file.endpoint), 0o700, tar::EntryType::Directory, &[])?;
            last = &file.endpoint;
        }
        let name = format!("tls/{}/{}", file.endpoint, file.name);
        entry(&name, 0o600, tar::EntryType::Regular, &file.data)?;
    }
    archive.into_inner()
}

/// A tar or a zip archive; each begins with its own sign.
fn unpack(bytes: &[u8]) -> Result<(Context, Vec<TlsFile>), Error> {
    let entries = if bytes.starts_with(b"PK\x03\x04") { from_zip(bytes)? } else { from_tar(bytes)? };
    let (mut context, mut files) = (None, Vec::new());
    for (name, data) in entries {
        let parts: Vec<&str> = name.trim_start_matches("./").trim_matches('/').split('/').collect();
        match parts[..] {
            ["meta.json"] => {
                let read = serde_json::from_slice(&data);
                let read =
                    read.map_err(|error| Error::invalid(format!("invalid context: meta.json: {error}")))?;
                context = Some(read);
            }
            ["tls", endpoint, file] if plain(endpoint) && plain(file) => {
                files.push(TlsFile { endpoint: endpoint.into(), name: file.into(), data });
            }
            _ => return Err(Error::invalid(format!("invalid context: unexpected file {name:?}"))),
        }
    }
    context
        .map(|context| (context, files))
        .ok_or_else(|| Error::invalid("invalid context: no metadata found"))
}

/// A name that stays in the directory it is put in.
fn plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('\0')
}

type Files = Vec<(String, Vec<u8>)>;

fn from_tar(bytes: &[u8]) -> Result<Files, Error> {
    let broken = Error::io("read the archive");
    tar_entries(bytes).map_err(broken)
}

fn tar_entries(bytes: &[u8]) -> std::io::Result<Files> {
    // docker's own archives lack the end of their last block and the two empty ones that follow.
    let padding = bytes.len().next_multiple_of(BLOCK) - bytes.len() + 2 * BLOCK;
    let mut archive = tar::Archive::new(Cursor::new(bytes).chain(std::io::repeat(0).take(padding as u64)));
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let end = entry.raw_file_position().saturating_add(entry.size());
        if !entry.header().entry_type().is_file() || end > bytes.len() as u64 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut data = Vec::new();
        entry.read_to_end(&mut data)?;
        files.push((name, data));
    }
    Ok(files)
}

fn from_zip(bytes: &[u8]) -> Result<Files, Error> {
    let broken = |error: zip::result::ZipError| Error::invalid(format!("read the archive: {error}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let (mut files, mut left) = (Vec::new(), LARGEST);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(broken)?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().map_err(broken)?.into_owned();
        let mut data = Vec::new();
        // What unpacks to more than is allowed is cut off, and refused by that.
        entry.take(left + 1).read_to_end(&mut data).map_err(Error::io("read the archive"))?;
        left = left
            .checked_sub(data.len() as u64)
            .ok_or_else(|| Error::invalid(format!("invalid context: more than {LARGEST} bytes")))?;
        files.push((name, data));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Context, Vec<TlsFile>) {
        let context = Context { name: "one".into(), ..Context::default() };
        let file = |name: &str, data: &[u8]| TlsFile {
            endpoint: "docker".into(),
            name: name.into(),
            data: data.into(),
        };
        (context, vec![file("ca.pem", b"authority"), file("key.pem", b"secret")])
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let (context, files) = sample();
        let (read, read_files) = unpack(&pack(&context, &files).unwrap()).unwrap();
        assert_eq!((read.name, read_files), (context.name, files));
    }

    #[test]
    fn an_archive_may_lack_its_end_but_no_byte_of_a_file() {
        let (context, files) = sample();
        let whole = pack(&context, &files).unwrap();
        let end = whole.windows(6).position(|w| w == b"secret").unwrap() + 6;
        assert_eq!(unpack(&whole[..end]).unwrap().1, files);
        assert!(unpack(&whole[..end - 1]).is_err());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["tls/docker/../../x", "etc/passwd", "tls/../x", "tls/a/b/c", "meta.json/x"] {
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_ustar();
            header.set_size(2);
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, &b"{}"[..]).unwrap();
            let error = unpack(&archive.into_inner().unwrap()).unwrap_err().to_string();
            assert!(error.contains("unexpected file"), "{name}: {error}");
        }
        assert!(unpack(b"garbage").is_err());
    }
}
