"""Tries a provider for `gateway doctor`: connection, certificate, clock, discovery, and our credentials.

A random token must come back inactive. That shows that the endpoint is right, that the provider takes our credentials,
and that it does not call just anything active. It cannot show what only a caller's token has: an `aud` that names the
gateway, and the claims that routes ask for. The line says how to see that.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.authn.bearer import Token
from gateway.authn.facts import Facts, IntrospectionResult
from gateway.config.provider_model import Provider
from gateway.provider.call import Calls, through_proxy
from gateway.provider.client_auth import ClientAuth, client_auth
from gateway.provider.discovery import discover, discovery_urls
from gateway.provider.endpoints import needed_endpoints
from gateway.provider.errors import DeadlineError, FailingError, ProviderError, RejectedError, TokenRefused
from gateway.provider.grants import ClientCredentials
from gateway.provider.oauth_error import OAuthError
from gateway.provider.questioning import Questioning
from gateway.provider.signing_keys import SigningKeys
from gateway.provider.token_endpoint import TokenEndpoint
from gateway.runtime.doctor_network import PROBE_MAX_S, NotReachedError, reach_proxy, reach_url
from gateway.runtime.doctor_verdicts import (
    Diagnosis,
    certificate_diagnosis,
    clock_diagnosis,
    discovery_failure,
    introspection_failure,
    meaning_of,
)

_CALLS_AT_A_TIME = 4
_TOKEN_BYTES = 16


# What to say of a caller's token, once the provider has been asked about it.
OnToken = Callable[[IntrospectionResult], list[Diagnosis]]


async def examine_provider(
    name: str,
    config: Provider,
    tls: ssl.SSLContext,
    now_s: float,
    token: Token | None = None,
    on_token: OnToken = lambda _: [],
) -> list[Diagnosis]:
    """Everything about one provider, in the order in which it has to be mended.

    It is asked about `token` too, where its credentials work, and `on_token` says what the result means.
    """
    visit = _Visit(f"provider {name}", config, tls)
    try:
        reached, found = await asyncio.gather(visit.reach(now_s), visit.discover())
        if any(one.grade == "FAIL" for one in reached):
            return reached  # what else fails, fails because of that
        if found and found[-1].grade == "FAIL":
            return [*reached, *found]
        keys = [] if config.validation == "introspection" else [await visit.fetch_keys()]
        if config.validation == "jwt":
            return [*reached, *found, *keys]
        about_us = await visit.introspect(token)
        if token is not None and visit.about_token is not None:
            about_us += on_token(visit.about_token)
        return [*reached, *found, *keys, *about_us]
    finally:
        await visit.close()


class _Visit:
    """The calls to one provider, which share what they have found out."""

    def __init__(self, subject: str, config: Provider, tls: ssl.SSLContext) -> None:
        self._subject = subject
        self._config = config
        self._tls = tls
        self._timeout_s = min(config.timeout, PROBE_MAX_S)
        self._server_name = None if config.tls is None else config.tls.server_name
        self._proxy = through_proxy(config)
        self._calls = Calls(
            timeout_s=self._timeout_s,
            max_concurrency=_CALLS_AT_A_TIME,
            tls=tls,
            server_name=self._server_name,
            proxy=self._proxy,
        )
        self._introspection_url = config.introspection_endpoint
        self._token_url = config.token_endpoint
        self._objection = ""
        self.about_token: IntrospectionResult | None = None  # what it says of the caller's token

    async def close(self) -> None:
        await self._calls.close()

    async def reach(self, now_s: float) -> list[Diagnosis]:
        """The connection, its certificate, and the clock behind it."""
        config = self._config
        named = config.introspection_endpoint or (config.jwks_uri if config.validation == "jwt" else None)
        url = named or discovery_urls(config.issuer or "")[0]
        connection, certificate, clock = (f"{self._subject} {part}" for part in ("connection", "certificate", "clock"))
        try:
            if self._proxy is not None:
                await reach_proxy(self._proxy)
                what = "its proxy takes connections; certificate and clock behind it are not looked at"
                return [Diagnosis("ok", connection, what)]
            reached = await reach_url(url, self._tls, self._server_name)
        except NotReachedError as error:
            return [Diagnosis("FAIL", connection, str(error))]
        found = [Diagnosis("ok", connection, "it answers")]
        if reached.certificate_ends_s is not None:
            found.append(certificate_diagnosis(certificate, reached.certificate_ends_s, now_s))
        if reached.ahead_s is not None:
            found.append(clock_diagnosis(clock, reached.ahead_s))
        return found

    async def discover(self) -> list[Diagnosis]:
        """Nothing where the configuration names the endpoint, because then the gateway does not ask either."""
        issuer = self._config.issuer
        needs = needed_endpoints(self._config)
        if not needs or issuer is None:
            return []
        subject, url = f"{self._subject} discovery", discovery_urls(issuer)[0]
        try:
            async with asyncio.timeout(PROBE_MAX_S):
                metadata = await discover(self._calls, issuer, *needs)
        except TimeoutError:
            late = DeadlineError(f"it gave no complete answer within {PROBE_MAX_S:g} s")
            return [Diagnosis("FAIL", subject, discovery_failure(late, url))]
        except ProviderError as error:
            return [Diagnosis("FAIL", subject, discovery_failure(error, url))]
        self._introspection_url = self._introspection_url or metadata.introspection_endpoint
        self._token_url = self._token_url or metadata.token_endpoint
        self._objection = metadata.supported.objection(self._config)
        found = [Diagnosis("ok", subject, f"the document is of {issuer}")]
        if self._objection:
            what = f"{self._objection}; compare client_auth and introspection"
            found.append(Diagnosis("warning", f"{self._subject} metadata", what))
        if unproven := metadata.supported.objection_to_proofs(self._config):
            what = f"{unproven}, so that each bound token is refused; name one of them there"
            found.append(Diagnosis("warning", f"{self._subject} metadata", what))
        return found

    async def fetch_keys(self) -> Diagnosis:
        """The keys that JWTs are judged by: one at least must serve an algorithm of the file."""
        subject = f"{self._subject} keys"
        keys = SigningKeys(self._calls, self._jwks_url)
        try:
            async with asyncio.timeout(PROBE_MAX_S):
                known = await keys.all()
        except TimeoutError:
            return Diagnosis("FAIL", subject, f"it gave no complete answer within {PROBE_MAX_S:g} s; check jwks_uri")
        except ProviderError as error:
            return Diagnosis("FAIL", subject, f"{error.reason}; check jwks_uri")
        finally:
            await keys.close()
        served = [name for name in self._config.algorithms if any(name in key.algorithms for key in known)]
        if not served:
            wanted = ", ".join(self._config.algorithms)
            return Diagnosis("FAIL", subject, f"none of them serves one of [{wanted}]; compare algorithms")
        return Diagnosis("ok", subject, f"there are keys for {', '.join(served)}")

    async def introspect(self, token: Token | None = None) -> list[Diagnosis]:
        """A random token, under our credentials; then the caller's, where there is one."""
        subject = f"{self._subject} credentials"
        try:
            auth = client_auth(self._config)
        except ValueError as error:
            return [Diagnosis("FAIL", subject, str(error))]
        try:
            async with asyncio.timeout(PROBE_MAX_S):
                return [await self._asked(subject, auth, token)]
        except TimeoutError:
            late = DeadlineError(f"it gave no complete answer within {PROBE_MAX_S:g} s")
            return [Diagnosis("FAIL", subject, introspection_failure(late, None))]

    async def _asked(self, subject: str, auth: ClientAuth, token: Token | None) -> Diagnosis:
        keys = SigningKeys(self._calls, self._jwks_url)
        questioning = Questioning(self._config, self._calls, auth, keys, partial(self._own_token, auth), time.time)
        endpoint = questioning.endpoint(self._introspection_url or "", self._objection)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await endpoint.introspect(Token(secrets.token_hex(_TOKEN_BYTES)))
                if token is not None:
                    self.about_token = await endpoint.introspect(token)
        except TimeoutError:
            late = DeadlineError(f"it gave no complete answer within {self._timeout_s:g} s")
            return Diagnosis("FAIL", subject, introspection_failure(late, None))
        except ProviderError as error:
            told = await self._told_of_client(auth) if isinstance(error, FailingError | RejectedError) else None
            return Diagnosis("FAIL", subject, introspection_failure(error, told))
        finally:
            await questioning.close()
            await keys.close()
        if isinstance(answer, Facts):
            what = "it calls a random token active, as if it took any token for good"
            return Diagnosis("FAIL", subject, f"{what}; check introspection_endpoint, and mend the provider")
        return Diagnosis("ok", subject, f"a random token is inactive. {self._what_is_not_seen()}")

    async def _jwks_url(self) -> str:
        """Where the keys are that sign answers by RFC 9701. Raises `ProviderError`."""
        config = self._config
        if config.jwks_uri is not None:
            return config.jwks_uri
        return (await discover(self._calls, config.issuer or "", "jwks_uri")).jwks_uri or ""

    async def _own_token(self, auth: ClientAuth) -> dict[str, Any]:
        """For `introspection.auth: bearer`. Raises `TokenRefused` and `ProviderError`."""
        if self._token_url is None:
            found = await discover(self._calls, self._config.issuer or "", "token_endpoint")
            self._token_url = found.token_endpoint or ""
        return await TokenEndpoint(self._token_url, self._calls, auth).request_token(ClientCredentials())

    def _what_is_not_seen(self) -> str:
        client = self._config.client_id
        return (
            f"Only a caller's token shows whether its aud names {client} and what routes ask for: "
            "gateway doctor -c FILE --token -"
        )

    async def _told_of_client(self, auth: ClientAuth) -> str | None:
        """What the token endpoint says of our credentials: many providers are clearer there.

        Keycloak answers every failed introspection alike. Here it tells a wrong secret from a client that is disabled.
        """
        if self._token_url is None:
            return None
        try:
            await TokenEndpoint(self._token_url, self._calls, auth).request_token(ClientCredentials())
        except TokenRefused as error:
            words = OAuthError(error.error, error.error_description).redacted((auth.secret,))
            return f"Its token endpoint says of our client: {words}{meaning_of(words)}"
        except ProviderError:
            return None
        return "Its token endpoint takes our credentials, so the client may not introspect; allow it that"
