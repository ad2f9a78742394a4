//! The 512 bytes before each entry (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format").

use crate::error::Malformed;

pub const BLOCK: usize = 512;

/// A header whose checksum is right.
pub struct Header(Box<[u8; BLOCK]>);

/// What the magic says about the fields behind the link name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Before POSIX: no prefix, no device numbers.
    V7,
    Ustar,
    /// Ustar of J. Schilling's star, which keeps times in the end of the prefix.
    Star,
    Gnu,
}

impl Header {
    pub fn new(block: [u8; BLOCK]) -> Result<Self, Malformed> {
        let header = Self(Box::new(block));
        let stored = header.number(148..156, "checksum")?;
        let sum = |signed: bool| -> i64 {
            let byte = |b: u8| if signed { i64::from(b as i8) } else { i64::from(b) };
            block.iter().enumerate().map(|(i, b)| byte(if (148..156).contains(&i) { b' ' } else { *b })).sum()
        };
        // Some old programs summed signed characters; every reader admits both.
        if stored == sum(false) || stored == sum(true) { Ok(header) } else { Err(Malformed::Checksum) }
    }

    pub fn format(&self) -> Format {
        match &self.0[257..265] {
            b"ustar  \0" => Format::Gnu,
            magic if magic.starts_with(b"ustar\0") && &self.0[508..512] == b"tar\0" => Format::Star,
            magic if magic.starts_with(b"ustar\0") => Format::Ustar,
            _ => Format::V7,
        }
    }

    pub fn type_flag(&self) -> u8 {
        self.0[156]
    }

    /// Prefix and name.
    pub fn path(&self) -> Vec<u8> {
        let name = self.text(0..100);
        let prefix = match self.format() {
            Format::Ustar => self.text(345..500),
            Format::Star => self.text(345..476),
            Format::V7 | Format::Gnu => &[],
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub fn link(&self) -> Vec<u8> {
        self.text(157..257).to_vec()
    }

    pub fn mode(&self) -> Result<u32, Malformed> {
        // Some writers keep the file type here too; the permission bits are all that counts.
        Ok((self.number(100..108, "mode")? & 0o7777) as u32)
    }

    pub fn uid(&self) -> Result<u32, Malformed> {
        u32::try_from(self.number(108..116, "uid")?).map_err(|_| Malformed::Number("uid"))
    }

    pub fn gid(&self) -> Result<u32, Malformed> {
        u32::try_from(self.number(116..124, "gid")?).map_err(|_| Malformed::Number("gid"))
    }

    pub fn size(&self) -> Result<u64, Malformed> {
        u64::try_from(self.number(124..136, "size")?).map_err(|_| Malformed::Number("size"))
    }

    /// Seconds since 1970; before it too.
    pub fn mtime(&self) -> Result<i64, Malformed> {
        self.number(136..148, "mtime")
    }

    pub fn device(&self) -> Result<(u32, u32), Malformed> {
        if self.format() == Format::V7 {
            return Ok((0, 0));
        }
        let part =
            |range, name| u32::try_from(self.number(range, name)?).map_err(|_| Malformed::Number(name));
        Ok((part(329..337, "device major")?, part(337..345, "device minor")?))
    }

    /// The bytes of a field that only some formats have.
    pub fn field(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.0[range]
    }

    fn text(&self, range: std::ops::Range<usize>) -> &[u8] {
        self.0[range].split(|b| *b == 0).next().unwrap_or_default()
    }

    fn number(&self, range: std::ops::Range<usize>, name: &'static str) -> Result<i64, Malformed> {
        number(&self.0[range]).ok_or(Malformed::Number(name))
    }
}

/// A numeric field: octal digits between spaces and NULs, or, when the first bit is set, GNU's big-endian two's
/// complement. An empty field is zero.
pub fn number(field: &[u8]) -> Option<i64> {
    if field.first()? & 0x80 != 0 {
        return base_256(field);
    }
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if !digits[end..].iter().all(blank) {
        return None;
    }
    digits[..end].iter().try_fold(0i64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(i64::from(b - b'0')),
        _ => None,
    })
}

fn base_256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    // The marker bit repeats the sign when it is taken away.
    let first = if negative { field[0] as i8 } else { (field[0] & 0x7f) as i8 };
    field[1..].iter().try_fold(i64::from(first), |n, b| n.checked_mul(256)?.checked_add(i64::from(*b)))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_as_every_writer_writes_them() {
        let check = |field: &[u8], expect: Option<i64>| assert_eq!(number(field), expect, "{field:?}");
        check(b"0000644\0", Some(0o644));
        check(b"   644 \0", Some(0o644));
        check(b"\0\0\0\0", Some(0));
        check(b"644", Some(0o644));
        check(b"648\0", None);
        check(b"6 4\0", None);
        check(b"-1\0\0", None);
        check(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0], Some(8 << 30 >> 8));
        check(&[0xff; 12], Some(-1));
        check(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], None);
    }
}
