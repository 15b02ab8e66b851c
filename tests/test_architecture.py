"""Reads the imports and holds the code to its layers: each may import what stands before it, nothing that follows."""

import ast
from pathlib import Path

import pytest

import gateway

ROOT = Path(gateway.__file__).parent
LAYERS = (
    {"http"},
    {"config"},
    {"routing"},
    {"authn"},
    {"policy_reasons"},
    {"policy", "identity"},
    {"compiled"},
    {"route_path"},
    {"decision"},
    {"pipeline"},
    {"nearest_routes"},
    {"introspection"},
    {"provider"},
    {"cache"},
    {"events"},
    {"proxy"},
    {"workers"},
    {"runtime"},
    {"observe"},
    {"admin"},
    {"service"},
    {"demo"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
KNOWS_ALL = {"app", "cli", "__main__", "__init__"}
# What deciding must not know of (it is pure): sockets, caches and clocks of its own.
PURE = (
    "http",
    "routing",
    "policy_reasons",
    "policy",
    "identity",
    "authn",
    "compiled",
    "route_path",
    "decision",
    "pipeline",
)
IMPURE = {"aiohttp", "redis", "asyncio", "time", "datetime", "socket", "os", "random", "secrets"}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it points"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_every_module_has_its_place() -> None:
    assert {part_of(path) for path in modules()} <= RANK.keys() | KNOWS_ALL


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_to_earlier_layers_only(path: Path) -> None:
    part = part_of(path)
    if part in KNOWS_ALL:
        return
    for name in imported(path):
        if name.startswith("gateway.") and name != "gateway.__version__":
            target = name.split(".")[1]
            assert target == part or RANK[target] < RANK[part], f"{part} must not import {name}"


@pytest.mark.parametrize(
    "path", [path for path in modules() if part_of(path) in PURE], ids=lambda path: str(path.relative_to(ROOT))
)
def test_deciding_knows_no_io_and_no_clock(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & IMPURE
