"""One identity provider as the rest of the gateway uses it: start it, ask it, close it."""

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
from gateway.authn.claim_places import claim_places
from gateway.authn.facts import Facts, Indeterminate, IntrospectionResult
from gateway.authn.token_type import TokenTypeRule
from gateway.config.provider_model import Provider
from gateway.config.realms import entry_name
from gateway.introspection.joiners import Joiners
from gateway.provider.breaker import Breaker, State, Thresholds
from gateway.provider.call import Calls, through_proxy
from gateway.provider.client_auth import client_auth
from gateway.provider.client_context import fingerprint, own_context
from gateway.provider.endpoints import Endpoints
from gateway.provider.errors import CrowdedError, DeadlineError, NotAskedError, ProviderError
from gateway.provider.grant_client import GrantClient
from gateway.provider.grants import ClientCredentials, Grant
from gateway.provider.introspection_endpoint import IntrospectionEndpoint
from gateway.provider.introspection_guard import IntrospectionGuard
from gateway.provider.jwt_validator import JwtValidator
from gateway.provider.provider_identity import identity, realm
from gateway.provider.questioning import Questioning
from gateway.provider.signing_keys import SigningKeys
from gateway.provider.token_endpoint import TokenEndpoint
from gateway.provider.trouble import Trouble

_log = logging.getLogger(__name__)

_RETRY_AFTER_S = 1.0  # for a caller that found too many before it
# Discovery, keys, our own tokens and the probe have connections of their own. Otherwise introspections would wait for
# them while their deadline runs.
_OTHER_CALLS_MAX = 8
_PROBE_BYTES = 16


def _new_calls(config: Provider, tls: ssl.SSLContext | None, clock: Callable[[], float]) -> Calls:
    return Calls(
        timeout_s=config.timeout,
        max_concurrency=_OTHER_CALLS_MAX,
        introspections_max=2 * config.max_concurrency,  # and as many grants
        tls=tls or own_context(config.tls),
        server_name=None if config.tls is None else config.tls.server_name,
        proxy=through_proxy(config),
        clock=clock,
    )


class ProviderClient:
    """Asks one provider, which has the name `name` in the configuration.

    `config.timeout` bounds each call below, and the wait for discovery before it. An introspection may wait for a slot
    as well, for `introspection_guard.WAIT_MAX_S` at most. `clock` gives seconds since the epoch. `on_breaker` is called
    at each change of the breaker's state. `on_token_type` is called once, with the provider's identity, when a result
    shows that its access tokens have a `token_type`. `tls` replaces the system's trust, for tests. Raises `ValueError`
    for a private key that cannot sign.
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
        self.name = entry_name(name)
        self.key = name  # the entry's name, with a realm of it behind
        self.issuer = config.issuer
        self.client_id = config.client_id
        self.identity = identity(config)
        self.realm = realm(config)
        self.timeout_s = config.timeout
        self.token_types = TokenTypeRule(config.require_token_type, self.identity)
        self._on_token_type = on_token_type
        self._clock = clock
        self.tls_files = fingerprint(None if config.tls is None else config.tls.files)
        self.places = claim_places(config.claims)
        self._auth = client_auth(config)
        self._calls = _new_calls(config, tls, clock)
        self._endpoints = Endpoints(name, config, self._calls)
        self._keys_trouble = Trouble(name, "the fetch of its keys")
        self.keys = SigningKeys(self._calls, self._endpoints.jwks_url, trouble=self._keys_trouble)
        self.transmitter_keys = self._transmitter_keys(config)
        fetch_own_token = partial(self.token, ClientCredentials())
        self._questioning = Questioning(config, self._calls, self._auth, self.keys, fetch_own_token, clock)
        self.validator = None if config.validation == "introspection" else self._new_validator(config)
        self._max_waiting = config.max_waiting
        self._awaiting_discovery = 0  # questions that wait for discovery, or are about to
        self._on_breaker = on_breaker
        thresholds = _thresholds(config)
        self._breaker = None if thresholds is None else Breaker(thresholds, self._breaker_changed)
        self._guard = self._new_guard(config, 0.0 if thresholds is None else thresholds.interval_s)
        self.grants = GrantClient(name, config, self._endpoints, self._calls, self._auth, thresholds, clock)
        self._has_said_active = False
        self._trouble = Trouble(name)

    def _new_guard(self, config: Provider, cleared_s: float) -> IntrospectionGuard:
        return IntrospectionGuard(
            max_concurrency=config.max_concurrency,
            max_waiting=config.max_waiting,
            timeout_s=config.timeout,
            breaker=self._breaker,
            probe=self._probe,
            cleared_s=cleared_s,
        )

    def _new_validator(self, config: Provider) -> JwtValidator:
        return JwtValidator(
            issuer=config.issuer or "",
            algorithms=frozenset(config.algorithms),
            leeway_s=config.leeway,
            keys=self.keys,
            clock=self._clock,
            decides_alone=config.validation == "jwt",
            places=self.places,
        )

    def _transmitter_keys(self, config: Provider) -> SigningKeys:
        if config.events is None or config.events.jwks_uri is None:
            return self.keys
        trouble = Trouble(self.name, "the fetch of its transmitter's keys")
        return SigningKeys(self._calls, _fixed_url(config.events.jwks_uri), trouble=trouble)

    @property
    def ready(self) -> bool:
        """Whether tokens can be judged. False until discovery succeeded once, where it is needed."""
        return self._endpoints.ready

    @property
    def why_not_ready(self) -> str:
        """Why discovery has not succeeded yet, for the operator."""
        return self._endpoints.why_not_ready

    @property
    def trouble(self) -> str:
        """Why it cannot be asked, or why the last question failed, for the operator. Empty: all is well."""
        return self.why_not_ready or self._trouble.reason or self._keys_trouble.reason

    @property
    def keys_are_away(self) -> bool:
        """Whether it judges tokens by its keys and cannot, because they could not be fetched."""
        return self.validator is not None and self.keys.are_away

    @property
    def breaker(self) -> State:
        """The breaker's state; `closed` where there is no breaker."""
        return "closed" if self._breaker is None else self._breaker.state

    @property
    def breaker_is_open(self) -> bool:
        """Whether the breaker blocks calls just now."""
        return self._guard.breaker_is_open

    @property
    def max_duration_s(self) -> float:
        """How long an introspection that begins now may take, its wait for a slot included."""
        return self._guard.max_duration_s

    async def start(self) -> None:
        """Begin to discover the endpoints that the configuration does not name. Returns at once, and never fails."""
        self._endpoints.start()

    async def close(self) -> None:
        """End the tasks and release the connections. Calls that are under way become unclear."""
        # The probe ends first. Cut off by what is closed below it would fail and open the breaker, under a name that
        # another configuration's provider may have by now.
        await self._guard.close()
        await self._questioning.close()
        await self.grants.close()
        await self.keys.close()
        await self.transmitter_keys.close()
        await self._endpoints.close()
        await self._calls.close()

    async def introspect(self, token: Token, address: str = "", joiners: Joiners | None = None) -> IntrospectionResult:
        """What the provider says of the token that came from `address`, and from the networks of `joiners` too.

        Raises nothing but `CancelledError`.
        """
        try:
            endpoint = await self._endpoint_to_ask()
            result = await self._guard.run(partial(endpoint.introspect, token), token.value, address, joiners)
        except NotAskedError as error:
            is_queue_full = isinstance(error, CrowdedError)
            return Indeterminate(error.reason, error.retry_after_s, was_asked=False, is_queue_full=is_queue_full)
        except ProviderError as error:
            if not self._guard.is_to_blame(token.value, address):
                self._trouble.failed(error, time.monotonic())
                return Indeterminate(error.reason, error.retry_after_s)
            # The provider answers others. So what this response seems to say of our client is not so.
            return Indeterminate(f"only about this token: {error.reason}", error.retry_after_s, is_token_fault=True)
        self._trouble.succeeded()
        if isinstance(result, Facts) and self.token_types.learns_from(result.claims):
            self._on_token_type(self.identity)
        return result

    async def introspection_document(self, token: Token) -> Any:
        """The JSON value of the provider's response, whatever it says, or what is known without it.

        Raises `ProviderError`.
        """
        if self.validator is not None and (judged := await self.validator.judge(token)) is not None:
            return _as_document(judged)
        try:
            async with asyncio.timeout(self.timeout_s):
                return await (await self._introspection_endpoint()).document(token)
        except TimeoutError:
            raise self._deadline_error() from None

    async def token(self, grant: Grant, scope: str | None = None) -> dict[str, Any]:
        """The token endpoint's JSON object. Raises `TokenRefused` or `ProviderError`."""
        try:
            async with asyncio.timeout(self.timeout_s):
                url = await self._endpoints.token_url()
                return await TokenEndpoint(url, self._calls, self._auth, self._clock).request_token(grant, scope)
        except TimeoutError:
            raise self._deadline_error() from None

    async def _probe(self) -> None:
        """Introspect a token that nobody has. Raises `ProviderError` for a response that cannot be relied on."""
        result = await (await self._introspection_endpoint()).introspect(Token(secrets.token_hex(_PROBE_BYTES)))
        if isinstance(result, Facts) and not self._has_said_active:
            self._has_said_active = True
            fields = {"event": "provider_accepts_anything", "fields": {"provider": self.name}}
            what = "provider %s: it calls a random token active, as if it took any token for good"
            _log.warning(what, self.name, extra=fields)

    async def _endpoint_to_ask(self) -> IntrospectionEndpoint:
        """The endpoint, discovered if need be. Raises `NotAskedError`: if discovery fails, no token has gone out.

        At most `max_waiting` questions wait for discovery, as many as wait for a slot.
        """
        if not self.ready and self._awaiting_discovery >= self._max_waiting:
            raise NotAskedError("too many questions wait for its discovery", _RETRY_AFTER_S)
        self._awaiting_discovery += 1
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._introspection_endpoint()
        except TimeoutError:
            raise NotAskedError(self._deadline_error().reason) from None
        except ProviderError as error:
            raise NotAskedError(error.reason, error.retry_after_s) from None
        finally:
            self._awaiting_discovery -= 1

    async def _introspection_endpoint(self) -> IntrospectionEndpoint:
        url = await self._endpoints.introspection_url()
        return self._questioning.endpoint(url, self._endpoints.objection)

    def _breaker_changed(self, state: State, reason: str) -> None:
        # During an outage the breaker is half open for a moment every few seconds.
        level = {"open": logging.WARNING, "closed": logging.INFO}.get(state, logging.DEBUG)
        fields = {"provider": self.name, "state": state, "reason": reason}
        _log.log(
            level, "provider %s: breaker %s: %s", self.name, state, reason, extra={"event": "breaker", "fields": fields}
        )
        self._on_breaker(state)

    def _deadline_error(self) -> DeadlineError:
        return DeadlineError(f"it gave no complete answer within {self.timeout_s:g} s")


def _as_document(judged: IntrospectionResult) -> dict[str, Any]:
    """What an introspection endpoint would say of a token that was judged here (RFC 7662 §2.2)."""
    if isinstance(judged, Indeterminate):
        raise ProviderError(judged.reason, judged.retry_after_s)
    return {"active": True, **judged.claims} if isinstance(judged, Facts) else {"active": False}


def _fixed_url(url: str) -> Callable[[], Awaitable[str]]:
    async def locate() -> str:
        return url

    return locate


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
