"""The listening sockets: bound once, and handed to the workers by file descriptor.

The process that outlives the workers holds them. So a worker that dies takes no queued connection with it: its socket
stays open in the supervisor, and the replacement accepts what waited. Over TCP each worker has its own socket, and
SO_REUSEPORT spreads new connections over them. The workers share a Unix socket.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path

from gateway.config.values import Address

# How many connections may wait for an accept; the kernel caps it at net.core.somaxconn (4096 by default).
BACKLOG = 4096
_UNIX_MODE = 0o660


class InheritedSocket(socket.socket):
    """A listening socket that the service manager owns. `dup` gives another one of this class."""


class BindError(OSError):
    """The gateway cannot listen on an address; the text says on which, why, and what would help."""


def bind(address: Address, count: int = 1) -> list[socket.socket]:
    """`count` listening, non-blocking sockets on one address. Raises `BindError`.

    The kernel chooses a port for port 0, and all sockets share it. No host, and `::`, mean every address of both
    families. A name means its first address, an IPv4 one where it has both: every client that knows the name tries
    that too.
    """
    try:
        if address.path is not None:
            first = _bind_unix(address.path)
            return [first, *(first.dup() for _ in range(count - 1))]
        return _bind_tcp(address, count)
    except BindError:
        raise
    except (socket.gaierror, UnicodeError):
        raise BindError(f"cannot listen on {address}: no such host {address.host!r}") from None
    except OSError as error:
        raise BindError(f"cannot listen on {address}: {_reason(error)}") from None


def first_address(address: Address) -> str:
    """The IP address on which `bind` would listen for a host. Raises `OSError` where its name is not known."""
    return _resolve(address)[1]


def bound_to(sock: socket.socket) -> str:
    """The address that a socket has in fact: `HOST:PORT`, or `unix:PATH`."""
    name = sock.getsockname()
    return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"


def unbind(sockets: Iterable[socket.socket]) -> None:
    """Close the sockets of the process that bound them; a Unix socket's file goes first, once, unless inherited."""
    opened = [one for one in sockets if one.fileno() >= 0]
    ours = [one for one in opened if not isinstance(one, InheritedSocket)]
    for path in {one.getsockname() for one in ours if one.family == socket.AF_UNIX}:
        if _is_socket(path):
            Path(path).unlink()
    for one in opened:
        one.close()


def _bind_tcp(address: Address, count: int) -> list[socket.socket]:
    family, host = _resolve(address)
    if count > 1 and address.port:
        # With SO_REUSEPORT we might share a port with another program of the same user, which would then get half of
        # the connections. A socket without it fails where somebody listens.
        _tcp_socket(family, host, address.port, shared=False).close()
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for _ in range(count):
            one = _tcp_socket(family, host, port, shared=count > 1)
            sockets.append(one)
            port = one.getsockname()[1]
        for one in sockets:
            one.listen(BACKLOG)
    except OSError:
        unbind(sockets)
        raise
    return sockets


def _resolve(address: Address) -> tuple[int, str]:
    if not address.host:
        return (socket.AF_INET6, "::") if _has_ipv6() else (socket.AF_INET, "0.0.0.0")  # noqa: S104 - asked for
    infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, sockaddr = min(infos, key=lambda one: one[0] != socket.AF_INET)
    return family, str(sockaddr[0])


def _tcp_socket(family: int, host: str, port: int, *, shared: bool) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setblocking(False)
        # A restart must not wait for the old connections' TIME_WAIT.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        one.bind((host, port))
    except OSError:
        one.close()
        raise
    return one


def _has_ipv6() -> bool:
    try:
        _tcp_socket(socket.AF_INET6, "::", 0, shared=False).close()
    except OSError:
        return False
    return True


def _bind_unix(path: str) -> socket.socket:
    _remove_stale(path)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The umask, not a chmod afterwards: others must not be able to connect at any moment.
    before = os.umask(0o777 & ~_UNIX_MODE)
    try:
        one.setblocking(False)
        one.bind(path)
        one.listen(BACKLOG)
    except OSError:
        one.close()
        raise
    finally:
        os.umask(before)
    return one


def _remove_stale(path: str) -> None:
    """Remove the file of a socket on which nobody listens any more. Raises `BindError` for anything else."""
    if not os.path.lexists(path):
        return
    if not _is_socket(path):
        raise BindError(f"cannot listen on unix:{path}: there is a file that is not a socket; name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
        except TimeoutError:
            pass  # somebody listens, and is busy
    raise BindError(f"cannot listen on unix:{path}: in use by another process")


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "in use by another process"
        case errno.EACCES | errno.EPERM:
            return "not permitted; ports below 1024 and foreign directories need rights that this user lacks"
        case errno.EADDRNOTAVAIL:
            return "not an address of this machine"
        case errno.ENOENT | errno.ENOTDIR:
            return "its directory does not exist"
        case errno.EAFNOSUPPORT:
            return "this machine does not speak that family of addresses"
        case _:
            return error.strerror or str(error)
