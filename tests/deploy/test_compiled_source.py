"""What the compiled form demands of the source and the compiler does not check (docs/decisions/0007)."""

import ast
import runpy
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
COMPILED: tuple[str, ...] = runpy.run_path(str(PROJECT / "setup.py"))["COMPILED"]
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
# The end of which waits for nothing.
_ENDS_AT_ONCE = "asyncio.timeout("
_WAITS = (ast.Await, ast.Yield, ast.YieldFrom, ast.AsyncFor, ast.AsyncWith)


def within(nodes: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All nodes, without those of functions that are defined there."""
    for node in nodes:
        if not isinstance(node, _FUNCTIONS):
            yield node
            yield from within(list(ast.iter_child_nodes(node)))


def forgets_its_error(source: str) -> list[int]:
    """The lines where an error is to go on after something was waited for.

    A compiled coroutine does not keep the error in hand while it waits. What another task did meanwhile is in its
    place, often nothing: `None` is raised, which overwrites a part of the interpreter.
    """
    found: list[int] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AsyncWith) and not all(
            ast.unparse(each).startswith(_ENDS_AT_ONCE) for each in node.items
        ):
            found.append(node.lineno)
        elif isinstance(node, ast.ExceptHandler):
            inside = list(within(node.body))
            has_bare_raise = any(isinstance(each, ast.Raise) and each.exc is None for each in inside)
            if has_bare_raise and any(isinstance(each, _WAITS) for each in inside):
                found.append(node.lineno)
        elif isinstance(node, ast.Try) and any(isinstance(each, _WAITS) for each in within(node.finalbody)):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("name", COMPILED)
def test_no_compiled_coroutine_waits_with_an_error_in_hand(name: str) -> None:
    assert forgets_its_error((PROJECT / "gateway" / f"{name}.py").read_text()) == []


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("try:\n  await a\n except E:\n  await b\n  raise", [4]),
        ("try:\n  await a\n except E as e:\n  await b\n  raise e", []),
        ("try:\n  await a\n except E:\n  b()\n  raise", []),
        ("try:\n  await a\n finally:\n  await b", [2]),
        ("try:\n  await a\n finally:\n  b()", []),
        ("async with a:\n  pass", [2]),
        ("async with asyncio.timeout(1):\n  pass", []),
        ("async with asyncio.timeout(1), a:\n  pass", [2]),
        ("try:\n  pass\n except E:\n  async def f(): await b\n  raise", []),
    ],
)
def test_it_is_seen_where_one_does(body: str, lines: list[int]) -> None:
    assert forgets_its_error(f"async def f():\n {body}\n") == lines
