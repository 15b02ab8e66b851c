"""Decides the cases of `gateway test` and reports each difference in words. Asks nobody and sends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.authn.facts import Inactive, IntrospectionResult
from gateway.compiled import CompiledConfig
from gateway.decision import Allow, Decision, Refuse
from gateway.runtime.case_file import Case
from gateway.runtime.offline import decide_by, request_to, result_with, stand_in_token


def differences(compiled: CompiledConfig, case: Case, now: float) -> list[str]:
    """The differences from what `case` expects, one line each. `now` is the time of the wall clock."""
    token, result = _caller(case, now)
    request = request_to(compiled, case.method, case.url, case.headers.items(), token)
    return list(_compared(case, decide_by(compiled, request, result, now)))


def _caller(case: Case, now: float) -> tuple[str | None, IntrospectionResult]:
    if case.claims is not None:
        return stand_in_token(case.claims), result_with(case.claims, now)
    return (stand_in_token({}) if case.inactive else None), Inactive(now)


def _compared(case: Case, decision: Decision) -> Iterator[str]:
    expected, refusal = case.expect, decision.refusal if isinstance(decision, Refuse) else None
    route = decision.context.route
    found: dict[str, Any] = {
        "decision": "refuse" if refusal else "allow",
        "status": refusal.status if refusal else None,
        "code": refusal.code if refusal else None,
        "route": route.name if route is not None else None,
    }
    why = f" ({refusal.reason or refusal.detail})" if refusal else ""
    for key, value in found.items():
        wanted = getattr(expected, key)
        if wanted is not None and wanted != value:
            yield f"{key} is {_word(key, value)}, {wanted} expected{why}"
    sent = {name.lower(): value for name, value in decision.headers} if isinstance(decision, Allow) else {}
    for name, wanted in expected.headers.items():
        value = sent.get(name.lower())
        if wanted != value:
            yield f"header {name} is {_shown(value)}, {_shown(wanted)} expected{why}"


def _word(key: str, value: Any) -> str:
    if value is None:
        return "the backend's" if key == "status" else "none"
    return str(value)


def _shown(value: str | None) -> str:
    return "absent" if value is None else repr(value)
