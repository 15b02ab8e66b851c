"""The conditions of one request, in the order in which they are asked about: what costs others the least comes first.

A proof of possession is checked before a provider is asked, and a limit is spent last, only by what goes on.
"""

from __future__ import annotations

from gateway.authn.question import Question
from gateway.condition import Condition
from gateway.conditions.grant_conditions import credential_of, permissions_of
from gateway.conditions.new_proof import new_proof
from gateway.conditions.within_limits import limits_of
from gateway.decision import Allow
from gateway.http.refusal import Refusal


def conditions_of(allowed: Allow, question: Question | None) -> tuple[Condition, ...] | Refusal:
    """The conditions under which `allowed` is right, or the refusal where one of them cannot hold.

    `question` is the one whose facts admitted the request; `None` for nobody.
    """
    permissions = permissions_of(allowed, question)
    if isinstance(permissions, Refusal):
        return permissions
    credential = credential_of(allowed, question)
    if isinstance(credential, Refusal):
        return credential
    return (*new_proof(allowed, question), *permissions, *credential, *limits_of(allowed, question))
