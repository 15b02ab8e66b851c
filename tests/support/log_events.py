"""The events of the log and their fields, read from the code: for the test of docs/logs.md, and for the site."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator

from support import exchanges
from support.imports import ROOT

from gateway.observe.access_log import access_line

# These take the name of the event as an argument; the fields are those of the dict in the function itself.
_SAYING = {"event": ("pid", "reason"), "_say": ("reason",)}


EVERY_LINE = frozenset({"time", "level", "event", "pid"})


def fields_of_requests() -> set[str]:
    """What the line of a request has beside what every line has."""
    return set(json.loads(access_line(exchanges.exchange()))) - EVERY_LINE


def events_of_the_code() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for name, fields in _said(function):
                found.setdefault(name, set()).update(fields)
    return found


def eventless_records() -> list[str]:
    """Where a logger of ours is told something without the event's name."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _is_record(node.func) and "extra" not in {one.arg for one in node.keywords}
    ]


def _is_record(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Attribute)
        and called.attr in {"debug", "info", "warning", "error", "exception", "critical", "log"}
        and isinstance(called.value, ast.Name)
        and called.value.id in {"_log", "_logger"}
    )


def _said(function: ast.AST) -> Iterator[tuple[str, set[str]]]:
    dicts = {}
    for one in ast.walk(function):
        if isinstance(one, ast.Assign | ast.AnnAssign):
            target = one.targets[0] if isinstance(one, ast.Assign) else one.target
            if isinstance(target, ast.Name) and isinstance(one.value, ast.Dict):
                dicts[target.id] = one.value
    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            parts = {key.value: value for key, value in zip(node.keys, node.values, strict=True) if _is_text(key)}
            fields = parts.get("fields")
            if isinstance(fields, ast.Name):
                fields = dicts.get(fields.id)
            for name in _texts(parts.get("event")):
                yield name, _keys(fields)
        elif isinstance(node, ast.Call) and (fields := _SAYING.get(_called(node))) and len(node.args) > 1:
            for name in _texts(node.args[1]):
                yield name, set(fields)


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _texts(node: ast.AST | None) -> list[str]:
    if isinstance(node, ast.IfExp):
        return _texts(node.body) + _texts(node.orelse)
    is_word = _is_text(node) and node.value.isidentifier()
    return [node.value] if is_word else []


def _keys(node: ast.AST | None) -> set[str]:
    return {key.value for key in node.keys if _is_text(key)} if isinstance(node, ast.Dict) else set()


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
