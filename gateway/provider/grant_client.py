"""Runs grants at one provider's token endpoint: exchanges, permissions, tokens of the gateway's own client.

    run -> the endpoint's URL -> guard: slot, deadline, breaker -> post -> read -> Granted | Denied | Indeterminate

The guard is one of the same kind as the introspection endpoint's, and apart from it: a token endpoint that fails costs
no introspection anything. Its probe is the exchange of a token that nobody has. None of these grants is used up when it
is sent twice, so that a call may be repeated on a connection that broke.

A permission is asked with the caller's token as `subject_token` and our client authentication. A provider that does not
take that is asked again with the caller's token as Bearer, and from its first yes on that way first.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial

from gateway.authn.bearer import Token
from gateway.authn.facts import Indeterminate
from gateway.authn.question import Question
from gateway.config.provider_model import Provider
from gateway.grants.grant_request import GrantParameters, GrantRequest
from gateway.grants.obtained import Granted, Verdict
from gateway.introspection.joiners import Joiners
from gateway.provider.breaker import Breaker, State, Thresholds
from gateway.provider.call import Calls
from gateway.provider.client_auth import ClientAuth, Credentials, NoAuth
from gateway.provider.endpoints import Endpoints
from gateway.provider.errors import (
    CrowdedError,
    FailingError,
    NotAskedError,
    OverloadedError,
    ProviderError,
    RejectedError,
)
from gateway.provider.grant_response import read_grant
from gateway.provider.grants import ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE
from gateway.provider.introspection_guard import IntrospectionGuard
from gateway.provider.trouble import Trouble

_log = logging.getLogger(__name__)
_PROBE_BYTES = 16
_QUIET_S = 0.5  # so long after a failed discovery nobody tries another
_UMA_TICKET = "urn:ietf:params:oauth:grant-type:uma-ticket"
_GRANT_TYPES = {"permission": _UMA_TICKET, "exchange": TOKEN_EXCHANGE, "client": "client_credentials"}

Pairs = tuple[tuple[str, str], ...]


class GrantClient:
    """Runs grants at the provider `name`. `clock` gives seconds since the epoch; `endpoints` and `calls` are the
    provider's, which closes them.
    """

    def __init__(
        self,
        name: str,
        config: Provider,
        endpoints: Endpoints,
        calls: Calls,
        auth: ClientAuth,
        thresholds: Thresholds | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._client_id = config.client_id
        self._timeout_s = config.timeout
        self._endpoints = endpoints
        self._calls = calls
        self._auth = auth
        self._clock = clock
        self._takes_subject = not isinstance(auth, NoAuth)
        self._finding = asyncio.Lock()
        self._not_found: NotAskedError | None = None
        self._quiet_until_s = 0.0
        self._guard = IntrospectionGuard(
            max_concurrency=config.max_concurrency,
            max_waiting=config.max_waiting,
            timeout_s=config.timeout,
            breaker=None if thresholds is None else Breaker(thresholds, self._breaker_changed),
            probe=self._probe,
            cleared_s=0.0 if thresholds is None else thresholds.interval_s,
        )
        self._trouble = Trouble(name, "a token request")

    @property
    def breaker_is_open(self) -> bool:
        return self._guard.breaker_is_open

    @property
    def max_duration_s(self) -> float:
        """How long a grant that begins now may take, its wait for a slot and for discovery included."""
        return self._guard.max_duration_s + self._timeout_s

    async def close(self) -> None:
        await self._guard.close()

    async def run(
        self, grant: GrantRequest, address: str = "", joiners: Joiners | None = None
    ) -> Verdict | Indeterminate:
        """What the provider says. Raises nothing but `CancelledError`."""
        try:
            url = await self._url()
            call = partial(self._call, url, grant)
            verdict = await self._guard.run(call, grant.value, address, joiners)
        except NotAskedError as error:
            is_queue_full = isinstance(error, CrowdedError)
            return Indeterminate(error.reason, error.retry_after_s, was_asked=False, is_queue_full=is_queue_full)
        except ProviderError as error:
            is_token_fault = self._guard.is_to_blame(grant.value, address)
            if not is_token_fault:
                self._trouble.failed(error, time.monotonic())
            return Indeterminate(error.reason, error.retry_after_s, is_token_fault=is_token_fault)
        self._trouble.succeeded()
        return verdict

    async def _url(self) -> str:
        """The token endpoint. Raises `NotAskedError`: no token has gone out. One discovery at a time serves all."""
        try:
            async with asyncio.timeout(self._timeout_s), self._finding:
                if (failed := self._not_found) is not None and time.monotonic() < self._quiet_until_s:
                    raise failed
                return await self._endpoints.token_url()
        except TimeoutError:
            raise NotAskedError(f"its token endpoint was not found within {self._timeout_s:g} s") from None
        except NotAskedError:
            raise
        except ProviderError as error:
            self._not_found = NotAskedError(f"its token endpoint is not known: {error.reason}", error.retry_after_s)
            self._quiet_until_s = time.monotonic() + _QUIET_S
            raise self._not_found from None

    async def _call(self, url: str, grant: GrantRequest) -> Verdict:
        if grant.asked.kind == "permission":
            return await self._permission(url, grant)
        caller = grant.caller
        subject = () if caller is None else (*_subject(caller), ("subject_token_type", ACCESS_TOKEN_TYPE))
        return await self._post(url, grant, subject, self._auth.credentials(self._clock()))

    async def _permission(self, url: str, grant: GrantRequest) -> Verdict:
        assert grant.caller is not None  # nobody else has permissions
        own, bearer = _subject(grant.caller), _bearer(grant.caller)
        if not self._takes_subject:
            try:
                return await self._post(url, grant, (), bearer)
            except (RejectedError, FailingError):
                self._takes_subject = not isinstance(self._auth, NoAuth)
                raise
        try:
            return await self._post(url, grant, own, self._auth.credentials(self._clock()))
        except (RejectedError, FailingError) as refused:
            if isinstance(refused, OverloadedError) or refused.retry_after_s:
                raise
            try:
                verdict = await self._post(url, grant, (), bearer)
            except ProviderError:
                raise refused from None
            # A no may be all that the provider says to a Bearer. One caller's odd token must not turn all others away.
            self._takes_subject = not isinstance(verdict, Granted)
            return verdict

    async def _post(self, url: str, grant: GrantRequest, subject: Pairs, credentials: Credentials) -> Verdict:
        asked = grant.asked
        pairs = (("grant_type", _GRANT_TYPES[asked.kind]), *subject, *asked.pairs, *credentials.pairs)
        response = await self._calls.post_introspection(url, pairs, credentials.headers)
        hidden = (self._auth.secret, "" if grant.caller is None else grant.caller.value)
        return read_grant(grant, response, self._client_id, hidden)

    async def _probe(self) -> None:
        """Exchange a token that nobody has. Raises `ProviderError` where the endpoint cannot be relied on."""
        nobodys = Question(self._name, Token(secrets.token_hex(_PROBE_BYTES)))
        await self._call(await self._url(), GrantRequest(GrantParameters("exchange", self._name, ()), nobodys, None))

    def _breaker_changed(self, state: State, reason: str) -> None:
        level = {"open": logging.WARNING, "closed": logging.INFO}.get(state, logging.DEBUG)
        fields = {"provider": self._name, "endpoint": "token", "state": state, "reason": reason}
        words = "provider %s: breaker of the token endpoint %s: %s"
        _log.log(level, words, self._name, state, reason, extra={"event": "breaker", "fields": fields})


def _subject(caller: Token) -> Pairs:
    return (("subject_token", caller.value),)


def _bearer(caller: Token) -> Credentials:
    return Credentials(headers=(("Authorization", f"Bearer {caller.value}"),))
