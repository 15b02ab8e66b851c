"""The configuration and the walk of `docs/mcp.md`, for tests that go it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import yaml

GUIDE = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text(encoding="utf-8")
CONFIGURATION = next(re.finditer(r"^```yaml\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))[1]
_MESSAGE = re.compile(r"^( *)```http\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """One request as it stands in the guide, and the lines of its response; `body` is empty where none is shown."""

    wire: bytes
    status: int
    fields: tuple[tuple[str, str], ...]
    body: str

    @property
    def method(self) -> str:
        return self.wire.split(b" ", 1)[0].decode()


def steps() -> list[Step]:
    """The exchanges of the guide, in their order."""
    messages = [dedent(found[2]) for found in _MESSAGE.finditer(GUIDE)]
    return [_step(request, response) for request, response in zip(messages[::2], messages[1::2], strict=True)]


def configuration(backend: str, **provider: Any) -> dict[str, Any]:
    """The guide's file, with another provider and backend, on a free port without TLS."""
    document: dict[str, Any] = yaml.safe_load(CONFIGURATION)
    document["server"] = {"listen": "127.0.0.1:0"}
    document["admin"] = {"listen": "127.0.0.1:0"}
    document["providers"]["sso"].update(provider)
    document["routes"][0]["backend"] = backend
    return document


def _step(request: str, response: str) -> Step:
    head, _, body = request.partition("\n\n")
    body = body.strip()
    length = [f"Content-Length: {len(body)}"] if body else []
    wire = "\r\n".join([*head.strip().split("\n"), *length, "", body]).encode()
    told, _, answered = response.partition("\n\n")
    status, *fields = told.strip().split("\n")
    pairs = [line.partition(": ") for line in fields]
    return Step(wire, int(status.split(" ")[1]), tuple((name, value) for name, _, value in pairs), answered.strip())
