//! The engine in a container, as UID 1000 of it.

use e2e::{Engine, Output};

/// What the engine needs of its host, and a user.
fn make_image(engine: &Engine) {
    engine.load("debian");
    let debian = engine.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", "debian"]).ok();
    let user = "useradd -m -u 1000 user && echo user:1001:64535 | tee /etc/subuid >/etc/subgid && \
                install -d -o 1000 -g 1000 -m 700 /run/user/1000 && \
                install -d -o 1000 -g 1000 /home/user/.local /home/user/.local/share /home/user/.local/share/lichen && \
                chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap && \
                setcap cap_setuid+ep /usr/bin/newuidmap && setcap cap_setgid+ep /usr/bin/newgidmap";
    engine.docker(&["create", "--name", "made", debian.stdout.trim(), "sh", "-c", user]).ok();
    let copy = |from: &str, to: &str| drop(engine.docker(&["cp", "-L", from, &format!("made:{to}")]).ok());
    for program in ["/usr/bin/newuidmap", "/usr/bin/newgidmap", "/usr/sbin/setcap"] {
        copy(program, program);
    }
    copy("/lib/x86_64-linux-gnu/libcap.so.2", "/lib/x86_64-linux-gnu/libcap.so.2");
    engine.docker(&["start", "-a", "made"]).ok();
    engine.docker(&["commit", "made", "nested"]).ok();
}

const START: &str = "cd; lichen daemon >log 2>&1 & while ! lichen version >/dev/null 2>&1; do \
                     kill -0 $! 2>/dev/null || { cat log; exit 3; }; sleep 0.1; done; ";

fn run(engine: &Engine, options: &[&str], script: &str) -> Output {
    let user =
        ["run", "--rm", "--user", "1000", "-e", "HOME=/home/user", "-e", "XDG_RUNTIME_DIR=/run/user/1000"];
    let script = format!("{START}{script}");
    // Bound, because copies of programs with all their symbols take longer than the test.
    let programs = e2e::program("lichen").parent().expect("an absolute path").display().to_string();
    let archive = e2e::archive("busybox");
    let binds = [format!("{programs}:/lichen:ro"), format!("{}:/busybox.tar:ro", archive.display())];
    let bound = ["-v", &binds[0], "-v", &binds[1], "-e", "PATH=/lichen:/usr/bin:/bin"];
    engine.docker(&[&user[..], &bound[..], options, &["nested", "bash", "-c", &script]].concat())
}

#[test]
fn an_engine_runs_in_a_container_and_says_what_it_lacks_there() {
    let engine = Engine::start();
    make_image(&engine);
    let open = ["--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"];
    let refused = |options: &[&str], reason: &str| {
        let output = run(&engine, options, "").exits(3);
        assert!(output.stdout.contains(reason), "{output}");
    };
    refused(&[], "--security-opt seccomp=unconfined");
    refused(&open[..2], "--security-opt systempaths=unconfined");
    let strict = [&open[..], &["--security-opt", "no-new-privileges"]].concat();
    refused(&strict, "no-new-privileges is set for this process");

    let script = "lichen load -q -i /busybox.tar && \
                  lichen run -d --name web -p 8080:80 busybox sh -c 'mkdir /w; echo served >/w/index.html; httpd -f -h /w' && \
                  for n in $(seq 100); do exec 3<>/dev/tcp/127.0.0.1/8080 && break; sleep 0.1; done 2>/dev/null; \
                  printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3; lichen info --format '{{.Driver}}'; \
                  lichen rm -f web";
    let on_layer = run(&engine, &open, script).ok();
    assert!(on_layer.stdout.contains("served\nvfs\n"), "{on_layer}");
    // An overlay's upper layer cannot be on another overlay.
    let volume = ["-v", "data:/home/user/.local/share/lichen"];
    let on_volume = run(&engine, &[&open[..], &volume[..]].concat(), script).ok();
    assert!(on_volume.stdout.contains("served\noverlay2\n"), "{on_volume}");
}
