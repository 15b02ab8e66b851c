"""The command that tries everything for real: `doctor`."""

from __future__ import annotations

import sys
import time

import click

from gateway.commands.options import NO, config_or_file, load_or_exit, run
from gateway.runtime.doctor import examine


@click.command()
@config_or_file
def doctor(path: str) -> None:
    """Try providers, credentials, Redis, backends, certificates and clocks for real.

    One line each: ok, warning or FAIL. Takes 10 s at most. Exits with 0, with 1 where something fails, or with 2 when
    the file cannot be used.
    """
    found = run(examine(load_or_exit(path), time.time()))
    for diagnosis in found:
        click.echo(diagnosis.render())
    if any(diagnosis.grade == "FAIL" for diagnosis in found):
        sys.exit(NO)
