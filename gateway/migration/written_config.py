"""The configuration that a file of access rules becomes, as text: providers, a route for each place, comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import indent
from typing import Any

import yaml

from gateway.config.addresses import parse_backend
from gateway.migration.access_rules import AccessRule, Strategy
from gateway.migration.carried_rule import NOWHERE, UNNAMED_ENDPOINT, CarriedRule, carry, named_provider, provider_keys
from gateway.migration.rule_authentication import ProviderNeed
from gateway.migration.settled_places import SettledRoute, doubts, settle

# No provider says this of a token, so that a route which wants it refuses.
REFUSES = {"claims": {"not_carried_over": True}}
_WIDTH = 110
_NAME_MAX = 90
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.:-]+")
_HEAD = """\
# Made by `gateway import oathkeeper` from {files}.
# Everywhere: scheme and port of match.url are not compared; GET stands for HEAD, too; the backend does not get the
# caller's token (authorization: keep gives it). A route under NOT CARRIED OVER refuses every request.
"""


@dataclass(frozen=True, slots=True)
class Migrated:
    """`refused` and `notes` have a line for each thing that somebody should look at."""

    text: str
    refused: tuple[str, ...]
    notes: tuple[str, ...]


def migrate(
    rules: Sequence[AccessRule], files: str, strategy: Strategy, *, widen: bool, listen: str | None = None
) -> Migrated:
    """The configuration that decides as the rules do, or refuses. It passes `gateway check`."""
    decisions_only = not any(rule.upstream.get("url") for rule in rules)
    carried = [carry(rule, strategy, widen=widen, decisions_only=decisions_only) for rule in rules]
    carried = [one if one.why else _with_doubts(one, carried) for one in carried]
    routes = settle(carried)
    providers = _named(carried, refuses=any(route.carried is None for route in routes))
    parts: dict[str, Any] = {"server": {"listen": listen}} if listen and not decisions_only else {}
    parts |= {"decisions": {"listen": "127.0.0.1:9191"}} if decisions_only else {}
    if providers:
        parts["providers"] = {name: _escaped_provider(need) for need, name in providers.items()}
    names = _Names()
    written = [text for route in routes for text in _route(route, names, providers, decisions_only=decisions_only)]
    lost = [_comment(f"NOT CARRIED OVER: {line}") for line in _placeless(carried)]
    text = _HEAD.format(files=files) + (_yaml(parts) if parts else "") + "".join(lost)
    text += "routes:\n" + "".join(written) if written else "routes: []\n"
    return Migrated(text, tuple(_refusals(carried, routes)), tuple(_notes(carried, providers)))


def _with_doubts(one: CarriedRule, others: Sequence[CarriedRule]) -> CarriedRule:
    more = [
        f"{other.rule.id} may match these requests as well, where it is not carried over: Oathkeeper would answer 500, "
        "and this route decides"
        for other in doubts(one, others)
    ]
    return replace(one, notes=(*one.notes, *more)) if more else one


def _named(carried: Sequence[CarriedRule], *, refuses: bool) -> dict[ProviderNeed, str]:
    """A name for each provider. Where a route refuses, there is one at least: only its tokens can be looked at."""
    needs = list(dict.fromkeys(one.provider for one in carried if one.provider is not None))
    if refuses and not needs:
        needs = [
            next((need for one in carried if (need := named_provider(one.rule))), ProviderNeed("introspection", ""))
        ]
    return {need: f"sso-{index}" if index > 1 else "sso" for index, need in enumerate(needs, 1)}


def _escaped_provider(need: ProviderNeed) -> Any:
    keys = provider_keys(need)
    secret = keys.pop("client_secret", None)
    endpoint = keys.get("introspection_endpoint")
    escaped = _escaped(keys)
    if endpoint == UNNAMED_ENDPOINT:
        escaped["introspection_endpoint"] = f"${{INTROSPECTION_ENDPOINT:-{UNNAMED_ENDPOINT}}}"
    return {**escaped, "client_secret": secret} if secret else escaped


def _escaped(value: Any) -> Any:
    """What would read the environment in our file is text here."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: _escaped(one) for key, one in value.items()}
    return [_escaped(one) for one in value] if isinstance(value, list | tuple) else value


class _Names:
    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, wanted: str) -> str:
        name = _NOT_IN_A_NAME.sub("-", wanted)[:_NAME_MAX].strip("-") or "rule"
        found, count = name, 1
        while found in self._taken:
            count += 1
            found = f"{name}-{count}"
        self._taken.add(found)
        return found


def _route(
    route: SettledRoute, names: _Names, providers: Mapping[ProviderNeed, str], *, decisions_only: bool
) -> Iterator[str]:
    for one in route.about:
        yield indent(_comment(f"{one.rule.place} {one.rule.id}"), "  ")
        for note in one.notes if route.carried is one else ():
            yield indent(_comment(f"NOTE: {note}"), "  ")
    for why in route.why:
        yield indent(_comment(f"NOT CARRIED OVER: {why}"), "  ")
    match = {"host": route.place.host} if route.place.host else {}
    match |= {"path": route.place.path, "methods": list(route.methods)}  # type: ignore[dict-item]
    wanted = route.about[0].rule.id if route.about else f"{route.beside[0].rule.id}-itself"
    keys: dict[str, Any] = {"name": names.new(wanted), "match": match}
    keys |= _escaped(route.carried.keys if route.carried else {"backend": _upstream(route), "auth": REFUSES})
    if decisions_only:
        keys.pop("backend", None)
    if len(providers) > 1:
        _name_provider(keys, route, providers)
    yield indent(_yaml([keys]), "  ")


def _upstream(route: SettledRoute) -> str:
    """The backend that the rule names, so that `auth` is all that is left to write; that of nobody if it is none."""
    rules = route.about or route.beside
    url = str(rules[0].rule.upstream.get("url") or "") if len(rules) == 1 else ""
    try:
        parse_backend(url.rstrip("/"))
    except ValueError:
        return NOWHERE
    return url.rstrip("/")


def _name_provider(keys: dict[str, Any], route: SettledRoute, providers: Mapping[ProviderNeed, str]) -> None:
    if route.carried and route.carried.provider is None:
        return
    need = route.carried.provider if route.carried and route.carried.provider else next(iter(providers))
    auth = keys["auth"] if isinstance(keys["auth"], dict) else {}
    keys["auth"] = {**auth, "provider": providers[need]}


def _placeless(carried: Iterable[CarriedRule]) -> Iterator[str]:
    """Rules that no request can match, here or there."""
    for one in carried:
        if one.why and not one.places.places and not one.places.cover:
            yield f"{one.rule.place} {one.rule.id}: {'; '.join(one.why)}"


def _refusals(carried: Iterable[CarriedRule], routes: Iterable[SettledRoute]) -> Iterator[str]:
    for one in carried:
        for why in (*one.why, *one.partly):
            yield f"{one.rule.place} {one.rule.id}: not carried over: {why}"
    shared = (route for route in routes if len(route.about) > 1)
    yield from dict.fromkeys(f"{route.about[0].rule.place}: not carried over: {route.why[0]}" for route in shared)


def _notes(carried: Iterable[CarriedRule], providers: Mapping[ProviderNeed, str]) -> Iterator[str]:
    for one in carried:
        for note in one.notes:
            yield f"{one.rule.place} {one.rule.id}: {note}"
    for need, name in providers.items():
        if need.validation == "introspection" and not need.endpoint:
            yield f"providers.{name}: the rules name no introspection endpoint; set INTROSPECTION_ENDPOINT"
        if need.has_secret:
            yield f"providers.{name}: the client's secret is not copied; set GATEWAY_CLIENT_SECRET"


def _comment(text: str) -> str:
    return f"# {text}\n"


def _yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=_WIDTH, allow_unicode=True)
    return text
