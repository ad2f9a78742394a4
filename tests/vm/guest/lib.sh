# What the tests are written in.
#
#   login 'COMMANDS'              as alice, in a login session of hers (by ssh, so that logind and PAM have their part)
#   alice 'COMMANDS'              the same, with what an engine of hers is reached by
#   check NAME COMMAND...         passes when the command succeeds; otherwise its output is shown
#   says NAME REGEX COMMAND...    passes when the command's output matches, whatever its status
#   within SECONDS COMMAND...     repeats the command until it succeeds
#   log_in_again                  the next login is a new session, and all of the old one has ended
#   start [OPTION...]             an engine of alice's, by hand, in her session; started: one that was begun otherwise
#   reboot_then PHASE             the end of a test's part: its script is run again after a reboot, with $phase set
#   furnish                       what the tests need, installed once
#   clean_up                      nothing of alice's is left, not even her manager

control=/run/alice.ssh
socket=/run/user/1000/docker.sock

verdict() { # STATUS NAME OUTPUT
  if [ "$1" = 0 ]; then
    echo "ok   $2"
    echo ok >> "$counts"
  else
    echo "FAIL $2"
    echo FAIL >> "$counts"
    printf '%s\n' "$3" | tail -20 | sed 's/^/     | /'
  fi
  return "$1"
}

check() {
  local name=$1 output status
  shift
  output=$("$@" 2>&1 < /dev/null)
  status=$?
  verdict "$status" "$name" "$output"
}

says() {
  local name=$1 regex=$2 output status
  shift 2
  output=$("$@" 2>&1 < /dev/null)
  grep -Eq -e "$regex" <<< "$output"
  status=$?
  verdict "$status" "$name" "expected $regex, got:
$output"
}

within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" > /dev/null 2>&1 < /dev/null; do
    [ "$SECONDS" -lt "$end" ] || { echo "not within the time: $*"; return 1; }
    sleep 0.5
  done
}

login() {
  # One connection, and so one session, for all.
  ssh -q -o StrictHostKeyChecking=no -o ControlMaster=auto -o ControlPath="$control" -o ControlPersist=yes \
    alice@127.0.0.1 "$*"
}

alice() { login "export DOCKER_HOST=unix://$socket PATH=\$PATH:/usr/sbin:/sbin; $*"; }

docker() { alice "docker $*"; }
lichen() { alice "lichen $*"; }

answers() { [ "$(curl -s --max-time 5 --unix-socket "$socket" http://d/_ping)" = OK ]; }

start() {
  alice "setsid lichen daemon $* > ~/engine.log 2>&1 < /dev/null &"
  started
}

started() { check "the engine starts" serves; }
serves() { within 120 answers || { cat /home/alice/engine.log; return 1; }; }

# Gracefully, as by Ctrl-C.
stop() {
  pkill -u alice -TERM -f '^[^ ]*lichen daemon'
  within 120 ended || { tail -20 /home/alice/engine.log; return 1; }
}

ended() { ! pgrep -u alice -f '^[^ ]*lichen (daemon|engine)'; }

load() { check "an image is loaded" docker load -i /payload/busybox.tar; }

driver() { says "the cgroup driver is $1" "^$1 2$" docker "info -f '{{.CgroupDriver}} {{.CgroupVersion}}'"; }

session_end() {
  [ ! -e "$control" ] || ssh -q -O exit -o ControlPath="$control" alice@127.0.0.1 2> /dev/null
  rm -f "$control"
}

log_in_again() {
  session_end
  loginctl terminate-user alice
  within 60 nobody
}

clean_up() {
  session_end
  loginctl disable-linger alice 2> /dev/null
  loginctl terminate-user alice 2> /dev/null
  pkill -KILL -u alice
  within 60 nobody || echo "processes of alice's are left: $(ps -o pid,args -u alice)"
  # With her manager goes her runtime directory, a moment later.
  systemctl stop user@1000.service user-runtime-dir@1000.service 2> /dev/null
  within 60 test ! -e /run/user/1000
  # What root was told to do for her, but for what `furnish` gives.
  rm -rf /etc/systemd/system/user@.service.d /etc/sysctl.d/5[0-3]-rootless*.conf
  systemctl daemon-reload
  rm -rf /home/alice/.local/share/lichen /home/alice/.config/{docker,systemd} /home/alice/engine.log
}

reboot_then() {
  echo "$1" > "$state/phase"
  # What is to be lost is what was not written; not this.
  sync "$state/phase" "$counts"
}

furnish() {
  [ ! -e "$state/furnished" ] || return 0
  # Of what was fetched when the image was made.
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $(cat /payload/packages) > "$state/apt" 2>&1 \
    || { tail -20 "$state/apt"; return 1; }
  for file in /etc/subuid /etc/subgid; do grep -q '^alice:' "$file" || echo alice:100000:65536 >> "$file"; done
  touch "$state/furnished"
}

nobody() { ! pgrep -u alice; }
