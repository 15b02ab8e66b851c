"""Ory Oathkeeper's access rules as values, and the parts of its own configuration that they lean on.

Rules come as a list in JSON or YAML, or as Kubernetes objects of the kind `Rule`, one document each. Nothing is judged
here but the shape: what a handler's `config` holds is for the module that carries it over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

Strategy = Literal["regexp", "glob"]
STRATEGIES: tuple[Strategy, ...] = ("regexp", "glob")
_PORTS = 65_536
_HOST = re.compile(r"[A-Za-z0-9.-]+")
_KUBERNETES_KIND = "Rule"
# U+2028 and U+2029 end a line in YAML, and so a comment: what stands behind them would be a part of the file.
_NOT_IN_A_COMMENT = re.compile(r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd]+")


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler of a rule: its name, and its `config` laid over the one in Oathkeeper's own configuration."""

    name: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One rule. What it does not have is empty; `place` says where it stands, for messages.

    `turned_off` are those of its handlers that Oathkeeper's configuration does not enable.
    """

    id: str
    place: str
    url: str
    methods: tuple[str, ...]
    authenticators: tuple[Handler, ...]
    authorizer: Handler | None
    mutators: tuple[Handler, ...]
    errors: tuple[Handler, ...]
    upstream: Mapping[str, Any]
    is_grpc: bool
    turned_off: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OathkeeperSettings:
    """What Oathkeeper's own configuration says of handlers and of matching; empty where there is none."""

    handlers: Mapping[str, Mapping[str, Any]]
    strategy: Strategy | None = None
    listen: str | None = None

    @classmethod
    def read(cls, document: object) -> OathkeeperSettings:
        """Raises `ValueError` where the document is not a configuration of Oathkeeper."""
        if not isinstance(document, dict):
            raise ValueError("this is not Oathkeeper's configuration; name the file that it is started with")
        strategy = _mapping(document.get("access_rules")).get("matching_strategy") or None
        if strategy not in (None, *STRATEGIES):
            raise ValueError(f"matching_strategy is {printable(strategy)}; write regexp or glob")
        kinds = ("authenticators", "authorizers", "mutators", "errors")
        handlers = {kind: _mapping(document.get(kind)) for kind in kinds}
        handlers["errors"] = _mapping(handlers["errors"].get("handlers"))
        return cls(handlers, cast("Strategy | None", strategy), _listen(document))

    def turns_off(self, kind: str, name: str) -> bool:
        """Whether it says so. Where it says nothing, a variable of the environment may."""
        return str(_mapping(self.handlers.get(kind, {}).get(name)).get("enabled")).lower() == "false"

    def config_of(self, kind: str, name: str) -> Mapping[str, Any]:
        return _mapping(_mapping(self.handlers.get(kind, {}).get(name)).get("config"))


def read_rules(documents: list[object], file: str, settings: OathkeeperSettings) -> tuple[AccessRule, ...]:
    """The rules in the documents of one file. Raises `ValueError` where something there is not a rule."""
    found = []
    for index, (rule, default_id) in enumerate(_rules(documents)):
        place = f"{file}: [{index}]"
        if not isinstance(rule, dict):
            raise ValueError(f"{place} is not a rule; name a file with a list of access rules")
        found.append(_rule(rule, default_id or f"rule-{index + 1}", place, settings))
    if not found:
        raise ValueError(f"{file} has no rules; name a file with a list of access rules")
    return tuple(found)


def _listen(document: Mapping[str, Any]) -> str | None:
    """Where the proxy of Oathkeeper listens, as host and port, if the configuration says so."""
    proxy = _mapping(_mapping(document.get("serve")).get("proxy"))
    port = proxy.get("port")
    if not isinstance(port, int) or not 0 < port < _PORTS:
        return None
    host = proxy.get("host") or "0.0.0.0"  # noqa: S104 - as Oathkeeper without a host
    return f"{host}:{port}" if _HOST.fullmatch(str(host)) else None


def printable(value: object) -> str:
    """A value of the file on one line of ASCII or printable characters, cut where it is long."""
    return _NOT_IN_A_COMMENT.sub(" ", str(value))[:200]


def _rules(documents: list[object]) -> Iterator[tuple[object, str]]:
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == _KUBERNETES_KIND:
            about = _mapping(document.get("metadata"))
            names = [str(about[key]) for key in ("namespace", "name") if about.get(key)]
            yield document.get("spec"), ".".join(names)
        elif isinstance(document, list):
            yield from ((rule, "") for rule in document)
        elif document is not None:
            yield document, ""


def _rule(rule: Mapping[str, Any], default_id: str, place: str, settings: OathkeeperSettings) -> AccessRule:
    match = _mapping(rule.get("match"))
    handlers = {
        "authenticators": _handlers(rule.get("authenticators"), "authenticators", settings),
        "authorizers": _handlers(rule.get("authorizer"), "authorizers", settings),
        "mutators": _handlers(rule.get("mutators", rule.get("mutator")), "mutators", settings),
    }
    return AccessRule(
        id=printable(rule.get("id") or default_id),
        place=place,
        url=str(match.get("url") or ""),
        methods=tuple(dict.fromkeys(str(method).upper() for method in _list(match.get("methods")))),
        authenticators=handlers["authenticators"],
        authorizer=next(iter(handlers["authorizers"]), None),
        mutators=handlers["mutators"],
        errors=_handlers(rule.get("errors"), "errors", settings),
        upstream=_mapping(rule.get("upstream")),
        is_grpc="full_method" in match,
        turned_off=tuple(
            f"{kind}.{one.name}"
            for kind, found in handlers.items()
            for one in found
            if settings.turns_off(kind, one.name)
        ),
    )


def _handlers(written: object, kind: str, settings: OathkeeperSettings) -> tuple[Handler, ...]:
    found = []
    for one in _list(written):
        name = str(_mapping(one).get("handler") or one)
        own = _mapping(_mapping(one).get("config"))
        found.append(Handler(printable(name), _laid_over(settings.config_of(kind, name), own)))
    return tuple(found)


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    joined = dict(below)
    for key, value in above.items():
        under = joined.get(key)
        joined[key] = _laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return joined


def _mapping(value: object) -> Mapping[str, Any]:
    return {str(key): one for key, one in value.items()} if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    """A list of what is written; one value stands for a list of it, nothing for an empty one."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
