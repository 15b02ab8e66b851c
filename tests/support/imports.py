"""What the modules of `gateway/` import, read from their text: directly, through others, and in circles."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import gateway

ROOT = Path(gateway.__file__).parent
Graph = Mapping[str, frozenset[str]]


def modules() -> dict[str, Path]:
    """By name, as `gateway.http.target`; a package has its folder's name."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str:
    """The folder or the module of `gateway/` that it belongs to; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


@functools.cache
def import_graph(*, with_types: bool) -> Graph:
    """Each module with what it imports, ours and others', also within functions.

    Without `with_types` what only a type checker imports (`if TYPE_CHECKING:`) is left out: what runs.
    """
    known = modules()
    return {
        name: frozenset(_imports(ast.parse(path.read_text()), known, with_types=with_types)) - {name}
        for name, path in known.items()
    }


def _imports(tree: ast.AST, known: Mapping[str, Path], *, with_types: bool) -> Iterator[str]:
    for node in _nodes(tree, with_types=with_types):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides where it points"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield inner if inner in known else module


def _nodes(tree: ast.AST, *, with_types: bool) -> Iterator[ast.AST]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        is_for_types = isinstance(node, ast.If) and ast.unparse(node.test).removeprefix("typing.") == "TYPE_CHECKING"
        if is_for_types and not with_types:
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def ways(graph: Graph, start: str) -> dict[str, tuple[str, ...]]:
    """All that `start` reaches, each with a shortest way there: `start` first, what is reached last."""
    found = {start: (start,)}
    waiting = [start]
    for module in waiting:  # grows meanwhile: breadth first
        for name in sorted(graph.get(module, ())):
            if name not in found:
                found[name] = (*found[module], name)
                waiting.append(name)
    return found


def circles(graph: Graph) -> list[str]:
    """The modules that reach themselves, and those on a way from one circle to another; sorted."""
    left = {name: {other for other in imported if other in graph} for name, imported in graph.items()}
    while ends := {name for name in left if not left[name]} | (left.keys() - set().union(*left.values())):
        left = {name: imported - ends for name, imported in left.items() if name not in ends}
    return sorted(left)


def between_rooms(graph: Graph) -> dict[str, set[str]]:
    """Which rooms each room imports from."""
    found: dict[str, set[str]] = {}
    for module, imported in graph.items():
        for name in imported:
            if name.startswith("gateway.") and room(module) not in {"", "__main__", room(name)}:
                found.setdefault(room(module), set()).add(room(name))
    return found


def without_detours(edges: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """The arrows that do not follow from others: one to what is reached by way of another goes."""
    whole = {name: frozenset(targets) for name, targets in edges.items()}
    return {
        name: {
            target
            for target in targets
            if not any(target in ways(whole, other) for other in targets if other != target)
        }
        for name, targets in whole.items()
    }
