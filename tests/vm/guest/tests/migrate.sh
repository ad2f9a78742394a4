# From a real rootful Docker: what it has is copied, over its socket and TCP, and by a run that was killed. (Podman's
# is an end-to-end test.)
mkdir -p /etc/docker
# This machine has no way out, and needs no rules for one. Docker wants AppArmor's programs where the kernel has it.
echo '{"storage-driver": "vfs", "iptables": false, "ip6tables": false, "ip-masq": false}' > /etc/docker/daemon.json
echo 'DOCKER_OPTS="-H tcp://127.0.0.1:2375"' > /etc/default/docker
DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Options::=--force-confold install --no-install-recommends apparmor docker.io > "$state/docker" 2>&1
rootful() { /usr/local/bin/docker -H unix:///run/docker.sock "$@"; }
check "a rootful Docker runs" within 180 rootful version || { tail -20 "$state/docker"; journalctl -u docker | tail; return; }
check "an image is loaded into it" rootful load -i /payload/busybox.tar
rootful tag busybox example/web:1
rootful network create --subnet 10.91.9.0/24 --label a=b front > /dev/null
rootful volume create --label kind=data data > /dev/null
check "a volume is filled there" rootful run --rm --network none -v data:/d busybox sh -c \
  'cd /d && mkdir -m 700 sub && echo hello > sub/file && chown -R 33:44 sub && ln -s sub/file link && chmod 2751 /d && chown 5:6 /d'
check "a container runs there" rootful run -d --name web --network front -v data:/srv -e A=1 --restart on-failure:3 \
  --memory 64m example/web:1 sleep 1000
rootful run -d --name plain --network none busybox sleep 1000 > /dev/null
before=$(rootful ps -a --no-trunc)
# Whoever may use it may read what is in it.
usermod -aG docker alice
session_end
start || return
migrate() { alice "lichen migrate $*"; }
socket_of_root=unix:///var/run/docker.sock
plan() { migrate --from "$socket_of_root"; }
says "the plan names the image" '^image +.*example/web:1.*copy$' plan
says "and the volume" '^volume +data +copy$' plan
says "the network" '^network +front +create$' plan
says "and the container" '^container +web +create$' plan
check "nothing was done by that" test -z "$(docker images -q)"
# However far it gets.
alice 'lichen migrate --from unix:///var/run/docker.sock --apply > /dev/null 2>&1 & sleep 4; kill -9 $!; wait' > /dev/null 2>&1
check "after a kill the rest is done" migrate --from "$socket_of_root" --apply --start
# Not with ls, which tells of the directory above too: how many links that has is the storage driver's matter.
tree="exec web find /srv -exec stat -c %a:%u:%g:%F:%N {} +"
# shellcheck disable=SC2086
same_volume() { diff <(rootful $tree | sort) <(docker $tree | sort); }
check "the volume is the same" same_volume
says "and its file" '^hello$' docker exec web cat /srv/link
says "the container is what it was" '^example/web:1 3 67108864 true$' \
  docker "inspect -f '{{.Config.Image}} {{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.HostConfig.Memory}} {{.State.Running}}' web"
says "in the network of its name" '^10.91.9.0/24 b$' docker "network inspect -f '{{(index .IPAM.Config 0).Subnet}} {{.Labels.a}}' front"
check "Docker has everything as before" test "$(rootful ps -aq --no-trunc)" = "$(tail -n +2 <<< "$before" | cut -d' ' -f1)"

again() { migrate --from "$1" --apply; }
says "over TCP all of it is here already" '^container +web +the same is here already$' again tcp://127.0.0.1:2375
rootful rm -f web plain > /dev/null
check "the engine stops" stop
apt-get -qq purge docker.io > /dev/null 2>&1
gpasswd -d alice docker > /dev/null
