use super::*;
use api_types::{BindOptions, Mount as Asked, TmpfsOptions, VolumeOptions};

#[track_caller]
fn refused(spec: &str, expected: &str) {
    assert_eq!(bind(spec, "").unwrap_err().to_string(), expected);
}

#[test]
fn volume_flags_are_read_as_docker_reads_them() {
    let wanted = bind("/host/./dir:/data/:ro,rshared", "").unwrap();
    let m = &wanted.mount;
    assert_eq!((m.kind, m.source.as_str(), m.destination.as_str()), (MountKind::Bind, "/host/dir", "/data"));
    assert_eq!((m.rw, m.propagation.as_str(), m.create_source, wanted.copy), (false, "rshared", true, false));

    let wanted = bind("cache:/data", "").unwrap();
    assert_eq!(
        (wanted.mount.kind, wanted.mount.name.as_str(), wanted.copy),
        (MountKind::Volume, "cache", true)
    );
    assert!(!wanted.mount.anonymous && wanted.mount.rw);

    let wanted = bind("/data", "").unwrap();
    assert_eq!((wanted.mount.kind, wanted.mount.anonymous), (MountKind::Volume, true));

    assert!(!bind("cache:/data:nocopy,z", "").unwrap().copy);
}

#[test]
fn malformed_volume_flags_are_refused_with_dockers_texts() {
    refused("", "invalid volume specification: ''");
    refused(":/a", "invalid volume specification: ':/a'");
    refused("/a:ro", "invalid volume specification: '/a:ro'");
    refused("/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x'");
    refused("/a:/b:rw,ro", "invalid mode: rw,ro");
    refused("/a:/b:fast", "invalid mode: fast");
    refused(
        "/a:/",
        "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: \
         destination can't be '/'",
    );
    refused(
        "a:b",
        "invalid volume specification: 'a:b': invalid mount config for type \"volume\": invalid mount path: 'b' \
         mount path must be absolute",
    );
    refused(
        "vol:/b:rslave",
        "invalid volume specification: 'vol:/b:rslave': invalid mount config for type \"volume\": field BindOptions \
         must not be specified",
    );
}

#[track_caller]
fn mount_refused(asked: Asked, expected: &str) {
    assert_eq!(mount(&asked).unwrap_err().to_string(), expected);
}

fn asked(kind: &str, source: &str, target: &str) -> Asked {
    Asked { r#type: kind.into(), source: source.into(), target: target.into(), ..Asked::default() }
}

#[test]
fn mount_flags_are_refused_with_dockers_texts() {
    let config = |kind: &str, reason: &str| format!("invalid mount config for type \"{kind}\": {reason}");
    mount_refused(asked("bind", "/a", ""), &config("bind", "field Target must not be empty"));
    mount_refused(asked("bind", "", "/b"), &config("bind", "field Source must not be empty"));
    mount_refused(asked("tmpfs", "/a", "/b"), &config("tmpfs", "field Source must not be specified"));
    mount_refused(asked("npipe", "/a", "/b"), &config("npipe", "mount type unknown"));
    let with_bind = Asked { bind_options: Some(BindOptions::default()), ..asked("volume", "v", "/b") };
    mount_refused(with_bind, &config("volume", "field BindOptions must not be specified"));
    let subpath = |source: &str, subpath: &str| Asked {
        volume_options: Some(VolumeOptions { subpath: subpath.into(), ..VolumeOptions::default() }),
        ..asked("volume", source, "/b")
    };
    mount_refused(
        subpath("v", "../x"),
        &config("volume", "subpath must be a relative path within the volume"),
    );
    mount_refused(subpath("", "x"), &config("volume", "must not set Subpath when using anonymous volumes"));
    let option = |options: &[&str]| Asked {
        tmpfs_options: Some(TmpfsOptions {
            options: vec![options.iter().map(|o| (*o).to_owned()).collect()],
            ..TmpfsOptions::default()
        }),
        ..asked("tmpfs", "", "/b")
    };
    mount_refused(option(&["suid"]), &config("tmpfs", "invalid option: suid"));
    mount_refused(option(&[]), &config("tmpfs", "invalid option array length"));
    let force = Asked {
        bind_options: Some(BindOptions { read_only_force_recursive: true, ..BindOptions::default() }),
        ..asked("bind", "/a", "/b")
    };
    mount_refused(
        force,
        &config("bind", "mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive"),
    );
}

#[test]
fn tmpfs_options_become_mount_options() {
    let options = TmpfsOptions { size_bytes: 1 << 20, mode: 0o1770, options: vec![vec!["noexec".into()]] };
    let wanted =
        mount(&Asked { tmpfs_options: Some(options), read_only: true, ..asked("tmpfs", "", "/t") }).unwrap();
    assert_eq!(wanted.mount.options, ["ro", "mode=1770", "size=1048576", "noexec"]);
    let legacy = tmpfs("/run/", "rw,size=64k").unwrap();
    assert_eq!((legacy.destination.as_str(), legacy.options.len()), ("/run", 2));
    assert_eq!(tmpfs("/", "").unwrap_err().to_string(), "invalid specification: destination can't be '/'");
}

#[test]
fn volumes_from_has_a_mode_without_propagation() {
    assert_eq!(volumes_from("a").unwrap(), ("a", true));
    assert_eq!(volumes_from("a:ro").unwrap(), ("a", false));
    assert_eq!(volumes_from("a:").unwrap(), ("a", true));
    assert_eq!(volumes_from("a:rslave").unwrap_err().to_string(), "invalid mode: rslave");
    assert!(volumes_from("").is_err());
}
