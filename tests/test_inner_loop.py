"""What is marked pure and slow is there, and what is pure waits for nothing."""

import ast
from pathlib import Path

from support.marked import PURE, SLOW, TESTS, is_among


def files(places: tuple[str, ...]) -> list[Path]:
    return [path for path in sorted(TESTS.rglob("test_*.py")) if is_among(path, places)]


def test_every_place_is_there() -> None:
    assert [place for place in (*PURE, *SLOW) if not (TESTS / place).exists()] == []


def test_nothing_is_both() -> None:
    assert set(files(PURE)) & set(files(SLOW)) == set()


def sleeps(path: Path) -> list[str]:
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return [f"{path.name}:{call.lineno}" for call in calls if ast.unparse(call.func).endswith("sleep")]


def test_what_is_pure_sleeps_nowhere() -> None:
    assert [place for path in files(PURE) for place in sleeps(path)] == []
