"""YAML text as a tree of nodes with lines. Never raises for what a file can hold: it says what is wrong.

The tree is built from the parser's events without recursion, so that neither depth nor aliases that multiply
("billion laughs") can cost more than the bounds below; a file of 10,000 routes is far from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from gateway.config.node import BROKEN, KeyValue, Node
from gateway.config.problems import Loc, Problem, place_text
from gateway.config.scalars import read_plain
from gateway.config.yaml_mistakes import TEMPLATE, explained

SOURCE_LIMIT_BYTES = 16 * 2**20
_DEPTH_MAX = 32
_TOO_DEEP = f"this is nested deeper than {_DEPTH_MAX} levels; write it flatter"
# libyaml has a bound of its own, from 0.2.6 on, and may reach it before the first event is handed over.
_PARSERS_OWN_BOUND = "exceeded maximum nesting depth"
_NODES_MAX = 2_000_000
_TAG = "tag:yaml.org,2002:"
# What a list of Ory Oathkeeper's access rules has in each.
_OATHKEEPER = frozenset(["authenticators", "authorizer", "mutators", "upstream"])
_PLAIN_TAGS = frozenset(_TAG + name for name in ("int", "float", "bool", "null"))
_SCALAR_TAGS = _PLAIN_TAGS | {_TAG + "str", "!"}
_COLLECTION_TAGS = frozenset([_TAG + "map", _TAG + "seq"])
_MERGE = "<<"
# libyaml where PyYAML was built with it: ten times faster, same events.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# YAML 1.2 §5.1, so that both of PyYAML's parsers are given the same and the line is ours to tell.
_NOT_PRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_END = re.compile(r"\r\n|\r|\n")


class _StopReadingError(Exception):
    """Stops the reading, because the text cannot be understood; the problem is recorded."""


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is not closed yet."""

    line: int
    mapping: bool
    anchor: str | None
    column: int
    items: list[Node] = field(default_factory=list)
    entries: dict[str, KeyValue] = field(default_factory=dict)
    merges: list[Node] = field(default_factory=list)
    key: str | None = None
    key_line: int = 0
    key_is_next: bool = True
    merging: bool = False  # the key is <<
    broken: bool = False  # it is not what it looks like, and the problem is recorded
    skip: bool = False  # the key is wrong, so its value is read and dropped
    weight: int = 1
    height: int = 1


def read_yaml(text: str, top: str = "server:, providers: and routes:") -> tuple[Node | None, list[Problem]]:
    """The tree of a file and what is wrong with it; no tree where it cannot be read to the end.

    `top` names the keys that such a file begins with.
    """
    reader = _Reader(text, top)
    try:
        return reader.read(), reader.problems
    except _StopReadingError:
        return None, reader.problems


class _Reader:
    def __init__(self, text: str, top: str) -> None:
        self._text = text
        self._top_keys = top
        self._frames: list[_Frame] = []
        self._anchors: dict[str, Node | None] = {}
        self._roots: list[Node] = []
        self.problems: list[Problem] = []

    def read(self) -> Node:
        if len(self._text) > SOURCE_LIMIT_BYTES:
            self._stop(f"the file is larger than {SOURCE_LIMIT_BYTES >> 20} MiB; write a smaller one", None)
        self._text = self._text.removeprefix("\ufeff")
        if match := _NOT_PRINTABLE.search(self._text):
            line = len(_LINE_END.findall(self._text, 0, match.start())) + 1
            self._stop("there is a character that YAML does not allow in files; take it out", line)
        try:
            for event in yaml.parse(self._text, Loader=_LOADER):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            self._stop_at(error)
        except yaml.YAMLError:
            self._stop("this is not YAML; write keys and values as in the examples", None)
        return self._top()

    def _top(self) -> Node:
        if not self._roots or self._roots[0].value is None:
            self._stop(f"the file is empty; write {self._top_keys}", None)
        if len(self._roots) > 1:
            self._stop("a second document begins here; write one only, without ---", self._roots[1].line)
        root = self._roots[0]
        if not isinstance(root.value, dict):
            self._stop(self._not_a_mapping(root), root.line)
        return root

    def _not_a_mapping(self, root: Node) -> str:
        first = root.value[0].entries if isinstance(root.value, tuple) and root.value else {}
        if first.keys() & _OATHKEEPER:
            instead = "gateway import oathkeeper writes a configuration for them"
            return f"these look like Ory Oathkeeper's access rules; {instead}"
        return f"the file is not a mapping of keys to values; write {self._top_keys}"

    def _take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event, line), event.anchor)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            frame = self._frames.pop()
            self._add(self._closed(frame), frame.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._aliased(event, line), None)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Node:
        text: str = event.value
        if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            self._note("there is half a surrogate pair in this text; write the character itself", line)
            return Node(BROKEN, line)
        is_plain: bool = event.implicit[0]
        if event.tag is not None:
            self._check_tag(event.tag, line, _SCALAR_TAGS)
            is_plain = event.tag in _PLAIN_TAGS
        return Node(read_plain(text) if is_plain else text, line, text, is_plain)

    def _open(self, event: yaml.CollectionStartEvent, line: int) -> None:
        self._check_tag(event.tag, line, _COLLECTION_TAGS)
        self._check_depth(1, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        column = event.start_mark.column if event.start_mark else 0
        outer = self._frames[-1] if self._frames else None
        if (
            outer is not None
            and outer.mapping
            and outer.key_is_next
            and (line, column - 1) == (outer.line, outer.column)
        ):
            outer.broken = True  # {{
            self._note(TEMPLATE, line)
        self._frames.append(_Frame(line, isinstance(event, yaml.MappingStartEvent), event.anchor, column))

    def _closed(self, frame: _Frame) -> Node:
        if not frame.mapping:
            return Node(tuple(frame.items), frame.line, weight=frame.weight, height=frame.height)
        if frame.broken:
            return Node(BROKEN, frame.line)
        for merged in frame.merges:
            for key, entry in merged.entries.items():
                frame.entries.setdefault(key, entry)
        return Node(frame.entries, frame.line, weight=frame.weight, height=frame.height)

    def _aliased(self, event: yaml.AliasEvent, line: int) -> Node:
        # The alias is not named: an unquoted secret that begins with * would be shown.
        if event.anchor not in self._anchors:
            self._stop(
                "no anchor of this alias's name stands before it; write the value, in quotes if it begins with *", line
            )
        node = self._anchors[event.anchor]
        if node is None:
            self._stop("this alias stands inside what it refers to; write the value itself", line)
        return node

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._frames:
            self._roots.append(node)
            return
        frame = self._frames[-1]
        frame.weight += node.weight
        if node.height:
            self._check_depth(node.height, node.line)
            frame.height = max(frame.height, node.height + 1)
        if frame.weight > _NODES_MAX:
            self._stop(f"with its aliases the file has more than {_NODES_MAX:,} values; write fewer", node.line)
        if not frame.mapping:
            frame.items.append(node)
        elif frame.key_is_next:
            self._take_key(frame, node)
        else:
            self._take_value(frame, node)

    def _take_key(self, frame: _Frame, node: Node) -> None:
        frame.key_is_next = False
        frame.key, frame.key_line, frame.skip, frame.merging = None, node.line, False, False
        if node.value == _MERGE and node.plain:
            frame.key, frame.merging = _MERGE, True
            if frame.merges:
                self._note("<< stands twice; write one with a list: << : [*a, *b]", node.line)
        elif frame.broken:
            frame.skip = True
        elif not isinstance(node.value, str):
            frame.skip = True
            self._note(
                f"a key here is {_kind(node.value)}; write a text, in quotes where YAML reads something else", node.line
            )
        elif node.value in frame.entries:
            frame.key, frame.skip = node.value, True
            first = frame.entries[node.value].line
            self._note(f"this key stands twice, in line {first} and here; keep one", node.line, node.value)
        else:
            frame.key = node.value

    def _take_value(self, frame: _Frame, node: Node) -> None:
        frame.key_is_next = True
        if frame.skip or frame.key is None:
            return
        if frame.merging:
            self._merge(frame, node)
            return
        frame.entries[frame.key] = KeyValue(frame.key, frame.key_line, node)

    def _merge(self, frame: _Frame, node: Node) -> None:
        nodes = node.value if isinstance(node.value, tuple) else (node,)
        if all(isinstance(n.value, dict) for n in nodes):
            frame.merges.extend(nodes)
        else:
            self._note("<< is followed by something else than a mapping; write << : *anchor", frame.key_line)

    def _check_depth(self, below: int, line: int) -> None:
        if len(self._frames) + below > _DEPTH_MAX:
            self._stop(_TOO_DEEP, line)

    def _check_tag(self, tag: str | None, line: int, known: frozenset[str]) -> None:
        if tag is not None and tag not in known:
            self._stop(
                "YAML tags (!something) are not read; write the value alone, in quotes if it begins with !", line
            )

    def _place(self, last: str | None = None) -> str:
        steps: Loc = ()
        for frame in self._frames[:-1]:
            steps += (len(frame.items),) if not frame.mapping else (frame.key,) if frame.key is not None else ()
        return place_text((*steps, last) if last is not None else steps)

    def _note(self, what: str, line: int | None, key: str | None = None) -> None:
        self.problems.append(Problem(self._place(key), what, line))

    def _stop_at(self, error: yaml.MarkedYAMLError) -> NoReturn:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        if _PARSERS_OWN_BOUND in str(error.problem):
            self._stop(_TOO_DEEP, line)
        self._stop(*explained(self._text, error))

    def _stop(self, what: str, line: int | None) -> NoReturn:
        self.problems.append(Problem("", what, line))
        raise _StopReadingError


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {int: "a number", float: "a number", dict: "a mapping", tuple: "a list"}
    return names.get(type(value), "empty")
