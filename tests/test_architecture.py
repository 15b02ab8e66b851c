"""Reads the imports and holds the code to its layers: each may import what stands before it, nothing that follows.

The layers stand in `support/layers.py`. Each test names every offender at once.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.architecture_documents import documents
from support.imports import ROOT, between_rooms, circles, import_graph, modules, room, ways, without_detours
from support.layers import IMPURE, LAYERS, PURE_ROOMS, RANKS

from gateway.proxy.downstream import connection_state

TESTS = Path(__file__).parent
PROJECT = TESTS.parent
WHOLE = import_graph(with_types=True)
OUTSIDE_ALL = {"", "__main__"}  # the package itself, and `python -m gateway`


def test_every_module_has_its_place() -> None:
    assert {room(module) for module in WHOLE} - OUTSIDE_ALL == RANKS.keys()


def test_imports_point_to_earlier_layers_only() -> None:
    upward = [
        f"{module} must not import {name}"
        for module, imported in WHOLE.items()
        for name in imported
        if room(module) not in OUTSIDE_ALL and name.startswith("gateway.")
        if room(name) != room(module) and RANKS[room(name)] >= RANKS[room(module)]
        if RANKS[room(module)] < len(LAYERS) - 1  # those of the last layer know all
    ]
    assert upward == []


def test_what_is_pure_reaches_no_io_and_no_clock_through_anything() -> None:
    reached = [
        " -> ".join(way)
        for module in WHOLE
        if room(module) in PURE_ROOMS
        for name, way in ways(WHOLE, module).items()
        if name.split(".")[0] in IMPURE
    ]
    assert reached == []


def awaiting(path: Path) -> Iterator[int]:
    """The lines that wait for something, or could."""
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    return (node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))


def test_what_is_pure_awaits_nothing() -> None:
    pure = {name: path for name, path in modules().items() if room(name) in PURE_ROOMS}
    assert [f"{path}:{line}" for path in pure.values() for line in awaiting(path)] == []


def test_what_is_pure_comes_before_what_awaits() -> None:
    order = [layer.is_pure for layer in LAYERS if layer.rooms != ("config",)]  # it reads files
    assert order == sorted(order, reverse=True)


def test_no_modules_import_each_other_at_run_time() -> None:
    assert circles(import_graph(with_types=False)) == []


def test_the_documents_say_what_the_code_is() -> None:
    behind = [path.name for path, text in documents().items() if path.read_text() != text]
    assert behind == [], "write them anew: .venv/bin/python tests/support/architecture_documents.py"


def test_the_states_of_a_clients_connection_are_told_as_they_are() -> None:
    names = {value: name for name, value in vars(connection_state).items() if name.isupper() and type(value) is int}
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| .* \|(.*)\|$", (PROJECT / "docs" / "architecture.md").read_text(), re.MULTILINE
    )
    told = {state: set(re.findall(r"`([A-Z_]+)`", following)) for state, following in rows}
    table = connection_state.MAY_FOLLOW.items()
    assert told == {names[state]: {names[one] for one in following} for state, following in table}


@pytest.mark.parametrize("document", ["architecture.md", "how-to-add.md"])
def test_every_file_that_a_document_of_the_code_names_is_there(document: str) -> None:
    text = (PROJECT / "docs" / document).read_text()
    named = set(re.findall(r"`([\w/.-]+/[\w.-]+\.(?:py|yaml|md|svg))(?:::(\w+))?`", text))
    assert named
    gone = [
        f"{path}::{name}" if name else path
        for path, name in sorted(named)
        for file in [next((root / path for root in (PROJECT / "gateway", PROJECT) if (root / path).is_file()), None)]
        if file is None or (name and f"def {name}(" not in file.read_text())
    ]
    assert gone == []


GRAPH = {
    "a": frozenset({"b", "c"}),
    "b": frozenset({"c", "os"}),
    "c": frozenset(),
    "d": frozenset({"e"}),
    "e": frozenset({"d"}),
}


def test_a_way_through_others_is_found() -> None:
    assert ways(GRAPH, "a")["os"] == ("a", "b", "os")


def test_a_circle_is_found() -> None:
    assert circles(GRAPH) == ["d", "e"]


def test_a_detour_is_left_out() -> None:
    assert without_detours({"a": {"b", "c"}, "b": {"c"}}) == {"a": {"b"}, "b": {"c"}}


def test_rooms_are_joined() -> None:
    graph = {
        "gateway.a.x": frozenset({"gateway.b", "os"}),
        "gateway.b": frozenset(),
        "gateway": frozenset({"gateway.b"}),
    }
    assert between_rooms(graph) == {"a": {"b"}}


def test_a_test_file_that_has_a_modules_name_stands_where_the_module_stands() -> None:
    """Other files are named by what they show, and stand where that is."""
    inside = {path.relative_to(ROOT) for path in modules().values()}
    names = {path.name for path in inside}
    mirroring = [path for path in TESTS.rglob("test_*.py") if path.relative_to(TESTS).parts[0] in {*RANKS, path.name}]
    astray = [
        str(path.relative_to(TESTS))
        for path in mirroring
        for name in [path.name.removeprefix("test_")]
        if name in names and path.relative_to(TESTS).with_name(name) not in inside
    ]
    assert astray == []
