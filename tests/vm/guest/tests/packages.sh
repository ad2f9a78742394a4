# The packages: root installs them, an ordinary user runs what they bring, and nothing is left of them.
deb=$(ls /payload/built/lichen_*.deb) docker_deb=$(ls /payload/built/lichen-docker_*.deb)
rpm=$(ls /payload/built/lichen-[0-9]*.rpm) work=/root/packages
# What the other tests run would be found first.
mkdir -p /root/programs "$work"
mv /usr/local/bin/lichen* /root/programs/
trap 'mv /root/programs/* /usr/local/bin/' EXIT
install_deb() { DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends --allow-downgrades "$@"; }
at() { says "the launcher runs from $1" "^$1\$" readlink "/proc/$(alice systemctl --user show -p MainPID --value lichen)/exe"; }
running() { [ "$(docker "inspect -f '{{.State.Running}} {{.State.Pid}}' box")" = "true $1" ]; }
# The unit may be started three times a minute, and here it may be more often.
unit() { alice "systemctl --user daemon-reload; systemctl --user reset-failed lichen; systemctl --user $1 lichen"; }
gone() { # FILE: of the list in it, nothing is left but directories of others
  while read -r path; do [ -d "$path" ] || { [ ! -e "$path" ] && [ ! -L "$path" ]; } || { echo "$path is left"; return 1; }; done < "$1"
}

check "there is no program before" alice '! command -v lichen'
check "the deb is installed" install_deb "$deb" "$docker_deb"
dpkg --listfiles lichen lichen-docker > "$work/listed"
says "the programs are there" '^/usr/bin/lichen$' alice command -v lichen
says "the requirements are satisfied" '^\[INFO\] Requirements are satisfied$' alice dockerd-rootless-setuptool.sh check
check "completion is where bash looks" test -s /usr/share/bash-completion/completions/lichen
alice 'mkdir -p ~/.config/docker && echo "{\"live-restore\": true}" > ~/.config/docker/daemon.json'
check "the unit that comes with it is enabled and started" unit 'enable --now'
started || return
driver systemd
at /usr/bin/lichen
load
check "a container" docker run -d --name box --restart always -m 64m busybox sleep 1000
pid=$(docker inspect -f '{{.State.Pid}}' box)
says "the name docker is this client" '^box$' alice '/usr/bin/docker ps --format "{{.Names}}"'

# A later version, but for its programs.
dpkg-deb --raw-extract "$deb" "$work/tree"
sed -i 's/^Version: .*/&+later/' "$work/tree/DEBIAN/control"
check "a later version is made" dpkg-deb -Znone --build "$work/tree" "$work/later.deb"
check "it is installed over a running engine" install_deb "$work/later.deb"
says "dpkg has it" '\+later$' dpkg-query --show --showformat '${Version}' lichen
at '/usr/bin/lichen \(deleted\)'
check "the container runs on" running "$pid"
says "the engine of before still starts others" '^hello$' docker run --rm busybox echo hello
check "the engine is restarted" unit restart
within 120 answers
at /usr/bin/lichen
check "the container has run on" running "$pid"
says "its limit can be changed" '^box$' docker update -m 80m --memory-swap 160m box

# As the package's own last word says.
says "setup installs a unit instead" 'Installed docker.service successfully' alice lichen setup install
says "the other has ended" '^inactive$' alice systemctl --user is-active lichen
check "with the same container" running "$pid"
says "setup uninstalls" 'Uninstalled docker.service' alice lichen setup uninstall
check "the packaged unit again" unit start
within 120 answers
check "still with the same container" running "$pid"

check "the packages are purged under a running engine" apt-get -qq purge lichen lichen-docker
check "the container runs on" running "$pid"
check "it can still be removed" docker rm -f box
check "the unit stops" alice systemctl --user stop lichen
check "nothing is left of the packages" gone "$work/listed"
check "nor a profile" test ! -e /etc/apparmor.d/usr.bin.lichen
check "nor a process" within 60 sh -c '! pgrep -u alice -x "lichen.*"'
check "nor a record" sh -c '! dpkg --status lichen'

# Debian's rpm has a database of its own, so that nothing else is there: what is required is not looked for.
apt-get -qq install --no-install-recommends rpm > /dev/null 2>&1
check "the rpm has no scripts" sh -c '[ -z "$(rpm --query --package --scripts "$1")" ]' sh "$rpm"
says "it requires the programs that map IDs" 'shadow-utils' rpm --query --package --requires "$rpm"
rpm --query --package --list "$rpm" > "$work/listed"
check "the rpm is installed" rpm --install --nodeps "$rpm"
check "its files are as it says" rpm --verify --nodeps lichen
check "the unit starts" unit start
started
says "a container runs" '^hello$' docker run --rm busybox echo hello
check "the unit stops again" alice systemctl --user stop lichen
check "the rpm is erased" rpm --erase lichen
check "nothing is left of it" gone "$work/listed"
alice 'rm ~/.config/docker/daemon.json ~/.config/systemd/user/default.target.wants/lichen.service'
