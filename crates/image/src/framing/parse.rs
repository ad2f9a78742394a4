//! As much of tar as framing needs: where the contents of regular files are, and of which path.
//!
//! A wrong guess here costs nothing but the exactness check of a later rebuild: the bytes are recorded either way.

/// One 512-byte header.
pub(super) struct Header<'a>(pub &'a [u8; 512]);

/// What a header introduces.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum Kind {
    /// Contents that are worth leaving out.
    File,
    /// Extended header with records for the next entry.
    Pax,
    /// GNU long name of the next entry.
    LongName,
    /// GNU sparse file: map blocks may follow the header, so all of it is recorded.
    Sparse,
    /// Anything else; its data, if any, is recorded.
    Other,
}

impl Header<'_> {
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|b| *b == 0)
    }

    pub fn kind(&self) -> Kind {
        match self.0[156] {
            b'0' | b'7' | 0 => Kind::File,
            b'x' => Kind::Pax,
            b'L' => Kind::LongName,
            b'S' => Kind::Sparse,
            _ => Kind::Other,
        }
    }

    /// Bytes of data; none when the field is no number.
    pub fn size(&self) -> Option<u64> {
        let field = &self.0[124..136];
        if field[0] & 0x80 != 0 {
            // GNU base-256: big-endian, top bit set.
            let (high, low) = field.split_at(4);
            let fits = high[0] == 0x80 && high[1..].iter().all(|b| *b == 0);
            return fits.then(|| u64::from_be_bytes(low.try_into().unwrap_or_default()));
        }
        let text = std::str::from_utf8(field).ok()?.trim_matches(|c| c == ' ' || c == '\0');
        if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
    }

    /// The path in the header itself, ustar prefix included.
    pub fn path(&self) -> Vec<u8> {
        let name = until_nul(&self.0[..100]);
        let is_ustar = &self.0[257..263] == b"ustar\0";
        let prefix = if is_ustar { until_nul(&self.0[345..500]) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }
}

pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// What pax records say that matters here.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Pax {
    pub path: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub sparse: bool,
}

impl Pax {
    /// Parses `LENGTH KEY=VALUE\n` records; stops at the first that is none.
    pub fn parse(mut data: &[u8]) -> Self {
        let mut pax = Self::default();
        while let Some((key, value, rest)) = record(data) {
            match key {
                b"path" => pax.path = Some(value.to_vec()),
                b"size" => pax.size = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()),
                key if key.starts_with(b"GNU.sparse.") => pax.sparse = true,
                _ => {}
            }
            data = rest;
        }
        pax
    }
}

fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let line = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = line.iter().position(|b| *b == b'=')?;
    Some((&line[..equals], &line[equals + 1..], &data[length..]))
}
