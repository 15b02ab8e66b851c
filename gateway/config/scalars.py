"""What a plain scalar of YAML means: null, true, false, a number, or the text that is written.

YAML 1.1 also reads `yes` and `off` as booleans, `12:30` as 750, `010` as 8, `1_000` as a number and `2024-01-01`
as a date; YAML 1.2 reads `1e3` as a number. No key here needs any of these, so what the two read differently is the
text that stands there.
"""

from __future__ import annotations

import re

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_FIRST_OF_NUMBERS = frozenset("0123456789+-.")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,32}")
_FLOAT = re.compile(r"\.[0-9]+|[-+]?(?:0|[1-9][0-9]*)\.[0-9]*(?:[eE][-+][0-9]{1,4})?")
_FLOAT_WORDS = {
    **dict.fromkeys([".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"], float("inf")),
    **dict.fromkeys(["-.inf", "-.Inf", "-.INF"], float("-inf")),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], float("nan")),
}
_DIGITS_MAX = 100  # Python reads integers of some thousand digits in quadratic time and refuses longer ones
_BOOLEAN_ELSEWHERE = frozenset(["yes", "no", "on", "off", "y", "n"])

Scalar = str | int | float | bool | None


def read_plain(text: str) -> Scalar:
    """The value of a scalar without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST_OF_NUMBERS or len(text) > _DIGITS_MAX:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    return _FLOAT_WORDS.get(text, text)


def is_boolean_elsewhere(text: str) -> bool:
    """Whether YAML 1.1 reads this text as a boolean, so that a reader of the file may expect one."""
    return text.lower() in _BOOLEAN_ELSEWHERE
