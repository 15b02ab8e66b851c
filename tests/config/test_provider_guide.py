"""What `docs/providers.md` and its pages tell people to write is a sound configuration; each page has all its parts."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.config.load import load_text

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "providers.md").read_text(encoding="utf-8")
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted((DOCS / "providers").glob("*.md"))}
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REST = "routes: [{name: api, match: {path: /**}, backend: 'http://api:8000'}]\n"
PARTS = ["What to set there", "Configuration", "What works and what does not", "How revocations arrive", "Sources"]


def blocks() -> list[tuple[str, str]]:
    found = [("providers", block + REST) for block in BLOCK.findall(GUIDE)]
    return found + [(name, block) for name, page in PAGES.items() for block in BLOCK.findall(page)]


@pytest.mark.parametrize(("name", "block"), [pytest.param(*one, id=f"{one[0]}-{i}") for i, one in enumerate(blocks())])
def test_each_block_loads(name: str, block: str) -> None:
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", block), "a-secret")
    environ["ZITADEL_PRIVATE_KEY"] = private_key()
    config = load_text(block + "events: {}\n", f"{name}.yaml", environ=environ, directory=Path("/"))
    assert len(config.providers) == 1
    assert config.routes


def private_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    kinds = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*kinds).decode()


def test_the_guide_has_three_blocks_of_its_own_and_names_each_page() -> None:
    assert len(BLOCK.findall(GUIDE)) == 3
    assert {f"providers/{name}.md" for name in PAGES} == set(re.findall(r"\]\((providers/[a-z0-9-]+\.md)\)", GUIDE))


@pytest.mark.parametrize("name", PAGES)
def test_each_page_says_what_was_tried_and_has_every_part(name: str) -> None:
    page = PAGES[name]
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == PARTS
    assert re.search(r"^Tried: .+", page, re.MULTILINE)
    assert re.search(r"^Read: .+", page, re.MULTILINE)
    assert BLOCK.search(page)
    assert "tests/" in page or "<https://" in page.partition("## Sources")[2]
