"""What a test suite does with testcontainers: servers on published ports, waited for by their log, on networks."""

import urllib.request

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs

SERVE = "sh -c 'echo page > index.html; echo serving; exec httpd -f -p 8080'"


def test_a_server_is_reached_by_its_published_port():
    with DockerContainer("busybox:latest").with_exposed_ports(8080).with_command(SERVE) as server:
        wait_for_logs(server, "serving")
        url = f"http://{server.get_container_host_ip()}:{server.get_exposed_port(8080)}/index.html"
        # The line is written before the port is listened on.
        code, _ = server.exec(["sh", "-c", "until wget -q -O /dev/null http://127.0.0.1:8080/index.html; do sleep 0.1; done"])
        assert code == 0
        assert urllib.request.urlopen(url, timeout=10).read() == b"page\n"


def test_exec_environment_and_volume(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("from the host")
    container = (
        DockerContainer("busybox:latest")
        .with_env("KEY", "value")
        .with_volume_mapping(str(tmp_path), "/mapped", "ro")
        .with_command("sleep 60")
    )
    with container as running:
        code, output = running.exec(["sh", "-c", "echo $KEY; cat /mapped/file"])
        assert (code, output) == (0, b"value\nfrom the host")
        assert running.exec(["touch", "/mapped/new"]).exit_code == 1


def test_containers_of_a_network_know_each_other_by_alias():
    with Network() as network:
        server = DockerContainer("busybox:latest").with_network(network).with_network_aliases("server")
        with server.with_command("sleep 60"):
            asker = DockerContainer("busybox:latest").with_network(network).with_command("sleep 60")
            with asker as running:
                code, output = running.exec(["nslookup", "server"])
                assert code == 0, output


def test_logs_tell_the_streams_apart():
    with DockerContainer("busybox:latest").with_command("sh -c 'echo out; echo err >&2; sleep 60'") as container:
        wait_for_logs(container, "out")
        wait_for_logs(container, "err")
        stdout, stderr = container.get_logs()
        assert (stdout, stderr) == (b"out\n", b"err\n")
