"""The address of the Redis that the fleet shares: one server, behind sentinels, a cluster, or a Unix socket.

    redis://[user:password@]host[:port][/db]               rediss:// with TLS
    unix://[user:password@]/path/of/socket[?db=N]
    redis+sentinel://[user:password@]host:port,host:port/service[/db]      rediss+sentinel://
    redis+cluster://[user:password@]host:port,host:port                    rediss+cluster://

Options after `?`: with TLS `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_check_hostname`; with sentinels
`sentinel_username`, `sentinel_password`. User and password are percent-encoded. The URL may carry a password, so
no message shows any part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from pydantic import SecretStr

from gateway.http.syntax import VISIBLE

Topology = Literal["single", "sentinel", "cluster", "unix"]

_URL = re.compile(
    r"(rediss?(?:\+sentinel|\+cluster)?|unix)://(?:([^/?#\[\]]{0,2000})@)?([^@/?#]{0,2000})((?:/[^?#]{0,2000})?)(?:\?([^#]{0,2000}))?"
)
# A login and a host, but more between them than a login can be.
_UNENCODED = re.compile(r"(?:rediss?(?:\+sentinel|\+cluster)?|unix)://.{0,2000}[/?#\[\]].{0,2000}@[^@]+\Z")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?")
_DB = re.compile(r"[0-9]{1,4}")
_SERVICE = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_PRINTABLE = re.compile(VISIBLE)
_PORT = {"single": 6379, "cluster": 6379, "sentinel": 26379}
_PORT_MAX = 65535
# What else redis-py takes from a query would override the gateway's deadlines and checks.
_TLS_OPTIONS = frozenset(["ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"])
_SENTINEL_OPTIONS = frozenset(["sentinel_username", "sentinel_password"])


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Holds an address. `hosts` are the sentinels, or the cluster's first nodes, or the one server."""

    topology: Topology
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def passwords_of(address: RedisAddress) -> list[str]:
    """What Redis is sent and may quote: no message shows any of it."""
    found = (address.password, dict(address.options).get("sentinel_password"))
    return [password for password in found if password]


def check_redis_url(value: SecretStr) -> SecretStr:
    """`value` itself, once it is seen to be an address."""
    parse_redis_url(value.get_secret_value())
    return value


def parse_redis_url(url: str) -> RedisAddress:
    """The address a URL names; `ValueError` without any part of the URL in it."""
    try:
        return _parsed(url)
    except ValueError:
        if _UNENCODED.match(url):
            raise ValueError(
                "the user or the password has a sign that means something in URLs; "
                "write @ as %40, / as %2F, # as %23, ? as %3F, [ as %5B, ] as %5D"
            ) from None
        raise


def _parsed(url: str) -> RedisAddress:
    match = _URL.fullmatch(url) if _PRINTABLE.fullmatch(url) else None
    if match is None:
        raise ValueError(
            "this is not a Redis URL; write redis://host:6379/0, or rediss, redis+sentinel or redis+cluster"
        )
    scheme, userinfo, hosts, path, query = match.groups()
    username, password = _credentials(userinfo)
    options = _options(query)
    if scheme == "unix":
        return _unix(hosts, path, options, username, password)
    topology: Topology = (
        "sentinel" if scheme.endswith("sentinel") else "cluster" if scheme.endswith("cluster") else "single"
    )
    tls = scheme.startswith("rediss")
    service, db = _path(topology, path[1:].split("/") if path not in ("", "/") else [])
    known = (_TLS_OPTIONS if tls else frozenset()) | (_SENTINEL_OPTIONS if topology == "sentinel" else frozenset())
    if not set(options) <= known:
        raise ValueError(f"an option of the URL is not read; write {' or '.join(sorted(known)) or 'none'}")
    return RedisAddress(
        topology,
        tls=tls,
        hosts=_hosts(topology, hosts),
        service=service,
        db=db,
        username=username,
        password=password,
        options=tuple(sorted(options.items())),
    )


def _credentials(userinfo: str | None) -> tuple[str | None, str | None]:
    if not userinfo:
        return None, None
    username, colon, password = userinfo.partition(":")
    if not colon:
        raise ValueError(
            "the URL has a user without a password; write redis://:password@host or redis://user:password@host"
        )
    return unquote(username) or None, unquote(password)


def _hosts(topology: Topology, text: str) -> tuple[tuple[str, int], ...]:
    matches = [_HOST.fullmatch(host) for host in text.split(",")]
    if topology == "single" and len(matches) > 1:
        raise ValueError("the URL names several hosts; write redis+sentinel:// or redis+cluster:// for them")
    found: list[tuple[str, int]] = []
    for match in matches:
        if match is None or not 0 < int(match[2] or _PORT[topology]) <= _PORT_MAX:
            raise ValueError("the URL has no valid host and port; write redis://host:6379/0")
        found.append((match[1].strip("[]"), int(match[2] or _PORT[topology])))
    return tuple(found)


def _path(topology: Topology, parts: list[str]) -> tuple[str, int]:
    """The service and the number of the database behind the hosts."""
    service = ""
    if topology == "sentinel":
        if not parts or not _SERVICE.fullmatch(parts[0]):
            raise ValueError(
                "the URL does not name the sentinels' service; write redis+sentinel://host:26379/service/0"
            )
        service, *parts = parts
    if not parts:
        return service, 0
    if len(parts) > 1 or not _DB.fullmatch(parts[0]):
        raise ValueError("the URL ends in no number of a database; write one such as /0, or none")
    if topology == "cluster" and int(parts[0]) != 0:
        raise ValueError("a cluster has database 0 only; write the URL without a number")
    return service, int(parts[0])


def _options(query: str | None) -> dict[str, str]:
    pairs = [part.partition("=") for part in query.split("&")] if query else []
    return {unquote(key): unquote(value) for key, _, value in pairs}


def _unix(host: str, path: str, options: dict[str, str], username: str | None, password: str | None) -> RedisAddress:
    db = options.pop("db", "0")
    if host or options or not path.strip("/") or not _DB.fullmatch(db):
        raise ValueError("this is not a URL of a Unix socket; write unix:///run/redis.sock?db=0")
    return RedisAddress("unix", path=unquote(path), db=int(db), username=username, password=password)
