"""What it costs to see that an unknown token is unknown, before anybody is charged for it."""

from typing import Any, cast

import pytest

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts
from gateway.authn.question import FactsLookup, Question
from gateway.compiled import compile_config
from gateway.config.model import Config
from gateway.decision import NeedsFacts
from gateway.http.request_fields import fields_of_text
from gateway.introspection.admission import Admission
from gateway.introspection.authenticator import Authenticator
from gateway.introspection.token_buckets import RetryAfter, TokenBuckets
from gateway.pipeline import decide
from gateway.request import Request

REALMS = [f"realm-{number}" for number in range(1000)]


class Asked:
    """In the place of an authenticator: it knows the token at one provider, and counts what it is asked."""

    def __init__(self, known_at: str = "") -> None:
        self.known_at = known_at
        self.looked_at: list[str] = []

    def was_recently_active(self, question: Question) -> bool:
        self.looked_at.append(question.provider)
        return question.provider == self.known_at

    async def look_up(self, question: Question) -> FactsLookup:
        raise AssertionError(question.provider)


def needs_facts() -> tuple[Any, NeedsFacts]:
    """Of an opaque token on a route with a thousand realms."""
    url = "https://sso.example/{realm}"
    provider = {"issuer": url, "introspection_endpoint": url, "client_id": "g", "client_auth": "none", "realms": REALMS}
    compiled = compile_config(
        Config.model_validate({"providers": {"sso": provider}, "routes": [{"name": "a", "backend": "http://b"}]})
    )
    fields = fields_of_text(compiled.fates, [("Host", "a.example"), ("Authorization", "Bearer opaque")])
    needs = decide(compiled, Request("GET", "/", fields, "198.51.100.7", "http", (1, 1), "id"))
    assert isinstance(needs, NeedsFacts)
    assert needs.question.token == Token("opaque")
    return compiled, needs


async def test_with_very_many_realms_few_are_looked_at_before_somebody_pays() -> None:
    compiled, needs = needs_facts()
    asked, buckets = Asked(), TokenBuckets(1, 1)
    buckets.spend("198.51.100.7", 0.0)
    admission = Admission(compiled, cast("Authenticator", asked), buckets, monotonic=lambda: 0.0)
    found = await admission.admit(needs)
    assert type(found.result).__name__ == "TooMany"
    assert len(asked.looked_at) <= 40, len(asked.looked_at)


async def test_a_token_that_one_of_the_next_knows_is_not_charged() -> None:
    compiled, needs = needs_facts()
    asked = Asked(known_at="sso/realm-3")
    admission = Admission(compiled, cast("Authenticator", asked), None)
    assert admission._is_known(needs)


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_caller_that_leaves_before_the_result_stays_charged_without_a_task_too(is_there: bool) -> None:
    compiled, needs = needs_facts()
    buckets, heard = TokenBuckets(1, 1), []

    class Later(Asked):
        def begin(self, _: Question, listener: Any) -> None:
            heard.append(listener)

    admission = Admission(compiled, cast("Authenticator", Later()), buckets, monotonic=lambda: 0.0)
    assert admission.begin(needs, lambda _: is_there)
    heard[0](FactsLookup(Facts({}, 0.0), "provider"))
    assert isinstance(buckets.spend("198.51.100.7", 0.0), RetryAfter) is not is_there


async def test_a_question_that_tolerates_older_facts_needs_a_task_and_nothing_is_spent() -> None:
    compiled, needs = needs_facts()
    buckets = TokenBuckets(1, 1)
    admission = Admission(compiled, cast("Authenticator", Asked()), buckets, monotonic=lambda: 0.0)
    needs.question.stale_s = 60.0
    assert not admission.begin(needs, lambda _: True)
    assert not isinstance(buckets.spend("198.51.100.7", 0.0), RetryAfter)
