use super::*;
use crate::{
    Progress, PullRequest, Reference,
    lab::{Lab, block_on, layer},
    pull::lab::{Form, Registry},
};

/// Two platforms of one tag, pulled one after the other: the tag is the later one's, and the other is found by asking
/// for its platform.
#[test]
fn a_tag_is_the_platform_that_was_pulled_last_and_leads_to_the_other() {
    let name = "index::tests::a_tag_is_the_platform_that_was_pulled_last_and_leads_to_the_other";
    testing::in_userns(name, || {
        sys::loopback::up().unwrap();
        block_on(async {
            let registry = Registry::start();
            let lab = Lab::new();
            let tag = format!("{}/app", registry.host);
            let (mine, other) = (Platform::host(), "linux/s390x".parse::<Platform>().unwrap());
            let [first, second] = two_platforms(&registry, [&mine, &other]).await;
            assert_ne!(first.digest, second.digest);
            let other_id = pull(&lab, &tag, &other).await;
            let id = pull(&lab, &tag, &mine).await;
            let found = |platform| lab.store.resolve_for(&tag, platform).map(|image| image.id.clone());
            assert_eq!(found(None).unwrap(), id);
            assert_eq!(found(Some(&mine)).unwrap(), id);
            assert_eq!(found(Some(&other)).unwrap(), other_id);
            assert!(lab.store.names(&other_id).is_empty());
            let neither = "linux/riscv64".parse().unwrap();
            let absent = found(Some(&neither)).unwrap_err();
            assert_eq!(
                absent.to_string(),
                format!(
                    "image with reference {tag} was found but does not provide the specified platform (linux/riscv64)"
                )
            );
            assert_eq!(absent.kind(), model::ErrorKind::NotFound);
            let members = lab.store.members(&lab.store.get(&id).unwrap()).unwrap();
            assert!(members.iter().all(|member| member.image.is_some()));
            // What is saved for a platform is that platform's, by the tag that was asked for.
            let mut stream = lab.store.save(std::slice::from_ref(&tag), Some(&other)).await.unwrap();
            let mut archive = Vec::new();
            while let Some(piece) = stream.recv().await {
                archive.extend(piece.unwrap());
            }
            let manifest = &crate::lab::untar(&archive)["manifest.json"];
            let text = String::from_utf8_lossy(manifest);
            assert!(text.contains(other_id.hex()) && text.contains(&format!("{tag}:latest")), "{text}");
            // Without its last name the other goes as any other image does.
            lab.remove(other_id.as_str(), false, &[]).unwrap();
            assert!(found(Some(&other)).is_err());
            lab.assert_tidy();
        });
    });
}

async fn two_platforms(registry: &Registry, platforms: [&Platform; 2]) -> [Descriptor; 2] {
    let mut manifests = Vec::new();
    for platform in platforms {
        let text = platform.to_string();
        let config = crate::lab::config_for(platform, &[layer(&[("platform", &text)])]);
        let layers = [(layer(&[("platform", text.as_str())]), Form::Gzip)];
        let mut manifest =
            registry.put_configured("app", &platform.architecture, &config, &layers, false).await;
        manifest.platform = Some(platform.clone());
        manifests.push(manifest);
    }
    registry.put_index("app", "latest", manifests.clone()).await;
    manifests.try_into().unwrap()
}

async fn pull(lab: &Lab, tag: &str, platform: &Platform) -> Digest {
    let reference = Reference::parse(tag).unwrap();
    let request = PullRequest { reference, all_tags: false, platform: Some(platform.clone()), auth: None };
    lab.store.pull(request, Progress::none()).await.unwrap()[0].image.clone()
}
