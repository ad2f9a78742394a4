# AppArmor, enabled as Debian's kernels have it, with its policies loaded.
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends apparmor > /dev/null 2>&1
systemctl restart apparmor
check "AppArmor is enabled" grep -qx Y /sys/module/apparmor/parameters/enabled
check "and has policies" grep -q . /sys/kernel/security/apparmor/profiles
# Of the two restrictions of the unconfined, Linux 6.7 took over that of changing profiles, which nothing here does.
restricted=/proc/sys/kernel/apparmor_restrict_unprivileged_unconfined
[ ! -e "$restricted" ] || check "what is unconfined may not change its profile" bash -c "echo 1 > $restricted"
# Where this fails there is a kernel to try it on: what stands in for it below can go.
check "the restriction of user namespaces is Ubuntu's alone" test ! -e /proc/sys/kernel/apparmor_restrict_unprivileged_userns
says "nothing is missing" '^\[INFO\] Requirements are satisfied$' login lichen setup check
works() { # NAME LABEL
  start || return
  load
  check "a container runs $1" docker run -d --name box -p 8080:80 busybox "sh -c 'echo served > /index.html; exec httpd -f -h /'"
  served() { exec 3<> /dev/tcp/127.0.0.1/8080 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && grep -q served <&3; }
  check "it is reached" within 60 served
  says "exec" '^hello$' docker exec box echo hello
  says "the engine runs $1" "^$2" cat "/proc/$(pgrep -u alice -f '^[^ ]*lichen engine' | head -1)/attr/current"
  # Debian has a profile for its own busybox, too, which allows everything.
  says "what runs in the container is not confined either" 'unconfined\)?$' cat "/proc/$(docker inspect -f '{{.State.Pid}}' box)/attr/current"
  check "it is removed" docker rm -f box
}
works "without a profile" unconfined
says "a profile for a container is refused" 'AppArmor profile "docker-default" .rootless engines cannot apply one' docker run --rm --security-opt apparmor=docker-default busybox true
check "the engine stops" stop

if [ ! -e /etc/apparmor.d/abi/4.0 ]; then
  echo "skip the profile: $(apparmor_parser --version | head -1) knows no user namespaces"
  return
fi
# A profile that denies stands in for Ubuntu's restriction of programs without one.
profile=/etc/apparmor.d/usr.local.bin.lichen
cat > "$profile" <<'EOT'
abi <abi/4.0>,
include <tunables/global>
"/usr/local/bin/lichen" flags=(attach_disconnected) {
  allow all,
  deny userns,
}
EOT
check "a profile that denies user namespaces is loaded" apparmor_parser --replace "$profile"
forbids="AppArmor's profile /usr/local/bin/lichen does not allow user namespaces"
says "the engine says what forbids it" "$forbids" login 'timeout 60 lichen daemon 2>&1'
says "the check says so" "^\[ERROR\] $forbids" login lichen setup check
block=$(login lichen setup check 2> /dev/null | sed -n '/# BEGIN #/,/# END #/p')
check "what is printed for root is pasted" bash -c "${block:-false}"
says "nothing is missing then" '^\[INFO\] Requirements are satisfied$' login lichen setup check
works "with the profile" '/usr/local/bin/lichen \(unconfined\)'
check "the engine stops" stop
apparmor_parser --remove "$profile"
rm "$profile"
