"""Decides a request without a provider, a cache or a backend: the caller gives the result of introspection.

`gateway explain --claims` and `gateway test` use it. The pipeline itself decides: the same rules, in the same
order, over the same compiled configuration.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from gateway.authn.facts import Inactive, IntrospectionResult, read_introspection_result
from gateway.compiled import CompiledConfig
from gateway.condition import MET
from gateway.decision import Decision, NeedsFacts, NeedsOutcome, Refuse
from gateway.http.request_fields import fields_of_text
from gateway.pipeline import conclude, decide, resume
from gateway.request import Request

_LOCAL_HOST = "localhost"
_AUTHORIZATION = "authorization"
_UNROUTED = frozenset({"no_route", "method_not_allowed"})
_NO_URL = "the url is neither a path nor a URL; write /orders/7 or http://api.example.com/orders/7"


def split_url(url: str) -> tuple[str, str, str]:
    """Scheme, host and request target of `url`, a path or a whole URL. Raises `ValueError` where it is neither."""
    if url.startswith("/"):
        return "http", _LOCAL_HOST, url
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError(_NO_URL)
    target = url[len(parts.scheme) + len("://") + len(parts.netloc) :].partition("#")[0]
    return parts.scheme, parts.netloc, target or "/"


def request_to(
    compiled: CompiledConfig,
    method: str,
    url: str,
    fields: Iterable[tuple[str, str]] = (),
    token: str | None = None,
) -> Request:
    """A request to `url`, a path or a whole URL, with its `Host`, `fields` and `token`.

    `token` is left out where `fields` have an `Authorization` of their own. Raises `ValueError` where `url` is neither.
    """
    scheme, host, target = split_url(url)
    headers = [*fields]
    named = {name.lower() for name, _ in headers}
    if "host" not in named:
        headers.insert(0, ("Host", host))
    if token is not None and _AUTHORIZATION not in named:
        headers.append(("Authorization", f"Bearer {token}"))
    return Request(method, target, fields_of_text(compiled.fates, headers), "", scheme, (1, 1), "explain")


def stand_in_token(claims: Mapping[str, Any]) -> str:
    """A token that no provider has issued. Its issuer is that of `claims`, which picks among a route's providers."""
    named = {"iss": claims["iss"]} if isinstance(claims.get("iss"), str) else {}
    return ".".join([_part({"alg": "none"}), _part(named), "offline"])


def result_with(claims: Mapping[str, Any], now: float) -> IntrospectionResult:
    """The result of introspecting a token with `claims`: facts, unless their `active` says otherwise."""
    return read_introspection_result({"active": True, **claims}, now)


def first_decision(compiled: CompiledConfig, request: Request) -> Decision:
    """What is decided without facts. Where the public listener has no route, the one for decisions may have one."""
    decision = decide(compiled, request)
    if compiled.beside is None or not isinstance(decision, Refuse) or decision.refusal.code not in _UNROUTED:
        return decision
    return decide(replace(compiled, table=compiled.beside.compiled.table), request)


def decide_by(compiled: CompiledConfig, request: Request, result: IntrospectionResult, now: float) -> Decision:
    """Decide with `result` as the result of the first provider that is asked. To any other the token is not active.

    Conditions hold, because nobody can be asked.
    """
    decision = first_decision(compiled, request)
    while isinstance(decision, NeedsFacts):
        decision, result = resume(compiled, decision, result, now), Inactive(now)
    while isinstance(decision, NeedsOutcome):
        decision = conclude(decision, MET)
    return decision


def _part(members: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")
