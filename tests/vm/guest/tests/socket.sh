# Socket activation: systemd listens, and the first client starts the engine.
alice 'mkdir -p ~/.config/systemd/user'
cat > /home/alice/.config/systemd/user/docker.socket <<'UNIT'
[Socket]
ListenStream=%t/docker.sock
SocketMode=0600
[Install]
WantedBy=sockets.target
UNIT
cat > /home/alice/.config/systemd/user/docker.service <<'UNIT'
[Unit]
Requires=docker.socket
[Service]
Environment=PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
ExecStart=/usr/local/bin/lichen daemon -H fd://
Type=notify
NotifyAccess=all
KillMode=process
Delegate=yes
UNIT
alice systemctl --user daemon-reload
check "the socket is there" alice systemctl --user start docker.socket
check "and no engine" ended
says "the first client starts one" '^systemd$' docker "info -f '{{.CgroupDriver}}'"
says "by the unit" '^active$' alice systemctl --user is-active docker.service
check "which stops" alice systemctl --user stop docker.service
check "the socket stays" test -S "$socket"
says "and the next client starts another" '^systemd$' docker "info -f '{{.CgroupDriver}}'"
check "both stop" alice systemctl --user stop docker.socket docker.service
