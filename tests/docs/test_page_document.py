"""The document about the admin listener's page says what the page shows first, with a picture of each state."""

import re

from support.guide_walk import DOCS
from support.instance_states import SHOWN_FIRST, STATES

TEXT = (DOCS / "page.md").read_text(encoding="utf-8")


def test_what_is_seen_first_is_what_the_browsers_test_sees() -> None:
    rows = re.findall(r"^\| \[([a-z ]+)\]\(#[a-z-]+\) \| ([a-z ]+) \| ([^|]+) \|", TEXT, re.MULTILINE)
    assert {state: (word, first.strip()) for state, word, first in rows} == SHOWN_FIRST
    assert SHOWN_FIRST.keys() == STATES.keys()


def test_each_state_has_its_picture() -> None:
    pictures = re.findall(r"!\[[^\]]{20,}\]\((pictures/page-[a-z-]+\.png)\)", TEXT)
    assert pictures == [f"pictures/page-{state.replace(' ', '-')}.png" for state in STATES]
    for picture in pictures:
        assert (DOCS / picture).read_bytes().startswith(b"\x89PNG")
