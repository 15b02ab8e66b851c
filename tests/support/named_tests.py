"""Tests that a document names, as `tests/file.py` or `tests/file.py::test_name`."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def named_in(text: str) -> list[str]:
    return sorted(set(re.findall(r"`(tests/[\w/.-]+\.py(?:::[^`]+)?)`", text)))


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
