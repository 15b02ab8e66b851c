"""Clients for a `RedisAddress`, made with Redis' own library. It never retries: the gateway decides on pauses."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from gateway.config.redis_url import RedisAddress

Client = Redis | RedisCluster

_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")

# The errors that a broken or lying server causes in the library: its own, and those of a parser that trusts its input.
# The list is wide, but not `Exception`. It is caught only around calls of the client.
FAILURES = (
    RedisError,
    RedisClusterException,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True)
class Link:
    """Holds a client and closes it with everything that belongs to it."""

    client: Client
    closers: tuple[Callable[[], Awaitable[None]], ...]

    async def close(self) -> None:
        for close in self.closers:
            await close()


def connect(address: RedisAddress, *, connect_timeout_s: float, max_connections: int) -> Link:
    """Make a client that connects at its first use. The caller sets the deadlines of commands.

    The library's own timeout for reads and writes uses `asyncio.wait_for`, which before Python 3.12 can swallow a
    cancellation.
    """
    wire: dict[str, Any] = {
        "protocol": 2,  # with 3 a server may send messages that nobody asked for
        "socket_timeout": None,
        "socket_connect_timeout": connect_timeout_s,
        "retry": Retry(NoBackoff(), 0),
        **_tls(address),
    }
    data = {
        **wire,
        "username": address.username,
        "password": address.password,
        "max_connections": max_connections,
    }
    match address.topology:
        case "cluster":
            cluster = RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in address.hosts], **data)
            return Link(cluster, (cluster.aclose,))
        case "sentinel":
            return _to_primary(address, wire, data)
        case "unix":
            local = Redis(unix_socket_path=address.path, db=address.db, **data)
            return Link(local, (local.aclose,))
        case "single":
            [(host, port)] = address.hosts
            single = Redis(host=host, port=port, db=address.db, **data)
            return Link(single, (single.aclose,))


def _to_primary(address: RedisAddress, wire: dict[str, Any], data: dict[str, Any]) -> Link:
    """Ask the sentinels for the primary. `wire` holds options of the connections to them, `data` of those to Redis."""
    options = dict(address.options)
    login = {
        "username": options.get("sentinel_username"),
        "password": options.get("sentinel_password"),
    }
    # This class of the library has no types.
    sentinel: Any = cast("Any", Sentinel)(address.hosts, sentinel_kwargs={**wire, **login}, db=address.db, **data)
    primary = sentinel.master_for(address.service)
    return Link(primary, (primary.aclose, *(each.aclose for each in sentinel.sentinels)))


async def connect_raw(link: Any) -> asyncio.StreamWriter:
    """Connect `link`, a connection of the library, log in, and take its transport away from the library.

    The library knows TLS, passwords and Sentinels, but reading a reply with it takes longer than the rest of a lookup.
    """
    try:
        await link.connect()
        writer: asyncio.StreamWriter | None = link._writer  # noqa: SLF001 - the library has no public way; tests/cache/test_connect.py checks it
    except BaseException:
        await link.disconnect(nowait=True)
        raise
    link._reader = link._writer = None  # noqa: SLF001 - otherwise the library closes the transport
    if writer is None:
        raise ConnectionError("the connection was lost at once")
    return writer


def connect_subscriber(address: RedisAddress, known: Sequence[tuple[str, int]], *, connect_timeout_s: float) -> Link:
    """Make a client with one connection, for a subscription.

    In a cluster any node serves, because each node passes on the messages of all. Each call takes a random one of
    `known`, or else of the address' hosts, so that a node that is down does not stop the subscription.
    """
    if address.topology == "cluster":
        host = random.choice(known or address.hosts)  # noqa: S311 - no secret
        address = replace(address, topology="single", hosts=(host,))
    return connect(address, connect_timeout_s=connect_timeout_s, max_connections=1)


def nodes_of(client: Client) -> list[tuple[str, int]]:
    """The nodes of a cluster that the client knows of."""
    if not isinstance(client, RedisCluster):
        return []
    return [(str(node.host), int(node.port)) for node in client.get_nodes()]


def _tls(address: RedisAddress) -> dict[str, Any]:
    if not address.tls:
        return {}
    options = dict(address.options)
    files = {name: options[name] for name in _TLS_FILES if name in options}
    # redis-py before 6 checks the host name only when told to.
    check_hostname = options.get("ssl_check_hostname", "true") != "false"
    return {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": check_hostname, **files}
