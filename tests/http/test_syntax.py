"""The shared grammar is the standards' own, and no module spells it again."""

import ast
import re
import string
from pathlib import Path

import pytest

import gateway
from gateway.http import syntax
from gateway.http.syntax import chars_of

ALPHA_DIGIT = string.ascii_letters + string.digits
ROOT = Path(gateway.__file__).parent


@pytest.mark.parametrize(
    ("chars", "expected"),
    [
        (syntax.TCHAR, ALPHA_DIGIT + "!#$%&'*+-.^_`|~"),  # RFC 9110 §5.6.2
        (syntax.B64TOKEN_CHARS, ALPHA_DIGIT + "-._~+/"),  # RFC 6750 §2.1
        (syntax.SCOPE_CHARS, "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\')),
        (syntax.FIELD_TEXT_CHARS, "\t" + "".join(chr(c) for c in (*range(0x20, 0x7F), *range(0x80, 0x100)))),
    ],
)
def test_a_set_is_that_of_its_standard(chars, expected):
    assert set(chars_of(chars)) == {ord(char) for char in expected}
    one = re.compile(f"[{chars}]")
    assert {char for char in map(chr, range(0x200)) if one.fullmatch(char)} == set(expected)


def test_padding_stands_at_the_end_of_a_b64token_only():
    assert re.fullmatch(syntax.B64TOKEN, "abc==")
    assert not re.fullmatch(syntax.B64TOKEN, "a=bc")
    assert not re.fullmatch(syntax.B64TOKEN, "=")


@pytest.mark.parametrize("text", ["", "-1", "+1", "1 ", "1_0", "٣", "1" * 19])
def test_a_length_is_digits_alone(text):
    assert not syntax.CONTENT_LENGTH.fullmatch(text)


# What gives a hand-made copy of a set away: signs that only it has side by side.
TELLTALES = ("^_`|~", "#$%&'*+", "._~+/", "-._~+", r"!#-\[\]-~", r"\t -~\x80-\xff", "[0-9]{1,18}", r'"[!-~]+"')


def strings(path: Path) -> set[str]:
    found = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    return {
        value if isinstance(value, str) else value.decode("latin-1")
        for value in found
        if isinstance(value, str | bytes)
    }


def test_no_other_module_spells_one():
    for path in sorted(ROOT.rglob("*.py")):
        if path != Path(syntax.__file__):
            copies = [text for text in strings(path) for telltale in TELLTALES if telltale in text]
            assert copies == [], path
    assert any(telltale in text for text in strings(Path(syntax.__file__)) for telltale in TELLTALES)
