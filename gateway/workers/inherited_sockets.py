"""Listening sockets that the service manager opened before this process began (systemd's socket activation).

They take the place of those that the gateway would bind: one whose address is `server.listen` or `admin.listen` is
used for it. The file stays the one place that says who listens where, and a socket that it does not name is an error:
connections would wait in it for ever.

The manager keeps them open over a restart, so that connections wait meanwhile and none is refused. The gateway
therefore closes them and never removes a Unix socket's file. Its workers get duplicates, and no other process that it
starts gets any. See sd_listen_fds(3).
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import MutableMapping, Sequence
from ipaddress import ip_address

from gateway.config.values import Address
from gateway.workers.sockets import BindError, InheritedSocket, first_address

_FIRST_FD = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def inherited_sockets(environ: MutableMapping[str, str], pid: int, first_fd: int = _FIRST_FD) -> list[InheritedSocket]:
    """The sockets that the environment tells of, where they are for the process `pid`.

    It takes the variables out, so that no child believes them. Raises `BindError` for what is no listening socket.
    """
    told = [environ.pop(name, "") for name in _VARIABLES]
    if told[0] != str(pid) or not told[1].isdecimal():
        return []
    return [_inherited(fd) for fd in range(first_fd, first_fd + int(told[1]))]


def sockets_for(address: Address, count: int, inherited: Sequence[InheritedSocket]) -> list[InheritedSocket]:
    """`count` sockets for this address out of the inherited ones; none where no one has it. Raises `BindError`.

    Where there are fewer, several workers accept from the same one.
    """
    found = [one for one in inherited if fits(one, address)]
    if len(found) > count:
        raise BindError(
            f"{len(found)} inherited sockets listen on {address}, and {count} would be served; set server.workers to "
            f"{len(found)}, or write one ListenStream= for it"
        )
    more = (one.dup() for one in itertools.cycle(found))
    return [*found, *itertools.islice(more, count - len(found) if found else 0)]


def check_all_used(inherited: Sequence[InheritedSocket], addresses: Sequence[Address]) -> None:
    """Raises `BindError` for a socket that no address asks for."""
    for one in inherited:
        if not any(fits(one, address) for address in addresses):
            wanted = " nor ".join(map(str, addresses))
            raise BindError(
                f"the service manager handed over a socket on {shown(one)}, which is neither {wanted}; write its "
                "address as server.listen or admin.listen, or take its ListenStream= away"
            )


def fits(one: socket.socket, address: Address) -> bool:
    """Whether the socket listens where `address` says. No host, `0.0.0.0` and `::` all mean everywhere."""
    name = one.getsockname()
    if one.family == socket.AF_UNIX:
        return address.path is not None and os.fsdecode(name) == address.path
    if address.path is not None or name[1] != address.port:
        return False
    if address.host in _EVERYWHERE:
        return name[0] in _EVERYWHERE
    try:
        return ip_address(name[0]) == ip_address(first_address(address))
    except (OSError, ValueError):  # the host's name is not known
        return False


def shown(one: socket.socket) -> str:
    name = one.getsockname()
    return str(Address(path=os.fsdecode(name)) if one.family == socket.AF_UNIX else Address(name[0], name[1]))


def _inherited(fd: int) -> InheritedSocket:
    try:
        one = InheritedSocket(fileno=fd)
    except OSError as error:
        raise BindError(f"LISTEN_FDS names descriptor {fd}, which is not a socket ({error.strerror})") from None
    is_listening = one.type == socket.SOCK_STREAM and bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    if not is_listening or one.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        one.close()
        raise BindError(f"LISTEN_FDS names descriptor {fd}, which does not accept streams; write ListenStream=")
    one.setblocking(False)
    one.set_inheritable(False)
    return one
