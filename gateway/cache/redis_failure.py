"""Why Redis cannot be used, in its own words, and what to do. Pure.

Redis may be hostile, and its words reach the log, `gateway doctor` and `/health/ready`. So they are one printable line
of bounded length.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.policy_reasons import cut_reason
from gateway.provider.tls_reason import tls_reason

_CAUSES_MAX = 8
# By what Redis' words begin with: it is the right server, and in no state to serve.
_STATES = {
    "LOADING": "it still reads its data after a start; it is used as soon as that is done",
    "BUSYLOADING": "it still reads its data after a start; it is used as soon as that is done",
    "REDIS IS LOADING": "it still reads its data after a start; it is used as soon as that is done",
    "MASTERDOWN": "it is a replica that has lost its primary; write the primary's address, or redis+sentinel://",
    "MISCONF": "it takes no writes, because it cannot save to its disk; look at the disk's room, and at Redis' log",
    "CLUSTERDOWN": "its cluster has not all slots; repair the cluster",
    "MAX NUMBER OF CLIENTS": "it takes no more connections; raise its maxclients, or have fewer workers",
}


def redis_failure(error: BaseException) -> str:
    """Why Redis cannot be used, and what to do."""
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return "it does not answer in time; check host and port in cache.redis, and the network between"
    if isinstance(error, AuthenticationError | AuthenticationWrongNumberOfArgsError) or _speaks_of_login(error):
        return f"it refuses the login ({_said(error)}); write its user and password into cache.redis"
    if isinstance(error, NoPermissionError) or _speaks_of_rights(error):
        return f"it refuses the command ({_said(error)}); give the user the rights of deploy/redis/users.acl"
    if isinstance(error, ReadOnlyError):
        return "it is a replica, which takes no writes; write the primary's address, or redis+sentinel://"
    if isinstance(error, OutOfMemoryError):
        return "it has no memory left; set maxmemory-policy allkeys-lru, or give it more"
    if (words := _of_state(error)) is not None:
        return f"{words} ({_said(error)})"
    if isinstance(error, ResponseError):
        return f"it answers with an error ({_said(error)}); see that cache.redis names the right server"
    return f"no connection ({_why_unconnected(error)}); check scheme, host and port in cache.redis, and that Redis runs"


def _speaks_of_login(error: BaseException) -> bool:
    return isinstance(error, RedisError) and str(error).upper().startswith(("NOAUTH", "WRONGPASS", "AUTH"))


def _of_state(error: BaseException) -> str | None:
    words = str(error).upper()
    is_of_redis = isinstance(error, RedisError)
    return next((meant for said, meant in _STATES.items() if is_of_redis and words.startswith(said)), None)


def _speaks_of_rights(error: BaseException) -> bool:
    """Of a command within a script Redis 7 and later say so in other words."""
    words = str(error)
    return isinstance(error, ResponseError) and (words.startswith("NOPERM") or "executing the script can't" in words)


def _why_unconnected(error: BaseException) -> str:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return cut_reason(tls_reason("it", cause).replace("http://", "redis://"))
        if isinstance(cause, ConnectionRefusedError) and cause.errno is not None:
            return cut_reason(f"{os.strerror(cause.errno).lower()}: {_said(error)}")
    return _said(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__


def _said(error: BaseException) -> str:
    words = str(error) or type(error).__name__
    code = _code(error)
    return cut_reason(words if not code or words.upper().startswith(code) else f"{code} {words}")


def _code(error: BaseException) -> str:
    """The word that Redis began with and its library has taken away; operators search for it."""
    if isinstance(error, NoPermissionError):
        return "NOPERM"
    if type(error) is AuthenticationError:
        return "NOAUTH" if "required" in str(error) else "WRONGPASS" if "invalid username" in str(error) else ""
    return ""
