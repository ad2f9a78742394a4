# The log driver journald, with a real journal.
start || return
load
check "a container logs to the journal" docker run -d --name speaker --log-driver journald --log-opt tag=a-tag busybox \
  "sh -c 'echo to the journal; echo an error >&2; sleep 1000'"
id=$(docker inspect -f '{{.Id}}' speaker)
in_journal() { journalctl -q -o cat "$@" | grep -q .; }
check "the line is there" within 30 in_journal "CONTAINER_NAME=speaker" "MESSAGE=to the journal" "PRIORITY=6"
check "so is that of standard error" within 30 in_journal "CONTAINER_NAME=speaker" "MESSAGE=an error" "PRIORITY=3"
check "by its identifier" in_journal "CONTAINER_ID_FULL=$id" "SYSLOG_IDENTIFIER=a-tag" "IMAGE_NAME=busybox"
says "docker logs has a copy" '^to the journal$' docker logs speaker
systemctl restart systemd-journald
check "after a restart of the journal" docker restart -t 0 speaker
twice() { [ "$(journalctl -q -o cat CONTAINER_NAME=speaker 'MESSAGE=to the journal' | wc -l)" = 2 ]; }
check "it is written to again" within 60 twice
check "the container is removed" docker rm -f speaker
check "the engine stops" stop
