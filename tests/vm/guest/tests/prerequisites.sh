# Each thing that a host may lack is taken away: `lichen setup check` names it, and what it prints for root mends it.

# mended NAME REGEX: the check says so; its block, pasted, leaves nothing of it.
mended() {
  local name=$1 regex=$2 output block
  output=$(login lichen setup check 2>&1)
  says "$name is told" "$regex" echo "$output" || return
  # By itself: over ssh without a terminal the two outputs come as they please.
  block=$(login lichen setup check 2> /dev/null | sed -n '/# BEGIN #/,/# END #/p')
  check "$name is mended by what is printed" bash -c "${block:-false}"
  [ -z "$3" ] || "$3"
  check "$name is told no more" login "! lichen setup check 2>&1 | grep -E -e '$regex'"
}
# told NAME REGEX [COMMAND]: where the fix is the user's.
told() { says "$1 is told" "$2" login "${3-lichen setup check}"; }
status() { says "with status $1" "^status $1\$" login "${2-lichen setup check} > /dev/null 2>&1; echo status \$?"; }

says "nothing is missing" '^\[INFO\] Requirements are satisfied$' login lichen setup check

# Cgroups: Debian delegates cpu, memory and pids. First, since each block that is pasted mends all warnings.
mended "controllers that are not delegated" '^\[WARNING\] cgroup controllers cpuset, io are not delegated to you' log_in_again

# Programs that map IDs.
mv /usr/bin/newuidmap /root/newuidmap
told "newuidmap that is not there" '^\[ERROR\] newuidmap is not installed$'
status 1
says "the engine starts with a single ID, and says so" 'newuidmap' login 'timeout 20 lichen daemon 2>&1'
mv /root/newuidmap /usr/bin/newuidmap
chmod u-s /usr/bin/newgidmap
mended "newgidmap without privilege" '^\[ERROR\] /usr/bin/newgidmap has neither the set-user-ID bit nor file capabilities$'

# Subordinate IDs.
sed -i '/^alice:/d' /etc/subuid
mended "no subordinate user IDs" '^\[ERROR\] No subuid ranges found for user 1000 \("alice"\)'
sed -i 's/^alice:.*/alice:100000:1000/' /etc/subgid
mended "too few subordinate group IDs" '^\[WARNING\] only 1000 subgids for user "alice", images commonly need 65536'
useradd --no-create-home bob
sed -i '/^bob:/d' /etc/subuid
sed -n 's/^alice:\([0-9]*\):.*/bob:\1:10/p' /etc/subuid | head -1 >> /etc/subuid
told "a range that is another user's too" "^\[WARNING\] /etc/subuid: the range [0-9]+:10 of user bob overlaps yours"
userdel bob
sed -i '/^bob:/d' /etc/subuid

# The kernel's settings.
sysctl -qw kernel.unprivileged_userns_clone=0
mended "a kernel that keeps user namespaces for root" \
  '^\[ERROR\] kernel.unprivileged_userns_clone is 0: users may not create user namespaces$'
sysctl -qw user.max_user_namespaces=0
mended "a kernel without user namespaces" '^\[ERROR\] user.max_user_namespaces is 0: no user namespace can be created$'
sysctl -qw net.ipv4.ping_group_range='1 0'
mended "ping that nobody may" '^\[WARNING\] net.ipv4.ping_group_range is 1 0, without your group 1000'
says "privileged ports are noted by the doctor" 'ports below 1024 cannot be published' login lichen doctor
rm -f /etc/sysctl.d/5[0-3]-rootless*.conf

# Devices and modules.
modprobe tun
# Its rule opens the device to everyone, a moment later.
udevadm settle
chmod 600 /dev/net/tun
mended "a tun device that she may not open" '^\[WARNING\] /dev/net/tun may not be opened by you: containers reach nothing outside$'
rmmod tun
rm -rf /dev/net/tun
mended "a tun device that is not there" '^\[WARNING\] /dev/net/tun does not exist: containers reach nothing outside$'
if rmmod overlay 2> /dev/null || ! grep -qw overlay /proc/filesystems; then
  echo 'install overlay /bin/false' > /etc/modprobe.d/no-overlay.conf
  apt-get -qq remove fuse-overlayfs > /dev/null
  mended "a kernel without overlay" 'the kernel.s overlay cannot be mounted in a user namespace: .*vfs is used'
  rm /etc/modprobe.d/no-overlay.conf
fi

# The session.
login systemctl --user stop dbus.socket dbus.service
rm -f /run/user/1000/bus
told "a session without a bus" '^\[WARNING\] no D-Bus for your session: systemd cannot be asked for cgroups$'
log_in_again
elsewhere='XDG_RUNTIME_DIR=/run/nowhere lichen setup check'
told "no runtime directory" '^\[ERROR\] could not get XDG_RUNTIME_DIR: /run/nowhere is no directory$' "$elsewhere"
status 1 "$elsewhere"
told "no home directory" '^\[ERROR\] HOME needs to be set$' 'env -u HOME lichen setup check'
told "a home directory that is not there" '^\[ERROR\] HOME needs to exist' 'env HOME=/nowhere lichen setup check'
told "a home directory of another's" '^\[ERROR\] HOME needs to be writable: /usr is not$' 'env HOME=/usr lichen setup check'
says "root is refused" 'Refusing to install rootless Docker as the root user' env lichen setup install
says "lingering is noted by the doctor" 'lingering is off: the engine starts when you log in' login lichen doctor

# Another engine in the way. The socket of one that was purged stays (RemoveOnStop= of systemd.socket(5)), and is not it.
rm -f /run/docker.sock
systemd-socket-activate --listen=/run/docker.sock sleep 1000 2> /dev/null &
within 30 test -S /run/docker.sock
chmod 666 /run/docker.sock
told "an engine of root's" \
  '^\[ERROR\] Aborting because rootful Docker \(/var/run/docker.sock\) is running and accessible. Set --force to ignore.$'
status 1
check "--force ignores it" login lichen setup check --force
kill %1
rm /run/docker.sock

# A home on a server.
if DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends nfs-kernel-server > /dev/null 2>&1 && modprobe nfsd; then
  mkdir -p /srv/nfs/lichen /mnt/nfs
  chown -R alice: /srv/nfs
  systemctl -q start nfs-server
  exportfs -o rw,fsid=0,insecure,no_subtree_check 127.0.0.1:/srv/nfs
  check "a home on NFS is mounted" mount -t nfs4 127.0.0.1:/ /mnt/nfs
  told "a data root on NFS" '^\[ERROR\] /mnt/nfs/lichen is on nfs, whose server does not let you give files to subordinate IDs' \
    'env XDG_DATA_HOME=/mnt/nfs lichen setup check'
  says "the engine refuses it" 'nfs' login 'timeout 60 lichen daemon --data-root /mnt/nfs/lichen 2>&1'
  umount /mnt/nfs
  exportfs -ua
  systemctl -q stop nfs-server
else
  echo "skip a data root on NFS: this kernel has no nfsd"
fi
says "nothing is missing at the end" '^\[INFO\] Requirements are satisfied$' login lichen setup check
