"""What `docs/providers.md` tells people to write is a sound configuration."""

import re
from pathlib import Path

import pytest

from gateway.config.load import load_text

GUIDE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
REST = "events: {}\nroutes: [{name: api, match: {path: /**}, backend: 'http://api:8000'}]\n"
ENVIRONMENT = dict.fromkeys(re.findall(r"\$\{(\w+)\}", GUIDE), "a-secret")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split()[1])
def test_each_block_loads(block: str) -> None:
    config = load_text(block + REST, "gateway.yaml", environ=ENVIRONMENT, directory=Path("/"))
    assert len(config.providers) == 1


def test_there_are_five() -> None:
    assert len(BLOCKS) == 5
