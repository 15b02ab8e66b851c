"""Patterns for hosts and paths, in canonical form: a route is matched by them, and rewrites to one.

A pattern is a tuple of segments and never a regular expression, so that no client can make matching slow. Two path
patterns with the same `shape` match the same paths, whatever their captures are called: this is how ties are found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from gateway.config.values import quoted
from gateway.http.host import canonical_host
from gateway.http.percent import canonical_percent, has_bad_triplet

_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,63})\}")
_REST = "**"
_LITERAL = re.compile(r"(?:[A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-Fa-f]{2})*")
_PARAMETERS = re.compile(r"(?:;|%3B).*")
_HOST_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_HOST_MAX = 253
_WILDCARD = "*."


class SegmentKind(Enum):
    LITERAL = "literal"
    CAPTURE = "capture"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class Segment:
    """Holds one segment of a pattern. `text` is the literal, or the capture's name; empty for `**`."""

    kind: SegmentKind
    text: str = ""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """Holds a path pattern such as `/tenants/{tenant}/orders/**` as segments.

    `/a/` ends in an empty literal, and `/` is one empty literal.
    """

    text: str
    segments: tuple[Segment, ...]

    @property
    def captures(self) -> frozenset[str]:
        return frozenset(s.text for s in self.segments if s.kind is SegmentKind.CAPTURE)

    @property
    def has_rest(self) -> bool:
        return bool(self.segments) and self.segments[-1].kind is SegmentKind.REST

    @property
    def shape(self) -> tuple[str, ...]:
        """Equal for two patterns exactly when they match the same paths: literals as `=text`, then `{}`, `**`."""
        marks = {SegmentKind.CAPTURE: "{}", SegmentKind.REST: _REST}
        return tuple(marks.get(s.kind, "=" + s.text) for s in self.segments)

    @property
    def only_path(self) -> str | None:
        """The path of a pattern that matches only one; `None` for any other pattern."""
        if any(s.kind is not SegmentKind.LITERAL for s in self.segments):
            return None
        return "".join(f"/{s.text}" for s in self.segments)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class HostPattern:
    """Holds an exact host name or, with `wildcard`, the suffix behind `*.` at any depth; lower case, without port."""

    name: str
    wildcard: bool = False

    def __str__(self) -> str:
        return _WILDCARD + self.name if self.wildcard else self.name


def parse_path(value: object) -> PathPattern:
    """Parse a path pattern. The `ValueError` says what to write instead."""
    pattern = _pattern(value)
    for text in (segment.text for segment in pattern.segments if segment.kind is SegmentKind.LITERAL):
        bare = _PARAMETERS.sub("", text)
        if bare != text:
            raise ValueError(
                f"{quoted(text)} has a path parameter, and paths are matched without them; write {quoted(bare)}, and "
                "allow_path_parameters: true where the backend needs them"
            )
    return pattern


def _pattern(value: object) -> PathPattern:
    if isinstance(value, PathPattern):
        return value
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError(f"{quoted(value)} is not a path; write one that starts with a slash, such as /orders/**")
    texts = value[1:].split("/")
    segments = tuple(_segment(text, last=i == len(texts) - 1, whole=value) for i, text in enumerate(texts))
    names = [s.text for s in segments if s.kind is SegmentKind.CAPTURE]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{{{name}}} stands twice in {quoted(value)}; give each segment a name of its own")
    return PathPattern(value, segments)


def parse_prefix(value: object) -> PathPattern:
    """Parse a path of literals; the gateway itself answers requests below it."""
    pattern = parse_path(value)
    if any(s.kind is not SegmentKind.LITERAL for s in pattern.segments) or pattern.segments[-1].text == "":
        raise ValueError(
            f"{quoted(pattern.text)} is not a prefix; write literal segments without a slash at the end, "
            "such as /.gateway/events"
        )
    return pattern


def parse_template(value: object) -> PathPattern:
    """Parse the value of `rewrite`: a pattern in which `{**}` stands for the segments that `**` matched."""
    if isinstance(value, str) and value.endswith("/{**}"):
        pattern = _pattern(value.removesuffix("{**}") + _REST)
        return PathPattern(value, pattern.segments)
    if isinstance(value, PathPattern):
        return value
    if isinstance(value, str) and "**" in value:
        raise ValueError(
            f"{quoted(value)} has ** in it; write {{**}} as the last segment for what the path's ** matched"
        )
    return _pattern(value)


def parse_host(value: object) -> HostPattern:
    """Parse a host pattern: `api.example.com`, `*.example.com`, `192.0.2.1` or `[2001:db8::1]`."""
    if isinstance(value, HostPattern):
        return value
    if isinstance(value, str):
        name = value.lower().removesuffix(".")
        wildcard = name.startswith(_WILDCARD)
        name = name.removeprefix(_WILDCARD)
        if name.startswith("[") and not wildcard:
            return HostPattern(_ipv6(value))
        if 0 < len(name) <= _HOST_MAX and all(_HOST_LABEL.fullmatch(label) for label in name.split(".")):
            return HostPattern(_name_or_ipv4(name, value, wildcard=wildcard), wildcard)
    if value == "*":
        raise ValueError("'*' is not a host; leave host out for any, or write *.example.com for all below")
    raise ValueError(
        f"{quoted(value)} is not a host; write a name without port, such as api.example.com or *.example.com"
    )


def _ipv6(value: str) -> str:
    """An address in brackets, in canonical form, so that two spellings are one host."""
    host = canonical_host(value)
    if host is None:
        raise ValueError(f"{quoted(value)} is not an IPv6 address in brackets; write one such as [2001:db8::1]")
    return host


def _name_or_ipv4(name: str, value: str, *, wildcard: bool) -> str:
    host = canonical_host(name)
    if host is None or (wildcard and host.rpartition(".")[2].isdigit()):
        raise ValueError(
            f"{quoted(value)} ends in a number and is not an IPv4 address; write one such as 192.0.2.1, or a name"
        )
    return host


def _segment(text: str, *, last: bool, whole: str) -> Segment:
    if text == _REST:
        if not last:
            raise ValueError(f"** stands inside {quoted(whole)}; write it as the last segment only")
        return Segment(SegmentKind.REST)
    if match := _CAPTURE.fullmatch(text):
        return Segment(SegmentKind.CAPTURE, match[1])
    if text == "" and not last:
        raise ValueError(f"{quoted(whole)} has an empty segment, which no request can have; write single slashes")
    if has_bad_triplet(text) or not _LITERAL.fullmatch(text):
        raise ValueError(
            f"segment {quoted(text)} of {quoted(whole)} is neither a literal, {{name}} nor **; "
            "write {name} for one segment, ** at the end for all below, and percent-encode other characters"
        )
    literal = canonical_percent(text)
    # A request with such a path is refused, so the pattern could never match.
    if literal.split(";", 1)[0] in {".", ".."} or any(code in literal for code in ("%5C", "%00")):
        raise ValueError(
            f"segment {quoted(text)} of {quoted(whole)} is refused in every request; write the path without it"
        )
    return Segment(SegmentKind.LITERAL, literal)
