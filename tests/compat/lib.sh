# Sourced by the suites' `run` scripts: an engine of the test user's, images, a registry to pull from.
#
# Sets: compat (this directory), bin (our programs), work (a directory removed at the end), user, DOCKER_HOST.
set -euo pipefail
compat=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$compat/../.." && pwd)
cache=${LICHEN_TEST_CACHE:-/var/tmp/lichen-tests}
user=lichen-test
[[ $(id -u) = 0 ]] || { echo "compat: run as root, to become the user $user" >&2; exit 1; }
id "$user" >/dev/null || { echo "compat: there is no user $user: cargo xtask prepare makes it" >&2; exit 1; }

bin=${LICHEN_BIN_DIR-}
if [[ -z $bin ]]; then
  target=$(cd "$top" && cargo metadata --format-version 1 --no-deps | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')
  bin=$target/$(rustc -vV | sed -n 's/^host: //p')/debug
fi
[[ -x $bin/lichen ]] || { echo "compat: $bin/lichen is not built" >&2; exit 1; }

mkdir -p "$cache"
work=$(mktemp -d /var/tmp/lichen-compat.XXXXXX)
install -d -o "$user" -g "$user" -m 0700 "$work/home" "$work/run" "$work/tmp"
chmod 0755 "$work"
pids=()
as_user() { # COMMAND [ARGUMENT...]: as the test user, with a clean environment
  setpriv --reuid "$user" --regid "$user" --init-groups env -i HOME="$work/home" USER="$user" XDG_RUNTIME_DIR="$work/run" \
    TMPDIR="$work/tmp" DOCKER_HOST="unix://$work/run/docker.sock" LANG=C.UTF-8 PATH="$work/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" "$@"
}
mkdir -p "$work/bin"; ln -s "$bin/lichen" "$work/bin/lichen"
# Without a docker command line of its own, the machine's tests run ours under that name.
command -v docker >/dev/null || ln -s "$bin/lichen" "$work/bin/docker"

finish() {
  status=$?
  [[ $status = 0 ]] || { echo "--- engine's log, last lines ---" >&2; tail -n 40 "$work/engine.log" >&2 || true; }
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  # What the test user left running here; its processes are found by their run-time directory.
  grep -lsz -- "$work/run" /proc/[0-9]*/environ /proc/[0-9]*/cmdline | cut -d/ -f3 | sort -u | grep -vx "$$" | xargs -r kill -9 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT

registry_start() { # PORT: a registry on loopback
  cat > "$work/registry.yml" <<YML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/registry}, delete: {enabled: true}}
http: {addr: 127.0.0.1:$1}
YML
  docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 100); do curl -fsS "http://127.0.0.1:$1/v2/" >/dev/null 2>&1 && return; sleep 0.1; done
  echo "compat: docker-registry did not start:" >&2; cat "$work/registry.log" >&2; return 1
}
image() { # NAME: its archive, made when it is not there
  "$top/tests/images/make" "$cache/images" "$1" >&2; chmod -R a+rX "$cache"; echo "$cache/images/$1.tar"
}
registry_push() { # PORT ARCHIVE:TAG NAME:TAG
  skopeo --insecure-policy copy --quiet --dest-tls-verify=false "docker-archive:$2" "docker://127.0.0.1:$1/$3"
}
engine_start() { # [ARGUMENT...]: to lichen daemon
  # The descriptor of the log is inherited: the test user need not be able to open the file.
  as_user "$bin/lichen" daemon "$@" >"$work/engine.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 300); do curl -fsS --unix-socket "$work/run/docker.sock" http://x/_ping >/dev/null 2>&1 && return; sleep 0.1; done
  echo "compat: the engine did not start:" >&2; cat "$work/engine.log" >&2; return 1
}
unpacked() { # PACKAGE: a directory with the files of a Debian package, which is not installed
  local dir="$cache/package-$1"
  if [[ ! -d $dir ]]; then
    mkdir -p "$work/package-$1"
    # Root's own download would be tried as the user _apt first, who cannot write there.
    (cd "$work/package-$1" && apt-get -o APT::Sandbox::User=root download -qq "$1") >&2
    dpkg-deb -x "$work/package-$1/"*.deb "$dir.new"; chmod -R a+rX "$dir.new"; mv "$dir.new" "$dir"
  fi
  echo "$dir"
}
venv() { # NAME PACKAGE...: a Python environment that is kept between runs
  local dir="$cache/venv-$1"; shift
  if [[ $(cat "$dir/packages" 2>/dev/null) != "packages: $*" ]]; then
    # The distribution's own: another may lie where the test user cannot go.
    /usr/bin/python3 -m venv --clear "$dir" >&2
    [[ $# = 0 ]] || "$dir/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
    echo "packages: $*" > "$dir/packages"; chmod -R a+rX "$dir"
  fi
  echo "$dir"
}
