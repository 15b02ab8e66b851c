"""Loads the file as a `Config`, or reports all its problems.

    text -> tree with lines -> environment expanded -> sections -> checks across the file -> Config

Whatever a file, the environment or a secret's file holds, only `ConfigError` is raised. Reading blocks: a server calls
this in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gateway.config.certificates import ending_certificates
from gateway.config.check import problems_across
from gateway.config.dangers import dangers
from gateway.config.environment import Expansion, expand
from gateway.config.habits import habits
from gateway.config.model import Config
from gateway.config.no_effect import keys_without_effect
from gateway.config.problems import ConfigError, Problem
from gateway.config.route_model import Route
from gateway.config.sections import Sections, split
from gateway.config.yaml_reader import SOURCE_LIMIT_BYTES, read_yaml


def load(path: str | os.PathLike[str]) -> Config:
    """The configuration in the file at `path`, with placeholders expanded from the process's environment.

    Raises `ConfigError` with every problem.
    """
    name = os.fspath(path)
    return load_text(read_text(name), name, environ=os.environ, directory=Path(name).absolute().parent)


def warnings_in(path: str | os.PathLike[str], now_s: float) -> list[Problem]:
    """`warnings_of` the file at `path`, with placeholders expanded from the process's environment."""
    name = os.fspath(path)
    directory = Path(name).absolute().parent
    return warnings_of(read_text(name), name, environ=os.environ, directory=directory, now_s=now_s)


def load_text(text: str, name: str, *, environ: Mapping[str, str], directory: Path) -> Config:
    """The configuration in `text`. Messages call the file `name`; its paths are relative to `directory`.

    Raises `ConfigError` with every problem.
    """
    sections, _ = _sections(text, name, environ, directory)
    return _joined(sections)


def warnings_of(text: str, name: str, *, environ: Mapping[str, str], directory: Path, now_s: float) -> list[Problem]:
    """Warnings about `text`: legal settings that are dangerous or probably mistakes. `now_s` is the wall clock.

    Raises `ConfigError` where the file has problems.
    """
    sections, expansion = _sections(text, name, environ, directory)
    doubtful = [*habits(sections), *keys_without_effect(sections)]
    found = [*dangers(sections), *doubtful, *ending_certificates(sections, now_s)]
    return [Problem(p.place, expansion.masked(p.what), p.line) for p in found]


def _sections(text: str, name: str, environ: Mapping[str, str], directory: Path) -> tuple[Sections, Expansion]:
    root, problems = read_yaml(text)
    if root is None:
        raise ConfigError(name, problems)
    # x-…: a place for anchors, as in Compose files. What is not used is not looked at.
    root = root.with_entries({key: entry for key, entry in root.entries.items() if not key.startswith("x-")})
    expansion = expand(root, environ)
    sections = split(expansion.root, directory)
    problems += [*expansion.problems, *sections.problems, *problems_across(sections)]
    if problems:
        raise ConfigError(name, [Problem(p.place, expansion.masked(p.what), p.line) for p in problems])
    return sections, expansion


def describe_problems(error: ConfigError) -> str:
    """Every problem on a line of its own, as `gateway check` prints them."""
    return "\n".join(problem.render(error.file) for problem in error.problems)


def _joined(sections: Sections) -> Config:
    return Config(
        server=sections.section("server"),
        admin=sections.section("admin"),
        providers={name: section.value for name, section in sections.providers.items()},
        cache=sections.section("cache"),
        decisions=sections.decisions.value if sections.decisions is not None else None,
        events=sections.events.value if sections.events is not None else None,
        telemetry=sections.telemetry.value if sections.telemetry is not None else None,
        signing=sections.signing.value if sections.signing is not None else None,
        limits={name: section.value for name, section in sections.limits.items()},
        log=sections.section("log"),
        routes=tuple(
            _with_body_limit(section.value, sections.section("server").max_body) for section in sections.routes
        ),
    )


def _with_body_limit(route: Route, limit_bytes: int | None) -> Route:
    """The route, with the server's limit where neither it nor the defaults say one."""
    if "max_body" in route.model_fields_set or route.max_body == limit_bytes:
        return route
    return route.model_copy(update={"max_body": limit_bytes})


def read_text(name: str) -> str:
    """The text of the file `name`. Raises `ConfigError`."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(SOURCE_LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path"
        raise ConfigError(
            name, [Problem("", f"this file cannot be read: {reason}; name another, or mend that")]
        ) from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(name, [Problem("", "this is not UTF-8; save the file as UTF-8", line)]) from None
