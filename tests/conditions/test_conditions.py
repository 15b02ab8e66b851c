"""The conditions of a request are asked about one after the other, once nothing else stands against it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway import pipeline
from gateway.authn.facts import read_introspection_result
from gateway.compiled import CompiledConfig, compile_config
from gateway.condition import Met
from gateway.config.model import Config
from gateway.decision import Allow, Decision, NeedsFacts, NeedsOutcome, Refuse
from gateway.http.headers import values_of
from gateway.http.refusal import Refusal
from gateway.http.request_fields import fields_of_text
from gateway.pipeline import conclude, decide, resume
from gateway.proxy.access_record import AccessRecord
from gateway.proxy.added_fields import added_fields
from gateway.request import Request

# What makes the conditions is replaced, which a compiled module does not allow.
pytestmark = [pytest.mark.pure, pytest.mark.interpreted]
NOW = 1_700_000_000.0
NO = Refusal("forbidden", "it does not hold")


@dataclass(frozen=True)
class Asked:
    """Stands for any condition."""

    name: str

    @property
    def in_words(self) -> str:
        return self.name


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> CompiledConfig:
    monkeypatch.setattr(pipeline, "conditions_of", lambda *_: (Asked("first"), Asked("second")))
    provider = {"issuer": "https://sso", "client_id": "gateway", "client_secret": "s"}
    route = {"name": "a", "backend": "http://backend:1", "auth": {"scopes": ["read"]}, "max_body": 10}
    made = compile_config(Config.model_validate({"providers": {"kc": provider}, "routes": [route]}))
    object.__setattr__(made.routes[0], "has_conditions", True)
    return made


def decided(gate: CompiledConfig, scope: str = "read", **more: str) -> Decision:
    fields = [("Host", "api.example.com"), ("Authorization", "Bearer abc"), *more.items()]
    needs = decide(gate, Request("POST", "/a", fields_of_text(gate.fates, fields), "", "http", (1, 1), "id"))
    assert isinstance(needs, NeedsFacts)
    return resume(gate, needs, read_introspection_result({"active": True, "scope": scope}, NOW), NOW)


def test_each_condition_is_asked_about_in_its_turn(gate: CompiledConfig) -> None:
    first = decided(gate)
    assert isinstance(first, NeedsOutcome)
    assert [each.in_words for each in first.conditions] == ["first", "second"]
    second = conclude(first, Met())
    assert isinstance(second, NeedsOutcome)
    assert [each.in_words for each in second.conditions] == ["second"]
    assert isinstance(conclude(second, Met()), Allow)


def test_one_that_does_not_hold_refuses(gate: CompiledConfig) -> None:
    refused = conclude(decided(gate), NO)
    assert isinstance(refused, Refuse)
    assert refused.refusal == NO
    assert refused.context.route is not None


def test_nobody_is_asked_about_a_request_that_is_refused_anyway(gate: CompiledConfig) -> None:
    assert isinstance(decided(gate, scope="other"), Refuse)
    assert isinstance(decided(gate, **{"Content-Length": "11"}), Refuse)


def test_a_credential_replaces_the_clients(gate: CompiledConfig) -> None:
    allowed = conclude(conclude(decided(gate), Met(authorization="Bearer other")), Met())
    assert isinstance(allowed, Allow)
    assert values_of(allowed.headers, "authorization") == ["Bearer other"]


def test_fields_for_the_response_go_with_a_later_refusal_too(gate: CompiledConfig) -> None:
    record = AccessRecord("id", "POST", "/a", "", NOW)
    first = conclude(decided(gate), Met(fields=(("RateLimit", "x"),)))
    for decision in (conclude(first, Met()), conclude(first, NO)):
        assert ("RateLimit", "x") in added_fields(decision, record)


def test_a_condition_that_cannot_hold_is_a_refusal_at_once(
    gate: CompiledConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "conditions_of", lambda *_: NO)
    refused = decided(gate)
    assert isinstance(refused, Refuse)
    assert refused.refusal == NO
