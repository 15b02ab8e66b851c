"""Decides by its name what happens to a client's field, once for each spelling of a name.

The fates are numbers and not an `Enum`, because they are read for each field of each request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, TypeVar

from gateway.http.bounded_memo import BoundedMemo, keep_at_most
from gateway.http.header_names import (
    FRAMING,
    HOP_BY_HOP,
    HTTPOXY,
    PROOFS,
    TOLD_TO_BACKENDS,
    fold_header_name,
    is_from_proxies,
)
from gateway.http.syntax import TOKEN

T = TypeVar("T")

# Clients send few names. These limits bound the memory for others.
_REMEMBERED_NAMES_MAX = 128
_REMEMBERED_NAME_CHARS = 64
_KNOWN_MAX = 512
_NEVER_PASS = HOP_BY_HOP | FRAMING | HTTPOXY | PROOFS | TOLD_TO_BACKENDS
_NAME = re.compile(TOKEN.encode())

# How a field is read: not at all, or its value in one of these meanings.
READ: Final = 15
HOST: Final = 1
AUTHORIZATION: Final = 2
CONTENT_LENGTH: Final = 3
TRANSFER_ENCODING: Final = 4
CONNECTION: Final = 5
VIA: Final = 6
OF_PROXIES: Final = 7  # believed if a trusted proxy sends it
ORIGIN: Final = 8
ASKED_METHOD: Final = 10  # of a preflight
ASKED_HEADERS: Final = 11
# Of W3C Trace Context, where the gateway takes part in traces.
TRACE_PARENT: Final = 9
TRACE_STATE: Final = 12
# The line goes on to the backend: always, or `DEPENDS` on the route and the caller.
PASSES: Final = 16
DEPENDS: Final = 32
# The field asks for more than a request and a response, or is not a field at all.
IS_ODD: Final = 64
# The bits above this stand for names that may come only once (RFC 9110 §5.3); aiohttp's parser refuses a second one.
ONCE: Final = 128

_READ = {
    "host": HOST,
    "authorization": AUTHORIZATION,
    "content-length": CONTENT_LENGTH,
    "transfer-encoding": TRANSFER_ENCODING,
    "connection": CONNECTION,
    "via": VIA,
    "origin": ORIGIN,
    "access-control-request-method": ASKED_METHOD,
    "access-control-request-headers": ASKED_HEADERS,
    **dict.fromkeys(
        (
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-proto",
            "x-request-id",
        ),
        OF_PROXIES,
    ),
}
# These ask for trailers, an interim response or another protocol.
_ODD_NAMES = frozenset(
    {
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "sec-websocket-key1",
        "trailer",
        "upgrade",
    }
)
_SINGLE_NAMES = (
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "etag",
    "host",
    "max-forwards",
    "server",
    "user-agent",
)
_ONCE = {name: ONCE << place for place, name in enumerate(_SINGLE_NAMES)}

_TRACE: Final = {"traceparent": TRACE_PARENT, "tracestate": TRACE_STATE}

NEVER: Final = 0
ALWAYS: Final = 1
FROM_TRUSTED: Final = 2


class ByName(dict[str, T]):
    """Maps each name, as it was sent, to the result of `about`, which is called when a name first comes."""

    def __init__(self, about: Callable[[str], T]) -> None:
        self._about = about

    def __missing__(self, name: str) -> T:
        said = self._about(name)
        if len(name) <= _REMEMBERED_NAME_CHARS:
            keep_at_most(_REMEMBERED_NAMES_MAX, self, name, said)
        return said


def who_may_send(name: str, gone: frozenset[str], trusted: frozenset[str], *, keep_authorization: bool) -> int:
    """Decide whose field of this name goes on to the backend: `NEVER`, `ALWAYS` or only `FROM_TRUSTED` proxies.

    `gone` are folded; `trusted` are lower case, with their separators. A name with a meaning has it in one spelling
    only. In every other spelling the field is dropped, because a backend may read it as the first.
    """
    lower, folded = name.lower(), fold_header_name(name)
    # For a backend that drops separators, nothing is left of a name without a letter or digit.
    if not folded or folded in gone or folded in _NEVER_PASS:
        return NEVER
    if folded == "authorization":
        return ALWAYS if keep_authorization and lower == folded else NEVER
    if lower in trusted:
        return FROM_TRUSTED
    if is_from_proxies(folded) or folded in _folded(trusted):
        return NEVER
    return ALWAYS


@lru_cache(maxsize=64)
def senders_by_name(gone: frozenset[str], trusted: frozenset[str], *, keep_authorization: bool) -> ByName[int]:
    """One table of `who_may_send` for all routes with equal rules."""
    return ByName(lambda name: who_may_send(name, gone, trusted, keep_authorization=keep_authorization))


class FieldFates:
    """Holds the fates of fields under one configuration: `known[name]` for recent names as sent, `find` for all others.

    `gone` are the names that are dropped on every route, `gone_somewhere` those on some routes; both are folded. With
    `reads_trace` the fields of Trace Context are read, and the gateway sends its own.
    """

    def __init__(
        self,
        gone: frozenset[str],
        gone_somewhere: frozenset[str] = frozenset(),
        trusted: frozenset[str] = frozenset(),
        *,
        keeps_authorization: bool = False,
        reads_trace: bool = False,
    ) -> None:
        self._reads_trace = reads_trace
        self._memo: BoundedMemo[bytes, int] = BoundedMemo(_KNOWN_MAX)
        self.known = self._memo.known
        self._gone = gone | frozenset(_TRACE) if reads_trace else gone
        self._gone_somewhere = gone_somewhere
        self._trusted = trusted
        self._keeps_authorization = keeps_authorization

    def find(self, name: bytes) -> int:
        """The fate of a field of this name; only `IS_ODD` where it is not a name."""
        if _NAME.fullmatch(name) is None:
            return IS_ODD
        fate = self._fate(name.decode("ascii"))
        if len(name) <= _REMEMBERED_NAME_CHARS:
            self._memo.keep(name, fate)
        return fate

    def _fate(self, name: str) -> int:
        lower = name.lower()
        fate = _READ.get(lower, 0) | _ONCE.get(lower, 0) | (IS_ODD if lower in _ODD_NAMES else 0)
        if self._reads_trace:
            fate |= _TRACE.get(lower, 0)
        sender = who_may_send(name, self._gone, self._trusted, keep_authorization=self._keeps_authorization)
        if sender == NEVER:
            return fate
        depends = sender == FROM_TRUSTED or lower == "authorization" or fold_header_name(name) in self._gone_somewhere
        return fate | PASSES | (DEPENDS if depends else 0)


@lru_cache(maxsize=64)
def _folded(names: Iterable[str]) -> frozenset[str]:
    return frozenset(map(fold_header_name, names))
