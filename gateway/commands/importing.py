"""The command that takes over another gateway's rules: `import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import yaml

from gateway.commands.options import NO, UNUSABLE, fail
from gateway.config.load import describe_problems, read_text
from gateway.config.problems import ConfigError
from gateway.migration.access_rules import (
    STRATEGIES,
    AccessRule,
    OathkeeperSettings,
    Strategy,
    printable,
    read_rules,
)
from gateway.migration.rule_authentication import NEEDS_TOKEN
from gateway.migration.written_config import migrate

_DEMANDS_UNKNOWN = (
    "what Oathkeeper's own configuration demands of tokens, such as scopes and audiences, is not carried over; name "
    "its file with --config"
)
_FILE = click.Path(dir_okay=False, exists=True)


@click.command("import")
@click.argument("source", type=click.Choice(["oathkeeper"]))
@click.argument("rules", nargs=-1, required=True, type=_FILE)
@click.option("-c", "--config", "settings", metavar="FILE", type=_FILE, help="Oathkeeper's own configuration.")
@click.option(
    "--matching-strategy", "strategy", type=click.Choice(STRATEGIES),
    help="How match.url is read. Default: as the configuration says, else regexp.",
)  # fmt: skip
@click.option("--widen", is_flag=True, help="A segment in which only some texts may stand, as <[0-9]+>, takes any.")
@click.option("-o", "--out", metavar="FILE", type=click.Path(dir_okay=False), help="Default: standard output.")
def import_command(
    source: str,
    rules: tuple[str, ...],
    settings: str | None,
    strategy: Strategy | None,
    out: str | None,
    *,
    widen: bool,
) -> None:
    """Write a configuration that decides as Ory Oathkeeper's access RULES do, or refuses.

    What cannot be carried over becomes a comment and a route that refuses, and is said on standard error.
    """
    del source
    read = _settings(settings)
    found = [rule for path in rules for rule in _rules(path, read)]
    files = ", ".join(_shown(path) for path in rules)
    migrated = migrate(found, files, strategy or read.strategy or "regexp", widen=widen, listen=read.listen)
    if out is None:
        click.echo(migrated.text, nl=False)
    else:
        _write_new(out, migrated.text)
    if settings is None and any(one.name in NEEDS_TOKEN for rule in found for one in rule.authenticators):
        click.echo(f"note: {_DEMANDS_UNKNOWN}", err=True)
    for line in migrated.notes:
        click.echo(f"note: {line}", err=True)
    for line in migrated.refused:
        click.echo(line, err=True)
    if migrated.refused:
        sys.exit(NO)


def _settings(path: str | None) -> OathkeeperSettings:
    if path is None:
        return OathkeeperSettings({})
    documents = _documents(path)
    try:
        return OathkeeperSettings.read(documents[0] if documents else None)
    except ValueError as error:
        fail(UNUSABLE, f"{path}: {error}")


def _rules(path: str, settings: OathkeeperSettings) -> tuple[AccessRule, ...]:
    try:
        return read_rules(_documents(path), _shown(path), settings)
    except ValueError as error:
        fail(UNUSABLE, f"gateway: {error}")


def _shown(path: str) -> str:
    """The name of a file as it may stand in a comment."""
    return printable(Path(path).name)


def _documents(path: str) -> list[Any]:
    """The documents of a file in YAML, or in JSON, which YAML reads."""
    try:
        return list(yaml.safe_load_all(read_text(path)))
    except ConfigError as error:
        fail(UNUSABLE, describe_problems(error))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        fail(UNUSABLE, f"{path}:{mark.line + 1 if mark else 1}: this is neither JSON nor YAML; name a file of rules")


def _write_new(path: str, text: str) -> None:
    """A configuration that is there already is not overwritten: somebody may have worked on it."""
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        fail(UNUSABLE, f"{path} cannot be written ({error.strerror}); name a new file")
