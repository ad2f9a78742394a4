"""Where bench/network measures: network namespaces on the host, and what containers are in."""

import contextlib
import dataclasses
import os
import pathlib
import socket
import subprocess

from network_tools import HTTP, PORT, wait_until

LAN, BRIDGED, BRIDGE = "lichen-bench", "lichen-bench-br", "lchbench1"
HOST, AWAY = "203.0.113.1", "203.0.113.2"
GATEWAY, NEIGHBOUR = "198.18.0.1", "198.18.0.2"
PUBLISHED, PUBLISHED_HTTP = 15201, 15280
IN_LAN, IN_BRIDGED = ["ip", "netns", "exec", LAN], ["ip", "netns", "exec", BRIDGED]
FORWARDERS = {"lichen": "netd", "slirp4netns": "slirp4netns", "pasta": "pasta"}

# The programs that a container's connections are measured with come from the host.
HOST_PROGRAMS = [option for directory in ("/usr", "/lib", "/lib64") if os.path.exists(directory)
                 for option in ("-v", f"{directory}:{directory}:ro")]
# Its sandbox and its seccomp filter as dockerd-rootless.sh has them; the MTU is RootlessKit's default.
ROOTLESSKIT = ["--net=slirp4netns", "--mtu=65520", "--slirp4netns-sandbox=auto", "--slirp4netns-seccomp=auto",
               "--disable-host-loopback", "--copy-up=/etc", "--port-driver=builtin"]


@dataclasses.dataclass
class Place:
    """A network namespace with a published port for iperf3 and one for HTTP."""

    inside: list
    """Runs a program in the network namespace, as root of the host."""
    container: list
    """Runs a program in the container itself."""
    outward: list
    """Processes that carry what it sends."""
    inward: list
    """Processes that carry what comes by a published port."""


def sh(*args):
    subprocess.run(args, check=True)


def remove(*args):
    subprocess.run(args, check=False, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def lan():
    """A network namespace, on a network with the host: the next machine."""
    def down():
        remove("ip", "netns", "del", LAN)
        remove("ip", "link", "del", "lchbench0")
    down()
    try:
        sh("ip", "netns", "add", LAN)
        sh("ip", "link", "add", "lchbench0", "type", "veth", "peer", "name", "eth0", "netns", LAN)
        sh("ip", "addr", "add", f"{HOST}/24", "dev", "lchbench0")
        sh("ip", "link", "set", "lchbench0", "up")
        sh("ip", "-n", LAN, "addr", "add", f"{AWAY}/24", "dev", "eth0")
        sh("ip", "-n", LAN, "link", "set", "eth0", "up")
        yield
    finally:
        down()


@contextlib.contextmanager
def bridged():
    """A network namespace on a bridge of the host's."""
    def down():
        remove("ip", "netns", "del", BRIDGED)
        remove("ip", "link", "del", BRIDGE)
    down()
    try:
        sh("ip", "netns", "add", BRIDGED)
        sh("ip", "link", "add", BRIDGE, "type", "bridge")
        sh("ip", "addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        sh("ip", "link", "add", "lchbench2", "type", "veth", "peer", "name", "eth0", "netns", BRIDGED)
        sh("ip", "link", "set", "lchbench2", "master", BRIDGE, "up")
        sh("ip", "link", "set", BRIDGE, "up")
        sh("ip", "-n", BRIDGED, "addr", "add", f"{NEIGHBOUR}/24", "dev", "eth0")
        sh("ip", "-n", BRIDGED, "link", "set", "eth0", "up")
        yield
    finally:
        down()


@contextlib.contextmanager
def container(host, driver, cache, *options):
    """A container of Lichen's on the default bridge (MTU 1500)."""
    command = host.command
    host.command = lambda *args: command("env", f"DOCKERD_ROOTLESS_ROOTLESSKIT_NET={driver}", *args)
    lichen = host.bin / "lichen"
    try:
        host.start()
        host.run(lichen, "load", "-q", "-i", cache / "busybox.tar")
        host.run(lichen, "run", "-d", "--name", "target", "-p", f"{PUBLISHED}:{PORT}", "-p", f"{PUBLISHED_HTTP}:{HTTP}",
                 *HOST_PROGRAMS, *options, "busybox", "sleep", "100000")
        pid = host.run(lichen, "inspect", "-f", "{{.State.Pid}}", "target").stdout.strip()
        pids = forwarders(host, FORWARDERS[driver])
        yield Place(["nsenter", "-t", pid, "-n"], host.command(lichen, "exec", "target"), pids, pids)
        host.run(lichen, "rm", "-f", "target")
    finally:
        host.close()


@contextlib.contextmanager
def rootlesskit(host):
    """RootlessKit's own network namespace: what a container without a bridge of its own has at best."""
    state, told = host.runtime / "rootlesskit", host.root / "rootlesskit.log"
    publish = [f"--publish=0.0.0.0:{outer}:{inner}/tcp" for outer, inner in ((PUBLISHED, PORT), (PUBLISHED_HTTP, HTTP))]
    process = None
    try:
        with open(told, "w", encoding="utf-8") as log:
            process = subprocess.Popen(host.command("rootlesskit", f"--state-dir={state}", *ROOTLESSKIT, *publish, "sleep", "100000"),
                                       stdout=log, stderr=log, cwd=host.root / "home")
        wait_until("rootlesskit publishes ports", lambda: process.poll() is not None or publishes())
        if process.poll() is not None:
            raise RuntimeError(f"rootlesskit ended:\n{told.read_text()}")
        inside = ["nsenter", "-t", (state / "child_pid").read_text().strip(), "-n"]
        # The child's name is that of its command, /proc/self/exe.
        yield Place(inside, inside, host.processes(["slirp4netns"]), host.processes(["rootlesskit", "exe"]))
    finally:
        if process:
            process.terminate()
            process.wait(30)
        host.close()


def publishes():
    """Whether a connection is taken, whatever becomes of it."""
    try:
        socket.create_connection((HOST, PUBLISHED_HTTP), timeout=5).close()
        return True
    except OSError:
        return False


def forwarders(host, word):
    """Processes of this engine's run directory whose command line has the word."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if word in line and str(host.runtime) in line and "daemon" not in line:
                found.append(int(entry.name))
    return found
