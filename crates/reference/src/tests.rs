use super::*;
use proptest::prelude::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn check(text: &str, whole: &str, familiar: &str) {
    let reference = Reference::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(reference.to_string(), whole, "{text}");
    assert_eq!(reference.familiar(), familiar, "{text}");
}

fn check_error(text: &str, message: &str) {
    let error = Reference::parse(text).map(|r| r.to_string()).expect_err(text);
    assert_eq!(error.to_string(), message, "{text}");
}

#[test]
fn names_are_normalised_and_shown_familiar() {
    check("busybox", "docker.io/library/busybox", "busybox");
    check("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36");
    check("lichen/hello", "docker.io/lichen/hello", "lichen/hello");
    check("docker.io/busybox", "docker.io/library/busybox", "busybox");
    check("index.docker.io/busybox", "docker.io/library/busybox", "busybox");
    check("docker.io/library/foo/bar", "docker.io/library/foo/bar", "library/foo/bar");
    check("docker.io/a.example/app", "docker.io/a.example/app", "docker.io/a.example/app");
    check("docker.io/localhost/app", "docker.io/localhost/app", "docker.io/localhost/app");
    let id = format!("docker.io/library/{}", "a".repeat(64));
    check(&id, &id, &id);
    check("localhost/app", "localhost/app", "localhost/app");
    check("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1");
    check("127.0.0.1:5000/a/b-c__d", "127.0.0.1:5000/a/b-c__d", "127.0.0.1:5000/a/b-c__d");
    check("[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app");
    check("[::1]/app", "[::1]/app", "[::1]/app");
    check("Registry/app", "Registry/app", "Registry/app");
    check("EXAMPLE.com/app", "EXAMPLE.com/app", "EXAMPLE.com/app");
    check("a---b/c", "docker.io/a---b/c", "a---b/c");
    check(&format!("app@{DIGEST}"), &format!("docker.io/library/app@{DIGEST}"), &format!("app@{DIGEST}"));
    check(
        &format!("app:x@{DIGEST}"),
        &format!("docker.io/library/app:x@{DIGEST}"),
        &format!("app:x@{DIGEST}"),
    );
}

#[test]
fn what_is_wrong_is_said_in_dockers_words() {
    let invalid = "invalid reference format";
    for text in [
        "", ":tag", "a:", "a/", "/a", "a//b", "-a", "a-", "a._b", "a___b", "a..b", "a:.tag", "a b", "é",
        "a:é",
    ] {
        check_error(text, invalid);
    }
    check_error(&format!("a:{}", "t".repeat(129)), invalid);
    check_error("a@sha256:abc", invalid);
    check_error("a@", invalid);
    check_error("bad_domain.com/app", invalid);
    check_error("localhost:port/app", invalid);
    check_error("[fe80::1%eth0]:5000/app", invalid);
    check_error("Busybox", "invalid reference format: repository name (library/Busybox) must be lowercase");
    check_error("a.b/Foo:x", "invalid reference format: repository name (Foo) must be lowercase");
    check_error(&format!("a@sha256:{}", "a".repeat(63)), "invalid checksum digest length");
    check_error(&format!("a@sha256:{}", "A".repeat(64)), "invalid checksum digest format");
    check_error(&format!("a@sha512:{}", "a".repeat(128)), "unsupported digest algorithm");
    let id = "a".repeat(64);
    check_error(&id, &format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings"));
    check_error(
        &"a/".repeat(128).to_string().trim_end_matches('/').repeat(2),
        "repository name must not be more than 255 characters",
    );
}

#[test]
fn a_tag_is_replaced_and_a_default_added() {
    let plain = Reference::parse("app").unwrap();
    assert_eq!(plain.clone().or_latest().familiar(), "app:latest");
    assert_eq!(plain.with_tag("v2").unwrap().familiar(), "app:v2");
    assert_eq!(plain.with_tag("bad tag"), Err(InvalidReference::Tag));
    let pinned = plain.with_digest(DIGEST.parse().unwrap());
    assert_eq!(pinned.clone().or_latest(), pinned);
    assert_eq!(pinned.trim(), plain);
}

proptest! {
    #[test]
    fn any_text_parses_or_fails_and_parsed_ones_are_stable(text in "\\PC{0,80}") {
        stable(&text);
    }

    #[test]
    fn likely_texts_are_stable(text in "([a-zA-Z0-9.-]{1,8}(:[0-9]{1,3})?/)?[a-z0-9._/-]{1,20}(:[a-zA-Z0-9_.-]{1,8})?") {
        stable(&text);
    }
}

/// Both written forms parse back to the same reference.
fn stable(text: &str) {
    if let Ok(reference) = Reference::parse(text) {
        assert_eq!(Reference::parse(&reference.to_string()).as_ref(), Ok(&reference), "{text}");
        assert_eq!(Reference::parse(&reference.familiar()).as_ref(), Ok(&reference), "{text}");
    }
}
