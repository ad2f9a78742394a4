# What a user does in a day, with the client named by $DOCKER; fails at the first thing that is not as it should be.
set -euo pipefail; trap 'echo "flow: failed at line $LINENO: $BASH_COMMAND" >&2' ERR
docker() { "$DOCKER" "$@"; }
here=$(mktemp -d "$LICHEN_WORK/flow.XXXXXX")
trap 'docker ps -aq --filter label=flow | xargs -r "$DOCKER" rm -f -v >/dev/null; docker network rm flow >/dev/null 2>&1 || true; docker volume rm flow >/dev/null 2>&1 || true; rm -rf "$here"' EXIT
same() { # WHAT EXPECTED FOUND
  [[ $2 = "$3" ]] || { printf 'flow: %s: expected %q, found %q\n' "$1" "$2" "$3" >&2; exit 1; }
}
fails() { # CODE COMMAND...
  local code=0 wanted=$1; shift
  "$@" >"$here/out" 2>&1 || code=$?
  same "exit code of $*" "$wanted" "$code"
}
docker version --format '{{.Client.Version}} with {{.Server.Version}}, API {{.Client.APIVersion}}'

# run: output, exit code, environment, working directory, user, stdin
same output hello "$(docker run --rm --label flow busybox echo hello)"
fails 7 docker run --rm --label flow busybox sh -c 'exit 7'
fails 127 docker run --rm --label flow busybox no-such-program
fails 125 docker run --rm --label flow --no-such-flag busybox true
same environment "v /tmp 33" "$(docker run --rm --label flow -e K=v -w /tmp -u 33 busybox sh -c 'echo $K $PWD $(id -u)')"
same stdin typed "$(echo typed | docker run --rm -i --label flow busybox cat)"

# a container that goes on: exec, logs, cp, top, inspect, rename, stop
docker run -d --name flow-web --label flow -p 127.0.0.1::8080 busybox sh -c 'echo up; echo err >&2; mkdir -p /www; [ -e /www/index.html ] || echo page > /www/index.html; exec httpd -f -p 8080 -h /www' >/dev/null
port=$(docker port flow-web 8080/tcp); port=${port##*:}
for _ in $(seq 100); do page=$(curl -fsS "http://127.0.0.1:$port/" 2>/dev/null) && break; sleep 0.1; done
same "published port" page "$page"
same exec "inside 5" "$(docker exec -e A=5 flow-web sh -c 'echo inside $A')"
fails 3 docker exec flow-web sh -c 'exit 3'
same logs up "$(docker logs flow-web 2>/dev/null)"
same "logs of stderr" err "$(docker logs flow-web 2>&1 >/dev/null)"
echo file > "$here/file"
docker cp "$here/file" flow-web:/tmp/copied >/dev/null 2>&1
same "cp in" file "$(docker exec flow-web cat /tmp/copied)"
docker cp flow-web:/www "$here/" >/dev/null 2>&1
same "cp out" page "$(cat "$here/www/index.html")"
same "cp to stdout" page "$(docker cp flow-web:/www/index.html - | tar -xO)"
docker top flow-web | grep 'httpd -f' >/dev/null
docker diff flow-web | grep -x 'A /www/index.html' >/dev/null
same inspect "running /flow-web" "$(docker inspect --format '{{.State.Status}} {{.Name}}' flow-web)"
docker rename flow-web flow-site
same ps flow-site "$(docker ps --filter label=flow --format '{{.Names}}')"
docker restart -t 0 flow-site >/dev/null
docker stop -t 0 flow-site >/dev/null
same "exit code" 137 "$(docker inspect --format '{{.State.ExitCode}}' flow-site)"
docker commit flow-site flow/committed:1 >/dev/null
same commit page "$(docker run --rm --label flow flow/committed:1 cat /www/index.html)"
docker rmi flow/committed:1 >/dev/null

# logs -f ends with the container and misses nothing
docker run -d --name flow-count --label flow busybox sh -c 'for i in 1 2 3; do echo $i; sleep 0.2; done' >/dev/null
same "logs -f" "1 2 3" "$(docker logs -f flow-count | paste -sd' ')"
same wait 0 "$(docker wait flow-count)"

# volumes and networks
docker volume create --label flow flow >/dev/null
docker run --rm --label flow -v flow:/data busybox sh -c 'echo kept > /data/f'
same volume kept "$(docker run --rm --label flow -v flow:/data:ro busybox cat /data/f)"
fails 1 docker run --rm --label flow -v flow:/data:ro busybox touch /data/g
docker network create --label flow flow >/dev/null
docker run -d --name flow-server --label flow --network flow --network-alias server busybox sh -c 'while :; do echo greeting | nc -l -p 7; done' >/dev/null
for _ in $(seq 100); do said=$(docker run --rm --label flow --network flow busybox nc -w 2 server 7 </dev/null) && [[ $said ]] && break; sleep 0.1; done
same "name on a network" greeting "$said"
same "network inspect" flow-server "$(docker network inspect --format '{{range .Containers}}{{.Name}}{{end}}' flow)"

# health, events, images, archives
docker run -d --name flow-health --label flow --health-cmd 'test -e /tmp/ok' --health-interval 200ms --health-retries 1 busybox sh -c 'sleep 0.5; touch /tmp/ok; sleep 60' >/dev/null
for _ in $(seq 200); do health=$(docker inspect --format '{{.State.Health.Status}}' flow-health); [[ $health = healthy ]] && break; sleep 0.1; done
same health healthy "$health"
# The client cuts "0s" down to a whole second, which may be before the start.
for _ in $(seq 50); do actions=$(docker events --since 10m --until 0s --filter container=flow-health --format '{{.Action}}'); grep -qx start <<<"$actions" && break; sleep 0.1; done
same "a start among the events" start "$(grep -xm1 start <<<"$actions")"
docker save busybox -o "$here/image.tar" && docker load -q -i "$here/image.tar" | grep 'Loaded image: busybox:latest' >/dev/null
docker export flow-health | tar -t > "$here/list"; grep -qx 'bin/busybox' "$here/list"
docker tag busybox flow/tagged:1; docker history -q busybox >/dev/null; docker rmi flow/tagged:1 >/dev/null
docker rm -f flow-health flow-server flow-count flow-site >/dev/null
same "nothing left" "" "$(docker ps -aq --filter label=flow)"
docker volume rm flow >/dev/null; docker network rm flow >/dev/null
docker system df >/dev/null; docker info --format '{{.Driver}}' >/dev/null
echo "flow: all as expected"
