# kernel: systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
# A host of cgroup v1, as Debian 10 and RHEL 8 boot: containers run, and what cannot be limited is said.
check "this is cgroup v1" sh -c '! test -e /sys/fs/cgroup/cgroup.controllers'
says "the check says so" '^\[WARNING\] no cgroup v2: --cpus, --memory, --pids-limit and the like are ignored$' login lichen setup check
says "and how to change it" 'boot with systemd.unified_cgroup_hierarchy=1' login lichen setup check
says "it keeps nothing from running" '^\[INFO\] Requirements are satisfied$' login lichen setup check
start || return
says "the cgroup driver is none, of version 1" '^none 1$' docker "info -f '{{.CgroupDriver}} {{.CgroupVersion}}'"
says "info says so in Docker's words" \
  'WARNING: Running in rootless-mode without cgroups. To enable cgroups in rootless-mode, you need to boot the system in cgroup v2 mode.' \
  docker info
load
says "limits are discarded" \
  'WARNING: Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.' \
  docker run --rm -m 64m busybox true
says "processors cannot be limited" 'NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler' \
  docker run --rm --cpus 1 busybox true
check "a container runs" docker run -d --name box -p 8080:80 busybox "sh -c 'echo served > /index.html; exec httpd -f -h /'"
served() { exec 3<> /dev/tcp/127.0.0.1/8080 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && grep -q served <&3; }
check "it is reached" within 60 served
says "it sees cgroups, read-only" '^cgroup.* ro,' docker exec box grep /sys/fs/cgroup /proc/mounts
says "exec" '^hello$' docker exec box echo hello
says "top" 'httpd' docker top box
check "stats" docker stats --no-stream box
says "pause is refused" 'cgroup' docker pause box
check "the engine is killed" pkill -KILL -u alice -f '^[^ ]*lichen (daemon|engine)'
start
check "the container has run on" served
check "it stops" docker stop -t 1 box
check "it is removed" docker rm box
check "the engine stops" stop
says "asking for a driver that does not work here is refused" 'is not cgroup v2' \
  login lichen daemon --exec-opt native.cgroupdriver=systemd
