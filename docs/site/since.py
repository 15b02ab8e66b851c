"""Since which release a key of the configuration is there.

`since.txt` has a line for each key of the releases so far; a key without a line comes with the next one. Before the
version is raised, `python docs/site/since.py` writes these down.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from gateway.config.keys import keys_below
from gateway.config.model import Config

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("since.txt")
_LINE = re.compile(r"([0-9]+\.[0-9]+\.[0-9]+) ([a-z_]+(?:\.[a-z_]+)*)")


def since() -> dict[str, str]:
    """Key: release, for each key that there is."""
    told = [_LINE.fullmatch(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    known = {line[2]: line[1] for line in told if line is not None}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return {path: known.get(path, version) for path in (".".join(key.path) for key in keys_below(Config))}


if __name__ == "__main__":
    FILE.write_text("".join(f"{release} {path}\n" for path, release in since().items()), encoding="utf-8")
