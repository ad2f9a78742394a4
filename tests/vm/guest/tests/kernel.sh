# What a kernel of this age can do: overlays in a user namespace, mounts, networks.
start || return
says "the storage driver is overlay2, natively" '^overlay2$' docker "info -f '{{.Driver}}'"
load
says "a container runs" '^hello$' docker run --rm busybox echo hello
says "a container runs, by lichen" '^hello$' lichen run --rm busybox echo hello
says "with a terminal" '^/dev/' alice "script -qec 'docker run --rm -t busybox tty' /dev/null"
check "with a volume, a bind, a tmpfs and a published port" docker run -d --name web -p 8080:80 -v data:/data \
  -v /tmp:/host:ro --tmpfs /scratch busybox httpd -f -h /data
check "a command is executed in it" docker "exec web sh -c 'echo there > /data/index.html && ! touch /host/x && touch /scratch/x'"
check "its port answers" within 60 curl -sf http://127.0.0.1:8080/index.html
says "files are copied out while it runs" '^there$' alice 'docker cp web:/data/index.html - | tar -xO'
check "it is removed" docker rm -f web
check "another is created" docker create --name other -v data:/data busybox true
says "files are copied out of one that never ran" '^there$' alice 'docker cp other:/data/index.html - | tar -xO'
check "files are copied into it" alice 'echo in | docker cp - other:/ 2>&1 | grep -q tar; tar -C /etc -c hostname | docker cp - other:/root'
says "its image is committed and run" '^vm$' alice 'docker commit other changed > /dev/null && docker run --rm changed cat /root/hostname'
says "changes are listed" '^A /root/hostname' docker diff other

# A registry on loopback, which is insecure without being told.
mkdir -p /etc/docker/registry
cat > /etc/docker/registry/config.yml <<'YAML'
version: 0.1
storage: { filesystem: { rootdirectory: /var/lib/docker-registry } }
http: { addr: "127.0.0.1:5000" }
YAML
systemctl restart docker-registry
within 60 curl -sf http://127.0.0.1:5000/v2/
check "an image is pushed" docker "tag busybox 127.0.0.1:5000/busybox && docker push 127.0.0.1:5000/busybox"
check "and pulled" docker "rmi -f busybox 127.0.0.1:5000/busybox && docker pull 127.0.0.1:5000/busybox"
says "a container of it runs" '^hello$' docker run --rm 127.0.0.1:5000/busybox echo hello
check "the engine stops" stop
