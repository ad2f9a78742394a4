# All controllers, delegated as `lichen doctor` says.
mkdir -p /etc/systemd/system/user@.service.d
printf '[Service]\nDelegate=cpu cpuset io memory pids\n' > /etc/systemd/system/user@.service.d/delegate.conf
systemctl daemon-reload
start || return
driver systemd
check "info warns of nothing that is delegated" alice "! docker info 2>&1 | grep -E 'No (memory|swap|cpu|cpuset|io|pids)'"
load
check "cpuset and rates" docker run -d --name box --cpuset-cpus 1 --cpuset-mems 0 --device-read-bps /dev/vda:1mb \
  --device-write-iops /dev/vda:100 busybox sleep 1000
group=/sys/fs/cgroup$(alice "sed 's/^0:://' /proc/\$(docker inspect -f '{{.State.Pid}}' box)/cgroup")
says "cpuset.cpus" '^1$' cat "$group/cpuset.cpus"
says "cpuset.mems" '^0$' cat "$group/cpuset.mems"
says "the container has one processor" '^1$' docker exec box nproc
says "io.max" 'rbps=1048576 wbps=max riops=max wiops=100' cat "$group/io.max"
check "update" docker update --cpuset-cpus 0-1 box
says "cpuset.cpus is updated" '^0-1$' cat "$group/cpuset.cpus"
says "processors that are not there are refused" 'Requested CPUs are not available - requested 0-9, available: 0-1' \
  docker run --rm --cpuset-cpus 0-9 busybox true
check "the engine stops" stop
rm -r /etc/systemd/system/user@.service.d
systemctl daemon-reload
