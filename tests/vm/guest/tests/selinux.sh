# kernel: security=selinux selinux=1
# SELinux with Debian's policy, which does not confine who logs in: permissive, enforcing, and with alice confined.
policy=/etc/selinux/default
mode() { says "SELinux is $1" "^$1\$" getenforce; }
labels="SELinux is enforcing: containers have the label of what you run yourself, so it does not keep them apart from your files"
of_container() { tr -d '\0' < "/proc/$(docker inspect -f '{{.State.Pid}}' box)/attr/current"; }
same_label() { [ "$(of_container)" = "$(login id -Z)" ] || { of_container; login id -Z; return 1; }; }
served() { exec 3<> /dev/tcp/127.0.0.1/8080 && printf 'GET /index.html HTTP/1.0\r\n\r\n' >&3 && grep -q served <&3; }
works() {
  says "she is not confined" '^unconfined_u:unconfined_r:unconfined_t:' login id -Z
  says "nothing is missing" '^\[INFO\] Requirements are satisfied$' login lichen setup check
  start || return
  says "the storage driver is overlay2" '^overlay2$' docker "info -f '{{.Driver}}'"
  load
  login 'mkdir -p shared'
  check "a container runs, with a volume and a directory of hers" docker run -d --name box -p 8080:80 -v data:/data \
    -v /home/alice/shared:/shared:z --security-opt label=type:container_t busybox \
    "sh -c 'echo served > /index.html && echo kept > /data/file && cp /data/file /shared && exec httpd -f -h /'"
  check "it is reached" within 60 served
  says "exec" '^hello$' docker exec box echo hello
  check "it has her label" same_label
  says "and the directory the label it had" ':user_home_t:s0$' stat -c %C /home/alice/shared/file
  says "its image is committed and run" '^served$' alice 'docker commit box changed > /dev/null && docker run --rm changed cat /index.html'
  check "it is removed" docker rm -f box
  check "the engine stops" stop
}
mode Permissive
check "the doctor is silent on a SELinux that forbids nothing" login '! lichen doctor 2>&1 | grep SELinux'
works
check "SELinux is told to enforce" setenforce 1
log_in_again
mode Enforcing
says "the doctor says what it does not do" "$labels" login lichen doctor
works
# A user who is confined, by the file that `semanage login` writes.
sed -i '1i alice:user_u:s0' "$policy/seusers"
log_in_again
chcon -R -u user_u /home/alice
says "she is confined" '^user_u:user_r:user_t:' login id -Z
forbids="SELinux's policy for user_u:user_r:user_t:s0 may forbid it"
says "the check says that she may make no user namespaces" '^\[ERROR\] no user namespace can be made: ' login lichen setup check
says "and who may have forbidden it" "$forbids" login lichen setup check
says "so does the doctor" "$forbids" login lichen doctor
check "SELinux is told not to" setenforce 0
sed -i '/^alice:/d' "$policy/seusers"
chcon -R -u unconfined_u /home/alice
