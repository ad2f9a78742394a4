//! Chain IDs: the name of a stack of layers (OCI image-spec, config.md, "Layer ChainID").

use model::Digest;

/// SHA-256 of `bytes` as a digest.
pub fn digest_of(bytes: &[u8]) -> Digest {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut array = [0u8; 32];
    array.copy_from_slice(hash.as_ref());
    Digest::from_sha256(&array)
}

/// The chain ID of `diff_id` on top of the stack `parent`.
pub fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => diff_id.clone(),
        Some(parent) => digest_of(format!("{parent} {diff_id}").as_bytes()),
    }
}

/// The chain ID of each layer, lowest first.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chains.push(chain_id(chains.last(), diff_id));
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_chain_id_is_its_diff_id() {
        let (a, b) = (digest_of(b"a"), digest_of(b"b"));
        let chains = chain_ids(&[a.clone(), b.clone()]);
        assert_eq!(chains[0], a);
        assert_eq!(chains[1], digest_of(format!("{a} {b}").as_bytes()));
        assert!(chain_ids(&[]).is_empty());
    }
}
