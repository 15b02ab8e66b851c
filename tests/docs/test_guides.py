"""The guides are gone through as their readers do: files are saved, commands run, and print what the guide says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.chart import VALUES
from support.guide_walk import DOCS, blocks_of, walked

from gateway.config.load import load_text

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


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_what_keeps_its_terminal_is_the_last_of_its_block(guide: Path) -> None:
    """Whoever pastes a whole block would wait there, and what stands behind it would never run."""
    for block in blocks_of(guide):
        for command in block.commands[:-1]:
            assert command.split()[:2] not in (["gateway", "serve"], ["gateway", "demo"]), f"{guide.name}: {command}"


def test_the_values_of_the_guide_make_a_sound_file(tmp_path: Path) -> None:
    """As Helm lays them over the chart's own: mappings are merged, everything else is replaced."""
    (block,) = [one for one in blocks_of(DOCS / "guides" / "kubernetes.md") if one.title == "my-values.yaml"]
    values = laid_over(VALUES, yaml.safe_load(block.text))
    for name in ("client_secret", "cache_secret", "admin_token", "redis_url"):
        (tmp_path / name).write_text("redis://redis:6379/0" if name == "redis_url" else "x" * 32)
    text = yaml.safe_dump(values["config"]).replace("/run/secrets/gateway", str(tmp_path))
    config = load_text(text, "gateway.yaml", environ={}, directory=tmp_path)
    assert [str(route.match.host) for route in config.routes] == ["api.example.com"]
    assert values["image"]["repository"] != VALUES["image"]["repository"]


def laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: laid_over(below[key], above[key]) for key in below.keys() & above.keys() if isinstance(below[key], dict)
    }
    return {**below, **above, **both}
