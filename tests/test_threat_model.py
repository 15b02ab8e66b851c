"""The threat model names tests that are there, and leaves out no file of those that show what it says."""

import ast
import functools
import re
from pathlib import Path

from support.layers import RANKS

TESTS = Path(__file__).parent
DOCUMENT = (TESTS.parent / "docs" / "threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/.-]+\.py(?:::[^`]+)?)`", DOCUMENT)))
# A file of `gateway/`, by its room.
MODULE = re.compile(rf"`((?:(?:{'|'.join(RANKS)})/[a-z_/]+|{'|'.join(RANKS)})\.py)`")


@functools.cache
def names_in(file: Path) -> set[str]:
    """As pytest calls them: `test_x`, or `TestY::test_x` within a class."""
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {
            prefix + one.name
            for one in inside
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_")
        }
    return found


def is_there(named: str) -> bool:
    path, _, name = named.partition("::")
    file = TESTS.parent / path
    return file.is_file() and (not name or name in names_in(file))


def test_each_test_that_is_named_is_there() -> None:
    assert NAMED
    assert [named for named in NAMED if not is_there(named)] == []


def test_every_file_of_hazards_is_named() -> None:
    files = {f"tests/hazards/{file.name}" for file in (TESTS / "hazards").glob("test_*.py")}
    assert files - {named.partition("::")[0] for named in NAMED} == set()


def test_every_module_that_is_said_to_stop_something_is_there() -> None:
    modules = set(MODULE.findall(DOCUMENT))
    assert modules
    assert [name for name in sorted(modules) if not (TESTS.parent / "gateway" / name).is_file()] == []


def test_no_row_is_without_a_test() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| ") and "---" not in line]
    headings = ("| what is tried", "| what must hold")
    assert [row for row in rows if "`tests/" not in row and not row.startswith(headings)] == []
