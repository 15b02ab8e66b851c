"""Splits the file into sections and validates each on its own, so that no problem hides another.

A section with problems is validated again without the keys that have them. The rest of it still takes part in the
checks across the file, and `is_valid` says which of its keys those checks may trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from gateway.config.files import TWIN, with_files
from gateway.config.identity_key import new_private_pem
from gateway.config.identity_model import Signing
from gateway.config.keys import model_of
from gateway.config.limit_model import LimitSettings
from gateway.config.merge import merged, with_auth_spelled_out, without_rivals
from gateway.config.messages import meant_key, no_mapping, problems_of, type_name, unknown_key, without_tags
from gateway.config.model import Cache, Config, Events, LogSettings, Telemetry
from gateway.config.model_base import Model
from gateway.config.node import BROKEN, KeyValue, Node, Origin, plain
from gateway.config.problems import Loc, Problem
from gateway.config.provider_model import Provider
from gateway.config.route_model import ONE_ROUTES_OWN, Route
from gateway.config.server_model import Admin, Decisions, Server
from gateway.config.wire_values import parse_name

_M = TypeVar("_M", bound=Model)
_SECTIONS: dict[str, type[Model]] = {"server": Server, "admin": Admin, "cache": Cache, "log": LogSettings}
_KEYS = [*(key for key in Config.model_fields if key != "routes"), "defaults", "routes"]
# Values for keys with problems, so that the rest of their section is not said to lack them.
_PLACEHOLDERS: dict[type[Model], dict[str, Any]] = {
    Route: {"name": "-", "backend": "http://-"},
    Provider: {"issuer": "http://-", "client_id": "-", "client_secret": "-", "private_key": "-", "client_auth": "none"},
    Cache: {"secret": "-" * 16},
    LimitSettings: {"rate": "1/1s"},
    Signing: {"issuer": "http://-"},
    Decisions: {"listen": ":0"},
    Telemetry: {"otlp": "http://-"},
}


@dataclass(frozen=True, slots=True)
class Section(Generic[_M]):
    """Holds a validated section with its place. The keys in `broken` have placeholders as values.

    A broken key may be a mapping. Then `without` names the keys that were taken out of it; the others are as written.
    """

    value: _M
    origin: Origin
    broken: frozenset[str] = frozenset()
    without: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def is_valid(self, *keys: str) -> bool:
        return self.broken.isdisjoint(keys)

    def is_valid_within(self, key: str, *parts: str) -> bool:
        """Whether these keys of the mapping at `key` can be trusted, even if others beside them are broken."""
        return self.is_valid(key) or (key in self.without and self.without[key].isdisjoint(parts))


@dataclass(slots=True)
class Sections:
    """Holds all sections of a file, and the problems inside each of them."""

    root: Origin
    sections: dict[str, Section[Any]] = field(default_factory=dict)
    events: Section[Events] | None = None
    telemetry: Section[Telemetry] | None = None
    signing: Section[Signing] | None = None
    decisions: Section[Decisions] | None = None
    providers: dict[str, Section[Provider]] = field(default_factory=dict)
    provider_names: frozenset[str] | None = frozenset()  # as written, the broken ones too; None: cannot be told
    limits: dict[str, Section[LimitSettings]] = field(default_factory=dict)
    limit_names: frozenset[str] | None = frozenset()  # as those of the providers
    defaults: Origin | None = None
    routes: list[Section[Route]] = field(default_factory=list)
    misspelt: frozenset[str] = frozenset()  # the keys of the top that others, unknown ones, probably mean
    problems: list[Problem] = field(default_factory=list)

    def section(self, name: str) -> Any:
        return self.sections[name].value


def _placeholders(model: type[Model]) -> dict[str, Any]:
    found = _PLACEHOLDERS.get(model, {})
    # A good key that signs nothing: where it stands, the file is refused. Made only then, since that takes a while.
    return {**found, "key_file": new_private_pem("EdDSA")} if model is Signing else found


def split(root: Node, directory: Path) -> Sections:
    """Split a file whose placeholders are expanded."""
    sections = Sections(Origin((), root.line, root))
    unknown = [key for key in root.entries if key not in _KEYS]
    sections.problems += [sections.root.problem((key,), unknown_key(Config, key, _KEYS)) for key in unknown]
    sections.misspelt = frozenset(_meant(Config, unknown, _KEYS))
    _split_sections(sections, directory)
    sections.events = _optional(sections, "events", Events, directory)
    sections.telemetry = _optional(sections, "telemetry", Telemetry, directory)
    sections.signing = _optional(sections, "signing", Signing, directory)
    sections.decisions = _optional(sections, "decisions", Decisions, directory)
    sections.providers, sections.provider_names = _by_name(sections, "providers", Provider, directory)
    sections.limits, sections.limit_names = _by_name(sections, "limits", LimitSettings, directory)
    _split_defaults(sections, directory)
    _split_routes(sections, directory)
    return sections


def _split_sections(sections: Sections, directory: Path) -> None:
    for name, model in _SECTIONS.items():
        entry = _entry(sections, name)
        if entry is None:
            wrong = _is_written(sections, name)
            sections.sections[name] = Section(model(), sections.root, frozenset(model.model_fields if wrong else ()))
            continue
        origin = Origin((name,), entry.line, entry.node)
        origin = Origin((name,), entry.line, with_files(model, origin, directory, sections.problems))
        sections.sections[name] = _validated(model, origin, sections.problems) or Section(
            model(), origin, frozenset(model.model_fields)
        )


def _optional(sections: Sections, name: str, model: type[_M], directory: Path) -> Section[_M] | None:
    """Read a section whose absence differs from its defaults."""
    entry = _entry(sections, name)
    if entry is None:
        return None
    origin = Origin((name,), entry.line, entry.node)
    origin = Origin(origin.path, entry.line, with_files(model, origin, directory, sections.problems))
    return _validated(model, origin, sections.problems)


def _by_name(
    sections: Sections, key: str, model: type[_M], directory: Path
) -> tuple[dict[str, Section[_M]], frozenset[str] | None]:
    """Read a mapping whose keys are names. The names are those that are written, of broken entries too.

    They are `None` where they cannot be told.
    """
    entry = _entry(sections, key)
    if entry is None:
        return {}, None if _is_written(sections, key) else frozenset()
    found: dict[str, Section[_M]] = {}
    for name, own in entry.node.entries.items():
        origin = Origin((key, name), own.line, own.node)
        try:
            parse_name(name)
        except ValueError as error:
            sections.problems.append(origin.problem((), str(error)))
        if not _is_mapping(origin, sections.problems):
            continue
        origin = Origin(origin.path, own.line, with_files(model, origin, directory, sections.problems))
        section = _validated(model, origin, sections.problems)
        if section is not None:
            found[name] = section
    return found, frozenset(entry.node.entries)


def _split_defaults(sections: Sections, directory: Path) -> None:
    """Validate the defaults once on their own, so that a problem is reported even if no route inherits it."""
    entry = _entry(sections, "defaults")
    if entry is None:
        return
    for key in sorted(ONE_ROUTES_OWN & entry.node.entries.keys()):
        what = f"{key} belongs to a single route; write it in the route"
        sections.problems.append(sections.root.problem(("defaults", key), what))
    kept = {key: own for key, own in entry.node.entries.items() if key not in ONE_ROUTES_OWN}
    node = with_auth_spelled_out(entry.node.with_entries(kept))
    origin = Origin(("defaults",), entry.line, node)
    node = with_files(Route, origin, directory, sections.problems)
    sections.defaults = Origin(("defaults",), entry.line, node)
    try:
        Route.model_validate({**_PLACEHOLDERS[Route], **plain(node)})
    except ValidationError as error:
        # A route may have the keys that the defaults lack.
        sections.problems += problems_of(error, Route, sections.defaults, also_missing=False)


def _split_routes(sections: Sections, directory: Path) -> None:
    entry = sections.root.node.entries.get("routes")
    if entry is None and "routes" in sections.misspelt:
        return
    if entry is None or entry.node.value in (None, ()):
        what = "there are no routes; write at least one: - {name: …, match: {path: …}, backend: …}"
        sections.problems.append(Problem("routes", what, entry.line if entry is not None else None))
        return
    if entry.node.value is BROKEN:
        return
    if not isinstance(entry.node.value, tuple):
        what = f"{type_name(entry.node.value)} stands where a list belongs; write a line with - for each route"
        sections.problems.append(sections.root.problem(("routes",), what))
        return
    defaults = sections.defaults.node if sections.defaults is not None else Node({}, entry.line)
    # What a misspelt default would have given, no route lacks.
    given = frozenset(_meant(Route, [key for key in defaults.entries if key not in Route.model_fields]))
    if "defaults" in sections.misspelt:
        given = frozenset(Route.model_fields) - ONE_ROUTES_OWN
    for index, node in enumerate(entry.node.value):
        section = _route(Origin(("routes", index), node.line, node), defaults, directory, sections.problems, given)
        if section is not None:
            sections.routes.append(section)


def _route(
    origin: Origin, defaults: Node, directory: Path, problems: list[Problem], given: frozenset[str] = frozenset()
) -> Section[Route] | None:
    if not _is_mapping(origin, problems):
        return None
    origin = Origin(origin.path, origin.line, with_auth_spelled_out(origin.node))
    node = with_files(Route, origin, directory, problems)
    under = without_rivals(defaults, node)
    origin = Origin(origin.path, origin.line, node, under if under.entries else None)
    return _validated(Route, origin, problems, given)


def _validated(
    model: type[_M], origin: Origin, problems: list[Problem], given: frozenset[str] = frozenset()
) -> Section[_M] | None:
    """The section, whole or without the keys whose problems are now reported; `None` if nothing is left of it.

    `given` are keys that are misspelt elsewhere: that they are missing is not reported.
    """
    values = plain(origin.node)
    if origin.defaults is not None:
        values = merged(plain(origin.defaults), values)
    try:
        return Section(model.model_validate(values), origin, given - values.keys())
    except ValidationError as error:
        problems.extend(problems_of(error, model, origin, given=given))
        locs: list[Loc] = [without_tags(found["loc"]) for found in error.errors(include_url=False, include_input=False)]
    broken = frozenset(str(loc[0]) for loc in locs if loc)
    broken |= given | _meant(model, [key for key in broken if key not in model.model_fields])
    without = _broken_parts(model, values, locs)
    kept = {key: value for key, value in values.items() if key not in broken and key in model.model_fields}
    parts = {key: {k: v for k, v in values[key].items() if k not in gone} for key, gone in without.items()}
    placeholders = {key: value for key, value in _placeholders(model).items() if key in broken}
    try:
        return Section(model.model_validate({**kept, **parts, **placeholders}), origin, broken, without)
    except ValidationError as error:
        problems.extend(problems_of(error, model, origin))
        return None


def _meant(model: type[Model], unknown: list[str], known: list[str] | None = None) -> set[str]:
    """The keys of `model` that its unknown keys probably mean."""
    meant = (meant_key(model, key, known) for key in unknown)
    return {key.removesuffix(TWIN) for key in meant if key is not None}


def _broken_parts(model: type[Model], values: Mapping[str, Any], locs: list[Loc]) -> dict[str, frozenset[str]]:
    """The broken keys of each mapping whose other keys can be validated without them."""
    parts: dict[str, frozenset[str]] = {}
    for key in dict.fromkeys(str(loc[0]) for loc in locs if loc):
        known = model.model_fields.get(key)
        inner = model_of(known.annotation) if known is not None else None
        if inner is None or inner.is_whole or not isinstance(values.get(key), dict):
            continue
        gone = [loc[1:2] for loc in locs if loc[0] == key]
        if any(isinstance(step, int) for loc in gone for step in loc):
            continue  # one mapping, where a list of such may stand
        needed = {(name,) for name, one in inner.model_fields.items() if one.is_required()}
        # A mapping that is wrong as a whole, or lacks a required key, gets a placeholder as a whole.
        if () not in gone and needed.isdisjoint(gone):
            parts[key] = frozenset(str(step) for (step,) in gone)
    return parts


def _entry(sections: Sections, name: str) -> KeyValue | None:
    """The entry of a section that is a mapping; an empty section counts as absent."""
    entry = sections.root.node.entries.get(name)
    if entry is None or entry.node.value is None:
        return None
    origin = Origin((name,), entry.line, entry.node)
    if name == "providers" and isinstance(entry.node.value, tuple):
        what = "a list stands where a mapping belongs; write each provider's name as its key, such as sso:, without -"
        sections.problems.append(origin.problem((), what))
        return None
    return entry if _is_mapping(origin, sections.problems) else None


def _is_written(sections: Sections, name: str) -> bool:
    entry = sections.root.node.entries.get(name)
    return name in sections.misspelt or (entry is not None and entry.node.value is not None)


def _is_mapping(origin: Origin, problems: list[Problem]) -> bool:
    if isinstance(origin.node.value, dict):
        return True
    if origin.node.value is not BROKEN:
        # A route or a provider may be called as a key is.
        key = origin.path[0] if len(origin.path) == 1 else ""
        problems.append(origin.problem((), no_mapping(key, origin.node.value)))
    return False
