"""The command that tries everything for real: `doctor`."""

from __future__ import annotations

import sys
import time

import click

from gateway.authn.bearer import Token
from gateway.commands.options import NO, config_or_file, given, load_or_exit, run
from gateway.config.model import Config
from gateway.runtime.doctor import examine


@click.command()
@config_or_file
@click.option("--token", metavar="T", help="A caller's token to ask about, or - for standard input.")
def doctor(path: str, token: str | None) -> None:
    """Try providers, credentials, Redis, backends, certificates and clocks for real.

    One line each: ok, warning or FAIL. Takes 10 s at most. With a caller's token it also says whether its aud names the
    gateway, which routes take it, and which claims are missing.
    """
    text = given(token)
    if not run(_all_is_well(load_or_exit(path), None if text is None else Token(text))):
        sys.exit(NO)


async def _all_is_well(config: Config, token: Token | None) -> bool:
    """Prints before the loop ends: a resolver that does not answer may hold the end up for longer."""
    found = await examine(config, time.time(), token=token)
    for diagnosis in found:
        click.echo(diagnosis.render())
    return all(diagnosis.grade != "FAIL" for diagnosis in found)
