//! Unpacks a layer blob into a directory and says how long it took: `unpack BLOB DIRECTORY`.

use archive::{
    Limits,
    unpack::{self, Options, Ownership},
    whiteout::Whiteouts,
};
use std::{error::Error, fs::File, os::fd::AsFd, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(blob), Some(directory)) = (args.next(), args.next()) else {
        return Err("usage: unpack BLOB DIRECTORY".into());
    };
    let options = Options {
        whiteouts: Whiteouts::Overlay,
        ownership: Ownership::Archive,
        overwrite_kinds: true,
        limits: Limits::default(),
        below: None,
    };
    let start = Instant::now();
    let unpacked = unpack::layer(File::open(blob)?, File::open(directory)?.as_fd(), &options)?;
    println!("{:?} {unpacked:#?}", start.elapsed());
    Ok(())
}
