"""The guides for those who come from another gateway: each file in them is sound, each command does what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.guide_walk import DOCS, blocks_of, walked

from gateway.config.load import load_text

PAGES = sorted((DOCS / "migrating").glob("*.md"))
EXAMPLES = [
    (page.stem, block.text)
    for page in PAGES
    for block in blocks_of(page)
    if block.language == "yaml" and not block.title
]


@pytest.mark.parametrize(("page", "text"), EXAMPLES, ids=[f"{page}-{i}" for i, (page, _) in enumerate(EXAMPLES)])
def test_each_example_loads(page: str, text: str) -> None:
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "a-secret-of-16-characters")
    assert load_text(text, f"{page}.yaml", environ=environ, directory=Path("/")).routes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page_has_a_table_of_what_becomes_what_and_an_example(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.search(r"^## What becomes what\n\n\| .+ \| .+ \|\n\| --- \| --- \|$", text, re.MULTILINE)
    assert re.search(r"^## What behaves differently$", text, re.MULTILINE)
    assert [one for name, one in EXAMPLES if name == page.stem]


def test_what_the_import_writes_is_what_the_page_shows(tmp_path: Path) -> None:
    page = DOCS / "migrating" / "oathkeeper.md"
    with walked(page, tmp_path, {8082: 8082}) as printed:
        assert (tmp_path / "gateway.yaml").read_text() == next(one for name, one in EXAMPLES if name == "oathkeeper")
        assert "cookie_session has nothing like it here" in printed[0]
        assert [re.search(r'"code": (\S+),', text)[1] for text in printed[-2:]] == ["null", '"forbidden"']
