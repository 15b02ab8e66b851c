"""What the file refers to: secrets in files of their own (`client_secret_file` for `client_secret`), certificates.

Paths are relative to the folder of the configuration file. A secret loses one newline at its end, which editors
and `echo` put there; nothing else is taken from it. Where a list of secrets may stand, each line is one. No problem
shows what a file holds.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.config.model import Admin, Cache, Tls
from gateway.config.model_base import Model
from gateway.config.node import BROKEN, KeyValue, Node, Origin
from gateway.config.problems import Problem
from gateway.config.provider_model import Provider, ProviderEvents

SECRETS: dict[type[Model], tuple[str, ...]] = {
    Admin: ("token",),
    Provider: ("client_secret", "private_key"),
    ProviderEvents: ("authorization",),
    Cache: ("redis", "secret"),
}
# What may be a list.
_LISTS = frozenset(["secret"])
PATHS: dict[type[Model], tuple[str, ...]] = {Tls: ("certificate", "key", "client_ca")}
TWIN = "_file"
# Empty text is how an optional variable says "none": `token: ${GATEWAY_ADMIN_TOKEN:-}`. The admin listener is
# closed without it; every other secret would leave something open.
_MAY_BE_EMPTY = frozenset(["token"])
_SECRET_LIMIT_BYTES = 64 * 2**10


def with_secrets(model: type[Model], origin: Origin, directory: Path, problems: list[Problem]) -> Node:
    """The mapping at `origin` with each `…_file` read into its twin."""
    entries = dict(origin.node.entries)
    for key in SECRETS.get(model, ()):
        twin = entries.pop(key + TWIN, None)
        if twin is not None and key in entries:
            problems.append(origin.problem((key + TWIN,), f"{key} is given as well; keep one of the two"))
        elif twin is not None:
            entries[key] = _read_twin(key, twin, origin, directory, problems)
        elif key in entries and entries[key].node.value == "":
            _settle_empty(key, entries, origin, problems)
    return origin.node.with_entries(entries)


def with_paths(model: type[Model], node: Node, directory: Path) -> Node:
    """The mapping with its paths made absolute."""
    entries = dict(node.entries)
    for key in PATHS.get(model, ()):
        entry = entries.get(key)
        if entry is not None and isinstance(entry.node.value, str) and entry.node.value:
            absolute = replace(entry.node, value=str(directory / entry.node.value))
            entries[key] = KeyValue(entry.name, entry.line, absolute)
    return node.with_entries(entries)


def read_limited(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a regular file; `ValueError` with both halves of a message where that can not be."""
    shown = shown_path(path)
    try:
        if not path.is_file():  # a device or a pipe could block for ever
            kind = "regular file" if path.exists() else "file that exists"
            raise ValueError(f"{shown} is no {kind}; write the path of one")
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise ValueError(f"{shown} can not be read ({error.strerror}); let the gateway's user read it") from None
    if len(data) > limit_bytes:
        raise ValueError(f"{shown} is larger than {limit_bytes >> 10} KiB; write the path of the right file")
    return data


def shown_path(path: str | Path) -> str:
    """A path as a message shows it: on one line, whatever it is made of."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def _settle_empty(key: str, entries: dict[str, KeyValue], origin: Origin, problems: list[Problem]) -> None:
    entry = entries[key]
    if key in _MAY_BE_EMPTY:
        del entries[key]
        return
    source = "what the environment gives here" if "${" in entry.node.written else "this"
    problems.append(origin.problem((key,), f"{source} is empty; set it, or leave the key out"))
    entries[key] = KeyValue(key, entry.line, replace(entry.node, value=BROKEN))


def _read_twin(key: str, twin: KeyValue, origin: Origin, directory: Path, problems: list[Problem]) -> KeyValue:
    """The entry of `key`; it keeps the name of its twin, by which the file's reader knows it."""
    name = key + TWIN
    node = twin.node
    if node.value is BROKEN:
        return KeyValue(name, twin.line, node)
    try:
        secret: object = _secret(node.value, directory)
    except ValueError as error:
        problems.append(origin.problem((name,), str(error)))
        secret = BROKEN
    if key in _LISTS and isinstance(secret, str):
        lines = [line for each in secret.split("\n") if (line := each.removesuffix("\r"))]
        secret = lines[0] if len(lines) == 1 else tuple(Node(line, node.line) for line in lines)
    return KeyValue(name, twin.line, Node(secret, node.line))


def _secret(path: object, directory: Path) -> str:
    if not isinstance(path, str) or not path or "\x00" in path:
        raise ValueError("this is no path; write the path of the file that holds the secret")
    file = directory / path
    try:
        text = read_limited(file, _SECRET_LIMIT_BYTES).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{shown_path(file)} is not UTF-8 text; write the path of the right file") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"{shown_path(file)} is empty; write the secret into it")
    return text
