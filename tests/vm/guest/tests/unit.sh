# A user service, as `lichen setup install` writes it.
# The unit may be started three times a minute, and here it is more often.
restart() { alice "systemctl --user reset-failed docker.service; systemctl --user restart docker.service"; }
ready() { alice systemctl --user is-active docker.service | grep -qx active; }
check "setup installs and starts the unit" lichen setup install
check "it is active once the engine answers" answers
says "it tells how it is" '^StatusText=.+' alice systemctl --user show -p StatusText docker.service
says "the main process is the launcher" 'lichen' alice "ps -o comm= \$(systemctl --user show -p MainPID --value docker.service)"
driver systemd
load
check "a container" docker run -d --name box --restart unless-stopped -m 64m busybox sleep 1000
pid=$(docker "inspect -f '{{.State.Pid}}' box")
check "it is in no cgroup of the unit" alice "! grep -q docker.service /proc/$pid/cgroup"
check "kill -9 of launcher and engine" pkill -KILL -u alice -f '^[^ ]*lichen (daemon|engine)'
check "systemd starts it again" within 120 answers
says "with the same process in the container" "^$pid\$" docker "inspect -f '{{.State.Pid}}' box"
says "whose limit still stands" '^67108864$' docker exec box cat /sys/fs/cgroup/memory.max
check "systemctl restart" restart
check "the container was stopped, and is started again" within 60 alice "test \"\$(docker inspect -f '{{.State.Running}}' box)\" = true"
check "in another process" test "$(docker "inspect -f '{{.State.Pid}}' box")" != "$pid"

alice 'mkdir -p ~/.config/docker && echo "{\"live-restore\": true}" > ~/.config/docker/daemon.json'
restart
within 120 answers
within 60 alice "test \"\$(docker inspect -f '{{.State.Running}}' box)\" = true"
pid=$(docker "inspect -f '{{.State.Pid}}' box")
check "systemctl restart, with live-restore" restart
within 120 answers
says "spares the container" "^$pid\$" docker "inspect -f '{{.State.Pid}}' box"
says "whose limits can still be changed" '^box$' docker update -m 80m --memory-swap 160m box
alice 'echo "{\"live-restore\": true, \"labels\": [\"a=b\"]}" > ~/.config/docker/daemon.json'
check "systemctl reload" alice systemctl --user reload docker.service
check "has the configuration read again" within 30 alice "docker info -f '{{.Labels}}' | grep -F '[a=b]'"
check "and leaves it active" within 30 ready
check "systemctl stop" alice systemctl --user stop docker.service
check "leaves the container running" kill -0 "$pid"
check "systemctl start" restart
within 120 answers
says "finds it again" "^$pid\$" docker "inspect -f '{{.State.Pid}}' box"

alice 'rm ~/.config/docker/daemon.json'
restart
within 120 answers
within 60 alice "test \"\$(docker inspect -f '{{.State.Running}}' box)\" = true"
pid=$(docker "inspect -f '{{.State.Pid}}' box")
check "systemctl stop, without live-restore" alice systemctl --user stop docker.service
check "stops the container" alice "! kill -0 $pid"

# As at boot: logind starts the manager of whoever lingers, and that what is enabled.
loginctl enable-linger alice
session_end
systemctl restart user@1000.service
check "with linger the engine starts without a login" within 120 answers
check "and starts the container" within 60 alice "test \"\$(docker inspect -f '{{.State.Running}}' box)\" = true"
check "setup uninstalls" lichen setup uninstall
check "the engine is gone" within 60 ended
