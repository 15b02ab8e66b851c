"""One name stands for one thing, and what a reader must hold in mind at a time is bounded."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping

from support.imports import ROOT, modules

FUNCTION_MAX_LINES = 40
MODULE_MAX_LINES = 300
TREES = {path.relative_to(ROOT): ast.parse(path.read_text()) for path in modules().values()}


def twice(found: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """The names that stand in more than one place, with the places."""
    places = defaultdict(list)
    for name, place in found:
        places[name].append(place)
    return {name: where for name, where in places.items() if len(where) > 1}


def test_no_two_classes_have_one_name() -> None:
    public = (
        (node.name, str(path))
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert twice(public) == {}


def test_no_two_files_have_one_name() -> None:
    assert twice((path.name, str(path)) for path in TREES if path.name != "__init__.py") == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_MAX_LINES
    ]
    assert long == []


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in TREES}
    assert {path: lines for path, lines in lengths.items() if lines > MODULE_MAX_LINES} == {}
