//! The manifests of an image of several platforms, and which image a name means for one of them.

use super::list::{descriptor, signed};
use crate::{Engine, Error};
use api_types::{
    AttestationData, ImageManifest, ImageManifestData, ManifestSize, Platform as WirePlatform, UnpackedSize,
};
use image::{Image, Platform, index::Member};

/// Says of an attestation which manifest it is about (BuildKit, `docs/attestations/attestation-storage.md`).
const SUBJECT: &str = "vnd.docker.reference.digest";

/// What stands beside an image in its index, itself included.
pub(super) fn manifests(engine: &Engine, image: &Image) -> Result<Vec<ImageManifest>, Error> {
    let members = engine.images.members(image)?;
    Ok(members.iter().map(|member| manifest(engine, member)).collect())
}

fn manifest(engine: &Engine, member: &Member) -> ImageManifest {
    let unpacked = member.image.as_ref().map_or(0, |image| image.record.size);
    let is_attestation = member.descriptor.is_attestation();
    let platform = match (&member.image, &member.descriptor.platform) {
        (Some(image), _) => Some(image.platform()),
        (None, named) => named.clone(),
    };
    let data = platform.filter(|_| !is_attestation).map(|platform| ImageManifestData {
        platform: wire_platform(platform),
        containers: containers(engine, member),
        size: UnpackedSize { unpacked: signed(unpacked) },
    });
    let subject = member.descriptor.annotations.get(SUBJECT).cloned().unwrap_or_default();
    let kind = match (is_attestation, &data) {
        (true, _) => "attestation",
        (false, Some(_)) => "image",
        (false, None) => "unknown",
    };
    ImageManifest {
        id: member.descriptor.digest.to_string(),
        descriptor: descriptor(&member.descriptor),
        available: member.image.is_some(),
        size: ManifestSize {
            content: signed(member.content_size),
            // Blobs are not kept: what a manifest takes here is its files.
            total: signed(unpacked),
        },
        kind: kind.to_owned(),
        image_data: data,
        attestation_data: is_attestation.then_some(AttestationData { subject }),
    }
}

fn containers(engine: &Engine, member: &Member) -> Vec<String> {
    let Some(image) = &member.image else { return Vec::new() };
    let uses = super::made_of(engine).into_iter().filter(|used| used.image == image.id);
    uses.map(|used| used.id.to_string()).collect()
}

fn wire_platform(platform: Platform) -> WirePlatform {
    WirePlatform {
        architecture: platform.architecture,
        os: platform.os,
        os_version: platform.os_version,
        os_features: platform.os_features,
        variant: platform.variant,
    }
}

/// What to call the image that `reference` means for a platform: itself, or an ID of one from the same index.
///
/// # Errors
/// That it is not here for this platform.
pub(super) fn for_platform(
    engine: &Engine,
    reference: &str,
    platform: Option<&Platform>,
) -> Result<String, Error> {
    let Some(_) = platform else { return Ok(reference.to_owned()) };
    let (named, fitting) =
        (engine.images.resolve(reference)?, engine.images.resolve_for(reference, platform)?);
    Ok(if named.id == fitting.id { reference.to_owned() } else { fitting.id.to_string() })
}
