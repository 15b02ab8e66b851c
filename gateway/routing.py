"""Finds the route for a host, a path and a method in a compiled table.

The table is a trie of path segments under each host; the configuration has no regular expressions to run. The best
route is the most specific one that matches as a whole: exact host before wildcard host before any; segment by segment
literal before `{name}` before `**`; a route with methods before one without. The walk costs the length of the path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.config.pattern import PathPattern, SegmentKind
from gateway.config.route_model import Match

T = TypeVar("T")


class Matched(Generic[T]):
    """Holds the compiled route `value` and the parts of the path that its pattern captured."""

    __slots__ = ("_rest_at", "_segments", "names", "value", "values")

    def __init__(
        self, value: T, names: tuple[str, ...], values: tuple[str, ...], segments: Sequence[str], rest_at: int
    ) -> None:
        self.value = value
        self.names = names
        self.values = values
        self._segments = segments
        self._rest_at = rest_at

    @property
    def captures(self) -> dict[str, str]:
        """The captured segments by name, as they stand in the path."""
        return dict(zip(self.names, self.values, strict=True))

    @property
    def rest(self) -> tuple[str, ...] | None:
        """The segments that `**` matched, or `None` for a pattern without it."""
        return None if self._rest_at < 0 else tuple(self._segments[self._rest_at :])


@dataclass(frozen=True, slots=True)
class WrongMethod:
    """Says that routes match the path, but none takes the method. `allowed` is sorted, for `Allow`."""

    allowed: tuple[str, ...]


class _Entry(Generic[T]):
    """`methods` are those of `named`, the configured ones, with HEAD where GET stands for it; `names` are the captures'
    in the order of the path; `has_rest`: the path ends in `**`.
    """

    __slots__ = ("has_rest", "methods", "named", "names", "value")

    def __init__(
        self,
        value: T,
        named: frozenset[str] | None,
        methods: frozenset[str] | None,
        names: tuple[str, ...],
        *,
        has_rest: bool,
    ) -> None:
        self.value = value
        self.named = named
        self.methods = methods
        self.names = names
        self.has_rest = has_rest


class _Node(Generic[T]):
    __slots__ = ("capture", "here", "literals", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.capture: _Node[T] | None = None
        self.rest: list[_Entry[T]] = []
        self.here: list[_Entry[T]] = []


class Table(Generic[T]):
    """Finds routes. It is built once from all routes and never changed."""

    def __init__(self, routes: Iterable[tuple[Match, T]]) -> None:
        self._exact: dict[str, _Node[T]] = {}
        self._wildcard: dict[str, _Node[T]] = {}
        self._any: _Node[T] = _Node()
        self._only = [self._any]  # where no route names a host
        for match, value in routes:
            _insert(self._root_for(match), match, value)

    def find(self, host: str, segments: Sequence[str], method: str) -> Matched[T] | WrongMethod | None:
        """The route for a canonical path's segments on `host` (lower case, without port), or `None`."""
        allowed: set[str] = set()
        for root in self._roots(host) if self._exact or self._wildcard else self._only:
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
            return Matched(entry.value, entry.names, values, segments, index if entry.has_rest else -1)
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
    entries.append(_Entry(value, methods, methods, tuple(names), has_rest=match.path.has_rest))
    _order(entries)


def _order(entries: list[_Entry[T]]) -> None:
    """Sorts routes that name methods to the front. GET includes HEAD, unless a route on the same path names HEAD."""
    head_is_named = any(entry.named is not None and "HEAD" in entry.named for entry in entries)
    implied = frozenset() if head_is_named else frozenset({"HEAD"})
    for entry in entries:
        if entry.named is not None:
            entry.methods = entry.named | implied if "GET" in entry.named else entry.named
    entries.sort(key=lambda entry: entry.named is None)


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
