# A delegated directory and nobody to ask: the engine is put into a cgroup that is alice's, without a session of hers.
group=/sys/fs/cgroup/given
[ ! -e "$group" ] || find "$group" -depth -type d -exec rmdir {} +
mkdir "$group"
echo '+cpu +memory +pids' > /sys/fs/cgroup/cgroup.subtree_control
chown alice "$group" "$group"/cgroup.{procs,subtree_control,threads}
install -d -m 700 -o alice /run/alice
export socket=/run/alice/docker.sock
in_group() { # COMMANDS: as alice, in the cgroup, with no session and no bus
  (echo $BASHPID > "$group/cgroup.procs" && as_alice sh -c "$1")
}
as_alice() {
  setpriv --reuid alice --regid alice --init-groups \
    env -i HOME=/home/alice XDG_RUNTIME_DIR=/run/alice PATH="$PATH" DOCKER_HOST="unix://$socket" "$@"
}
# Clients are not to be in the cgroup: it may have no processes of its own.
docker() { as_alice docker "$@"; }
in_group 'setsid lichen daemon > ~/engine.log 2>&1 < /dev/null &'
started || return
driver() { says "the cgroup driver is $1" "^$1 2$" docker info -f '{{.CgroupDriver}} {{.CgroupVersion}}'; }
driver cgroupfs
load
check "a container with limits starts" docker run -d --name box -m 64m --pids-limit 20 --cpus 0.5 busybox sleep 1000
id=$(docker inspect -f '{{.Id}}' box)
says "memory.max" '^67108864$' cat "$group/$id/memory.max"
says "pids.max" '^20$' cat "$group/$id/pids.max"
says "cpu.max" '^50000 100000$' cat "$group/$id/cpu.max"
says "the engine is in a leaf" '^0::/given/lichen-engine$' cat "/proc/$(pgrep -u alice -f 'lichen daemon' | head -1)/cgroup"
check "update" docker update -m 32m --memory-swap 64m box
says "memory.max is updated" '^33554432$' cat "$group/$id/memory.max"
check "pause" docker pause box
check "unpause" docker unpause box
check "a container below a directory of its own" docker run -d --name deep --cgroup-parent /a/b -m 64m busybox sleep 1000
says "memory.max there" '^67108864$' cat "$group/a/b/$(docker inspect -f '{{.Id}}' deep)/memory.max"
says "a parent outside is refused" 'invalid cgroup-parent "../x": it leads out of what was delegated' \
  docker run --rm --cgroup-parent ../x busybox true
check "containers are removed" docker rm -f box deep
check "their directories go" within 30 test ! -e "$group/$id"
check "the engine stops" stop

says "a driver that does not work here is refused" 'native.cgroupdriver=systemd: connect to the user.s systemd' \
  as_alice lichen daemon --exec-opt native.cgroupdriver=systemd
