"""Which header fields pass the gateway, in which order they are taken away and added.

Hop-by-hop fields and forged identity fields go first, identity fields come last: nothing a client sends can remove
or imitate what the gateway says (CVE-2024-45410, CVE-2022-31813, CVE-2025-64484, CVE-2026-54763).
RFC 9110 §7.6 (hop-by-hop, Via), RFC 9112 §6 and §7.1.2 (framing, trailers).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.http.fates import ByName, Fate, fates_of
from gateway.http.forwarded import Caller
from gateway.http.header_names import HOP_BY_HOP, TOLD_TO_BACKENDS, folded, may_be_nominated
from gateway.http.header_names import fold_header_name as fold
from gateway.http.request_fields import Fields

Pairs = Sequence[tuple[str, str]]

# The fields that `lines_to_backend` adds to each request: the request id, X-Forwarded-For, -Proto and -Host, and Via.
_LINES_OF_OURS = 5
# A backend says nothing of these: what they tell the client is the gateway's to tell.
_SAID_BY_US = folded(["Content-Length", "X-Identity-Stale", "X-Request-Id"])
_CORS_PREFIX = "accesscontrol"
# What most clients say in Connection; the field of that name stays behind anyway.
_USUAL_OPTION = "keep-alive"
# Of how many rules the outcome is remembered with a block of fields.
_KEPT_MAX = 16

# Looking them up in the class takes longer than the rest of what is done for a field.
_PASSES, _PASSES_FROM_TRUSTED, _CONNECTION, _VIA = (
    Fate.PASSES,
    Fate.PASSES_FROM_TRUSTED,
    Fate.CONNECTION,
    Fate.VIA,
)


@dataclass(frozen=True, slots=True)
class RequestRules:
    """What a route does to the fields of a request. Names are compared as `gateway.http.header_names` says.

    `trusted` are the names that a trusted proxy may send and nobody else. The last four follow from the others.
    `own_gone` are those of the gateway's own fields that do not go out; `has_rivals` says that identity headers may
    have to replace what would otherwise go out.
    """

    identity_names: frozenset[str]  # of all routes: stripped on every route
    keep_authorization: bool
    remove: frozenset[str]
    set: tuple[tuple[str, str], ...]
    trusted: frozenset[str] = frozenset()
    fates: ByName[Fate] = field(init=False, repr=False, compare=False)
    own_gone: frozenset[str] = field(init=False, repr=False, compare=False)
    has_rivals: bool = field(init=False, repr=False, compare=False)
    set_lines: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        identity, removed, replaced_names = map(folded, (self.identity_names, self.remove, dict(self.set)))
        trusted = frozenset(name.lower() for name in self.trusted)
        gone = identity | removed | replaced_names
        fates = fates_of(gone, keep_authorization=self.keep_authorization, trusted=trusted)
        object.__setattr__(self, "fates", fates)
        object.__setattr__(self, "own_gone", TOLD_TO_BACKENDS & (removed | replaced_names))
        object.__setattr__(self, "has_rivals", not identity.isdisjoint(replaced_names | TOLD_TO_BACKENDS))
        object.__setattr__(self, "set_lines", field_lines(self.set))


@dataclass(frozen=True, slots=True)
class ResponseRules:
    remove: frozenset[str]
    set: tuple[tuple[str, str], ...]
    own_cors: bool  # the gateway answers for CORS, so the backend does not
    gone: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gone", folded(self.remove) | HOP_BY_HOP | _SAID_BY_US)


def values_of(headers: Pairs, wanted: str) -> list[str]:
    """All values of a field, in order; `wanted` in lower case."""
    return [value for name, value in headers if name.lower() == wanted]


def connection_options(headers: Pairs) -> frozenset[str]:
    """What stands in `Connection`, lower case (RFC 9110 §7.6.1)."""
    options = ",".join(values_of(headers, "connection")).lower().split(",")
    return frozenset(option.strip() for option in options)


def nominated(headers: Pairs) -> frozenset[str]:
    """The names in `Connection`, folded, that are hop-by-hop by the sender's word and may be."""
    return frozenset(filter(may_be_nominated, map(fold, connection_options(headers))))


def request_to_backend(
    headers: Pairs,
    rules: RequestRules,
    caller: Caller,
    *,
    authority: str,
    request_id: str,
    version: tuple[int, int],
    stripped: str = "",
    identity: Iterable[tuple[str, str]],
) -> list[tuple[str, str]]:
    """The fields of the request that a backend gets, but for `Host` and the framing.

    The names in `identity` are among the rules' `identity_names`; `stripped` is what the route takes off the path.
    """
    kept, via = _passing(headers, rules, caller)
    hops = [*caller.forwarded_for, caller.peer] if caller.peer else caller.forwarded_for
    host, prefix = caller.host or authority, caller.prefix + stripped
    own = [
        ("X-Request-Id", request_id),
        *([("X-Forwarded-For", ", ".join(hops))] if hops else ()),
        ("X-Forwarded-Proto", caller.proto),
        *([("X-Forwarded-Host", host)] if host else ()),
        *([("X-Forwarded-Port", caller.port)] if caller.port else ()),
        *([("X-Forwarded-Prefix", prefix)] if prefix else ()),
        ("Via", ", ".join([*via, f"{version[0]}.{version[1]} gateway"])),
    ]
    if rules.own_gone:
        own = [pair for pair in own if fold(pair[0]) not in rules.own_gone]
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
    headers: Pairs, rules: RequestRules, caller: Caller, *, authority: str, version: tuple[int, int], stripped: str = ""
) -> Lines | None:
    """`None` where it takes more than adding lines."""
    if rules.own_gone or rules.has_rivals or caller.forwarded_for or not caller.peer:
        return None
    host = caller.host or authority
    if not host or caller.port or caller.prefix:
        return None
    kept, count, via = _kept_lines(headers, rules, caller)
    before = f"{', '.join(via)}, " if via else ""
    path = f"X-Forwarded-Prefix: {stripped}\r\n" if stripped else ""
    rest = (
        f"\r\nX-Forwarded-Proto: {caller.proto}\r\n"
        f"X-Forwarded-Host: {host}\r\n"
        f"{path}"
        f"Via: {before}{version[0]}.{version[1]} gateway\r\n"
        f"{rules.set_lines}"
    )
    count += _LINES_OF_OURS + bool(stripped) + len(rules.set)
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
        kept = [pair for pair in kept if fold(pair[0]) not in gone]
    return kept, via


def response_field_passes(name: str, rules: ResponseRules) -> bool:
    """Whether a field of a backend's answer, by itself, is for the client; the framing is made anew."""
    folded_name = fold(name)
    if folded_name in rules.gone:
        return False
    return not (rules.own_cors and folded_name.startswith(_CORS_PREFIX))


def replaced(headers: Pairs, new: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """`headers` with each of `new` in the place of all of its name, however that is spelled."""
    new = list(new)
    names = {fold(name) for name, _ in new}
    return [pair for pair in headers if fold(pair[0]) not in names] + new
