"""The commands that look at a file and ask nobody: `check` and `schema`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence, Sized

import click

from gateway.commands.options import UNUSABLE, config_or_file, print_json
from gateway.config.load import load, read_text, warnings_in
from gateway.config.problems import ConfigError, Problem
from gateway.config.report import Format, in_order, report
from gateway.config.schema import json_schema
from gateway.config.yaml_mistakes import lines_of


@click.command()
@config_or_file
@click.option("--strict", is_flag=True, help="Exit with 2 for warnings, too.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True,
    help="json: a list of objects; github: annotations of a workflow.",
)  # fmt: skip
def check(path: str, form: Format, *, strict: bool) -> None:
    """Say everything that is wrong with the file, and warn of what is dangerous or doubtful."""
    errors: Sequence[Problem] = ()
    warnings: list[Problem] = []
    config = None
    try:
        config = load(path)
        warnings = warnings_in(path, time.time())
    except ConfigError as error:
        errors = error.problems
    findings = in_order(errors, warnings)
    told = report(path, findings, form, _source(path) if sys.stderr.isatty() else ())
    if told:
        click.echo(told, err=form == "text")
    if config is not None and form == "text":
        click.echo(f"{path}: ok, {_counted(config.routes, 'route')}, {_counted(config.providers, 'provider')}")
    if errors or (strict and warnings):
        sys.exit(UNUSABLE)


def _source(path: str) -> list[str]:
    """The lines of the file, for a reader at a terminal."""
    try:
        return lines_of(read_text(path))
    except ConfigError:
        return []


def _counted(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}" + ("" if len(things) == 1 else "s")


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    print_json(json_schema())
