"""Clients for a `RedisAddress`. Redis' own library, told never to retry: deadlines and pauses are decided here."""

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

# What a broken or lying server makes of the library: its own errors, and those of a parser that trusts its input.
# Wide, and still not `Exception`: it is caught around calls of the client and nothing else.
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
    """A client and what to close with it."""

    client: Client
    closers: tuple[Callable[[], Awaitable[None]], ...]

    async def close(self) -> None:
        for close in self.closers:
            await close()


def connect(address: RedisAddress, *, connect_timeout_s: float, max_connections: int) -> Link:
    """A client that connects when it is first used. The deadlines of commands are the caller's.

    A time-out of the library's for reads and writes would be `asyncio.wait_for` inside, which before Python 3.12
    can swallow a cancellation.
    """
    wire: dict[str, Any] = {
        "protocol": 2,  # with 3 a server may say what nobody asked for
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
    """By asking the sentinels; `wire` and `data` are options of connections to them, and of those to Redis."""
    options = dict(address.options)
    login = {
        "username": options.get("sentinel_username"),
        "password": options.get("sentinel_password"),
    }
    # The one class of the library without types.
    sentinel: Any = cast("Any", Sentinel)(address.hosts, sentinel_kwargs={**wire, **login}, db=address.db, **data)
    primary = sentinel.master_for(address.service)
    return Link(primary, (primary.aclose, *(each.aclose for each in sentinel.sentinels)))


async def connect_alone(link: Any) -> asyncio.StreamWriter:
    """Connects `link`, a connection of the library's, and logs in, then takes it away: its transport is the caller's.

    The library knows TLS, passwords and Sentinels, but takes longer over a reply than all the rest of a lookup does.
    """
    try:
        await link.connect()
        writer: asyncio.StreamWriter | None = link._writer  # noqa: SLF001 - there is no other way to it; tests/cache/test_connect.py uses it
    except BaseException:
        await link.disconnect(nowait=True)
        raise
    link._reader = link._writer = None  # noqa: SLF001 - or it closes the transport when it is forgotten
    if writer is None:
        raise ConnectionError("the connection was lost at once")
    return writer


def connect_subscriber(address: RedisAddress, known: Sequence[tuple[str, int]], *, connect_timeout_s: float) -> Link:
    """A client with one connection, for a subscription.

    In a cluster any node will do, as each passes on what is published on any: one of `known`, else of the address'
    own hosts. Another one is taken each time, so that a node that is down is not insisted on.
    """
    if address.topology == "cluster":
        host = random.choice(known or address.hosts)  # noqa: S311 - no secret
        address = replace(address, topology="single", hosts=(host,))
    return connect(address, connect_timeout_s=connect_timeout_s, max_connections=1)


def nodes_of(client: Client) -> list[tuple[str, int]]:
    """The nodes of a cluster as far as its client has learnt them."""
    if not isinstance(client, RedisCluster):
        return []
    return [(str(node.host), int(node.port)) for node in client.get_nodes()]


def _tls(address: RedisAddress) -> dict[str, Any]:
    if not address.tls:
        return {}
    options = dict(address.options)
    files = {name: options[name] for name in _TLS_FILES if name in options}
    # Before redis-py 6 the host name was not checked unless asked for.
    check_hostname = options.get("ssl_check_hostname", "true") != "false"
    return {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": check_hostname, **files}
