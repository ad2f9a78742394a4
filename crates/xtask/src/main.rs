//! The project's words, `cargo xtask WORD`: what developers type and what CI runs.
#![forbid(unsafe_code)]

mod compat;
mod fuzz;
mod package;
mod prepare;
mod run;
mod tidy;
mod vm;

use anyhow::{Result, bail};
use run::{cargo, cargo_with};

const USAGE: &str = "usage: cargo xtask WORD [ARGUMENTS]

  prepare          install what building and testing need, and make the test user (as root, Debian or Ubuntu)
  check            fmt, clippy, tidy, documentation: everything that needs no test to run
  tidy             the rules of ARCHITECTURE.md that the compiler does not know
  unit [FILTER]    the crates' own tests
  e2e [FILTER]     end-to-end tests with real clients (as root: they become an unprivileged user)
  vm [RELEASE] [TEST]  on machines of Debian 12 and 13 in QEMU: systemd, cgroups, older kernels (as root)
  compat [SUITE]   other projects' clients and suites; by name also bollard and compose
  test             check, unit, e2e and compat, as CI runs them
  bench [ARGS]     measure against a floor, and against podman where it is installed
  bench network|pull [ARGS]  the same of networks and of pulling images (as root)
  man DIR          write the manual pages into DIR
  package [tarball|deb|rpm] [DIR]   what users install, into DIR or target/packages
  fuzz [TARGET|all [SECONDS]]  fuzz one parser, or each in turn; without TARGET, list them
                   (cargo install cargo-fuzz --locked; a nightly toolchain)";

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let word = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match word.as_str() {
        "prepare" => prepare::prepare(),
        "check" => check(),
        "tidy" => tidy::tidy(),
        "unit" => unit(&rest),
        "e2e" => e2e(&rest),
        "vm" => vm::vm(&rest),
        "compat" => compat::compat(&rest),
        "test" => test(),
        "bench" => bench(&rest),
        "man" => match rest[..] {
            [directory] => package::man(directory),
            _ => bail!("usage: cargo xtask man DIR"),
        },
        "package" => package::package(&rest),
        "fuzz" => fuzz::fuzz(&rest),
        "" | "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("no word {other:?}\n{USAGE}"),
    }
}

fn check() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    tidy::tidy()?;
    // Links between private items are documentation too; those that public pages would not show are fine.
    let flags = "--deny warnings --allow rustdoc::private_intra_doc_links";
    cargo_with(("RUSTDOCFLAGS", flags), &["doc", "--workspace", "--no-deps", "--document-private-items"])
}

fn unit(filter: &[&str]) -> Result<()> {
    cargo(&[&["nextest", "run", "--workspace", "--exclude", "e2e"], profile(), filter].concat())
}

fn e2e(filter: &[&str]) -> Result<()> {
    build()?;
    cargo(&[&["nextest", "run", "--package", "e2e"], profile(), filter].concat())
}

fn bench(args: &[&str]) -> Result<()> {
    cargo(&["build", "--release", "--package", "lichen", "--package", "lichen-shim"])?;
    let (script, args) = match args {
        ["network", rest @ ..] => ("bench/network", rest),
        ["pull", rest @ ..] => ("bench/pull", rest),
        _ => ("bench/run", args),
    };
    run::command(&run::root().join(script).to_string_lossy(), args)
}

fn test() -> Result<()> {
    check()?;
    build()?;
    // One run for both, so that its closing lines speak of all tests.
    cargo(&[&["nextest", "run", "--workspace"], profile()].concat())?;
    compat::compat(&[])
}

fn build() -> Result<()> {
    cargo(&["build", "--package", "lichen", "--package", "lichen-shim"])
}

fn profile() -> &'static [&'static str] {
    if std::env::var_os("CI").is_some() { &["--profile", "ci"] } else { &[] }
}
