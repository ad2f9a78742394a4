#!/bin/sh
# Installs Lichen for the user who runs it; nothing here needs root.
#
#   ./install.sh                     from the directory of this script: an unpacked lichen-VERSION-ARCH.tar.gz
#   ./install.sh --from DIR|URL      from a directory or an address that has the archive and its SHA256SUMS
#   ./install.sh --uninstall         takes away what was installed; images, containers and settings stay
#
#   --prefix DIR   install below DIR instead of ~/.local
#   --version V    which version to fetch; the only or newest one in SHA256SUMS otherwise
#   --docker       also install the name docker, for scripts and for docker -H ssh:// from elsewhere
#   --no-check     do not look at whether this host has what the engine needs
set -eu

say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

from= prefix= version= docker=no check=yes uninstall=no
while [ $# -gt 0 ]; do
  case $1 in
    --from | --prefix | --version) [ $# -ge 2 ] || die "$1 needs a value" ;;
  esac
  case $1 in
    --from) from=$2; shift ;;
    --prefix) prefix=$2; shift ;;
    --version) version=$2; shift ;;
    --docker) docker=yes ;;
    --no-check) check=no ;;
    --uninstall) uninstall=yes ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) die "unknown argument $1: see --help" ;;
  esac
  shift
done

[ "$(id -u)" != 0 ] || die "the engine does not run as root: run this as the user who is to run containers"
[ -n "$prefix" ] || prefix=${HOME:?HOME is not set}/.local
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
manifest=$prefix/share/lichen/installed

# Removes what the list names, and directories that are empty then.
remove() {
  [ -f "$manifest" ] || die "$manifest is not there: nothing was installed below $prefix by this script"
  while IFS= read -r file; do
    case $file in '' | /* | *..*) die "$manifest names $file, which this script does not install" ;; esac
    rm -f "$prefix/$file"
  done <"$manifest"
  rm -f "$manifest"
  rmdir "$prefix/share/lichen" 2>/dev/null || true
}

if [ $uninstall = yes ]; then
  if [ -S "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/docker.sock" ]; then
    say "An engine may still be running: stop it first (lichen setup uninstall, or end lichen daemon)." >&2
  fi
  remove
  say "Lichen was removed from $prefix. Images and containers are still in ~/.local/share/lichen."
  exit 0
fi

fetch() { # ADDRESS FILE
  case $1 in
    http://* | https://*)
      if command -v curl >/dev/null; then curl -fsSL --proto '=http,https' -o "$2" "$1"
      elif command -v wget >/dev/null; then wget -q -O "$2" "$1"
      else die "neither curl nor wget is there to fetch $1"; fi ;;
    *) cp "$1" "$2" ;;
  esac || die "cannot fetch $1"
}

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
if [ -n "$from" ]; then
  arch=$(uname -m)
  work=$(mktemp -d)
  fetch "${from%/}/SHA256SUMS" "$work/SHA256SUMS"
  # sha256sum's lines: digest, two spaces (or a space and a star), name.
  archive=$(sed -n 's/^[0-9a-f]\{64\} [ *]\(lichen-[A-Za-z0-9._+~-]*\.tar\.gz\)$/\1/p' "$work/SHA256SUMS" |
    grep -- "^lichen-${version:-.*}-$arch\.tar\.gz$" | sort -V | tail -n 1) || true
  [ -n "$archive" ] || die "${from%/}/SHA256SUMS names no lichen-${version:-VERSION}-$arch.tar.gz"
  fetch "${from%/}/$archive" "$work/$archive"
  (cd "$work" && grep -- "[ *]$archive\$" SHA256SUMS | sha256sum -c - >/dev/null 2>&1) ||
    die "$archive is not what SHA256SUMS says: it was damaged or changed on the way"
  tar -xzf "$work/$archive" -C "$work" --no-same-owner
  source=$work/${archive%.tar.gz}
else
  source=$(cd "$(dirname "$0")" && pwd)
fi
[ -x "$source/bin/lichen" ] && [ -x "$source/bin/lichen-shim" ] ||
  die "$source has no bin/lichen and bin/lichen-shim: unpack the archive, or name its place with --from"
"$source/bin/lichen" --version >/dev/null || die "$source/bin/lichen does not run here"

# Each file gets its place by a rename: a running engine keeps its own, and nothing is ever half there.
put() { # FILE, relative to the prefix
  mkdir -p "$prefix/$(dirname "$1")"
  cp "$source/$1" "$prefix/$1.new.$$"
  mv -f "$prefix/$1.new.$$" "$prefix/$1"
}
link() { ln -sfn lichen "$prefix/bin/$1"; }
files=$(cd "$source" && find bin share -type f | sort)
mkdir -p "$prefix/share/lichen"
links='dockerd-rootless.sh dockerd-rootless-setuptool.sh'
if [ $docker = yes ]; then
  [ ! -e "$prefix/bin/docker" ] || [ "$(readlink "$prefix/bin/docker")" = lichen ] ||
    die "$prefix/bin/docker is there already; remove it, or leave out --docker"
  links="$links docker"
fi
# Before the first file, so that --uninstall finds all of them whenever this ends; what an earlier version had goes, too.
{
  [ ! -f "$manifest" ] || cat "$manifest"
  printf '%s\n' "$files"
  for name in $links; do printf 'bin/%s\n' "$name"; done
} | sort -u >"$manifest.new"
mv -f "$manifest.new" "$manifest"
for file in $files; do put "$file"; done
for name in $links; do link "$name"; done

say "Installed $("$prefix/bin/lichen" --version) in $prefix/bin"
case :$PATH: in
  *":$prefix/bin:"*) ;;
  *) say "Add it to PATH:  export PATH=$prefix/bin:\$PATH" ;;
esac
if [ $check = yes ]; then
  say
  if "$prefix/bin/lichen" setup check; then
    say "Start the engine:  $prefix/bin/lichen setup install     (a systemd user service)"
    say "               or  $prefix/bin/lichen daemon            (in this terminal)"
  else
    say
    say "The programs are installed. Once what is said above is done: $prefix/bin/lichen setup install"
    exit 2
  fi
fi
