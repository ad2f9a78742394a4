# From a system with nothing installed to the last file removed: what the README says, as a user who only reads what she is
# told, with an orderly reboot and a sudden one between.

# What the engine's user sees and does here: no variable is set for her.
block() { login lichen setup check 2> /dev/null | sed -n '/# BEGIN #/,/# END #/p'; }
running() { login "docker inspect -f '{{.State.Running}}' $1" | grep -qx true; }
page() { login 'docker exec web wget -qO- http://127.0.0.1/'; }
# No program for it is installed outside.
published() { exec 3<> /dev/tcp/127.0.0.1/8080 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && grep -q kept <&3; }

case $phase in
'')
  check "nothing is installed that containers need" sh -c '! command -v newuidmap && ! test -e /usr/lib/systemd/user/dbus.socket'
  says "the check names the missing programs" '^\[ERROR\] newuidmap is not installed$' login lichen setup check
  says "and the missing IDs" '^\[ERROR\] No subuid ranges found for user 1000 \("alice"\)' login lichen setup check
  says "and the session bus" '^\[WARNING\] no D-Bus for your session' login lichen setup check
  says "with a status" '^status 1$' login 'lichen setup check > /dev/null 2>&1; echo status $?'
  says "nothing is installed meanwhile" '^\[ERROR\] Missing system requirements' login lichen setup install
  check "no unit is left of that" test ! -e /home/alice/.config/systemd/user/docker.service
  block=$(block)
  check "root pastes the block" bash -c "$block"
  # As the fix for the bus says: log in again. The manager of a user goes some seconds after the last session.
  session_end
  loginctl terminate-user alice
  within 60 nobody
  says "the requirements are satisfied" '^\[INFO\] Requirements are satisfied$' login lichen setup check
  says "setup installs" 'Installed docker.service successfully' login lichen setup install
  says "and again, which changes nothing" 'docker.service runs already' login lichen setup install
  says "the context is selected" '^rootless$' login docker context show
  says "the doctor finds nothing wrong" '^0 errors' login lichen doctor
  check "an image is loaded" login docker load -i /payload/busybox.tar
  says "a container runs, with a limit" '^67108864$' login docker run --rm -m 64m busybox cat /sys/fs/cgroup/memory.max
  check "a server runs" login "docker run -d --name web --restart always -v data:/data -p 8080:80 -m 64m busybox \
    sh -c 'echo kept > /data/index.html; exec httpd -f -h /data'"
  check "and one that is not restarted" login docker run -d --name once busybox sleep 1000
  check "the server answers" within 60 published
  check "root lets her linger" loginctl enable-linger alice
  reboot_then 'after a reboot'
  ;;
'after a reboot')
  check "the engine starts at boot, without a login" within 180 published
  check "the container that is always restarted runs" within 60 running web
  says "the other is said to have exited" '^exited ' login "docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' once"
  check "it starts" login docker start once
  sync
  check "a container is made whose records may not yet be on the disk" login docker run -d --name late busybox sleep 1000
  echo 'after a loss of power' > "$state/phase"
  sync "$state/phase" "$counts"
  echo b > /proc/sysrq-trigger
  sleep 60
  ;;
'after a loss of power')
  check "the engine starts again" within 180 published
  check "the server runs" within 60 running web
  says "what it serves is kept" '^kept$' page
  says "what ran is said to have ended" '^exited 255$' login "docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' once"
  check "images and containers are whole" login lichen system check
  says "a new container runs" '^hello$' login docker run --rm busybox echo hello
  check "containers are removed" login 'docker rm -f $(docker ps -aq)'
  output=$(login lichen setup uninstall 2>&1)
  says "setup uninstalls" 'Uninstalled docker.service' echo "$output"
  says "the context is the default again" '^default$' login docker context show
  remove=$(sed -n 's/.*To remove data, run: `\(.*\)`$/\1/p' <<< "$output")
  check "data is removed as is told" login "$remove"
  check "nothing of it is left" test ! -e /home/alice/.local/share/lichen
  check "nor a process" sh -c '! pgrep -u alice -x "lichen.*"'
  ;;
esac
