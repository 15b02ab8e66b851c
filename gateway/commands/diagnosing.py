"""The command that tries everything for real: `doctor`."""

from __future__ import annotations

import sys
import time

import click

from gateway.commands.options import NO, config_or_file, load_or_exit, run
from gateway.config.model import Config
from gateway.runtime.doctor import examine


@click.command()
@config_or_file
def doctor(path: str) -> None:
    """Try providers, credentials, Redis, backends, certificates and clocks for real.

    One line each: ok, warning or FAIL. Takes 10 s at most. Exits with 0, with 1 where something fails, or with 2 when
    the file cannot be used.
    """
    if not run(_all_is_well(load_or_exit(path))):
        sys.exit(NO)


async def _all_is_well(config: Config) -> bool:
    """Prints before the loop ends: a resolver that does not answer may hold the end up for longer."""
    found = await examine(config, time.time())
    for diagnosis in found:
        click.echo(diagnosis.render())
    return all(diagnosis.grade != "FAIL" for diagnosis in found)
