"""Say when the certificates that the file names end, and warn of those that have ended or end soon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from gateway.config.files import shown_path
from gateway.config.keys import ConfigKey, keys_below, keys_of_model
from gateway.config.model import Config
from gateway.config.model_base import Model
from gateway.config.problems import Loc, Problem, place_text
from gateway.config.sections import Sections

_SOON = timedelta(days=14)


def ending_certificates(sections: Sections, now_s: float) -> Iterator[Problem]:
    """The gateway's own certificates at `now_s` (wall clock), towards clients, providers and backends."""
    for section in (sections.sections["server"], *sections.providers.values(), *sections.routes):
        for loc, path in _certificates(section.value):
            words = _ending(path, now_s)
            if words is not None:
                yield section.origin.problem(loc, f"{shown_path(path)} {words}; write a new one")


def certificate_ends(config: Config) -> dict[str, float]:
    """When the first certificate of each file ends, as Unix time, by the file's key; routes by their names.

    It reads the files, and leaves out what it cannot read.
    """
    parts: list[tuple[str, Model]] = [("server", config.server)]
    parts += [(f"providers.{name}", one) for name, one in config.providers.items()]
    parts += [(f"routes.{route.name}", route) for route in config.routes]
    ends = {}
    for name, part in parts:
        for loc, path in _certificates(part):
            with suppress(OSError, ValueError):
                # All of the chain: an intermediate that has ended breaks it, too.
                chain = _x509().load_pem_x509_certificates(Path(path).read_bytes())
                ends[f"{name}.{place_text(loc)}"] = min(one.not_valid_after_utc.timestamp() for one in chain)
    return ends


def _certificates(part: Model, loc: Loc = ()) -> Iterator[tuple[Loc, str]]:
    """Every key called `certificate` that names a file, at whatever depth, with its place in `part`."""
    for name, is_file in _keys(type(part)):
        value = getattr(part, name)
        if is_file and value is not None:
            yield (*loc, name), str(value)
        elif isinstance(value, Model):
            yield from _certificates(value, (*loc, name))
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Model):
                    yield from _certificates(item, (*loc, name, index))


@cache
def _keys(model: type[Model]) -> tuple[tuple[str, bool], ...]:
    """The keys that name a certificate or lead to one, and which of the two; there may be thousands of routes."""
    keys = keys_of_model(model)
    leads = [key.inner is not None and any(map(_is_certificate, keys_below(key.inner))) for key in keys]
    chosen = [key for key, lead in zip(keys, leads, strict=True) if lead or _is_certificate(key)]
    return tuple((key.name, _is_certificate(key)) for key in chosen)


def _is_certificate(key: ConfigKey) -> bool:
    return key.is_file and key.name == "certificate"


def _x509() -> Any:
    """Imported where a file names a certificate: it takes long, and `gateway check` is to be quick."""
    from cryptography import x509  # noqa: PLC0415

    return x509


def _ending(path: str, now_s: float) -> str | None:
    end = _x509().load_pem_x509_certificate(Path(path).read_bytes()).not_valid_after_utc
    now = datetime.fromtimestamp(now_s, UTC)
    if end <= now:
        return f"ended on {end:%Y-%m-%d}"
    return f"ends on {end:%Y-%m-%d}" if end - now <= _SOON else None
