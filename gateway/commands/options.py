"""The parts that the commands share: options, exit statuses, reading and printing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from gateway.config.load import describe_problems, load
from gateway.config.model import Config
from gateway.config.problems import ConfigError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

NO, UNUSABLE, CANNOT_TELL = 1, 2, 3
_STANDARD_ERROR = 2
T = TypeVar("T")
_FILE = click.Path(dir_okay=False)  # for completion; what is wrong with the file is told by its reader

config_option = click.option(
    "-c", "--config", "path", required=True, metavar="FILE", type=_FILE, help="The configuration, a YAML file."
)


def config_or_file(command: Callable[..., None]) -> Callable[..., None]:
    """The configuration by `-c`, or as the only argument, for a command that takes no other."""

    @click.argument("file", metavar="[FILE]", type=_FILE, required=False)
    @click.option("-c", "--config", "config", metavar="FILE", type=_FILE, help="The configuration, a YAML file.")
    @wraps(command)
    def with_path(file: str | None, config: str | None, **others: Any) -> None:
        if (file is None) == (config is None):
            raise click.UsageError("name one configuration: FILE, or -c FILE")
        command(file or config, **others)

    return with_path


provider_option = click.option("--provider", metavar="P", help="Which provider, where the file has several.")


def load_or_exit(path: str) -> Config:
    try:
        return load(path)
    except ConfigError as error:
        fail(UNUSABLE, describe_problems(error))


def given(value: str | None) -> str | None:
    """An option's value. `-` reads standard input, so that `ps` does not show a secret."""
    return sys.stdin.read().strip() if value == "-" else value


def run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio  # noqa: PLC0415 - takes a fifth of the time of `check`, which does without

    _occupy_standard_descriptors()
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(work)


def _occupy_standard_descriptors() -> None:
    """Open /dev/null for those of 0, 1 and 2 that are closed, as with `>&-`.

    Otherwise the next sockets get these numbers: what is written to standard error would reach a client.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _new_event_loop() -> AbstractEventLoop:
    """A loop of uvloop where that is installed: it takes a third off the cost of a request."""
    import asyncio  # noqa: PLC0415 - as above

    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def fail(status: int, words: str) -> NoReturn:
    click.echo(words, err=True)
    sys.exit(status)
