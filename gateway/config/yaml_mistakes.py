"""Says what is wrong where a text is not YAML, in the words of someone who looks at the line.

A parser says where it stumbled and what it expected there. The mistake often stands before that: a quote that was
never closed, a tab, a line that is indented otherwise than its neighbours. No message shows a value of the file, for it
may be a secret; a host pattern or an address to listen on is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import yaml

# YAML's line breaks, by which the parsers count.
_LINE_END = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")
TEMPLATE = "this looks like a template that nobody has rendered; render it first, or write it in quotes"
_QUOTED = re.compile(r"'([^']*)'")
_BARE_CAPTURE = re.compile(r"/\{[A-Za-z_*]")
_TEMPLATE = re.compile(r"\{\{|\{%|<%")
_HOST_PATTERN = re.compile(r"\bhost:[ ]+(\*(?:\.[A-Za-z0-9-]{1,63}){1,10})")
_IPV6 = re.compile(r":[ ]+(\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\](?::[0-9]{1,5})?)")
_OPEN_QUOTE = re.compile(r"""(?:^|[:\-\[,{])[ ]+(?:"(?:[^"\\]|\\.)*|'(?:[^']|'')*)$""")
_ENDED_QUOTE = re.compile(r"""(?:^|[:\-\[,{])[ ]+(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')[ ]*[^\s,\]}#]""")
_NO_BLANK = re.compile(r"[ ]*(?:- )?[A-Za-z_][A-Za-z0-9_-]*:[^\s:/][^:]*")
_KEY = re.compile(r"[ ]*(?:- )?[A-Za-z0-9_\"'-]+:(?:[ ]|$)")
_WORD = re.compile(r"[ ]*[A-Za-z_][A-Za-z0-9_-]*[ ]*")
_SECOND_COLON = re.compile(r"[^:#]*:[ ][^:#]*:(?:[ ]|$)")
_RESERVED = "@`%"

Mistake = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where the parser stumbled, and what it was about, which began at `began`. Lines and columns count from 0."""

    lines: list[str]
    context: str
    problem: str
    line: int
    column: int
    began: int
    began_column: int

    @property
    def here(self) -> str:
        return self.lines[self.line] if self.line < len(self.lines) else ""

    def indent_of(self, line: int) -> int:
        text = self.lines[line]
        return len(text) - len(text.lstrip(" "))

    def before(self) -> int | None:
        """The last line before that has anything on it."""
        return next(
            (one for one in range(min(self.line, len(self.lines)) - 1, -1, -1) if self.lines[one].strip()), None
        )


def lines_of(text: str) -> list[str]:
    """The lines as the parsers count them."""
    return _LINE_END.split(text)


def explained(text: str, error: yaml.MarkedYAMLError) -> tuple[str, int | None]:
    """What is wrong, with what to write instead, and the line, counted from 1."""
    if error.problem_mark is None:
        return _as_the_parser_says(error, ""), None
    at, began = error.problem_mark, error.context_mark or error.problem_mark
    scene = _Scene(lines_of(text), str(error.context), str(error.problem), at.line, at.column, began.line, began.column)
    for rule in _RULES:
        if (mistake := rule(scene)) is not None:
            what, line = mistake
            return what, line + 1
    return _as_the_parser_says(error, _flow_lines(scene)), at.line + 1


def _tab(scene: _Scene) -> Mistake | None:
    margin = scene.here[: len(scene.here) - len(scene.here.lstrip())]
    if "\t" in margin or "tab character" in scene.problem or scene.here[scene.column : scene.column + 1] == "\t":
        return "a tab stands where blanks belong; write blanks", scene.line
    return None


def _template(scene: _Scene) -> Mistake | None:
    for line in (scene.line, scene.began):
        if line < len(scene.lines) and _TEMPLATE.search(scene.lines[line]):
            return TEMPLATE, line
    before = scene.before()
    if "document start" in scene.problem and before is not None and _TEMPLATE.search(scene.lines[before]):
        return TEMPLATE, before
    return None


def _open_quote(scene: _Scene) -> Mistake | None:
    if "quoted scalar" in scene.context and "escape" not in scene.problem:
        return "the quote that begins here is never closed; close it", scene.began
    if "escape" in scene.problem:
        return r"\ begins an escape between double quotes; write single quotes", scene.line
    if _ENDED_QUOTE.search(scene.here):
        what = "a text in quotes ends before its line does; write a quote inside it twice, or the other kind around it"
        return what, scene.line
    if "block" not in scene.context and "simple key" not in scene.context:
        return None
    for line in range(min(scene.line, len(scene.lines) - 1), scene.began - 1, -1):
        if _OPEN_QUOTE.search(scene.lines[line]):
            return f"a quote begins here and does not end in its line; close it (line {scene.line + 1} ends it)", line
    return None


def _first_sign(scene: _Scene) -> Mistake | None:
    if "alias" in scene.context and "*" in scene.here and not _is_flow(scene):
        found = _HOST_PATTERN.search(scene.here)
        return f'* begins an alias; write "{found[1] if found else "*"}" in quotes', scene.line
    if "scanning an anchor" in scene.context:
        return "& begins an anchor; write the text in quotes", scene.line
    if found := _IPV6.search(scene.here):
        return f'[ begins a list; write "{found[1]}" in quotes', scene.line
    sign = scene.here[scene.column : scene.column + 1]
    if "cannot start any token" in scene.problem and sign in _RESERVED:
        return f"a text cannot begin with {sign}; write it in quotes", scene.line
    return None


def _colons(scene: _Scene) -> Mistake | None:
    if "simple key" in scene.context:
        return "this is not a key with a value; write key: value, with a blank behind the colon", scene.began
    if "mapping values are not allowed" not in scene.problem:
        return None
    before = scene.before()
    if before is not None and _WORD.fullmatch(scene.lines[before]) and not _SECOND_COLON.match(scene.here):
        return "this is not a key with a value; write key: value, with a blank behind the colon", before
    if before is not None and _NO_BLANK.fullmatch(scene.lines[before].rstrip()):
        return "there is no blank behind the colon; write key: value", before
    if before is not None and scene.indent_of(scene.line) > scene.indent_of(before) and _KEY.match(scene.lines[before]):
        indent, neighbour = scene.indent_of(scene.line), scene.indent_of(before)
        return f"this line is indented by {indent}, the one before by {neighbour}; indent both alike", scene.line
    return "there is a second colon in this line; write the text in quotes", scene.line


def _indentation(scene: _Scene) -> Mistake | None:
    if "while parsing a block" not in scene.context or scene.line >= len(scene.lines):
        return None
    indent, kind = scene.indent_of(scene.line), "list" if "collection" in scene.context else "mapping"
    if indent != scene.column or indent == scene.began_column:
        return None
    where = f"its {kind}, which begins in line {scene.began + 1}, by {scene.began_column}"
    return f"this line is indented by {indent}, and {where}; indent it as its neighbours", scene.line


def _open_bracket(scene: _Scene) -> Mistake | None:
    if "flow" in scene.context and not "".join([scene.here[scene.column :], *scene.lines[scene.line + 1 :]]).strip():
        last = max((line for line, text in enumerate(scene.lines) if text.strip()), default=0)
        return "a [ or { is not closed before the file ends; close it", last
    if not scene.context.startswith("while parsing a flow") or scene.line <= scene.began:
        return None
    sign, other = ("{", "}") if "mapping" in scene.context else ("[", "]")
    return f"the {sign} that begins here is not closed; write {other}", scene.began


def _wrong_bracket(scene: _Scene) -> Mistake | None:
    """A bracket that closes what another one began, or nothing at all."""
    sign = scene.here[scene.column : scene.column + 1]
    if sign not in ("]", "}"):
        return None
    if scene.context.startswith("while parsing a flow") and scene.line == scene.began:
        opens, closes = ("{", "}") if "mapping" in scene.context else ("[", "]")
        if sign != closes:
            return f"the {opens} in column {scene.began_column + 1} is closed by {sign}; write {closes}", scene.line
    if "while parsing a block" in scene.context or "document start" in scene.problem:
        return f"the {sign} in column {scene.column + 1} closes nothing; take it out", scene.line
    return None


def _item_among_keys(scene: _Scene) -> Mistake | None:
    if scene.line >= len(scene.lines) or scene.indent_of(scene.line) != scene.column:
        return None
    is_item = scene.here.lstrip(" ").startswith("- ")
    if is_item and "block mapping" in scene.context:
        return "an item of a list stands among keys; take the - off, or write the key of its list above", scene.line
    if not is_item and "block collection" in scene.context and _KEY.match(scene.here):
        return f"a key stands among the items of the list of line {scene.began + 1}; indent it as theirs", scene.line
    return None


_RULES: tuple[Callable[[_Scene], Mistake | None], ...] = (
    _tab,
    _template,
    _open_quote,
    _first_sign,
    _colons,
    _indentation,
    _open_bracket,
    _wrong_bracket,
    _item_among_keys,
)


def _is_flow(scene: _Scene) -> bool:
    """Whether `{**}` or `{name}` stands inside brackets, where it reads as an alias or a mapping."""
    return bool(_BARE_CAPTURE.search(_flow_lines(scene)))


def _flow_lines(scene: _Scene) -> str:
    if "flow" not in scene.context and "alias" not in scene.context:
        return ""
    return "\n".join(scene.lines[scene.began : scene.line + 1])


def _as_the_parser_says(error: yaml.MarkedYAMLError, lines: str) -> str:
    if "${" in lines:
        return '{ begins a mapping here; inside [ ] and { } write a variable in quotes: "${NAME}"'
    if _BARE_CAPTURE.search(lines):
        return '{ begins a mapping here; inside [ ] and { } write a path with {name} in it in quotes: "/orders/{name}"'
    said = _QUOTED.sub(_shown, f"{error.context}: {error.problem}" if error.context else str(error.problem))
    began = f" (begun in line {error.context_mark.line + 1})" if error.context_mark else ""
    return f"this is not YAML: {said}{began}; write it as in the examples, with blanks for indentation"


def _shown(quoted: re.Match[str]) -> str:
    """A sign or `<a token's name>` of the parser as it stands; what else it quotes may be a secret."""
    inside = quoted[1]
    return quoted[0] if len(inside) <= 1 or (inside[0] == "<" and inside[-1] == ">") else "…"
