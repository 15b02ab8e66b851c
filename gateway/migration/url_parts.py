"""The parts of `match.url` of an access rule: literal texts, and the patterns between `<` and `>`.

How a pattern is read depends on Oathkeeper's `matching_strategy`. Only a few forms have something that is like them
here; every other one is `OTHER`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from itertools import product

from gateway.migration.access_rules import Strategy

_EXPANSIONS_MAX = 64
_TOO_MANY = f"its alternatives make more than {_EXPANSIONS_MAX} URLs"
# Literal characters of an alternative; in a regular expression `.` stands for more than itself, which may be left out.
_ALTERNATIVE = re.compile(r"[A-Za-z0-9._~%/:@,=-]*")
_NARROW = re.compile(r"(?:\\[dw]|\[[^\]\\^/\[][^\]\\/\[]*\])(?:[+*?]|\{[0-9]+(?:,[0-9]*)?\})?")
_GROUP = re.compile(r"\((?:\?:)?([^()]*)\)(\??)")
_REGEXP_KINDS = {".*": "ANYTHING", "(.*)": "ANYTHING", ".+": "SOMETHING", "(.+)": "SOMETHING",
                 "[^/]+": "SEGMENT", "([^/]+)": "SEGMENT", "[^/]*": "SEGMENT", "[^\\/]+": "SEGMENT",
                 "(/.*)?": "BELOW", "(/.*|)": "BELOW", "(|/.*)": "BELOW", "(?:/.*)?": "BELOW"}  # fmt: skip
_GLOB_KINDS = {"**": "ANYTHING", "*": "NARROW"}


class PartKind(Enum):
    LITERAL = "literal"
    ANYTHING = "anything, slashes and nothing included"
    SOMETHING = "anything but nothing"
    SEGMENT = "anything without a slash"
    BELOW = "nothing, or a slash and anything"
    NARROW = "only some texts without a slash"
    OTHER = "something else"


@dataclass(frozen=True, slots=True)
class UrlPart:
    """One part. `text` is the literal, or the pattern without its `<` and `>`."""

    kind: PartKind
    text: str


def split_url(url: str) -> list[UrlPart]:
    """The parts in their order, with every pattern as `OTHER`. Raises `ValueError` where the brackets do not match."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(url):
        if character == "<":
            if depth == 0:
                parts.append(UrlPart(PartKind.LITERAL, url[start:at]))
                start = at + 1
            depth += 1
        elif character == ">":
            depth -= 1
            if depth < 0:
                break
            if depth == 0:
                parts.append(UrlPart(PartKind.OTHER, url[start:at]))
                start = at + 1
    if depth:
        raise ValueError("its < and > do not match")
    return [part for part in (*parts, UrlPart(PartKind.LITERAL, url[start:])) if part.text]


def variants(parts: list[UrlPart], strategy: Strategy) -> list[list[UrlPart]]:
    """The same with alternatives of literals written out, one list for each, and the kinds of the other patterns.

    Together they match what the parts match, or less. Raises `ValueError` where there are too many.
    """
    choices: list[list[UrlPart]] = []
    count = 1
    for part in parts:
        choice = [part] if part.kind is PartKind.LITERAL else _choices(part.text, strategy)
        count *= len(choice)
        if count > _EXPANSIONS_MAX:
            raise ValueError(_TOO_MANY)
        choices.append(choice)
    return [_joined(list(chosen)) for chosen in product(*choices)]


def _choices(pattern: str, strategy: Strategy) -> list[UrlPart]:
    kinds = _GLOB_KINDS if strategy == "glob" else _REGEXP_KINDS
    if pattern in kinds:
        return [UrlPart(PartKind[kinds[pattern]], pattern)]
    if strategy == "glob":
        return [_glob_part(text) for text in dict.fromkeys(_glob_alternatives(pattern))]
    alternatives = _regexp_alternatives(pattern)
    if alternatives is not None:
        return [UrlPart(PartKind.LITERAL, text) for text in dict.fromkeys(alternatives)]
    is_narrow = _NARROW.fullmatch(pattern.removeprefix("(").removesuffix(")"))
    return [UrlPart(PartKind.NARROW if is_narrow else PartKind.OTHER, pattern)]


def _regexp_alternatives(pattern: str) -> list[str] | None:
    """`a|b`, `(a|b)`, `(a|b)?` and `a?` as their texts. A bar divides what is between < and > only."""
    plain = re.sub(r"\\([./-])", r"\1", pattern)
    optional = False
    if group := _GROUP.fullmatch(plain):
        plain, optional = group[1], bool(group[2])
    elif re.fullmatch(r"[A-Za-z0-9/-]\?", plain):
        plain, optional = plain[0], True
    found = plain.split("|")
    if not all(_ALTERNATIVE.fullmatch(text) for text in found):
        return None
    return [*found, ""] if optional else found


def _glob_part(text: str) -> UrlPart:
    if text in _GLOB_KINDS:
        return UrlPart(PartKind[_GLOB_KINDS[text]], text)
    is_literal = _ALTERNATIVE.fullmatch(text) and "," not in text
    return UrlPart(PartKind.LITERAL if is_literal else PartKind.OTHER, text)


def _glob_alternatives(pattern: str) -> list[str]:
    """The texts of `{a,b/{c,d}}`, with what stands around the braces. Others stand as they are."""
    start = pattern.find("{")
    end = _closing(pattern, start) if start >= 0 else -1
    if end < 0:
        return [pattern]
    rests = _glob_alternatives(pattern[end + 1 :])
    inner = [text for one in _divided(pattern[start + 1 : end]) for text in _glob_alternatives(one)]
    if len(inner) * len(rests) > _EXPANSIONS_MAX:
        raise ValueError(_TOO_MANY)
    return [pattern[:start] + text + rest for text in inner for rest in rests]


def _closing(pattern: str, start: int) -> int:
    depth = 0
    for at in range(start, len(pattern)):
        depth += {"{": 1, "}": -1}.get(pattern[at], 0)
        if depth == 0:
            return at
    return -1


def _divided(inner: str) -> list[str]:
    """What stands between the commas outside of braces."""
    found, depth = [""], 0
    for character in inner:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return found


def _joined(parts: list[UrlPart]) -> list[UrlPart]:
    """Literals that stand beside each other as one."""
    found: list[UrlPart] = []
    for part in parts:
        if found and found[-1].kind is part.kind is PartKind.LITERAL:
            found[-1] = UrlPart(PartKind.LITERAL, found[-1].text + part.text)
        elif part.text or part.kind is not PartKind.LITERAL:
            found.append(part)
    return found
