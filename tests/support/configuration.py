"""Configurations written in tests: the shortest good one, and what `gateway check` says about bad ones."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from gateway.config.load import load_text
from gateway.config.model import Config
from gateway.config.problems import ConfigError

PROVIDER = "providers: {p: {issuer: https://sso.example.com, client_id: gw, client_secret: hush-hush}}\n"
ROUTE = "routes: [{name: a, backend: http://a}]\n"


def loaded(text: str, environ: Mapping[str, str] | None = None, directory: Path = Path("/nowhere")) -> Config:
    return load_text(dedent(text), "gateway.yaml", environ=environ or {}, directory=directory)


def lines(text: str, environ: Mapping[str, str] | None = None, directory: Path = Path("/nowhere")) -> list[str]:
    """The problems, without the file's name: `3: routes[0].backend: …`."""
    try:
        loaded(text, environ, directory)
    except ConfigError as error:
        return [line.removeprefix("gateway.yaml:").lstrip() for line in str(error).splitlines()]
    return []


def with_route(route: str) -> str:
    """A file with one provider in line 1 and one route, whose own lines begin in line 3."""
    body = "\n".join("    " + line for line in dedent(route).strip("\n").splitlines())
    return PROVIDER + "routes:\n  -" + body[3:] + "\n"
