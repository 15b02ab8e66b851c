"""A gibibyte each way through `gateway serve`, whose memory must not grow with it."""

import json
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.keycloak import free_ports
from support.served import served
from support.wire import request

SIZE = 2**30
WARM_UP = 2**25
GROWTH_MAX = 16 * 2**20
PIECE = b"x" * 2**18
DEADLINE_S = 120.0


def read_head(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return None, b""
        data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def take(sock, size):
    buffer = bytearray(2**20)
    while size:
        count = sock.recv_into(buffer, min(size, len(buffer)))
        assert count, f"{size} bytes are missing"
        size -= count


def give(sock, size):
    for _ in range(size // len(PIECE)):
        sock.sendall(PIECE)


class Bulk:
    """A backend of blocking sockets: `/down/N` answers N bytes, `/up` swallows what comes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(DEADLINE_S)
                while (found := read_head(sock))[0] is not None:
                    self.answer(sock, *found)

    def answer(self, sock, head, rest):
        target = head.split(b" ")[1].decode()
        if target.startswith("/down/"):
            size = int(target.rpartition("/")[2])
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            give(sock, size)
            return
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        take(sock, int(length.partition(b":")[2]) - len(rest))
        sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


@contextmanager
def gateway(backend, folder):
    port, admin_port = free_ports(2)
    document = {
        "server": {"listen": f"127.0.0.1:{port}", "max_body": "unlimited"},
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "routes": [{"name": "bulk", "backend": f"http://127.0.0.1:{backend.port}", "auth": "none"}],
    }
    config = folder / "gateway.yaml"
    config.write_text(json.dumps(document))
    with served(config, admin_port) as process, socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(DEADLINE_S)
        yield process.pid, client


def resident(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


def down(client, size):
    client.sendall(request("GET", f"/down/{size}"))
    head, rest = read_head(client)
    assert head.startswith(b"HTTP/1.1 200 ")
    take(client, size - len(rest))


def up(client, size):
    client.sendall(request("POST", "/up", f"Content-Length: {size}"))
    give(client, size)
    head, rest = read_head(client)
    assert head.startswith(b"HTTP/1.1 204 ")
    assert rest == b""


@pytest.fixture(scope="module")
def bulk():
    backend = Bulk()
    yield backend
    backend.stop()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux's /proc")
@pytest.mark.parametrize("direction", [down, up])
def test_a_gibibyte_passes_without_staying(bulk, tmp_path, direction):
    with gateway(bulk, tmp_path) as (pid, client):
        direction(client, WARM_UP)
        before = resident(pid, "VmRSS")
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is counted from here
        direction(client, SIZE)
        assert resident(pid, "VmHWM") - before < GROWTH_MAX
