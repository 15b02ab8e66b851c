"""Reads the configuration of a running gateway: its text once, which then goes to each worker, and what it names."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from gateway.config.load import describe_problems, load_text, read_text
from gateway.config.model import Config
from gateway.config.named_files import named_files
from gateway.config.problems import ConfigError
from gateway.runtime.file_states import Digest, digest_of_bytes, digests_of
from gateway.workers.worker import ConfigSource


def read_source(path: str) -> ConfigSource:
    """The file's text, with all that another process needs to read it the same way. Raises `ConfigError`."""
    return ConfigSource(read_text(path), path, str(Path(path).absolute().parent))


def load_source(source: ConfigSource) -> Config:
    return load_text(source.text, source.name, environ=os.environ, directory=Path(source.directory))


def held_by(source: ConfigSource, *, is_watched: bool = False) -> dict[Path, Digest]:
    """What the file and those that it names hold, taken before they are loaded: a later change is then noticed.

    A file without the word cannot ask for a watch. Unless it is watched already, it is spared the work.
    """
    if not is_watched and "watch" not in source.text:
        return {}
    directory = Path(source.directory)
    named = named_files(source.text, environ=os.environ, directory=directory)
    return {**digests_of(named), directory / Path(source.name).name: digest_of_bytes(source.text.encode())}


async def load_or_refuse(source: ConfigSource) -> Config:
    """The configuration, for a worker. Raises `ValueError` with every problem."""
    try:
        return await asyncio.to_thread(load_source, source)
    except ConfigError as error:
        raise ValueError(describe_problems(error)) from None
