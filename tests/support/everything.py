"""`config/everything.yaml` as the tests read it: which keys it names, and what it says of each."""

import re

from gateway.config.files import TWIN
from gateway.config.node import KeyValue, Node
from gateway.config.yaml_reader import read_yaml

_COMMENT = re.compile(r"(?:^|\s)# ?(.*)")


class Written:
    """The text of such a file. A key may stand in it as a comment, where it excludes another."""

    def __init__(self, text: str) -> None:
        root, problems = read_yaml(text)
        assert root is not None, problems
        self._root = root
        self._lines = text.splitlines()
        self._commented = [found[1] for line in self._lines if (found := _COMMENT.search(line))]

    def __contains__(self, path: tuple[str, ...]) -> bool:
        return self._entry(path) is not None or any(_names(path[-1], text) for text in self._commented)

    def comment(self, path: tuple[str, ...]) -> str:
        """What stands behind the key, and in lines of their own before it; on a line of several, of the first."""
        entry, outer = self._entry(path), self._entry(path[:-1])
        if entry is None or (outer is not None and outer.line == entry.line):
            return ""
        first = last = entry.line - 1
        while self._lines[first - 1].lstrip().startswith("#"):
            first -= 1
        return " ".join(found[1] for line in self._lines[first : last + 1] if (found := _COMMENT.search(line)))

    def _entry(self, path: tuple[str, ...]) -> KeyValue | None:
        """The first place that has the key; the names of providers and the routes are gone through."""
        nodes, found = [self._root], None
        for name in path:
            entries = [node.entries[name] for node in nodes if name in node.entries]
            found = entries[0] if entries else None
            nodes = [node for entry in entries for node in _below(name, entry.node)]
        return found


def _below(name: str, node: Node) -> list[Node]:
    if isinstance(node.value, tuple):
        return list(node.value)
    return [entry.node for entry in node.entries.values()] if name in ("providers", "limits") else [node]


def _names(name: str, comment: str) -> bool:
    return re.search(rf"(?:^|[{{ ]){name}(?:{TWIN})?: ", comment) is not None
