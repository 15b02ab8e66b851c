"""Problems of a file, each with its place; they are reported all together.

A problem reads `gateway.yaml:31: routes[2].backend: what is wrong; what to write instead`. No message shows the value
of a secret or of an environment variable.

    ValueError
    └── WrongAt         raised by a parser that knows which part of its value is wrong
    Exception
    └── ConfigError     says that the file cannot be used, with every problem
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

Loc = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.:*-]{1,100}")
_KEY_SHOWN_MAX = 60
_SOMETHING_ELSE = "; write something else, as `gateway schema` describes it"


@dataclass(frozen=True, slots=True)
class Problem:
    """Holds one problem. `what` has two halves, joined by `; `: what is wrong, and what to write instead."""

    place: str
    what: str
    line: int | None = None

    @property
    def text(self) -> str:
        """`what`, with advice on what to write instead where it has none."""
        return self.what if "; " in self.what else self.what + _SOMETHING_ELSE

    def render(self, file: str, level: str = "") -> str:
        """The line of `gateway check`. `level` stands before the place; it is empty for an error."""
        start = file if self.line is None else f"{file}:{self.line}"
        return ": ".join(part for part in (start, level, self.place, self.text) if part)


class ConfigError(Exception):
    """Says that the file cannot be used. `problems` are in the order of their lines, each of them once."""

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.line or 0, p.place, p.what)))
        super().__init__("\n".join(problem.render(file) for problem in self.problems))


# Of a key that only other keys make necessary: told as that of a key that is always needed.
MISSING = "is missing"


class WrongAt(ValueError):  # noqa: N818 - reads as what it says where it is raised
    """Says that parts of one value are wrong: the place of each in the value, and text as in `Problem.what`."""

    def __init__(self, wrongs: Iterable[tuple[Loc, str]]) -> None:
        self.wrongs = tuple(wrongs)
        super().__init__(" | ".join(what for _, what in self.wrongs))


def place_text(loc: Loc) -> str:
    """`routes[2].match.path` for `("routes", 2, "match", "path")`."""
    text = ""
    for step in loc:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{step[:_KEY_SHOWN_MAX]!r}]"
    return text
