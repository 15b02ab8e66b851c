"""The compiled table of routes: which route a host, a path and a method belong to.

A trie of path segments under each host; no regular expression of the configuration is ever run. The best route is
the most specific one that matches as a whole: exact host before wildcard host before any; segment by segment
literal before `{name}` before `**`; a route with methods before one without. The walk costs the length of the path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from gateway.config.model import Match
from gateway.config.pattern import Kind, PathPattern

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Matched(Generic[T]):
    """`value` is what the route was compiled to; `captures` are segments as they stand in the path."""

    value: T
    captures: dict[str, str]
    rest: tuple[str, ...] | None  # what ** took; None for a pattern without it


@dataclass(frozen=True, slots=True)
class WrongMethod:
    """The path belongs to routes, none of which takes the method; `allowed` is sorted, for `Allow`."""

    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    value: T
    named: frozenset[str] | None  # the methods as configured
    methods: frozenset[str] | None  # with HEAD where GET stands for it
    names: tuple[str, ...]  # of the captures, in the order of the path


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: dict[str, _Node[T]] = field(default_factory=dict)
    capture: _Node[T] | None = None
    rest: list[_Entry[T]] = field(default_factory=list)
    here: list[_Entry[T]] = field(default_factory=list)


class Table(Generic[T]):
    """Built once from all routes and never changed; `find` is safe to call from anywhere."""

    def __init__(self, routes: Iterable[tuple[Match, T]]) -> None:
        self._exact: dict[str, _Node[T]] = {}
        self._wildcard: dict[str, _Node[T]] = {}
        self._any: _Node[T] = _Node()
        for match, value in routes:
            _insert(self._root_for(match), match, value)

    def find(self, host: str, segments: Sequence[str], method: str) -> Matched[T] | WrongMethod | None:
        """The route of a canonical path's segments on `host` (lower case, without port); `None` without any."""
        allowed: set[str] = set()
        for root in self._roots(host):
            for entries, values, rest_from in _walk(root, segments, 0, ()):
                for entry in entries:
                    if entry.methods is None or method in entry.methods:
                        rest = None if rest_from is None else tuple(segments[rest_from:])
                        return Matched(entry.value, dict(zip(entry.names, values, strict=True)), rest)
                    allowed |= entry.methods
        return WrongMethod(tuple(sorted(allowed))) if allowed else None

    def _root_for(self, match: Match) -> _Node[T]:
        if match.host is None:
            return self._any
        roots = self._wildcard if match.host.wildcard else self._exact
        return roots.setdefault(match.host.name, _Node())

    def _roots(self, host: str) -> Iterator[_Node[T]]:
        if root := self._exact.get(host):
            yield root
        if self._wildcard:
            suffix = host
            while "." in suffix:  # the longest suffix is the most specific wildcard
                suffix = suffix.partition(".")[2]
                if root := self._wildcard.get(suffix):
                    yield root
        yield self._any


_Found = tuple[list[_Entry[T]], tuple[str, ...], int | None]


def _walk(node: _Node[T], segments: Sequence[str], index: int, values: tuple[str, ...]) -> Iterator[_Found[T]]:
    """All entries on the way, best first: their list, the captured values, and where ** begins.

    Recursion is as deep as the deepest pattern, whatever the length of the path.
    """
    if index == len(segments):
        if node.here:
            yield node.here, values, None
    else:
        text = segments[index]
        if child := node.literals.get(text):
            yield from _walk(child, segments, index + 1, values)
        if node.capture is not None and text:
            yield from _walk(node.capture, segments, index + 1, (*values, text))
    if node.rest:
        yield node.rest, values, index


def _insert(root: _Node[T], match: Match, value: T) -> None:
    node, names = root, []
    for segment in match.path.segments:
        if segment.kind is Kind.LITERAL:
            node = node.literals.setdefault(segment.text, _Node())
        elif segment.kind is Kind.CAPTURE:
            names.append(segment.text)
            node.capture = node.capture or _Node()
            node = node.capture
    entries = node.rest if match.path.has_rest else node.here
    methods = None if match.methods is None else frozenset(match.methods)
    entries.append(_Entry(value, methods, methods, tuple(names)))
    entries[:] = _ordered(entries)


def _ordered(entries: list[_Entry[T]]) -> list[_Entry[T]]:
    """Named methods first. GET stands for HEAD, unless a route on the same path names HEAD itself."""
    head_is_named = any(entry.named is not None and "HEAD" in entry.named for entry in entries)
    implied = frozenset() if head_is_named else frozenset({"HEAD"})
    return [
        replace(entry, methods=entry.named | implied) if entry.named is not None and "GET" in entry.named else entry
        for entry in sorted(entries, key=lambda entry: entry.named is None)
    ]


def rewritten(pattern: PathPattern, captures: Mapping[str, str], rest: tuple[str, ...] | None) -> str:
    """The path that a `rewrite` makes of what a pattern matched; to be checked again before it is sent."""
    parts: list[str] = []
    for segment in pattern.segments:
        match segment.kind:
            case Kind.LITERAL:
                parts.append(segment.text)
            case Kind.CAPTURE:
                parts.append(captures[segment.text])
            case Kind.REST:
                parts.extend(rest or ())
    return "/" + "/".join(parts)
