//! SHA-256 of a stream.

use model::Digest;

#[derive(Clone)]
pub(crate) struct Digester {
    context: ring::digest::Context,
    bytes: u64,
}

impl Digester {
    pub fn new() -> Self {
        Self { context: ring::digest::Context::new(&ring::digest::SHA256), bytes: 0 }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// How many bytes there were so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn finish(self) -> Digest {
        let hash = self.context.finish();
        let mut array = [0; 32];
        array.copy_from_slice(hash.as_ref());
        Digest::from_sha256(&array)
    }
}
