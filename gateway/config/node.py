"""The file as a tree of values with their lines. Every later stage finds the place of a value here.

Anchors and aliases share nodes. So the tree is never changed: a stage that expands something builds a new tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.config.problems import Loc, Problem, place_text


class _Broken:
    """Stands for a value whose problem is reported already. Parsers refuse it, and that is not reported again."""

    def __repr__(self) -> str:
        return "BROKEN"


BROKEN: Final = _Broken()


@dataclass(frozen=True, slots=True, eq=False)
class KeyValue:
    """Holds a key with its value. `name` is the key as written, or `None` where a shorthand leaves it out."""

    name: str | None
    line: int
    node: Node


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """Holds a value with its line. The value is a `dict[str, KeyValue]`, a `tuple[Node, ...]` or a scalar.

    `written` is a scalar's text in the file, before the environment was put in. `plain` says that it had no quotes.
    `weight` counts the nodes below it, with every alias spelled out, and `height` the levels.
    """

    value: Any
    line: int
    written: str = ""
    plain: bool = False
    weight: int = 1
    height: int = 0

    @property
    def entries(self) -> dict[str, KeyValue]:
        return self.value if isinstance(self.value, dict) else {}

    def child(self, step: str | int) -> KeyValue | None:
        if isinstance(self.value, dict):
            return self.value.get(step)
        if isinstance(self.value, tuple) and isinstance(step, int) and 0 <= step < len(self.value):
            item: Node = self.value[step]
            return KeyValue(None, item.line, item)
        return None

    def with_entries(self, entries: dict[str, KeyValue]) -> Node:
        return replace(self, value=entries)


def plain(node: Node) -> Any:
    """Only the values: dicts, lists and scalars."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(entry.node) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def leaves(node: Node, loc: Loc = ()) -> Iterator[tuple[Loc, Node]]:
    """Every scalar at or below `node`, each with its place."""
    if isinstance(node.value, dict):
        for key, entry in node.value.items():
            yield from leaves(entry.node, (*loc, key))
    elif isinstance(node.value, tuple):
        for index, item in enumerate(node.value):
            yield from leaves(item, (*loc, index))
    else:
        yield loc, node


@dataclass(frozen=True, slots=True)
class Located:
    """Says how much of a place the file has, and where. `rest` is the part that the file does not have."""

    path: Loc
    line: int
    node: Node
    rest: Loc
    inherited: bool

    @property
    def broken(self) -> bool:
        return self.node.value is BROKEN


@dataclass(frozen=True, slots=True)
class Origin:
    """Says where a section stands in the file. `defaults` is the node that it was merged over."""

    path: Loc
    line: int
    node: Node
    defaults: Node | None = None

    def find(self, loc: Loc) -> Located:
        """The deepest part of `loc` that the file has, in the section itself or else in the defaults under it."""
        path, line, node, under, inherited = self.path, self.line, self.node, self.defaults, False
        for depth, step in enumerate(loc):
            if isinstance(step, int) and isinstance(node.value, dict):
                continue  # one mapping, where a list of such may stand
            entry = node.child(step)
            below = under.child(step) if under is not None else None
            if entry is None and below is not None:
                entry, below = below, None
                path, inherited = ("defaults", *loc[:depth]), True
            if entry is None:
                return Located(path, line, node, loc[depth:], inherited)
            name: Loc = (step,) if isinstance(step, int) else (entry.name,) if entry.name is not None else ()
            path, line, node = (*path, *name), entry.line, entry.node
            under = below.node if below is not None and isinstance(node.value, dict) else None
        return Located(path, line, node, (), inherited)

    def has_own(self, loc: Loc) -> bool:
        """Whether the section itself, and not only the defaults under it, has all of `loc`."""
        node = self.node
        for step in loc:
            entry = node.child(step)
            if entry is None:
                return False
            node = entry.node
        return True

    def problem(self, loc: Loc, what: str) -> Problem:
        """A problem with the value at `loc`."""
        found = self.find(loc)
        return Problem(place_text(found.path), what, found.line)
