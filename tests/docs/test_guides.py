"""The guides are gone through as their readers do: files are saved, commands run, and print what the guide says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.guide_walk import DOCS, blocks_of, walked

GUIDES = sorted((DOCS / "guides").glob("*.md"))
# tests/integration goes through it, with a Keycloak.
WITH_KEYCLOAK = DOCS / "guides" / "keycloak.md"


@pytest.mark.parametrize("guide", [one for one in GUIDES if one != WITH_KEYCLOAK], ids=lambda path: path.stem)
def test_each_command_does_what_the_guide_says(guide: Path, tmp_path: Path) -> None:
    with walked(guide, tmp_path):
        pass


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_each_file_is_saved_and_each_command_is_run(guide: Path) -> None:
    """A block of another kind would stand there untried."""
    for block in blocks_of(guide):
        assert block.title or block.language == "sh", block.text
        if block.language == "sh":
            assert block.commands
    text = guide.read_text(encoding="utf-8")
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(blocks_of(guide))
