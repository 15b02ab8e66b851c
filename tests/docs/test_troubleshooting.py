"""The page about refusals has an anchor for each code, in the order of the table, and says its status."""

import re

from support.guide_walk import DOCS

from gateway.config.keys import keys_below
from gateway.config.model import Config
from gateway.http.refusal import STATUS_OF_CODE

PAGE = (DOCS / "guides" / "troubleshooting.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## `(\w+)`\n\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)


def test_each_code_has_its_section_with_its_status() -> None:
    assert [(code, int(text[2:5])) for code, text in SECTIONS] == list(STATUS_OF_CODE.items())


def test_a_section_says_that_the_client_may_come_back_where_it_may() -> None:
    waits = {code for code, text in SECTIONS if "with `Retry-After`" in text}
    assert waits == {code for code, status in STATUS_OF_CODE.items() if status in {429, 503}}


def test_the_keys_that_it_names_are_there() -> None:
    known = {".".join(map(str, key.path)) for key in keys_below(Config)}
    names = {name for path in known for name in path.split(".")}
    for word in re.findall(r"`((?:auth|server|cache|events|admin|authorization|breaker|identity)\.[a-z_.]+)`", PAGE):
        assert any(path == word or path.endswith(f".{word}") for path in known), word
    for word in re.findall(r"`([a-z]+_[a-z_]+)`", PAGE):
        is_known = word in names or word in STATUS_OF_CODE or word.startswith("client_") or word in NOT_KEYS
        assert is_known, word


# Words of the standards, of the log and of tokens.
NOT_KEYS = {"auth_time", "token_type", "request_id", "internal_error"}
