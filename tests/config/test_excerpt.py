"""The line of the file below a message: where the caret stands, and that no secret is shown."""

import pytest

from gateway.config.excerpt import excerpt
from gateway.config.problems import Problem

SECRET = "hunter22"


def shown(text: str, place: str, line: int | None = 1) -> list[str]:
    return excerpt(text.split("\n"), Problem(place, "what; instead", line)).splitlines()


@pytest.mark.parametrize(
    ("text", "place", "line", "expected"),
    [
        ("a: 1\n  backed: x", "routes[0].backed", 2, ["  2 |   backed: x", "    |   ^"]),
        (
            "  - {name: a, backed: x}",
            "routes[0].backed",
            1,
            ["  1 |   - {name: a, backed: x}", "    |               ^"],
        ),
        ("  methods: [get]", "routes[0].match.methods[0]", 1, ["  1 |   methods: [get]", "    |   ^"]),
        ("    - get", "routes[0].match.methods[0]", 1, ["  1 |     - get", "    |       ^"]),
        ("\tlisten: a", "", 1, []),
        ("  a: b: c", "", 1, ["  1 |   a: b: c", "    |   ^"]),
        ("\xa0log: {}", "['\\xa0log']", 1, ["  1 | ·log: {}", "    | ^"]),
        ("a: 1", "a", None, []),
        ("a: 1", "a", 7, []),
        ("", "", 1, []),
    ],
)
def test_the_caret_stands_under_the_key(text: str, place: str, line: int | None, expected: list[str]) -> None:
    assert shown(text, place, line) == expected


def test_a_long_line_is_cut() -> None:
    [text, caret] = shown("a: " + "x" * 500, "a")
    assert (len(text), caret) == (117, "    | ^")
    assert shown("{" + "b: x, " * 100 + "a: 1}", "a") == []


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        (f"  client_secret: {SECRET}", "providers.p.client_secret", 1),
        (f"  client-secret: {SECRET}", "providers.p.client-secret", 1),
        (f"  clientSecret : {SECRET}", "providers.p.clientSecret", 1),
        (f"p: {{client_id: g, client_secret: {SECRET}, isuer: x}}", "providers.p.isuer", 1),
        (f'  "password": {SECRET}', "cache.password", 1),
        (f"  redis: redis://:{SECRET}@host", "cache.redis", 1),
        (f"  backend: http://u:{SECRET}@host", "routes[0].backend", 1),
        (f"  backend: http://u:{SECRET}@x@host", "routes[0].backend", 1),
        (f"  secret:\n    - {SECRET}", "cache.secret[0]", 2),
        (f"  secret:\n    - {SECRET}", "", 2),
        (f"  secret:\n  - {SECRET}: x", "", 2),
        (f"  private_key: |\n    {SECRET}", "", 2),
        (f"  private_key: |\n      a\n    {SECRET}: b", "", 3),
        (SECRET, "", 1),
    ],
)
def test_no_secret_is_shown(text: str, place: str, line: int) -> None:
    assert SECRET not in "\n".join(shown(text, place, line))


def test_the_file_of_a_secret_is_none() -> None:
    assert shown("  client_secret_file: nowhere", "providers.p.client_secret_file")[0].endswith("nowhere")
