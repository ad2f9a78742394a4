# No session, and no cgroup of alice's: what su(1) gives from a login of root's, where PAM makes no session of hers.
as_alice() {
  setpriv --reuid alice --regid alice --init-groups env -i HOME=/home/alice PATH="$PATH" DOCKER_HOST="unix://$socket" \
    DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/0/bus sh -c "$*"
}
says "a missing runtime directory is told" '^\[ERROR\] could not get XDG_RUNTIME_DIR: it is not set$' as_alice 'cd; lichen setup check'
says "without a runtime directory the engine says what to do" 'could not get XDG_RUNTIME_DIR' as_alice 'cd; timeout 20 lichen daemon'
loginctl enable-linger alice
within 60 test -S /run/user/1000/bus
docker() { as_alice "docker $*"; }
as_alice 'cd; setsid lichen daemon > ~/engine.log 2>&1 < /dev/null &'
started || return
check "with linger it starts after su, and finds the user's systemd" \
  test "$(docker "info -f '{{.CgroupDriver}}'")" = systemd
load
says "and a container has its limit" '^67108864$' docker run --rm -m 64m busybox cat /sys/fs/cgroup/memory.max
check "the engine stops" stop

# A machine without buses.
loginctl disable-linger alice
systemctl stop user@1000.service user-runtime-dir@1000.service
install -d -m 700 -o alice /run/user/1000
as_alice 'cd; XDG_RUNTIME_DIR=/run/user/1000 setsid lichen daemon > ~/engine.log 2>&1 < /dev/null &'
started || return
says "without a manager the driver is none" '^none$' docker "info -f '{{.CgroupDriver}}'"
says "info says so in Docker's words" \
  'WARNING: Running in rootless-mode without cgroups. Systemd is required to enable cgroups in rootless-mode.' docker info
says "limits are discarded" \
  'WARNING: Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.' \
  docker run --rm -m 64m busybox true
says "processors cannot be limited" 'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler' \
  docker run --rm --cpus 1 busybox true
check "the engine stops" stop
# No manager removes what no manager made.
rm -rf /run/user/1000
