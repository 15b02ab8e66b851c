"""The commands that decide without a client: `explain` and `test`."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from gateway.commands.options import (
    CANNOT_TELL,
    NO,
    UNUSABLE,
    config_option,
    fail,
    given,
    load_or_exit,
    print_json,
    run,
)
from gateway.compiled import compile_config
from gateway.config.load import describe_problems
from gateway.config.model import Cache, Config
from gateway.config.problems import ConfigError
from gateway.http import strict_json
from gateway.observe.metrics import Metrics
from gateway.runtime.assembly import assemble, release
from gateway.runtime.case_file import load_cases
from gateway.runtime.case_run import differences
from gateway.runtime.explain import explain as explained
from gateway.runtime.explain import explain_offline

_UNTOLD_CODES = frozenset({"introspection_unavailable"})
_CLAIMS_MAX_BYTES = 2**20


@click.command()
@config_option
@click.argument("method")
@click.argument("url")
@click.option("--token", metavar="(- | T)", help="The caller's token; - reads it from standard input, unseen by `ps`.")
@click.option(
    "--claims",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="JSON: what introspection would say. No provider is asked.",
)
def explain(path: str, method: str, url: str, token: str | None, claims: str | None) -> None:
    """Tell how a request would be decided, and why."""
    config = load_or_exit(path)
    if token is not None and claims is not None:
        fail(UNUSABLE, "gateway: --token asks the provider, and --claims asks nobody; write one of them")
    try:
        if claims is not None:
            told = explain_offline(compile_config(config), method, url, _claims(claims), time.time())
        else:
            told = run(_explain(config, method, url, given(token)))
    except ValueError as error:
        fail(UNUSABLE, f"gateway: {error}")
    print_json(told)
    if told["decision"] != "allow":
        sys.exit(CANNOT_TELL if told["code"] in _UNTOLD_CODES else NO)


@click.command("test")
@config_option
@click.argument("cases", metavar="CASES.yaml")
def test_command(path: str, cases: str) -> None:
    """Decide the requests of CASES.yaml with the claims given there, and compare with what is expected.

    No provider and no backend is asked.
    """
    config = load_or_exit(path)
    try:
        read = load_cases(cases)
    except ConfigError as error:
        fail(UNUSABLE, describe_problems(error))
    compiled, now = compile_config(config), time.time()
    failed = 0
    for line, case in read:
        found = differences(compiled, case, now)
        failed += bool(found)
        for words in found:
            click.echo(f"{cases}:{line}: {case.name}: {words}")
    click.echo(f"{cases}: {len(read)} cases, {failed or 'none'} not as expected")
    if failed:
        sys.exit(NO)


async def _explain(config: Config, method: str, url: str, token: str | None) -> dict[str, Any]:
    # Without the fleet's cache, so that the provider itself is asked.
    alone = config.model_copy(update={"cache": Cache()})
    generation = await assemble(alone, Metrics(), lambda _: None)
    try:
        return await explained(generation.compiled, generation.authenticator, method, url, token, generation.conditions)
    finally:
        await release(generation, None)


def _claims(path: str) -> dict[str, Any]:
    """Raises `ValueError`."""
    with click.open_file(path, "rb") as file:
        try:
            claims = strict_json.loads(file.read(_CLAIMS_MAX_BYTES))
        except strict_json.JSONError as error:
            raise ValueError(f"{path} is not JSON: {error}; write an object of claims") from None
    if not isinstance(claims, dict):
        raise ValueError(f'{path} is not an object; write claims such as {{"sub": "bob", "scope": ""}}')
    return claims
