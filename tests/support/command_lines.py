"""Command lines in documents and in the help, read as the program reads them."""

from __future__ import annotations

import shlex

import click

from gateway.cli import COMMANDS, main


def read_command(line: str) -> None:
    """Read the words after `gateway`. Raises what click raises for a command, an option or a value that is wrong."""
    name, *words = shlex.split(line)
    assert name in COMMANDS, name
    command = main.get_command(click.Context(main), name)
    assert command is not None
    # Not with `resilient_parsing`, which hides an option that there is not.
    command.make_parser(click.Context(command)).parse_args(words)
