"""What programs do with Docker's Python client, against Lichen."""

import io
import tarfile
import threading

import docker
import pytest


@pytest.fixture(scope="session")
def client():
    found = docker.from_env()
    yield found
    found.close()


@pytest.fixture
def sleeper(client):
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True, labels={"suite": "sdk"})
    yield container
    container.remove(force=True)


def test_the_engine_introduces_itself(client):
    assert client.ping()
    version = client.version()
    assert version["ApiVersion"] and version["Os"] == "linux"
    info = client.info()
    assert "name=rootless" in info["SecurityOptions"]
    assert info["Containers"] == len(client.containers.list(all=True))


def test_run_returns_what_was_printed(client):
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as failure:
        client.containers.run("busybox", ["sh", "-c", "echo no >&2; exit 3"], remove=True)
    assert failure.value.exit_status == 3 and b"no" in failure.value.stderr


def test_a_missing_image_has_its_own_error(client):
    with pytest.raises(docker.errors.ImageNotFound):
        client.containers.create("no-such-image")
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("no-such-container")


def test_exec_demultiplexes(client, sleeper):
    code, (out, err) = sleeper.exec_run(["sh", "-c", "echo out; echo err >&2; exit 4"], demux=True)
    assert (code, out, err) == (4, b"out\n", b"err\n")
    code, output = sleeper.exec_run("tty", tty=True)
    assert code == 0 and output.strip() == b"/dev/pts/0"


def test_an_exec_socket_talks_both_ways(client, sleeper):
    made = client.api.exec_create(sleeper.id, ["cat"], stdin=True, tty=True)["Id"]
    stream = client.api.exec_start(made, socket=True, tty=True)
    stream._sock.sendall(b"ping\n")
    stream._sock.settimeout(10)
    seen = b""
    while seen.count(b"ping") < 2:
        seen += stream._sock.recv(64)
    stream._sock.close()


def test_attach_streams_while_it_runs(client):
    container = client.containers.create("busybox", ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"])
    try:
        lines = container.attach(stream=True, logs=True)
        container.start()
        assert b"".join(lines) == b"1\n2\n3\n"
        assert container.wait()["StatusCode"] == 0
    finally:
        container.remove(force=True)


def test_archives_go_in_and_come_out(client, sleeper):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo("note")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"text"))
    assert sleeper.put_archive("/tmp", data.getvalue())
    chunks, stat = sleeper.get_archive("/tmp/note")
    assert stat["name"] == "note" and stat["size"] == 4
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        assert archive.extractfile("note").read() == b"text"


def test_events_arrive_as_they_happen(client):
    seen = []
    events = client.events(decode=True, filters={"type": "container"})

    def listen():
        for event in events:
            seen.append(event["Action"])
            if event["Action"] == "destroy":
                return

    listener = threading.Thread(target=listen)
    listener.start()
    client.containers.run("busybox", "true", remove=True)
    listener.join(30)
    events.close()
    assert [a for a in seen if a in ("create", "start", "die", "destroy")] == ["create", "start", "die", "destroy"]


def test_lists_take_filters(client, sleeper):
    assert [c.id for c in client.containers.list(filters={"label": "suite=sdk"})] == [sleeper.id]
    assert client.containers.list(filters={"label": "suite=other"}) == []
    with pytest.raises(docker.errors.APIError) as failure:
        client.containers.list(filters={"nope": "1"})
    assert failure.value.status_code == 400


def test_volumes_and_networks_have_a_life(client):
    volume = client.volumes.create("sdk-volume", labels={"a": "b"})
    network = client.networks.create("sdk-network", driver="bridge")
    try:
        output = client.containers.run(
            "busybox", ["sh", "-c", "echo kept > /v/f; ls /sys/class/net"], remove=True, network="sdk-network",
            volumes={"sdk-volume": {"bind": "/v", "mode": "rw"}})
        assert b"eth0" in output
        assert client.volumes.get("sdk-volume").attrs["Labels"] == {"a": "b"}
    finally:
        network.remove()
        volume.remove()


def test_stats_and_top_are_read(client, sleeper):
    stats = sleeper.stats(stream=False)
    assert stats["id"] == sleeper.id and "memory_stats" in stats
    assert any("sleep" in " ".join(row) for row in sleeper.top()["Processes"])


def test_a_commit_makes_an_image(client, sleeper):
    sleeper.exec_run(["touch", "/made"])
    image = sleeper.commit("sdk/made", "v1", changes=["ENV A=1"])
    try:
        assert client.containers.run("sdk/made:v1", ["sh", "-c", "ls /made; echo $A"], remove=True) == b"/made\n1\n"
        assert image.history()[0]["Size"] >= 0
    finally:
        client.images.remove("sdk/made:v1")
