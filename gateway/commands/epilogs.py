"""What stands below the options in each command's `--help`: an example to copy, and the exit statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_FILE = {2: "the file cannot be used"}

# By command: the examples, and what each exit status means.
EPILOGS: Final[Mapping[str, tuple[tuple[str, ...], Mapping[int, str]]]] = {
    "check": (
        ("gateway check gateway.yaml", "gateway check gateway.yaml --strict --format github"),
        {0: "it can be used", 2: "it cannot; with --strict, there are warnings"},
    ),
    "demo": (("gateway demo --port-base 9000",), {0: "done", 1: "a port is taken, or the walk-through failed"}),
    "doctor": (
        (
            "gateway doctor gateway.yaml",
            "gateway doctor gateway.yaml --token - < alice.token",
        ),
        {0: "nothing fails", 1: "something fails", **_FILE},
    ),
    "explain": (
        (
            "gateway explain -c gateway.yaml GET /orders/7 --token -",
            "gateway explain -c gateway.yaml GET https://api.example.com/orders/7 --claims alice.json",
        ),
        {0: "allow", 1: "refuse", 2: "the file or the question cannot be used", 3: "the provider cannot tell"},
    ),
    "import": (
        (
            "gateway import oathkeeper rules.json > gateway.yaml",
            "gateway import oathkeeper rules.yaml --config oathkeeper.yaml --out gateway.yaml",
        ),
        {0: "all rules are carried over", 1: "some are not, and refuse", 2: "a file cannot be used"},
    ),
    "introspect": (
        ("gateway introspect -c gateway.yaml -",),
        {0: "active", 1: "inactive", **_FILE, 3: "the provider cannot tell"},
    ),
    "keygen": (("gateway keygen --out signing.pem",), {0: "made", 1: "the file is there already"}),
    "schema": (("gateway schema > gateway.schema.json",), {0: "printed"}),
    "serve": (
        ("gateway serve gateway.yaml", "kill -HUP $(pgrep -of 'gateway serve')"),
        {0: "drained", 1: "an address cannot be bound, or no worker starts", **_FILE},
    ),
    "test": (
        ("gateway test -c gateway.yaml cases.yaml",),
        {0: "all is as expected", 1: "a decision differs", 2: "a file cannot be used"},
    ),
    "token": (
        (
            "gateway token -c gateway.yaml --scope orders:read",
            "gateway token -c gateway.yaml --grant password --username alice --password -",
        ),
        {0: "granted", 1: "the provider refuses", **_FILE, 3: "the provider cannot tell"},
    ),
}


def epilog(name: str) -> str | None:
    """The text for click. The character before each paragraph keeps its lines as they are."""
    if name not in EPILOGS:
        return None
    examples, statuses = EPILOGS[name]
    told = [f"  {status}  {meaning}" for status, meaning in sorted(statuses.items())]
    return "\n".join(["\b", "Examples:", *(f"  {one}" for one in examples), "", "\b", "Exit status:", *told])
