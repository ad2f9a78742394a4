//! Files with holes: GNU tar's four ways to write them (GNU tar manual, "Storing Sparse Files").
//!
//! All come down to segments of data, stored one behind the other, and where in the file each belongs.

use super::{
    header::{BLOCK, Header, number},
    pax::{Record, decimal},
};
use crate::error::Malformed;

/// Data at one place of a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub offset: u64,
    pub length: u64,
}

/// Where the map of an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Pax 0.0 and 0.1: in the records.
    Known(Vec<Segment>),
    /// Entry type `S`: in the header and in blocks behind it.
    GnuHeader,
    /// Pax 1.0: at the start of the data.
    Data,
}

/// What the pax records say about holes.
#[derive(Debug, Default)]
pub struct PaxSparse {
    version: (Option<u64>, Option<u64>),
    pairs: Vec<u64>,
    map: Option<Vec<u64>>,
    pub real_size: Option<u64>,
    pub path: Option<Vec<u8>>,
}

impl PaxSparse {
    /// Takes in one `GNU.sparse.*` record.
    pub fn record(&mut self, (key, value): &Record) -> Result<(), Malformed> {
        let wrong = || Malformed::PaxValue(String::from_utf8_lossy(key).into_owned());
        let number = || decimal(value).ok_or_else(wrong);
        match &key[b"GNU.sparse.".len()..] {
            b"major" => self.version.0 = Some(number()?),
            b"minor" => self.version.1 = Some(number()?),
            b"size" | b"realsize" => self.real_size = Some(number()?),
            // Version 0.0 repeats these two, in this order; the number of blocks says no more than their count.
            b"offset" if self.pairs.len().is_multiple_of(2) => self.pairs.push(number()?),
            b"numbytes" if self.pairs.len() % 2 == 1 => self.pairs.push(number()?),
            b"numblocks" => drop(number()?),
            b"map" => {
                self.map =
                    Some(value.split(|b| *b == b',').map(decimal).collect::<Option<_>>().ok_or_else(wrong)?)
            }
            b"name" => self.path = Some(value.clone()),
            _ => return Err(wrong()),
        }
        Ok(())
    }

    /// Whether the records make the entry a sparse file, and where its map is.
    pub fn source(&mut self) -> Result<Option<Source>, Malformed> {
        let numbers = match self.version {
            (Some(1), Some(0)) if self.pairs.is_empty() && self.map.is_none() => {
                return self.sized(Source::Data);
            }
            (None | Some(0), None | Some(0 | 1)) => match (self.map.take(), self.pairs.is_empty()) {
                (None, true) if self.real_size.is_none() => return Ok(None),
                (None, _) => std::mem::take(&mut self.pairs),
                (Some(map), true) => map,
                (Some(_), false) => return Err(Malformed::SparseMap),
            },
            _ => return Err(Malformed::SparseMap),
        };
        self.sized(Source::Known(segments(&numbers)?))
    }

    fn sized(&self, source: Source) -> Result<Option<Source>, Malformed> {
        if self.real_size.is_none() { Err(Malformed::SparseMap) } else { Ok(Some(source)) }
    }
}

fn segments(numbers: &[u64]) -> Result<Vec<Segment>, Malformed> {
    if !numbers.len().is_multiple_of(2) {
        return Err(Malformed::SparseMap);
    }
    Ok(numbers.chunks_exact(2).map(|pair| Segment { offset: pair[0], length: pair[1] }).collect())
}

/// Segments must come in order, within the file, and account for all stored data.
pub fn check(segments: &[Segment], size: u64, stored: u64) -> Result<(), Malformed> {
    let mut end = 0;
    let mut total = 0u64;
    for segment in segments {
        if segment.offset < end {
            return Err(Malformed::SparseMap);
        }
        end =
            segment.offset.checked_add(segment.length).filter(|e| *e <= size).ok_or(Malformed::SparseMap)?;
        total += segment.length;
    }
    if total == stored { Ok(()) } else { Err(Malformed::SparseMap) }
}

/// The map of an entry of type `S`: four segments in the header, 21 in each further block.
pub struct OldGnu {
    fields: Vec<u8>,
    continues: bool,
}

impl OldGnu {
    pub fn new(header: &Header) -> Self {
        Self { fields: header.field(386..482).to_vec(), continues: header.field(482..483)[0] != 0 }
    }

    /// The file's size with its holes.
    pub fn real_size(header: &Header) -> Result<u64, Malformed> {
        let field = number(header.field(483..495)).ok_or(Malformed::Number("real size"))?;
        u64::try_from(field).map_err(|_| Malformed::Number("real size"))
    }

    pub fn continues(&self) -> bool {
        self.continues
    }

    pub fn len(&self) -> usize {
        self.fields.len() / 24
    }

    pub fn extend(&mut self, block: &[u8; BLOCK]) -> Result<(), Malformed> {
        self.fields.extend_from_slice(&block[..504]);
        self.continues = block[504] != 0;
        Ok(())
    }

    pub fn finish(self) -> Result<Vec<Segment>, Malformed> {
        let field = |bytes| number(bytes).and_then(|n| u64::try_from(n).ok()).ok_or(Malformed::SparseMap);
        self.fields
            .chunks_exact(24)
            .take_while(|pair| pair[0] != 0)
            .map(|pair| Ok(Segment { offset: field(&pair[..12])?, length: field(&pair[12..])? }))
            .collect()
    }
}

/// The map of pax 1.0: a count and as many pairs, decimal lines, in whole blocks before the data.
pub struct DataMap {
    numbers: Vec<u64>,
    partial: Vec<u8>,
    most: usize,
}

impl DataMap {
    pub fn new(most: usize) -> Self {
        Self { numbers: Vec::new(), partial: Vec::new(), most }
    }

    pub fn complete(&self) -> bool {
        self.numbers.first().is_some_and(|count| self.numbers.len() as u64 > count.saturating_mul(2))
    }

    pub fn extend(&mut self, block: &[u8; BLOCK]) -> Result<(), Malformed> {
        for byte in block {
            if self.complete() {
                break; // What fills the block.
            }
            match byte {
                b'\n' => {
                    self.numbers.push(decimal(&self.partial).ok_or(Malformed::SparseMap)?);
                    self.partial.clear();
                }
                b'0'..=b'9' if self.partial.len() < 20 => self.partial.push(*byte),
                _ => return Err(Malformed::SparseMap),
            }
            if self.numbers.first().is_some_and(|count| *count > self.most as u64) {
                return Err(Malformed::SparseMap);
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Vec<Segment> {
        self.numbers[1..].chunks_exact(2).map(|pair| Segment { offset: pair[0], length: pair[1] }).collect()
    }
}
