"""Which header fields pass the gateway, in which order they are taken away and added.

Hop-by-hop fields and forged identity fields go first, identity fields come last: nothing a client sends can remove
or imitate what the gateway says (CVE-2024-45410, CVE-2022-31813, CVE-2025-64484, CVE-2026-54763).
RFC 9110 §7.6 (hop-by-hop, Via), RFC 9112 §6 and §7.1.2 (framing, trailers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple, TypeVar

from gateway.config.fields import FRAMING, HOP_BY_HOP
from gateway.config.fields import fold_header_name as fold
from gateway.http.fields import Fields
from gateway.http.forwarded import Caller

Pairs = Sequence[tuple[str, str]]
T = TypeVar("T")

# What proxies and CDNs tell servers behind them of the client, and of the request as it was before they rewrote it.
_FROM_PROXIES = frozenset(
    {
        "cf-connecting-ip",
        "client-ip",
        "fastly-client-ip",
        "forwarded",
        "front-end-https",
        "true-client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-envoy-external-address",
        "x-envoy-original-path",
        "x-forwarded",
        "x-host",
        "x-http-host-override",
        "x-original-host",
        "x-original-method",
        "x-original-uri",
        "x-original-url",
        "x-originating-ip",
        "x-real-ip",
        "x-remote-addr",
        "x-remote-ip",
        "x-rewrite-url",
        "x-scheme",
        "x-url-scheme",
    }
)
_FROM_PROXIES_PREFIX = "x-forwarded-"
# What a Connection header may not take away: these are end-to-end, or the gateway's own.
_NEVER_NOMINATED = frozenset(
    {"authorization", "cache-control", "content-encoding", "content-type", "cookie", "host", "origin", "traceparent"}
)
_ALWAYS_SET = frozenset({"x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"})
_OWN_NAMES = _ALWAYS_SET | {"via"}
# A backend says nothing of these: what they tell the client is the gateway's to tell.
_SAID_BY_US = frozenset({"content-length", "x-identity-stale", "x-request-id"})
_CORS_PREFIX = "access-control-"
# What most clients say in Connection; the field of that name stays behind anyway.
_USUAL_OPTION = "keep-alive"
# Of how many rules the outcome is remembered with a block of fields.
_KEPT_MAX = 16
# The names that clients send are few. These bound what is remembered of others.
_REMEMBERED_NAMES_MAX = 128
_REMEMBERED_NAME_CHARS = 64


class Fate(Enum):
    """What becomes of a client's field on the way to a backend, as far as its name says."""

    PASSES = auto()
    STAYS = auto()
    PASSES_FROM_TRUSTED = auto()
    CONNECTION = auto()  # stays, and takes others with it
    VIA = auto()  # goes on in ours


class ByName(dict[str, T]):
    """What `about` says of each name, as it was sent: `by_name[name]`. It is asked when a name first comes."""

    def __init__(self, about: Callable[[str], T]) -> None:
        self._about = about

    def __missing__(self, name: str) -> T:
        said = self._about(name)
        if len(name) <= _REMEMBERED_NAME_CHARS:
            if len(self) >= _REMEMBERED_NAMES_MAX:
                self.clear()
            self[name] = said
        return said


@lru_cache(maxsize=64)
def _fates(folded_stay: frozenset[str], lower_stay: frozenset[str]) -> ByName[Fate]:
    """One for all routes with equal rules. The first names are folded, the others lower case."""

    def fate(name: str) -> Fate:
        lower, folded = name.lower(), fold(name)
        if lower == "connection":
            return Fate.CONNECTION
        if lower == "via":
            return Fate.VIA
        if folded in folded_stay or lower in lower_stay:
            return Fate.STAYS
        if folded in _FROM_PROXIES or folded.startswith(_FROM_PROXIES_PREFIX):
            # Believed from a trusted peer, but only in the spelling it was meant in.
            return Fate.PASSES_FROM_TRUSTED if folded == lower else Fate.STAYS
        return Fate.PASSES

    return ByName(fate)


# Looking them up in the class takes longer than the rest of what is done for a field.
_PASSES, _PASSES_FROM_TRUSTED, _CONNECTION, _VIA = (
    Fate.PASSES,
    Fate.PASSES_FROM_TRUSTED,
    Fate.CONNECTION,
    Fate.VIA,
)


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What a route does to the fields of a request. Names to remove are folded: in each spelling they are gone.

    The last four follow from the others. `own_gone` are those of the gateway's own fields that do not go out;
    `has_rivals` says that identity headers may have to replace what would otherwise go out.
    """

    identity_names: frozenset[str]  # of all routes, folded: stripped on every route
    keep_authorization: bool
    remove: frozenset[str]
    set: tuple[tuple[str, str], ...]
    fates: ByName[Fate] = field(init=False, repr=False, compare=False)
    own_gone: frozenset[str] = field(init=False, repr=False, compare=False)
    has_rivals: bool = field(init=False, repr=False, compare=False)
    set_lines: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        set_names = frozenset(fold(name) for name, _ in self.set)
        folded_stay = HOP_BY_HOP | FRAMING | _ALWAYS_SET | self.identity_names | self.remove | set_names
        lower_stay = frozenset() if self.keep_authorization else frozenset({"authorization"})
        object.__setattr__(self, "fates", _fates(folded_stay, lower_stay))
        object.__setattr__(self, "own_gone", _OWN_NAMES & (self.remove | set_names))
        object.__setattr__(self, "has_rivals", not self.identity_names.isdisjoint(set_names | _OWN_NAMES))
        object.__setattr__(self, "set_lines", field_lines(self.set))


@dataclass(frozen=True, slots=True)
class ResponseRules:
    remove: frozenset[str]
    set: tuple[tuple[str, str], ...]
    own_cors: bool  # the gateway answers for CORS, so the backend does not


def values_of(headers: Pairs, wanted: str) -> list[str]:
    """All values of a field, in order; `wanted` in lower case."""
    return [value for name, value in headers if name.lower() == wanted]


def nominated(headers: Pairs) -> frozenset[str]:
    """The names in `Connection`, lower case: hop-by-hop by the sender's word (RFC 9110 §7.6.1)."""
    options = ",".join(values_of(headers, "connection")).lower().split(",")
    return frozenset(option.strip() for option in options) - _NEVER_NOMINATED


def request_to_backend(
    headers: Pairs,
    rules: RequestRules,
    caller: Caller,
    *,
    authority: str,
    request_id: str,
    version: tuple[int, int],
    identity: Iterable[tuple[str, str]],
) -> list[tuple[str, str]]:
    """The fields of the request that a backend gets, but for `Host` and the framing.

    The names in `identity` are among the rules' `identity_names`.
    """
    kept, via = _passing(headers, rules, caller)
    hops = [*caller.forwarded_for, caller.peer] if caller.peer else caller.forwarded_for
    own = [
        ("X-Request-Id", request_id),
        *([("X-Forwarded-For", ", ".join(hops))] if hops else ()),
        ("X-Forwarded-Proto", caller.proto),
        ("X-Forwarded-Host", caller.host or authority),
        ("Via", ", ".join([*via, f"{version[0]}.{version[1]} gateway"])),
    ]
    if rules.own_gone:
        own = [pair for pair in own if pair[0].lower() not in rules.own_gone]
    if rules.has_rivals:
        return replaced([*kept, *own, *rules.set], identity)
    return [*kept, *own, *rules.set, *identity]


class Lines(NamedTuple):
    """What `request_to_backend` says, as lines with their ends, but for what differs between requests that are alike.

    The id stands behind `before_id`, the peer behind `before_peer`, the identity at the end. `lines` is how many they
    are without that.
    """

    before_id: str
    before_peer: str
    rest: str
    lines: int


def lines_to_backend(
    headers: Pairs, rules: RequestRules, caller: Caller, *, authority: str, version: tuple[int, int]
) -> Lines | None:
    """`None` where it takes more than adding lines."""
    if rules.own_gone or rules.has_rivals or caller.forwarded_for or not caller.peer:
        return None
    kept, count, via = _kept_lines(headers, rules, caller)
    before = f"{', '.join(via)}, " if via else ""
    rest = (
        f"\r\nX-Forwarded-Proto: {caller.proto}\r\n"
        f"X-Forwarded-Host: {caller.host or authority}\r\n"
        f"Via: {before}{version[0]}.{version[1]} gateway\r\n"
        f"{rules.set_lines}"
    )
    count += len(_OWN_NAMES) + len(rules.set)
    return Lines(f"{kept}X-Request-Id: ", "\r\nX-Forwarded-For: ", rest, count)


def _kept_lines(headers: Pairs, rules: RequestRules, caller: Caller) -> tuple[str, int, Sequence[str]]:
    """What `_passing` says, as lines, and how many they are; remembered with a block of fields."""
    block = headers.block if isinstance(headers, Fields) and not (caller.trusted or rules.keep_authorization) else None
    if block is not None:
        known = block.kept.get(id(rules))
        if known is not None and known[0] is rules:
            return known[1], known[2], ()
    kept, via = _passing(headers, rules, caller)
    lines, count = field_lines(kept), len(kept)
    if block is not None and not via:
        if len(block.kept) >= _KEPT_MAX:
            block.kept.clear()
        block.kept[id(rules)] = rules, lines, count
    return lines, count, via


def field_lines(pairs: Pairs) -> str:
    """Fields as lines with their ends."""
    return "".join([f"{name}: {value}\r\n" for name, value in pairs])


def _passing(headers: Pairs, rules: RequestRules, caller: Caller) -> tuple[list[tuple[str, str]], list[str]]:
    """Of a client's fields, those that go on as they are, and the values of `Via`."""
    fates = rules.fates
    kept: list[tuple[str, str]] = []
    via: list[str] = []
    has_options = False
    for pair in headers:
        fate = fates[pair[0]]
        if fate is _PASSES:
            kept.append(pair)
        elif fate is _PASSES_FROM_TRUSTED:
            if caller.trusted:
                kept.append(pair)
        elif fate is _VIA:
            via.append(pair[1])
        elif fate is _CONNECTION:
            has_options = has_options or pair[1].lower() != _USUAL_OPTION
    if has_options:
        gone = nominated(headers)
        kept = [pair for pair in kept if pair[0].lower() not in gone]
    return kept, via


def answer_field_passes(name: str, rules: ResponseRules) -> bool:
    """Whether a field of a backend's answer, by itself, is for the client; the framing is made anew."""
    lower = name.lower()
    if fold(name) in rules.remove or lower in HOP_BY_HOP or lower in _SAID_BY_US:
        return False
    return not (rules.own_cors and lower.startswith(_CORS_PREFIX))


def replaced(headers: Pairs, new: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """`headers` with each of `new` in the place of all of its name, however that is spelled."""
    new = list(new)
    names = {fold(name) for name, _ in new}
    return [pair for pair in headers if fold(pair[0]) not in names] + new
