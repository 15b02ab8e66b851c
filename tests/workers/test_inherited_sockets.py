import fcntl
import os
import socket
import stat

import pytest

from gateway.config.values import parse_address
from gateway.workers.inherited_sockets import check_all_used, fits, inherited_sockets, shown, sockets_for
from gateway.workers.sockets import BindError, InheritedSocket, bind, unbind


@pytest.fixture
def listening():
    kept = []

    def listen(text):
        (one,) = bind(parse_address(text))
        handed = InheritedSocket(fileno=one.detach())
        kept.append(handed)
        return handed

    yield listen
    for one in kept:
        one.close()


def port(one):
    return one.getsockname()[1]


def handed_over(one, fd):
    """The descriptor as a service manager leaves it: inheritable, at a number of its own."""
    os.dup2(one.fileno(), fd, inheritable=True)


def test_sockets_are_taken_from_the_environment_once(listening):
    one = listening("127.0.0.1:0")
    handed_over(one, 90)
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "gateway.socket", "OTHER": "x"}
    (taken,) = inherited_sockets(environ, 7, first_fd=90)
    with taken:
        assert (taken.getsockname(), taken.getblocking()) == (one.getsockname(), False)
        # Closed when a worker is started; that gets a duplicate by its number.
        assert fcntl.fcntl(taken.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    assert environ == {"OTHER": "x"}


@pytest.mark.parametrize(
    "environ",
    [{}, {"LISTEN_PID": "8", "LISTEN_FDS": "1"}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "7", "LISTEN_FDS": "-1"}],
)
def test_what_is_meant_for_another_process_is_not_taken(environ):
    assert inherited_sockets(dict(environ), 7, first_fd=90) == []


def test_what_is_no_listening_socket_is_told(tmp_path):
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "1"}
    with (tmp_path / "file").open("wb") as file:
        os.dup2(file.fileno(), 90)
    with pytest.raises(BindError, match="90, which is not a socket"):
        inherited_sockets(dict(environ), 7, first_fd=90)
    os.close(90)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        os.dup2(datagrams.fileno(), 90)
        with pytest.raises(BindError, match="does not accept streams"):
            inherited_sockets(dict(environ), 7, first_fd=90)


@pytest.mark.parametrize(
    ("bound", "listen", "does"),
    [
        ("127.0.0.1:0", "127.0.0.1:{}", True),
        ("127.0.0.1:0", "localhost:{}", True),
        ("127.0.0.1:0", "0.0.0.0:{}", False),
        ("127.0.0.1:0", "127.0.0.2:{}", False),
        ("127.0.0.1:0", "127.0.0.1:1", False),
        ("127.0.0.1:0", "no.such.host.invalid:{}", False),
        ("127.0.0.1:0", "unix:/run/g.sock", False),
        ("0.0.0.0:0", "0.0.0.0:{}", True),
        ("0.0.0.0:0", ":{}", True),
        ("[::]:0", "0.0.0.0:{}", True),  # ListenStream=8080 is this
        ("[::]:0", "127.0.0.1:{}", False),
        ("[::1]:0", "[::1]:{}", True),
    ],
)
def test_a_socket_is_used_for_the_address_of_the_file(listening, bound, listen, does):
    one = listening(bound)
    assert fits(one, parse_address(listen.format(port(one)))) is does


def test_a_unix_socket_is_found_by_its_path_and_its_file_is_left(listening, tmp_path):
    path = tmp_path / "g.sock"
    one = listening(f"unix:{path}")
    (found,) = sockets_for(parse_address(f"unix:{path}"), 1, [one])
    assert shown(found) == f"unix:{path}"
    unbind([found])
    assert stat.S_ISSOCK(path.stat().st_mode)  # the manager's, which goes on listening


def test_workers_accept_from_what_there_is(listening):
    one = listening("127.0.0.1:0")
    address = parse_address(f"127.0.0.1:{port(one)}")
    found = sockets_for(address, 3, [one])
    assert found[0] is one
    assert [type(each) for each in found] == [InheritedSocket] * 3
    assert {each.getsockname() for each in found} == {one.getsockname()}
    unbind(found[1:])
    assert sockets_for(parse_address("127.0.0.1:1"), 3, [one]) == []


def test_more_sockets_than_workers_would_leave_connections_waiting(listening):
    one = listening("127.0.0.1:0")
    other = one.dup()
    with other, pytest.raises(BindError, match=r"set server\.workers to 2"):
        sockets_for(parse_address(f"127.0.0.1:{port(one)}"), 1, [one, other])


def test_a_socket_that_no_listener_asks_for_is_an_error(listening):
    one, other = listening("127.0.0.1:0"), listening("127.0.0.1:0")
    addresses = [parse_address(f"127.0.0.1:{port(one)}"), parse_address("127.0.0.1:9090")]
    check_all_used([one], addresses)
    with pytest.raises(BindError, match=rf"127\.0\.0\.1:{port(other)}, which is neither 127\.0\.0\.1:{port(one)} nor"):
        check_all_used([one, other], addresses)
