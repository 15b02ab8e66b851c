"""The line of the file that a problem is about, with a mark under the key: for a terminal, below the message.

A line that may hold a secret is cut before it, or not shown. That goes by the names of keys, misspelt ones too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.config.problems import Problem

_NAMES = r"(?:secret|passw|pwd|token|private|redis|credential|authori[sz]ation|api_?key)(?![a-z_]*_file\b)"
_SENSITIVE = re.compile(_NAMES, re.IGNORECASE)
_SENSITIVE_VALUE = re.compile(rf"({_NAMES}[\w-]*[\"']?[ ]*:[ ]*)\S.*", re.IGNORECASE)
_USER = re.compile(r"//\S*@")
_KEY = re.compile(r"[ ]*(?:- )?[{]?[ ]*([\w.-]+)[\"']?[ ]*:(?:[ ]|$)")
_LAST_KEY = re.compile(r"([A-Za-z0-9_-]+)(?:\[[0-9]+\])*$")
_SHOWN_MAX_CHARS = 110


def excerpt(lines: Sequence[str], problem: Problem) -> str:
    """Two lines with the text and a caret below it, or nothing."""
    if problem.line is None or not 1 <= problem.line <= len(lines):
        return ""
    line = lines[problem.line - 1]
    if _is_secret(lines, problem) or not line.strip():
        return ""
    shown = _USER.sub("//…@", _SENSITIVE_VALUE.sub(r"\1…", line))
    column = _column(shown, problem.place)
    shown = "".join(sign if sign.isprintable() else "→" if sign == "\t" else "·" for sign in shown)
    if len(shown) > _SHOWN_MAX_CHARS:
        if column >= _SHOWN_MAX_CHARS:
            return ""
        shown = shown[:_SHOWN_MAX_CHARS] + "…"
    number = str(problem.line)
    return f"  {number} | {shown}\n  {' ' * len(number)} | {' ' * column}^"


def _is_secret(lines: Sequence[str], problem: Problem) -> bool:
    """Whether the line is, or may be, nothing but a part of a secret."""
    line = lines[(problem.line or 1) - 1]
    if _KEY.match(line) is None and (not problem.place or _SENSITIVE.search(problem.place)):
        return True
    indent = _indent(line)
    for above in reversed(lines[: (problem.line or 1) - 1]):
        if above.strip() and _indent(above) < indent:
            key = _KEY.match(above)
            if key is not None and _SENSITIVE.search(key[1]):
                return True
            indent = _indent(above)
    return False


def _column(line: str, place: str) -> int:
    key = _LAST_KEY.search(place)
    found = re.search(rf"(?<![\w-]){re.escape(key[1])}[\"']?[ ]*:", line) if key is not None else None
    return found.start() if found is not None else _indent(line)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" -"))
