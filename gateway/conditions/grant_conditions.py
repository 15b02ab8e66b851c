"""The conditions that a token endpoint settles: permissions, and the credential that the backend gets.

Permissions are asked about first: nobody gets a token for what is refused. An anonymous caller has neither permissions
nor a token to exchange; the gateway's own client may still have one.
"""

from __future__ import annotations

import re

from gateway.authn.question import Question
from gateway.condition import Condition
from gateway.decision import Allow
from gateway.grants.grant_request import GrantParameters, GrantRequest
from gateway.grants.permission import settle_permissions
from gateway.http.refusal import Refusal, unavailable
from gateway.http.syntax import B64TOKEN

_B64TOKEN = re.compile(B64TOKEN)


class Permitted:
    """Demands that the provider grants a permission. `question` is that of the caller's facts."""

    __slots__ = ("grant", "question")

    def __init__(self, question: Question, grant: GrantRequest) -> None:
        self.question = question
        self.grant = grant

    @property
    def in_words(self) -> str:
        return f"permission at {self.grant.asked.provider}, {self.grant.asked.in_words}"


class Credential:
    """Demands a token for the backend."""

    __slots__ = ("address", "grant")

    def __init__(self, grant: GrantRequest, address: str) -> None:
        self.grant = grant
        self.address = address

    @property
    def in_words(self) -> str:
        form = "exchange" if self.grant.asked.kind == "exchange" else "client_credentials"
        return f"authorization for the backend by {form} at {self.grant.asked.provider}, {self.grant.asked.in_words}"


class Phantom:
    """Demands nothing more: the facts have brought the token."""

    __slots__ = ("token",)
    in_words = "authorization for the backend: the JWT that introspection gave"

    def __init__(self, token: str) -> None:
        self.token = token


def permissions_of(allowed: Allow, question: Question | None) -> tuple[Condition, ...] | Refusal:
    """The permissions that the facts do not settle."""
    rules, facts = allowed.route.grants, allowed.context.facts
    if rules is None or not rules.permissions or question is None or facts is None:
        return ()
    client_id = rules.client_ids[question.provider]
    questions = settle_permissions(rules.permissions, facts.claims, allowed.context.captures, client_id)
    if isinstance(questions, Refusal):
        return questions
    found: list[Condition] = []
    for pairs in questions:
        asked = GrantParameters("permission", question.provider, pairs)
        found.append(Permitted(question, GrantRequest(asked, question, facts)))
    return tuple(found)


def credential_of(allowed: Allow, question: Question | None) -> tuple[Condition, ...] | Refusal:
    """The credential for the backend, if the route has a rule for one."""
    rules, facts = allowed.route.grants, allowed.context.facts
    rule = None if rules is None else rules.credential
    if rule is None:
        return ()
    address = allowed.context.caller.address
    if rule.for_all is not None:
        return (Credential(rule.for_all.grant(None, None), address),)
    if question is None or facts is None:
        return ()
    if rule.of_callers is not None:
        return (Credential(rule.of_callers[question.provider].grant(question, facts), address),)
    if facts.phantom is None or not _B64TOKEN.fullmatch(facts.phantom):
        return unavailable("introspection gave no JWT with the facts, which authorization: {phantom: true} needs")
    return (Phantom(facts.phantom),)
