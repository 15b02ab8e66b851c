"""Which files the configuration names: the secrets of `…_file` keys, keys, certificates, authorities.

It asks the model which keys name files, so that a new key needs no second list. It reports no problem: the loader does
that. What cannot be understood names no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import get_args, get_origin

from gateway.config.environment import expand
from gateway.config.files import TWIN
from gateway.config.keys import ConfigKey, keys_below, keys_of_model
from gateway.config.model import Config
from gateway.config.model_base import Model
from gateway.config.node import KeyValue, Node
from gateway.config.route_model import Route
from gateway.config.yaml_reader import read_yaml


def named_files(text: str, *, environ: Mapping[str, str], directory: Path) -> tuple[Path, ...]:
    """The files that the configuration `text` names, each once. Relative paths start at `directory`."""
    root, _ = read_yaml(text)
    if root is None:
        return ()
    root = expand(root, environ).root
    found = [*_below(Config, root)]
    if (defaults := root.entries.get("defaults")) is not None:
        found += _below(Route, defaults.node)
    return tuple(dict.fromkeys(directory / name for name in found if name and "\x00" not in name))


def _below(model: type[Model], node: Node) -> Iterator[str]:
    for key in keys_of_model(model):
        entry = node.entries.get(f"{key.name}{TWIN}" if key.is_secret else key.name)
        if entry is None:
            continue
        if key.is_secret or key.is_file or key.is_content:
            several = key.is_content and isinstance(entry.node.value, tuple)
            nodes = entry.node.value if several else (entry.node,)
            yield from (one.value for one in nodes if isinstance(one.value, str))
        elif key.inner is not None and _names_files(key.inner):
            for inner in _values(key, entry):
                yield from _below(key.inner, inner)


@cache
def _names_files(model: type[Model]) -> bool:
    return any(key.is_secret or key.is_file or key.is_content for key in keys_below(model))


def _values(key: ConfigKey, entry: KeyValue) -> Iterator[Node]:
    """The mappings in which keys of `key.inner` stand: the value, or each in its list or under a name."""
    value = entry.node.value
    if isinstance(value, tuple):
        yield from value
    elif _is_by_name(key.field.annotation):
        yield from (one.node for one in entry.node.entries.values())
    else:
        yield entry.node


def _is_by_name(annotation: object) -> bool:
    return get_origin(annotation) is dict or any(_is_by_name(part) for part in get_args(annotation))
