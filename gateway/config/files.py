"""What the file refers to: secrets in files of their own (`client_secret_file` for `client_secret`), certificates.

Paths are relative to the folder of the configuration file. A secret loses one newline at its end, which editors
and `echo` put there; nothing else is taken from it. Where a list of secrets may stand, each line is one. No problem
shows what a file holds.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from gateway.config.keys import ConfigKey, keys_below, keys_of_model
from gateway.config.model_base import Model
from gateway.config.node import BROKEN, KeyValue, Node, Origin
from gateway.config.problems import Loc, Problem

TWIN = "_file"
_SECRET_LIMIT_BYTES = 64 * 2**10


def with_files(model: type[Model], origin: Origin, directory: Path, problems: list[Problem]) -> Node:
    """The mapping at `origin` with each `…_file` read into its twin and each path made absolute, at every depth."""
    if not _names_files(model):
        return origin.node
    entries = dict(origin.node.entries)
    for key in keys_of_model(model):
        if key.is_secret:
            _settle_secret(key, entries, origin, directory, problems)
        elif key.name in entries:
            entries[key.name] = _with_files_below(key, entries[key.name], origin, directory, problems)
    return origin.node.with_entries(entries)


def read_limited(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a regular file. Raises `ValueError` with both halves of a message when they cannot be read."""
    shown = shown_path(path)
    try:
        if not path.is_file():  # a device or a pipe could block for ever
            kind = "regular file" if path.exists() else "file that exists"
            raise ValueError(f"{shown} is not a {kind}; write the path of one")
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise ValueError(f"{shown} cannot be read ({error.strerror}); let the gateway's user read it") from None
    if len(data) > limit_bytes:
        raise ValueError(f"{shown} is larger than {limit_bytes >> 10} KiB; write the path of the right file")
    return data


def shown_path(path: str | Path) -> str:
    """A path as a message shows it: on one line, whatever it is made of."""
    text = str(path)
    return text if text.isprintable() else repr(text)


@cache
def _names_files(model: type[Model]) -> bool:
    return any(key.is_secret or key.is_file or key.is_content for key in keys_below(model))


def _with_files_below(
    key: ConfigKey, entry: KeyValue, origin: Origin, directory: Path, problems: list[Problem]
) -> KeyValue:
    value = entry.node.value
    if key.is_content:
        return KeyValue(entry.name, entry.line, _contents(key, entry.node, origin, directory, problems))
    if key.is_file and isinstance(value, str) and value:
        return KeyValue(entry.name, entry.line, replace(entry.node, value=str(directory / value)))
    if key.inner is None:
        return entry
    inner = Origin((*origin.path, key.name), entry.line, entry.node)
    if isinstance(value, dict):
        return KeyValue(entry.name, entry.line, with_files(key.inner, inner, directory, problems))
    if isinstance(value, tuple) and _names_files(key.inner):
        items = tuple(
            with_files(key.inner, Origin((*inner.path, index), item.line, item), directory, problems)
            if isinstance(item.value, dict)
            else item
            for index, item in enumerate(value)
        )
        return KeyValue(entry.name, entry.line, replace(entry.node, value=items))
    return entry


def _settle_secret(
    key: ConfigKey, entries: dict[str, KeyValue], origin: Origin, directory: Path, problems: list[Problem]
) -> None:
    twin = entries.pop(key.name + TWIN, None)
    if twin is not None and key.name in entries:
        problems.append(origin.problem((key.name + TWIN,), f"{key.name} is given as well; keep one of the two"))
    elif twin is not None:
        entries[key.name] = _read_twin(key, twin, origin, directory, problems)
    elif key.name in entries and entries[key.name].node.value == "":
        _settle_empty(key, entries, origin, problems)


def _settle_empty(key: ConfigKey, entries: dict[str, KeyValue], origin: Origin, problems: list[Problem]) -> None:
    """Empty text is how an optional variable says "none": `token: ${GATEWAY_ADMIN_TOKEN:-}`.

    The admin listener is closed without its token; every other secret would leave something open.
    """
    if key.may_be_empty:
        del entries[key.name]
        return
    entry = entries[key.name]
    source = "what the environment gives here" if "${" in entry.node.written else "this"
    problems.append(origin.problem((key.name,), f"{source} is empty; set it, or leave the key out"))
    entries[key.name] = KeyValue(key.name, entry.line, replace(entry.node, value=BROKEN))


def _read_twin(key: ConfigKey, twin: KeyValue, origin: Origin, directory: Path, problems: list[Problem]) -> KeyValue:
    """The entry of `key`; it keeps the name of its twin, by which the file's reader knows it."""
    name = key.name + TWIN
    node = twin.node
    if node.value is BROKEN:
        return KeyValue(name, twin.line, node)
    try:
        secret: object = _secret(node.value, directory)
    except ValueError as error:
        problems.append(origin.problem((name,), str(error)))
        secret = BROKEN
    if key.may_be_list and isinstance(secret, str):
        lines = [line for each in secret.split("\n") if (line := each.removesuffix("\r"))]
        secret = lines[0] if len(lines) == 1 else tuple(Node(line, node.line) for line in lines)
    return KeyValue(name, twin.line, Node(secret, node.line))


def _contents(key: ConfigKey, node: Node, origin: Origin, directory: Path, problems: list[Problem]) -> Node:
    """The node of a path, or of a list of paths, with what the files hold in place of the paths."""
    if isinstance(node.value, tuple):
        named = [((key.name, index), item) for index, item in enumerate(node.value)]
        return replace(node, value=tuple(_content(loc, item, origin, directory, problems) for loc, item in named))
    return _content((key.name,), node, origin, directory, problems)


def _content(loc: Loc, node: Node, origin: Origin, directory: Path, problems: list[Problem]) -> Node:
    if node.value is BROKEN:
        return node
    try:
        return replace(node, value=_secret(node.value, directory))
    except ValueError as error:
        problems.append(origin.problem(loc, str(error)))
        return replace(node, value=BROKEN)


def _secret(path: object, directory: Path) -> str:
    if not isinstance(path, str) or not path or "\x00" in path:
        raise ValueError("this is not a path; write the path of the file that holds the secret")
    file = directory / path
    try:
        text = read_limited(file, _SECRET_LIMIT_BYTES).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{shown_path(file)} is not UTF-8 text; write the path of the right file") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"{shown_path(file)} is empty; write the secret into it")
    return text
