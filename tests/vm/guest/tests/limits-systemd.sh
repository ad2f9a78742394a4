# A login session, and the controllers that Debian delegates without being told: cpu, memory, pids.
start || return
driver systemd
says "info names what is not delegated" 'WARNING: No cpuset support' docker info
says "and what has no weight" 'WARNING: No io.weight support' docker info
load
run="run -d -m 64m --memory-swap 96m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --pids-limit 50"
check "a container with limits starts, without warnings" alice "! docker $run --name limited busybox sleep 1000 2>&1 | grep -i warn"
id=$(docker "inspect -f '{{.Id}}' limited")
scope=docker-$id.scope
says "it is in a scope of the user's systemd" '^active$' alice systemctl --user is-active "$scope"
says "of the user's slice" 'user.slice' alice systemctl --user show -p Slice "$scope"
group=/sys/fs/cgroup$(alice systemctl --user show -p ControlGroup --value "$scope")/container
says "memory.max" '^67108864$' cat "$group/memory.max"
says "memory.swap.max" '^33554432$' cat "$group/memory.swap.max"
says "memory.low" '^33554432$' cat "$group/memory.low"
says "cpu.max" '^50000 100000$' cat "$group/cpu.max"
says "cpu.weight" '^20$' cat "$group/cpu.weight"
says "pids.max" '^50$' cat "$group/pids.max"
says "the container sees its own limit" '^67108864$' docker exec limited cat /sys/fs/cgroup/memory.max
check "a reload of the user's systemd resets none" alice systemctl --user daemon-reload
says "memory.max still" '^67108864$' cat "$group/memory.max"

check "update, running" docker update -m 80m --memory-swap 160m --cpus 0.25 --pids-limit 60 limited
says "memory.max is updated" '^83886080$' cat "$group/memory.max"
says "cpu.max is updated" '^25000 100000$' cat "$group/cpu.max"
says "pids.max is updated" '^60$' cat "$group/pids.max"
says "stats tells use and limit" '^limited .*[KM]iB / 80MiB [1-9]' \
  docker "stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}' limited"
says "stats, by lichen" '^limited .*[KM]iB / 80MiB [1-9]' \
  lichen "stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}' limited"
check "pause" docker pause limited
says "its cgroup is frozen" '^frozen 1$' cat "$group/cgroup.events"
says "it is said to be paused" 'Paused' docker "ps -f name=limited --format '{{.Status}}'"
check "unpause" lichen unpause limited
says "its cgroup is thawed" '^frozen 0$' cat "$group/cgroup.events"
says "top" 'sleep 1000' docker top limited

says "forks end at the limit" "can't fork" \
  docker "run --rm --pids-limit 5 busybox sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait' 2>&1"
alice 'docker events -f event=oom --format "{{.Action}} {{.Actor.Attributes.name}}" > ~/oom 2>&1 & echo $! > ~/oom.pid'
says "a container that takes too much is killed" '^137$' \
  alice "docker run --name hungry -m 16m --memory-swap 16m busybox sh -c 'x=y; while :; do x=\$x\$x; done'; echo \$?"
says "OOMKilled" '^true 137$' docker "inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' hungry"
check "an oom event is told" within 30 grep -q 'oom hungry' /home/alice/oom
alice 'kill $(cat ~/oom.pid); rm ~/oom ~/oom.pid'

run_discarding() { docker "run --rm $1 busybox true"; }
says "cpuset is discarded, and said to be" \
  '^WARNING: Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.$' run_discarding '--cpuset-cpus 0'
says "so is the weight of input and output" \
  '^WARNING: Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.$' run_discarding '--blkio-weight 100'
says "so is its rate" \
  '^WARNING: Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.$' \
  run_discarding '--device-read-bps /dev/vda:1mb'

check "a container in a slice of its own" docker run -d --name sliced --cgroup-parent deep-er.slice busybox sleep 1000
says "is there" '/deep.slice/deep-er.slice/docker-.*\.scope/container$' \
  alice "cat /proc/\$(docker inspect -f '{{.State.Pid}}' sliced)/cgroup"
says "what is no slice is refused" 'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"' \
  docker run --rm --cgroup-parent /deep busybox true
check "a restarted container has its limits" docker restart -t 0 limited
says "memory.max after the restart" '^83886080$' cat "$group/memory.max"
check "containers are removed" docker rm -f limited sliced hungry
check "their scopes go" within 30 alice "! systemctl --user --no-legend list-units 'docker-*.scope' | grep -q ."
check "the engine stops" stop
