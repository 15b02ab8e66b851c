"""Decides which header fields pass the gateway, and in which order fields are removed and added.

Hop-by-hop fields and forged identity fields are removed first, and identity fields are added last. So no client can
remove or imitate the gateway's own fields (CVE-2024-45410, CVE-2022-31813, CVE-2025-64484, CVE-2026-54763).
RFC 9110 §7.6 (hop-by-hop, Via), RFC 9112 §6 and §7.1.2 (framing, trailers).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.http.cookie_pairs import without_cookies
from gateway.http.fates import ALWAYS, FROM_TRUSTED, FieldFates, senders_by_name
from gateway.http.forwarded import Caller, ToldLines
from gateway.http.header_names import HOP_BY_HOP, TOLD_TO_BACKENDS, folded, may_be_nominated
from gateway.http.header_names import fold_header_name as fold
from gateway.http.request_fields import Fields, Pairs

# A backend may not send these: only the gateway tells the client about them.
_SAID_BY_US = folded(["Content-Length", "X-Identity-Stale", "X-Request-Id"])
_CORS_PREFIX = "accesscontrol"
_COOKIE: Final = frozenset(["cookie"])
_NONE: Final[frozenset[str]] = frozenset()


class RequestRules:
    """Holds a route's rules for the fields of a request. Names are compared as `gateway.http.header_names` says.

    `trusted` are the names that only a trusted proxy may send, `cookies` those that the backend does not get. Three
    attributes follow from the rules: `own_gone` are the gateway's own fields that do not go out, `has_rivals` says that
    identity headers may have to replace other fields, and `are_usual` that neither is the case.
    """

    def __init__(
        self,
        identity_names: frozenset[str],  # of all routes: stripped on every route
        keep_authorization: bool,
        remove: frozenset[str],
        set: Pairs,  # noqa: A002 - the key of the file
        trusted: frozenset[str] = frozenset(),
        cookies: frozenset[bytes] = frozenset(),
    ) -> None:
        identity, removed, replaced_names = folded(identity_names), folded(remove), folded(dict(set))
        self.keep_authorization = keep_authorization
        self.identity = identity
        self.gone = identity | removed | replaced_names
        self.trusted = frozenset(name.lower() for name in trusted)
        self.cookies = cookies
        self.senders = senders_by_name(self.gone, self.trusted, keep_authorization=keep_authorization)
        self.own_gone = TOLD_TO_BACKENDS & (removed | replaced_names)
        self.has_rivals = not identity.isdisjoint(replaced_names | TOLD_TO_BACKENDS)
        self.are_usual = not (self.own_gone or self.has_rivals)
        self.set_lines = [f"{name}: {value}" for name, value in set]


def fates_under(rules: Iterable[RequestRules], *, reads_trace: bool = False) -> FieldFates:
    """The fates of a client's fields before the route is known. Takes the rules of all routes."""
    all_rules = list(rules)
    identity = frozenset[str]().union(*(one.identity for one in all_rules))
    return FieldFates(
        identity,
        frozenset[str]().union(*(one.gone | (_COOKIE if one.cookies else _NONE) for one in all_rules)),
        frozenset[str]().union(*(one.trusted for one in all_rules)),
        keeps_authorization=any(one.keep_authorization for one in all_rules),
        reads_trace=reads_trace,
    )


@dataclass(frozen=True, slots=True)
class ResponseRules:
    remove: frozenset[str]
    set: tuple[tuple[str, str], ...]
    own_cors: bool  # the gateway answers for CORS, so the backend does not
    is_private: bool = False  # the URL has a token in it: no shared cache may keep the response
    gone: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gone", folded(self.remove) | HOP_BY_HOP | _SAID_BY_US)


def values_of(headers: Pairs, wanted: str) -> list[str]:
    """All values of a field, in order; `wanted` in lower case."""
    return [value for name, value in headers if name.lower() == wanted]


def connection_options(headers: Pairs) -> frozenset[str]:
    """The options in `Connection`, in lower case (RFC 9110 §7.6.1)."""
    return _options(values_of(headers, "connection"))


def nominated(headers: Pairs) -> frozenset[str]:
    """The names that `Connection` declares hop-by-hop, folded, as far as it may name them."""
    return _nominated(values_of(headers, "connection"))


def _options(values: Sequence[str]) -> frozenset[str]:
    return frozenset(option.strip(" \t") for option in ",".join(values).lower().split(","))


def _nominated(values: Sequence[str]) -> frozenset[str]:
    return frozenset(filter(may_be_nominated, map(fold, _options(values))))


class Lines:
    """Holds outgoing fields: `kept` one by one without their line ends, `more` joined, each with its end."""

    __slots__ = ("kept", "more")

    def __init__(self, kept: list[bytes], more: bytes) -> None:
        self.kept = kept
        self.more = more

    def and_line(self, line: bytes) -> Lines:
        """The same fields and one more of the gateway's own, which `field_line_to_backend` has made."""
        return Lines(self.kept, self.more + line)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values as text."""
        lines = [line.decode("utf-8", "surrogateescape") for line in (*self.kept, *self.more.split(b"\r\n")[:-1])]
        return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


def field_line_to_backend(name: str, value: str) -> bytes:
    """A field of the gateway's own as a line with its end. Raises `ValueError` for a value with a line end in it."""
    return _with_ends([f"{name}: {value}"])


def lines_to_backend(
    fields: Fields,
    rules: RequestRules,
    caller: Caller,
    *,
    authority: str,
    request_id: str,
    version: tuple[int, int],
    stripped: str = "",
    identity: Pairs = (),
    trace: bytes = b"",
) -> Lines:
    """The fields of a request to a backend without `Host`, the framing and the identity, which follow them.

    `authority` is the host that the client named. The names in `identity` are among the rules' `identity_names`.
    `stripped` is the prefix that the route removes from the path, `trace` the lines that name the place in a trace.
    """
    kept = _passing(fields, rules, caller) if fields.depends or fields.options else fields.kept
    if rules.are_usual and not fields.vias:
        told = _told(rules, caller, authority, stripped, version)
        return Lines(kept, b"".join((b"X-Request-Id: ", sound(request_id).encode(), b"\r\n", trace, told)))
    own = [f"X-Request-Id: {request_id}", *_of_caller(caller, authority, stripped), _via(fields.vias, version)]
    if rules.own_gone:
        own = [line for line in own if _folded_name(line) not in rules.own_gone]
    own += rules.set_lines
    if rules.has_rivals and identity:
        names = folded([name for name, _ in identity])
        own = [line for line in own if _folded_name(line) not in names]
    return Lines(kept, _with_ends(own) + trace)


def _told(rules: RequestRules, caller: Caller, authority: str, stripped: str, version: tuple[int, int]) -> bytes:
    """The lines that are the same for each of a caller's requests to one authority on routes with these rules."""
    told = caller.told
    if (
        told is None
        or told.rules is not rules
        or told.authority != authority
        or told.stripped != stripped
        or told.version != version
    ):
        own = [*_of_caller(caller, authority, stripped), _via((), version), *rules.set_lines]
        told = caller.told = ToldLines(rules, authority, stripped, version, _with_ends(own))
    return told.lines


def _of_caller(caller: Caller, authority: str, stripped: str) -> list[str]:
    hops = [*caller.forwarded_for, caller.peer] if caller.peer else caller.forwarded_for
    host, prefix = caller.host or authority, caller.prefix + stripped
    lines = [f"X-Forwarded-For: {', '.join(hops)}"] if hops else []
    lines.append(f"X-Forwarded-Proto: {caller.proto}")
    if host:
        lines.append(f"X-Forwarded-Host: {host}")
    if caller.port:
        lines.append(f"X-Forwarded-Port: {caller.port}")
    if prefix:
        lines.append(f"X-Forwarded-Prefix: {prefix}")
    return lines


def _via(before: Sequence[str], version: tuple[int, int]) -> str:
    so_far = f"{', '.join(before)}, " if before else ""
    return f"Via: {so_far}{version[0]}.{version[1]} gateway"


def _with_ends(lines: Sequence[str]) -> bytes:
    return "".join([f"{sound(line)}\r\n" for line in lines]).encode("utf-8", "surrogateescape")


def sound(text: str) -> str:
    """Nothing that comes this far has a line end in it; should it all the same, it must not become a line."""
    if "\n" in text or "\r" in text:
        raise ValueError("a field of a request to a backend has a line end")
    return text


def field_lines(pairs: Pairs) -> str:
    """Fields as lines with their ends."""
    return "".join([f"{name}: {value}\r\n" for name, value in pairs])


def _passing(fields: Fields, rules: RequestRules, caller: Caller) -> list[bytes]:
    """The lines that go on to the backend on this route and for this caller."""
    senders, gone = rules.senders, _nominated(fields.options) if fields.options else frozenset[str]()
    kept: list[bytes] = []
    for line in fields.kept:
        name = line[: line.index(b":")].decode("ascii")
        sender = senders[name]
        if (sender == ALWAYS or (sender == FROM_TRUSTED and caller.trusted)) and not (gone and fold(name) in gone):
            kept.append(line)
    return _without_cookies(kept, rules.cookies) if rules.cookies else kept


def _without_cookies(lines: list[bytes], unwanted: frozenset[bytes]) -> list[bytes]:
    return [left for line in lines if (left := without_cookies(line, unwanted)) is not None]


def _folded_name(line: str) -> str:
    return fold(line.partition(":")[0])


def response_field_passes(name: str, rules: ResponseRules) -> bool:
    """Whether a field of a backend's response goes to the client. The gateway writes the framing anew."""
    folded_name = fold(name)
    if folded_name in rules.gone:
        return False
    return not (rules.own_cors and folded_name.startswith(_CORS_PREFIX))
