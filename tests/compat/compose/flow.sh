# A project of two services, from `up` to `down`, with the Compose given as arguments.
set -euo pipefail
trap 'echo "compose: failed at line $LINENO: $BASH_COMMAND" >&2' ERR
command=("$@")
run() { "${command[@]}" "$@"; }
same() { # WHAT EXPECTED FOUND
  [[ $2 = "$3" ]] || { printf 'compose: %s: expected %q, found %q\n' "$1" "$2" "$3" >&2; exit 1; }
}
cd "$PROJECT"
export COMPOSE_PROJECT_NAME=flow
run version --short
run config >/dev/null
run up -d
same "both run" 2 "$(run ps -q | wc -l)"
# What the asker printed is there a moment after its start.
for _ in $(seq 100); do said=$(run logs --no-color asker | grep -c 'hello from the store' || true); [[ $said = 2 ]] && break; sleep 0.1; done
same "the store, by both of its names" 2 "$said"
same exec "hello from the store" "$(run exec -T store cat /data/index.html)"
same "a name on the network" 0 "$(run exec -T asker ping -c 1 -W 2 store >/dev/null && echo 0)"
store=$(run ps -q store)
run up -d
same "up again changes nothing" "$store" "$(run ps -q store)"
run up -d --scale asker=2
same scale 2 "$(run ps -q asker | wc -l)"
run run --rm --no-deps asker true
run stop -t 0 asker
run start asker
run restart -t 0 store
run kill store
run rm -f -s asker
run up -d
run down -t 0
same "down leaves no container" 0 "$(run ps -q | wc -l)"
run up -d store
same "the volume is kept" "hello from the store" "$(run exec -T store cat /data/index.html)"
run down -t 0 -v --remove-orphans
echo "compose: all as expected"
