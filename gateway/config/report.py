"""Formats problems and warnings as lines, as JSON, or as annotations of a GitHub workflow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from gateway.config.excerpt import excerpt
from gateway.config.problems import Problem

Level = Literal["error", "warning"]
Format = Literal["text", "json", "github"]
Finding = tuple[Level, Problem]


def report(file: str, findings: Sequence[Finding], form: Format, source: Sequence[str] = ()) -> str:
    """All findings in `form`; empty where there are none and the form has no frame.

    Text has the lines of the file below each finding where `source` has them.
    """
    if form == "json":
        return json.dumps([_member(file, level, problem) for level, problem in findings], indent=2, ensure_ascii=False)
    if form == "github":
        return "\n".join(_annotation(file, level, problem) for level, problem in findings)
    return "\n".join(part for level, problem in findings for part in _lines(file, level, problem, source))


def in_order(errors: Iterable[Problem], warnings: Iterable[Problem]) -> list[Finding]:
    """Errors and warnings in the order of their lines, each once."""
    found: list[Finding] = [*(("error", one) for one in errors), *(("warning", one) for one in warnings)]
    return sorted(dict.fromkeys(found), key=lambda one: (one[1].line or 0, one[0], one[1].place, one[1].what))


def _lines(file: str, level: Level, problem: Problem, source: Sequence[str]) -> Iterator[str]:
    yield problem.render(file, "warning" if level == "warning" else "")
    if shown := excerpt(source, problem):
        yield shown


def _member(file: str, level: Level, problem: Problem) -> dict[str, object]:
    return {"level": level, "file": file, "line": problem.line, "path": problem.place, "text": problem.text}


def _annotation(file: str, level: Level, problem: Problem) -> str:
    place = ": ".join(part for part in (problem.place, problem.text) if part)
    return f"::{level} file={_property(file)},line={problem.line or 1}::{_data(place)}"


def _data(text: str) -> str:
    """GitHub's escapes in the text of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
