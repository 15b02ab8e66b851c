"""Expands environment variables in the file: `${NAME}`, `${NAME:-default}`, and `$${` for a literal `${`.

Values are expanded once, after the YAML is parsed. The text of a variable is never parsed, neither as YAML nor for
variables of its own. As in the shell, the default replaces a variable that is unset or empty. Keys are not expanded.
No problem shows the value of a variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.config.node import BROKEN, KeyValue, Node
from gateway.config.problems import Loc, Problem, place_text

_PART = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]{0,127})(:-((?:(?!\$\{)[^}])*))?\})?")
# Spring's ${NAME:default}, and the shell's ${NAME-default}, ${NAME:?error} and their like.
_OTHER_DEFAULT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,127})(:(?!-)[?+=]?|[-?+=])[^}]*\}")
_TEXT_MAX = 2**20
_MASKED_MIN = 6  # shorter values are part of many words, and are not secrets


@dataclass(slots=True)
class Expansion:
    """Holds the expanded tree, its problems, and what was taken from the environment."""

    root: Node
    problems: list[Problem]
    taken: dict[str, str]

    def masked(self, what: str) -> str:
        """`what` with the names of variables in the place of their values."""
        for value, name in self.taken.items():
            what = what.replace(value, f"${{{name}}}").replace(repr(value)[1:-1], f"${{{name}}}")
        return what


def expand(root: Node, environ: Mapping[str, str]) -> Expansion:
    """Expand the tree. A value that cannot be expanded is `BROKEN`, and its problem is reported."""
    work = _Work(environ)
    root = work.expanded(root, ())
    return Expansion(root, work.problems, work.taken)


def _not_a_variable(text: str) -> str:
    """What to say of a `${` that begins `text`. Its default is not shown: it may be a secret."""
    if found := _OTHER_DEFAULT.match(text):
        return f"${{{found[1]}{found[2]}…}} is not how a default is written; write ${{{found[1]}:-default}}"
    return "there is a ${ that does not name a variable; write ${NAME}, ${NAME:-default}, or $${ for a literal ${"


class _Work:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._done: dict[int, Node] = {}  # shared nodes are expanded once, and their problems reported once
        self.problems: list[Problem] = []
        self.taken: dict[str, str] = {}

    def expanded(self, node: Node, path: Loc) -> Node:
        value = node.value
        if isinstance(value, str):
            return self._text(node, path) if "${" in value else node
        if not isinstance(value, dict | tuple):
            return node
        if id(node) not in self._done:
            self._done[id(node)] = self._collection(node, path)
        return self._done[id(node)]

    def _collection(self, node: Node, path: Loc) -> Node:
        if isinstance(node.value, tuple):
            items = tuple(self.expanded(item, (*path, i)) for i, item in enumerate(node.value))
            same = all(a is b for a, b in zip(items, node.value, strict=True))
            return node if same else replace(node, value=items)
        new = {key: self.expanded(entry.node, (*path, key)) for key, entry in node.value.items()}
        if all(new[key] is entry.node for key, entry in node.value.items()):
            return node
        return replace(node, value={k: KeyValue(e.name, e.line, new[k]) for k, e in node.value.items()})

    def _text(self, node: Node, path: Loc) -> Node:
        wrongs: list[str] = []
        text = _PART.sub(lambda match: self._part(match, wrongs), node.value)
        if len(text) > _TEXT_MAX:
            wrongs.append("with the environment put in, this is longer than 1 MiB; write less")
        place = place_text(path)
        self.problems += [Problem(place, wrong, node.line) for wrong in dict.fromkeys(wrongs)]
        return replace(node, value=BROKEN if wrongs else text)

    def _part(self, match: re.Match[str], wrongs: list[str]) -> str:
        name, has_default, default = match.groups()
        if match[0] == "$${":
            return "${"
        if name is None:
            wrongs.append(_not_a_variable(match.string[match.start() :]))
            return ""
        value = self._environ.get(name)
        if value is None and not has_default:
            wrongs.append(f"the environment has no variable {name}; set it, or write ${{{name}:-default}}")
        if has_default and not value:
            return str(default)
        return self._take(name, value or "", wrongs)

    def _take(self, name: str, value: str, wrongs: list[str]) -> str:
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            wrongs.append(f"the variable {name} holds bytes that are not UTF-8; set it to text")
        if len(value) >= _MASKED_MIN:
            self.taken[value] = name
        return value
