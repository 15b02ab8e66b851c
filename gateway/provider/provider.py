"""One identity provider, as the rest of the gateway uses it: started, asked, closed."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, Indeterminate, IntrospectionResult
from gateway.authn.token_type import TokenTypeRule
from gateway.config.provider_model import Provider
from gateway.introspection.joiners import Joiners
from gateway.provider.breaker import Breaker, State, Thresholds
from gateway.provider.call import Calls
from gateway.provider.client_auth import client_auth
from gateway.provider.endpoints import Endpoints
from gateway.provider.errors import CrowdedError, DeadlineError, NotAskedError, ProviderError
from gateway.provider.grants import Grant
from gateway.provider.introspection_endpoint import IntrospectionEndpoint
from gateway.provider.introspection_guard import IntrospectionGuard
from gateway.provider.signing_keys import SigningKeys
from gateway.provider.token_endpoint import TokenEndpoint

_log = logging.getLogger(__name__)

# What stands for an introspection endpoint that discovery finds. The document it comes from is the issuer's own, so
# issuer and client say which one is meant, and say so before, while and after any instance has discovered it.
_DISCOVERED = b"\x02"
_NAMED = b"\x01"
_ABSENT = b"\x00"
_WAIT_S = 1.0  # what a caller is told who found too many before it
# Discovery, keys, our own tokens and the probe go beside the introspections, which else would wait for them with their
# time running.
_BESIDE = 8
_PROBE_BYTES = 16


class ProviderClient:
    """A provider under the name it has in the configuration.

    `config.timeout` bounds each call below, and the wait for discovery before it; an introspection may wait for a slot
    as well, for `asking.WAIT_MAX_S` at most. `clock` gives seconds since the epoch.
    `on_breaker` is told of each change of the breaker's state, and `on_token_type` once, with the provider's
    identity, when an answer shows that its access tokens have a `token_type`. `tls` replaces the system's trust, for
    tests. Raises `ValueError` for a private key that cannot sign.
    """

    def __init__(
        self,
        name: str,
        config: Provider,
        *,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
        on_breaker: Callable[[State], object] = lambda _: None,
        on_token_type: Callable[[bytes], object] = lambda _: None,
    ) -> None:
        self.name = name
        self.issuer = config.issuer
        self.client_id = config.client_id
        self.identity = identity(config)
        self.realm = realm(config)
        self.timeout_s = config.timeout
        self.token_types = TokenTypeRule(config.require_token_type, self.identity)
        self._on_token_type = on_token_type
        self._clock = clock
        self._auth = client_auth(config)
        self._calls = Calls(
            timeout_s=config.timeout, max_concurrency=config.max_concurrency + _BESIDE, tls=tls, clock=clock
        )
        self._endpoints = Endpoints(name, config, self._calls)
        self.keys = SigningKeys(self._calls, self._endpoints.jwks)
        transmitter = config.events.jwks_uri if config.events is not None else None
        self.transmitter_keys = self.keys if transmitter is None else SigningKeys(self._calls, _at(transmitter))
        self._max_waiting = config.max_waiting
        self._searching = 0  # questions that wait for discovery, or are about to
        self._on_breaker = on_breaker
        thresholds = _thresholds(config)
        self._breaker = None if thresholds is None else Breaker(thresholds, self._breaker_changed)
        self._asking = self._within(config, 0.0 if thresholds is None else thresholds.interval_s)
        self._has_said_active = False

    def _within(self, config: Provider, vouched_s: float) -> IntrospectionGuard:
        return IntrospectionGuard(
            max_concurrency=config.max_concurrency,
            max_waiting=config.max_waiting,
            timeout_s=config.timeout,
            breaker=self._breaker,
            probe=self._probe,
            vouched_s=vouched_s,
        )

    @property
    def ready(self) -> bool:
        """Whether introspection can be asked for; False until discovery succeeded once, where it is needed."""
        return self._endpoints.ready

    @property
    def breaker(self) -> State:
        """`closed` as well where there is none."""
        return "closed" if self._breaker is None else self._breaker.state

    @property
    def breaker_is_open(self) -> bool:
        """Whether the breaker lets no call go just now."""
        return self._asking.breaker_is_open

    @property
    def answers_within_s(self) -> float:
        """How long a question that comes now may take, its wait for a slot included."""
        return self._asking.answers_within_s

    async def start(self) -> None:
        """Begin to look for the endpoints that the configuration does not name. Returns at once, and never fails."""
        self._endpoints.start()

    async def close(self) -> None:
        """End what was started and release the connections. Calls that are under way become unclear."""
        # First the probe: cut off by what is closed below, it would convict the provider, whose name is another's now.
        await self._asking.close()
        await self.keys.close()
        await self.transmitter_keys.close()
        await self._endpoints.close()
        await self._calls.close()

    async def introspect(self, token: Token, address: str = "", joiners: Joiners | None = None) -> IntrospectionResult:
        """What the provider says of the token that came from `address`, and from `joiners` as well.

        Raises nothing but `CancelledError`.
        """
        try:
            endpoint = await self._endpoint()
            answer = await self._asking.ask(partial(endpoint.answer, token), token.value, address, joiners)
        except NotAskedError as error:
            is_crowded = isinstance(error, CrowdedError)
            return Indeterminate(error.reason, error.retry_after_s, was_asked=False, is_crowded=is_crowded)
        except ProviderError as error:
            reason = self._too_slow().reason if isinstance(error, DeadlineError) else error.reason
            if not self._asking.are_to_blame(token.value, address):
                return Indeterminate(reason, error.retry_after_s)
            # The provider answers others: what its answer seems to say of our client is not so.
            return Indeterminate(f"about this token alone: {reason}", error.retry_after_s, is_puzzling=True)
        if isinstance(answer, Facts) and self.token_types.learns_from(answer.claims):
            self._on_token_type(self.identity)
        return answer

    async def introspection_document(self, token: Token) -> Any:
        """The JSON value that the provider answers, whatever it says. Raises `ProviderError`."""
        try:
            async with asyncio.timeout(self.timeout_s):
                return await (await self._introspection()).document(token)
        except TimeoutError:
            raise self._too_slow() from None

    async def token(self, grant: Grant, scope: str | None = None) -> dict[str, Any]:
        """The token endpoint's answer. Raises `TokenRefused` or `ProviderError`."""
        try:
            async with asyncio.timeout(self.timeout_s):
                url = await self._endpoints.token()
                return await TokenEndpoint(url, self._calls, self._auth, self._clock).request_token(grant, scope)
        except TimeoutError:
            raise self._too_slow() from None

    async def _probe(self) -> None:
        """Asks about a token that nobody has. Raises `ProviderError` where the answer is not sound."""
        answer = await (await self._introspection()).answer(Token(secrets.token_hex(_PROBE_BYTES)))
        if isinstance(answer, Facts) and not self._has_said_active:
            self._has_said_active = True
            _log.warning("provider %s: it calls a random token active, as if it took any token for good", self.name)

    async def _endpoint(self) -> IntrospectionEndpoint:
        """Where to ask. Raises `NotAskedError`: what may fail here is discovery, and no question has gone out.

        As few wait for discovery as for the answers themselves.
        """
        if not self.ready and self._searching >= self._max_waiting:
            raise NotAskedError("too many questions wait for its discovery", _WAIT_S)
        self._searching += 1
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._introspection()
        except TimeoutError:
            raise NotAskedError(self._too_slow().reason) from None
        except ProviderError as error:
            raise NotAskedError(error.reason, error.retry_after_s) from None
        finally:
            self._searching -= 1

    async def _introspection(self) -> IntrospectionEndpoint:
        url = await self._endpoints.introspection()
        return IntrospectionEndpoint(url, self._calls, self._auth, self._clock)

    def _breaker_changed(self, state: State, reason: str) -> None:
        # Half open is a matter of moments, every few seconds of an outage.
        level = {"open": logging.WARNING, "closed": logging.INFO}.get(state, logging.DEBUG)
        fields = {"provider": self.name, "state": state, "reason": reason}
        _log.log(
            level, "provider %s: breaker %s: %s", self.name, state, reason, extra={"event": "breaker", "fields": fields}
        )
        self._on_breaker(state)

    def _too_slow(self) -> DeadlineError:
        return DeadlineError(f"it gave no complete answer within {self.timeout_s:g} s")


def realm(config: Provider) -> str:
    """Whose subjects, sessions and clients its answers name: those of two providers of one issuer are the same."""
    own = config.events.issuer if config.events is not None else None
    return config.issuer or own or identity(config).hex()


def _at(url: str) -> Callable[[], Awaitable[str]]:
    async def place() -> str:
        return url

    return place


def identity(config: Provider) -> bytes:
    """What tells this provider from every other in a cache key: issuer, introspection endpoint and client id.

    Made from the configuration alone, so that all instances of a fleet agree on it at any time. Each part carries its
    kind and its length, so that no two configurations read the same.
    """
    endpoint = config.introspection_endpoint
    parts = (
        _ABSENT if config.issuer is None else _named(config.issuer),
        _DISCOVERED if endpoint is None else _named(endpoint),
        _named(config.client_id),
    )
    return b"".join(parts)


def _thresholds(config: Provider) -> Thresholds | None:
    if config.breaker is None:
        return None
    return Thresholds(
        failures=config.breaker.failures,
        failure_rate=config.breaker.failure_rate,
        window_s=config.breaker.window,
        minimum_calls=config.breaker.minimum_calls,
        interval_s=config.breaker.interval,
    )


def _named(text: str) -> bytes:
    data = text.encode()
    return _NAMED + len(data).to_bytes(4, "big") + data
