"""Since which release a key of the configuration is there: `since.txt` has a line for each.

`python docs/site/since.py` adds the keys that have no line yet, as of the release that comes next.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from gateway.config.keys import keys_below
from gateway.config.model import Config

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("since.txt")
_LINE = re.compile(r"([0-9]+\.[0-9]+\.[0-9]+) ([a-z_]+(?:\.[a-z_]+)*)")


def keys() -> list[str]:
    return [".".join(key.path) for key in keys_below(Config)]


def since() -> dict[str, str]:
    """Key: release."""
    found = [_LINE.fullmatch(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    return {line[2]: line[1] for line in found if line is not None}


def text(known: dict[str, str], there: Iterable[str], release: str) -> str:
    """The file's text: a line for each key that is there, in its order; one that is new is of `release`."""
    return "".join(f"{known.get(key, release)} {key}\n" for key in there)


def next_release() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version: str = project["version"]
    return version


if __name__ == "__main__":
    FILE.write_text(text(since() if FILE.exists() else {}, keys(), next_release()), encoding="utf-8")
