import os
import socket
import stat

import pytest

from gateway.config.values import Address, parse_address
from gateway.workers.sockets import BindError, bind, unbind


@pytest.fixture
def bound():
    kept = []

    def _bind(text, count=1):
        sockets = bind(parse_address(text), count)
        kept.extend(sockets)
        return sockets

    yield _bind
    unbind(kept)


def test_all_sockets_of_one_address_share_the_port_that_was_chosen(bound):
    sockets = bound("127.0.0.1:0", 3)
    ports = {one.getsockname()[1] for one in sockets}
    assert len(sockets) == 3
    assert len(ports) == 1
    assert ports != {0}


def test_the_sockets_accept_and_do_not_block(bound):
    (one,) = bound("127.0.0.1:0")
    with pytest.raises(BlockingIOError):
        one.accept()
    with socket.create_connection(one.getsockname()):
        one.setblocking(True)
        accepted, _ = one.accept()
        accepted.close()


def test_new_connections_are_spread_over_the_sockets(bound):
    sockets = bound("127.0.0.1:0", 2)
    clients = [socket.create_connection(sockets[0].getsockname()) for _ in range(64)]
    try:
        assert all(_waiting(one) for one in sockets)
    finally:
        for client in clients:
            client.close()


def _waiting(listener):
    try:
        accepted, _ = listener.accept()
    except BlockingIOError:
        return False
    accepted.close()
    return True


@pytest.mark.parametrize(("held", "wanted"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_a_port_somebody_listens_on_is_refused_and_never_shared(bound, held, wanted):
    port = bound("127.0.0.1:0", held)[0].getsockname()[1]
    with pytest.raises(BindError, match=rf"cannot listen on 127\.0\.0\.1:{port}: in use by another process"):
        bound(f"127.0.0.1:{port}", wanted)


def test_a_port_is_free_again_as_soon_as_it_is_let_go(bound):
    sockets = bound("127.0.0.1:0", 2)
    address = sockets[0].getsockname()
    client = socket.create_connection(address)
    unbind(sockets)
    client.close()
    bound(f"127.0.0.1:{address[1]}", 2)


def test_ipv6_is_listened_on(bound):
    (one,) = bound("[::1]:0")
    with socket.create_connection(one.getsockname()[:2]):
        pass


@pytest.mark.parametrize("text", [":0", "[::]:0"])
def test_every_address_means_both_families(bound, text):
    port = bound(text)[0].getsockname()[1]
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port)):
            pass


def test_a_name_is_resolved_to_an_ipv4_address_where_it_has_one(bound):
    (one,) = bound("localhost:0")
    assert one.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no-such-host.invalid:0", "no such host 'no-such-host.invalid'"),
        ("a..b:0", "no such host"),
        ("192.0.2.1:0", "not an address of this machine"),
        ("unix:/no/such/directory/g.sock", "its directory does not exist"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_named_with_the_reason(bound, text, words):
    with pytest.raises(BindError) as caught:
        bound(text)
    assert str(caught.value).startswith(f"cannot listen on {text}: ")
    assert words in str(caught.value)


def test_missing_rights_are_named(bound, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)  # root, who runs this in a container, may do all
    with pytest.raises(BindError, match="not permitted; ports below 1024"):
        bound("127.0.0.1:80")


def test_a_unix_socket_is_shared_by_all_workers_and_closed_to_others(bound, tmp_path):
    path = tmp_path / "g.sock"
    before = os.umask(0)
    try:
        sockets = bound(f"unix:{path}", 2)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert len({one.fileno() for one in sockets}) == 2
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert any(map(_waiting, sockets))


def test_a_unix_socket_that_nobody_listens_on_is_replaced(bound, tmp_path):
    path = tmp_path / "g.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    bound(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_unix_socket_in_use_is_not_removed(bound, tmp_path):
    path = tmp_path / "g.sock"
    bound(f"unix:{path}")
    with pytest.raises(BindError, match="in use by another process"):
        bound(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_file_is_never_removed_for_a_socket(bound, tmp_path):
    path = tmp_path / "g.sock"
    path.write_text("precious")
    with pytest.raises(BindError, match="not a socket"):
        bound(f"unix:{path}")
    assert path.read_text() == "precious"


def test_the_file_of_a_unix_socket_goes_with_the_sockets(tmp_path):
    path = tmp_path / "g.sock"
    sockets = bind(Address(path=str(path)), 2)
    unbind(sockets)
    assert not path.exists()
    unbind(sockets)  # a second time does nothing


def test_binding_does_not_change_the_umask(bound, tmp_path):
    bound(f"unix:{tmp_path / 'g.sock'}")
    before = os.umask(0o022)
    os.umask(before)
    assert before != 0o117
