"""Finds the route for a host, a path and a method in a compiled table.

The table is a trie of path segments under each host; the configuration has no regular expressions to run. The best
route is the most specific one that matches as a whole: exact host before wildcard host before any; segment by segment
literal before `{name}` before `**`; a route with methods before one without. The walk costs the length of the path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from gateway.config.pattern import PathPattern, SegmentKind
from gateway.config.route_model import Match
from gateway.http.immutable import immutable

T = TypeVar("T")


@immutable
class Matched(Generic[T]):
    """Holds the compiled route `value` and the parts of the path that its pattern captured."""

    value: T
    names: tuple[str, ...]
    values: tuple[str, ...]
    rest: tuple[str, ...] | None  # the segments that ** matched; None for a pattern without it

    @property
    def captures(self) -> dict[str, str]:
        """The captured segments by name, as they stand in the path."""
        return dict(zip(self.names, self.values, strict=True))


@dataclass(frozen=True, slots=True)
class WrongMethod:
    """Says that routes match the path, but none takes the method. `allowed` is sorted, for `Allow`."""

    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    value: T
    named: frozenset[str] | None  # the methods as configured
    methods: frozenset[str] | None  # with HEAD where GET includes it
    names: tuple[str, ...]  # of the captures, in the order of the path
    has_rest: bool  # ends in **


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: dict[str, _Node[T]] = field(default_factory=dict)
    capture: _Node[T] | None = None
    rest: list[_Entry[T]] = field(default_factory=list)
    here: list[_Entry[T]] = field(default_factory=list)


class Table(Generic[T]):
    """Finds routes. It is built once from all routes and never changed."""

    def __init__(self, routes: Iterable[tuple[Match, T]]) -> None:
        self._exact: dict[str, _Node[T]] = {}
        self._wildcard: dict[str, _Node[T]] = {}
        self._any: _Node[T] = _Node()
        for match, value in routes:
            _insert(self._root_for(match), match, value)

    def find(self, host: str, segments: Sequence[str], method: str) -> Matched[T] | WrongMethod | None:
        """The route for a canonical path's segments on `host` (lower case, without port), or `None`."""
        allowed: set[str] = set()
        for root in self._roots(host):
            found = _best(root, segments, method, allowed)
            if found is not None:
                return found
        return WrongMethod(tuple(sorted(allowed))) if allowed else None

    def _root_for(self, match: Match) -> _Node[T]:
        if match.host is None:
            return self._any
        roots = self._wildcard if match.host.wildcard else self._exact
        return roots.setdefault(match.host.name, _Node())

    def _roots(self, host: str) -> list[_Node[T]]:
        roots = [root] if (root := self._exact.get(host)) else []
        if self._wildcard:
            suffix = host
            while "." in suffix:  # the longest suffix is the most specific wildcard
                suffix = suffix.partition(".")[2]
                if root := self._wildcard.get(suffix):
                    roots.append(root)
        roots.append(self._any)
        return roots


# A branch to come back to: node, index of the next segment, captures so far, and the entries if the branch ends here.
_Branch = tuple[_Node[T], int, tuple[str, ...], list[_Entry[T]] | None]


def _best(node: _Node[T], segments: Sequence[str], method: str, allowed: set[str]) -> Matched[T] | None:
    """The best route below `node` that takes the method. Adds the methods of other routes that match to `allowed`."""
    count, index = len(segments), 0
    values: tuple[str, ...] = ()
    entries: list[_Entry[T]] | None = None
    branches: list[_Branch[T]] = []  # the best last
    while True:
        while entries is None:
            if node.rest:
                branches.append((node, index, values, node.rest))
            if index == count:
                entries = node.here
                break
            text = segments[index]
            index += 1
            child, capture = node.literals.get(text), node.capture
            if capture is not None and text:
                if child is None:
                    child, values = capture, (*values, text)
                else:
                    branches.append((capture, index, (*values, text), None))
            if child is None:
                break
            node = child
        if entries and (entry := _taking(entries, method, allowed)):
            return Matched(entry.value, entry.names, values, tuple(segments[index:]) if entry.has_rest else None)
        if not branches:
            return None
        node, index, values, entries = branches.pop()


def _taking(entries: list[_Entry[T]], method: str, allowed: set[str]) -> _Entry[T] | None:
    for entry in entries:
        if entry.methods is None or method in entry.methods:
            return entry
        allowed |= entry.methods
    return None


def _insert(root: _Node[T], match: Match, value: T) -> None:
    node, names = root, []
    for segment in match.path.segments:
        if segment.kind is SegmentKind.LITERAL:
            node = node.literals.setdefault(segment.text, _Node())
        elif segment.kind is SegmentKind.CAPTURE:
            names.append(segment.text)
            node.capture = node.capture or _Node()
            node = node.capture
    entries = node.rest if match.path.has_rest else node.here
    methods = None if match.methods is None else frozenset(match.methods)
    entries.append(_Entry(value, methods, methods, tuple(names), match.path.has_rest))
    entries[:] = _ordered(entries)


def _ordered(entries: list[_Entry[T]]) -> list[_Entry[T]]:
    """Sorts routes that name methods to the front. GET includes HEAD, unless a route on the same path names HEAD."""
    head_is_named = any(entry.named is not None and "HEAD" in entry.named for entry in entries)
    implied = frozenset() if head_is_named else frozenset({"HEAD"})
    return [
        replace(entry, methods=entry.named | implied) if entry.named is not None and "GET" in entry.named else entry
        for entry in sorted(entries, key=lambda entry: entry.named is None)
    ]


def rewritten(pattern: PathPattern, captures: Mapping[str, str], rest: tuple[str, ...] | None) -> str:
    """The path that a `rewrite` makes of a match. The caller has to check it again before it is sent."""
    parts: list[str] = []
    for segment in pattern.segments:
        match segment.kind:
            case SegmentKind.LITERAL:
                parts.append(segment.text)
            case SegmentKind.CAPTURE:
                parts.append(captures[segment.text])
            case SegmentKind.REST:
                parts.extend(rest or ())
    return "/" + "/".join(parts)
