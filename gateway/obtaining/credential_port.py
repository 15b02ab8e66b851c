"""Settles which token the backend gets: one in exchange for the caller's, the gateway's own, or the phantom."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from gateway.authn.facts import Indeterminate
from gateway.condition import Met
from gateway.conditions.grant_conditions import Credential, Phantom
from gateway.grants.grant_request import GrantRequest
from gateway.grants.obtained import Denied, Granted, Verdict, from_facts
from gateway.http.refusal import Refusal, challenge, no_credential
from gateway.obtaining.client_tokens import ClientTokens
from gateway.obtaining.obtainer import Obtainer
from gateway.obtaining.permission_port import in_words


class CredentialPort:
    """Satisfies `proxy.condition_port.ConditionPort`."""

    def __init__(self, obtainer: Obtainer, client_tokens: ClientTokens, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._obtainer = obtainer
        self._client_tokens = client_tokens

    def known(self, condition: Credential) -> Refusal | Met | None:
        grant = condition.grant
        kept = self._obtainer.kept(grant)
        if kept is None:
            return None
        outcome: Refusal | Met
        if kept is grant.kept and self._clock() < grant.due_at:
            outcome = grant.outcome
            return outcome
        self._obtainer.renew_if_due(grant, kept)
        outcome = grant.outcome = self._outcome(grant, from_facts(kept))
        grant.kept, grant.due_at = kept, self._obtainer.due_at(grant, kept)
        return outcome

    async def find(self, condition: Credential) -> Refusal | Met:
        verdict, _ = await self._obtainer.obtain(condition.grant, condition.address)
        return self._outcome(condition.grant, verdict)

    async def foresee(self, condition: Credential) -> tuple[Refusal | Met, str]:
        verdict, tier = await self._obtainer.obtain(condition.grant)
        words = f"{in_words(verdict)} from {tier}"
        if isinstance(verdict, Granted) and verdict.exp is not None:
            words += f", good for {max(0.0, verdict.exp - time.time()):.0f} s"
        return self._outcome(condition.grant, verdict), words

    def _outcome(self, grant: GrantRequest, verdict: Verdict | Indeterminate) -> Refusal | Met:
        match verdict:
            case Granted(token=str(token)):
                if grant.question is not None:
                    return Met(f"Bearer {token}")
                self._client_tokens.keep(grant)
                return Met(f"Bearer {token}", on_rejected=partial(self._client_tokens.rejected, grant, token))
            case Granted():
                return no_credential("no token was obtained")
            case Denied():
                detail = "the identity provider gives no token for the backend to this caller"
                return challenge("exchange_refused", detail, reason=verdict.reason)
            case Indeterminate():
                return no_credential(verdict.reason, verdict.retry_after_s)


class PhantomPort:
    """Satisfies `proxy.condition_port.ConditionPort` with what the facts have brought."""

    def known(self, condition: Phantom) -> Refusal | Met | None:
        return Met(f"Bearer {condition.token}")

    async def find(self, condition: Phantom) -> Refusal | Met:
        return Met(f"Bearer {condition.token}")

    async def foresee(self, condition: Phantom) -> tuple[Refusal | Met, str]:
        return await self.find(condition), "it is there"
