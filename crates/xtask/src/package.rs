//! What users install: a tarball with an install script, `.deb` and `.rpm`, out of the same staged tree.

use crate::run::{cargo, command, output, root};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

const PROGRAMS: [&str; 2] = ["lichen", "lichen-shim"];
/// Names under which `lichen` answers as Docker's rootless mode does.
const NAMES: [&str; 2] = ["dockerd-rootless.sh", "dockerd-rootless-setuptool.sh"];

/// `package [tarball|deb|rpm] [DIR]`: all kinds, and into `target/packages`, where nothing else is said.
pub(crate) fn package(args: &[&str]) -> Result<()> {
    let (kinds, places): (Vec<&str>, Vec<&str>) =
        args.iter().partition(|a| ["tarball", "deb", "rpm"].contains(a));
    ensure!(places.len() <= 1, "usage: cargo xtask package [tarball|deb|rpm] [DIR]");
    let kinds = if kinds.is_empty() { vec!["tarball", "deb", "rpm"] } else { kinds };
    let out = match places.first() {
        Some(place) => PathBuf::from(place),
        None => target()?.join("packages"),
    };
    of(&programs("release")?, &kinds, &out)
}

/// The packages of the programs in this directory.
pub(crate) fn of(programs: &Path, kinds: &[&str], out: &Path) -> Result<()> {
    let release = Release::new(programs, out)?;
    for kind in kinds {
        match *kind {
            "tarball" => release.tarball()?,
            "deb" => release.deb()?,
            _ => release.rpm()?,
        }
    }
    fs::remove_dir_all(&release.work).with_context(|| format!("remove {}", release.work.display()))
}

/// `man DIR`: the manual pages alone.
pub(crate) fn man(directory: &str) -> Result<()> {
    let lichen = programs("debug")?.join("lichen");
    command(&text(&lichen), &["__man", directory])
}

struct Release {
    version: String,
    /// As the kernel and rpm name it.
    machine: String,
    /// The programs, stripped and known to be static.
    bins: PathBuf,
    out: PathBuf,
    work: PathBuf,
}

impl Release {
    fn new(built: &Path, out: &Path) -> Result<Self> {
        let out = std::path::absolute(out)?;
        let work = out.join(format!(".work-{}", std::process::id()));
        let bins = work.join("bin");
        fs::create_dir_all(&bins)?;
        for program in PROGRAMS {
            let (from, to) = (text(&built.join(program)), text(&bins.join(program)));
            command("strip", &["-o", &to, &from])?;
            let dynamic = output("readelf", &["--program-headers", &to])?;
            ensure!(!dynamic.contains("INTERP"), "{from} is not static: it would not run on other systems");
        }
        let version = output(&text(&bins.join("lichen")), &["--version"])?;
        let version =
            version.split_whitespace().nth(2).context("lichen --version names no version")?.to_owned();
        let machine = output("uname", &["-m"])?.trim().to_owned();
        Ok(Self { version, machine, bins, out, work })
    }

    /// Programs, manual pages and completions below a prefix. `zsh` is where its functions are.
    fn stage(&self, prefix: &Path, zsh: &str) -> Result<()> {
        let bin = prefix.join("bin");
        fs::create_dir_all(&bin)?;
        for program in PROGRAMS {
            install(&self.bins.join(program), &bin.join(program), 0o755)?;
        }
        let lichen = text(&bin.join("lichen"));
        let share = prefix.join("share");
        command(&lichen, &["__man", &text(&share.join("man"))])?;
        for (shell, place) in [
            ("bash", "bash-completion/completions/lichen".to_owned()),
            ("zsh", format!("zsh/{zsh}/_lichen")),
            ("fish", "fish/vendor_completions.d/lichen.fish".to_owned()),
        ] {
            write(&share.join(place), &output(&lichen, &["completion", shell])?, 0o644)?;
        }
        Ok(())
    }

    fn tarball(&self) -> Result<()> {
        let name = format!("lichen-{}-{}", self.version, self.machine);
        let tree = self.work.join(&name);
        self.stage(&tree, "site-functions")?;
        install(&root().join("packaging/install.sh"), &tree.join("install.sh"), 0o755)?;
        for file in ["README.md", "CHANGELOG.md", "LICENSE"] {
            install(&root().join(file), &tree.join(file), 0o644)?;
        }
        let archive = format!("{name}.tar.gz");
        // The same tree gives the same archive.
        let options = [
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mtime=@0",
            "--use-compress-program=gzip -9n",
        ];
        let (work, to) = (text(&self.work), text(&self.out.join(&archive)));
        command(
            "tar",
            &[&["--create", "--file", &to, "--directory", &work], &options[..], &[&name]].concat(),
        )?;
        let sums =
            output("sh", &["-c", "cd \"$1\" && sha256sum -- lichen-*.tar.gz", "sh", &text(&self.out)])?;
        write(&self.out.join("SHA256SUMS"), &sums, 0o644)
    }

    /// The tree of a system package, with what concerns all users of the machine.
    fn system(&self, tree: &Path, zsh: &str) -> Result<()> {
        self.stage(&tree.join("usr"), zsh)?;
        for name in NAMES {
            symlink("lichen", tree.join("usr/bin").join(name))?;
        }
        for (from, to) in [
            ("packaging/lichen.service", "usr/lib/systemd/user/lichen.service"),
            ("packaging/apparmor", "usr/share/lichen/apparmor"),
            ("README.md", "usr/share/doc/lichen/README.md"),
            ("LICENSE", "usr/share/doc/lichen/copyright"),
            ("CHANGELOG.md", "usr/share/doc/lichen/changelog"),
        ] {
            install(&root().join(from), &tree.join(to), 0o644)?;
        }
        let compress = "find \"$1/usr/share/man\" -type f -exec gzip -9n {} + && gzip -9n \"$1/usr/share/doc/lichen/changelog\"";
        command("sh", &["-ec", compress, "sh", &text(tree)])
    }

    fn deb(&self) -> Result<()> {
        let arch = match self.machine.as_str() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => bail!("no Debian architecture is known for {other}"),
        };
        let tree = self.work.join("deb");
        self.system(&tree, "vendor-completions")?;
        let size = output("du", &["--summarize", "--block-size=1K", &text(&tree)])?;
        let size = size.split_whitespace().next().unwrap_or("0");
        let control = self.filled("packaging/deb/control", &[("@ARCH@", arch), ("@SIZE@", size)])?;
        write(&tree.join("DEBIAN/control"), &control, 0o644)?;
        for script in ["postinst", "postrm"] {
            install(&root().join("packaging/deb").join(script), &tree.join("DEBIAN").join(script), 0o755)?;
        }
        self.dpkg_deb(&tree, &format!("lichen_{}_{arch}.deb", self.version))?;
        let tree = self.work.join("deb-docker");
        let control = self.filled("packaging/deb/control.docker", &[])?;
        write(&tree.join("DEBIAN/control"), &control, 0o644)?;
        fs::create_dir_all(tree.join("usr/bin"))?;
        symlink("lichen", tree.join("usr/bin/docker"))?;
        install(&root().join("LICENSE"), &tree.join("usr/share/doc/lichen-docker/copyright"), 0o644)?;
        self.dpkg_deb(&tree, &format!("lichen-docker_{}_all.deb", self.version))
    }

    fn dpkg_deb(&self, tree: &Path, name: &str) -> Result<()> {
        let to = text(&self.out.join(name));
        // Debian 12's dpkg and Ubuntu 20.04's both read xz.
        command("dpkg-deb", &["--root-owner-group", "-Zxz", "--build", &text(tree), &to])
    }

    fn rpm(&self) -> Result<()> {
        let tree = self.work.join("rpm");
        self.system(&tree, "site-functions")?;
        let spec = self.work.join("lichen.spec");
        write(&spec, &self.filled("packaging/rpm/lichen.spec", &[("@STAGE@", &text(&tree))])?, 0o644)?;
        let top = format!("_topdir {}", text(&self.work.join("rpmbuild")));
        let to = format!("_rpmdir {}", text(&self.out));
        // Doubled: rpm expands it once more for each package.
        let name = "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm";
        command(
            "rpmbuild",
            &[
                "--quiet",
                "-bb",
                "--target",
                &self.machine,
                "--define",
                &top,
                "--define",
                &to,
                "--define",
                name,
                &text(&spec),
            ],
        )
    }

    /// A recipe with its `@WORDS@` filled in.
    fn filled(&self, file: &str, words: &[(&str, &str)]) -> Result<String> {
        let path = root().join(file);
        let recipe = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let recipe = recipe.replace("@VERSION@", &self.version);
        Ok(words.iter().fold(recipe, |text, (word, value)| text.replace(word, value)))
    }
}

/// The directory with the programs: that of `LICHEN_BIN_DIR`, or built now.
fn programs(profile: &str) -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("LICHEN_BIN_DIR") {
        return Ok(dir.into());
    }
    let release: &[&str] = if profile == "release" { &["--release"] } else { &[] };
    cargo(&[&["build", "--package", "lichen", "--package", "lichen-shim"], release].concat())?;
    let machine = output("rustc", &["-vV"])?;
    let machine =
        machine.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(target()?.join(machine).join(profile))
}

fn target() -> Result<PathBuf> {
    let metadata = output("cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    Ok(metadata["target_directory"].as_str().context("no target directory")?.into())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let data = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    put(to, &data, mode)
}

fn write(to: &Path, data: &str, mode: u32) -> Result<()> {
    put(to, data.as_bytes(), mode)
}

fn put(to: &Path, data: &[u8], mode: u32) -> Result<()> {
    let place = to.parent().context("a file without a directory")?;
    fs::create_dir_all(place).with_context(|| format!("make {}", place.display()))?;
    fs::write(to, data).with_context(|| format!("write {}", to.display()))?;
    fs::set_permissions(to, Permissions::from_mode(mode)).with_context(|| format!("chmod {}", to.display()))
}
