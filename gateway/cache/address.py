"""Where Redis is, from `cache.redis`: one server, a Sentinel's service or a cluster, plain or over TLS.

    redis://[user:password@]host:port/db              rediss:// over TLS
    unix://[user:password@]/path?db=0
    redis+sentinel://[user:password@]host:port,host:port/service[/db]     rediss+sentinel://
    redis+cluster://[user:password@]host:port,host:port                   rediss+cluster://

Options after `?`: `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (paths), `ssl_check_hostname=false`;
`sentinel_username` and `sentinel_password`, where the Sentinels want a login of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEME = re.compile(r"(?:(redis|rediss)(?:\+(sentinel|cluster))?|unix)")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?")
_SERVICE = re.compile(r"/([A-Za-z0-9_.-]{1,100})(/[0-9]*)?")
_DB = re.compile(r"/?([0-9]{0,4})")
_PORT_MAX = 65535
_PORT, _SENTINEL_PORT = 6379, 26379
TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OPTIONS = frozenset([*TLS_FILES, "db", "ssl_check_hostname", "sentinel_username", "sentinel_password"])

# Messages quote nothing: a password with one of these in it ends up where a host, database or option is looked for.
_ESCAPES = " (in a password, @ / ? # are %40 %2F %3F %23)"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """`hosts` are those to begin with: the server, the Sentinels, or some nodes of the cluster."""

    kind: Literal["single", "sentinel", "cluster"]
    hosts: tuple[tuple[str, int], ...] = ()
    path: str | None = None  # of a Unix socket
    service: str = ""  # what the Sentinels call the primary
    db: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_redis_address(url: str) -> RedisAddress:
    """Raises `ValueError` with `what is wrong; what to write instead`, which never quotes the password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("this is no URL; write redis://host:6379/0") from None
    scheme = _SCHEME.fullmatch(parts.scheme)
    if scheme is None:
        raise ValueError(
            f"the scheme {parts.scheme!r} is unknown; write redis, rediss, unix, "
            "redis+sentinel, rediss+sentinel, redis+cluster or rediss+cluster"
        )
    if parts.fragment:
        raise ValueError("an address has no fragment; write # in a password as %23")
    login, _, hosts = parts.netloc.rpartition("@")
    options = _options(parts.query)
    if scheme[1] is None:
        address = _socket(hosts, parts.path, options)
    else:
        address = _PLACES[scheme[2] or "single"](hosts, parts.path)
    user, _, password = login.partition(":")
    return replace(
        address,
        tls=scheme[1] == "rediss",
        username=unquote(user) or None,
        password=unquote(password) or None,
        options=options,
    )


def _socket(hosts: str, path: str, options: Mapping[str, str]) -> RedisAddress:
    if hosts or not path.startswith("/"):
        raise ValueError("a Unix socket has a path and no host; write unix:///run/redis.sock")
    return RedisAddress("single", path=unquote(path), db=_db(options.get("db", "")))


def _single(hosts: str, path: str) -> RedisAddress:
    if "," in hosts:
        raise ValueError("several hosts are a cluster or Sentinels; write redis+cluster:// or redis+sentinel://")
    return RedisAddress("single", _hosts(hosts, _PORT), db=_db(path))


def _sentinel(hosts: str, path: str) -> RedisAddress:
    match = _SERVICE.fullmatch(path)
    if match is None:
        raise ValueError("no service is named; write redis+sentinel://host:26379/service or …/service/0")
    return RedisAddress("sentinel", _hosts(hosts, _SENTINEL_PORT), service=match[1], db=_db(match[2] or ""))


def _cluster(hosts: str, path: str) -> RedisAddress:
    if _db(path) != 0:
        raise ValueError("a cluster has no numbered databases; write redis+cluster://host:6379,host:6379")
    return RedisAddress("cluster", _hosts(hosts, _PORT))


_PLACES = {"single": _single, "sentinel": _sentinel, "cluster": _cluster}


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not options.keys() <= _OPTIONS:
        raise ValueError(f"an option is unknown; write one of {', '.join(sorted(_OPTIONS))}{_ESCAPES}")
    return options


def _hosts(text: str, default_port: int) -> tuple[tuple[str, int], ...]:
    hosts = []
    for item in text.split(","):
        match = _HOST.fullmatch(item)
        if match is None or int(match[2] or default_port) > _PORT_MAX:
            raise ValueError(f"a host cannot be read; write host:port, several of them joined by commas{_ESCAPES}")
        hosts.append((match[1].strip("[]"), int(match[2] or default_port)))
    return tuple(hosts)


def _db(text: str) -> int:
    match = _DB.fullmatch(text)
    if match is None:
        raise ValueError(f"the database is no number; write it as in redis://host:6379/0{_ESCAPES}")
    return int(match[1] or 0)
