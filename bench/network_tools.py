"""What bench/network measures with: servers, clients, and what processes use."""

import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

# Where each server listens, on the host, in another network namespace and in a container.
PORT, PINGPONG, HTTP = 5201, 5202, 5280

PINGPONG_SERVER = f"""
import socket, threading
listener = socket.create_server(("0.0.0.0", {PINGPONG}), backlog=1024)
def serve(stream):
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := stream.recv(64):
        stream.sendall(data)
    stream.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

PROBE = f"""
import socket, statistics, sys, time
server = (sys.argv[1], {PINGPONG})
def timed(action):
    begin = time.perf_counter_ns()
    action()
    return (time.perf_counter_ns() - begin) / 1e3
connects = []
for _ in range(300):
    def connect():
        global stream
        stream = socket.create_connection(server, timeout=5)
    connects.append(timed(connect))
    stream.sendall(b"x")
    stream.recv(1)
    stream.close()
stream = socket.create_connection(server, timeout=5)
stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def pingpong():
    stream.sendall(b"x")
    stream.recv(1)
trips = [timed(pingpong) for _ in range(3000)]
print(statistics.median(trips), statistics.median(connects))
"""

NGINX = """
worker_processes 1; daemon off; pid {directory}/pid; error_log {directory}/log;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {directory}; proxy_temp_path {directory};
  fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{ listen {port} backlog=4096; location / {{ return 200 "a small exchange\\n"; }} }} }}
"""


class Servers:
    """iperf3(1), an echo of single bytes and a web server of one process, run behind `prefix`."""

    def __init__(self, prefix=()):
        self.directory = tempfile.TemporaryDirectory(prefix="lichen-bench.")
        nginx = pathlib.Path(self.directory.name) / "nginx.conf"
        nginx.write_text(NGINX.format(directory=self.directory.name, port=HTTP), encoding="utf-8")
        commands = (["nginx", "-c", str(nginx)], ["iperf3", "-s", "-p", str(PORT)], ["python3", "-c", PINGPONG_SERVER])
        self.processes = [subprocess.Popen([*prefix, *command], stdout=subprocess.DEVNULL) for command in commands]

    def __enter__(self):
        # nginx writes it once it listens; the two others listen within the first attempt or the second.
        wait_until("nginx listens", (pathlib.Path(self.directory.name) / "pid").exists)
        return self

    def __exit__(self, *_):
        # nginx ends its worker when it is asked to; iperf3 would complain of having been asked.
        for process, end in zip(self.processes, (subprocess.Popen.terminate, subprocess.Popen.kill, subprocess.Popen.kill)):
            end(process)
            process.wait()
        self.directory.cleanup()


def wait_until(what, true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def iperf(prefix, to, port, seconds, *options):
    """Bits per second that arrived, and the bytes that were sent."""
    for attempt in range(5):
        done = subprocess.run([*prefix, "iperf3", "-c", to, "-p", str(port), "-t", str(seconds), "-O", "1", "-J", *options],
                              capture_output=True, text=True, check=False)
        end = json.loads(done.stdout)["end"] if done.returncode == 0 else {}
        if "sum_received" in end:
            return end["sum_received"]["bits_per_second"], end["sum_received"]["bytes"]
        time.sleep(0.5 * (attempt + 1))
    return None, 0


def probe(prefix, to):
    """Medians of a byte there and back and of connecting, in µs."""
    done = subprocess.run([*prefix, "python3", "-c", PROBE, to], capture_output=True, text=True, check=False)
    found = done.stdout.split()
    return map(float, found) if len(found) == 2 else (None, None)


def wrk(prefix, to, port, seconds, *options):
    """Requests a second."""
    done = subprocess.run([*prefix, "wrk", "-c32", "-t2", f"-d{seconds}", *options, f"http://{to}:{port}/"],
                          capture_output=True, text=True, check=True)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])


def short(prefix, to, port, count, pids):
    """Many connections of one request each, and what the forwarder holds before and after."""
    def held():
        resident = sum(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{p}/status").read_text())[1]) for p in pids)
        return f"{sum(len(os.listdir(f'/proc/{p}/fd')) for p in pids)} descriptors, {resident} KiB"
    before = held()
    done = subprocess.run([*prefix, "ab", "-q", "-n", str(count), "-c", "32", f"http://{to}:{port}/"],
                          capture_output=True, text=True, check=False)
    found = {key: re.search(rf"{key}:\s+([\d.]+)", done.stdout) for key in ("Complete requests", "Failed requests", "Requests per second")}
    told = ", ".join(f"{key} {value[1]}" for key, value in found.items() if value) or done.stderr.strip()
    return f"{told}; before {before}; after {held()}"


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / os.sysconf("SC_CLK_TCK")
