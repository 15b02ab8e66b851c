"""The provider's endpoints: those of the configuration, else those that discovery finds.

Discovery that fails does not keep the process from starting. A background task (`_search`) tries it again until it
succeeds once. A request that needs an endpoint tries it too, so that service is back within a second of the provider.
An attempt is a task of its own, and all who need one wait for the same one. `close` cancels both tasks.
"""

from __future__ import annotations

import asyncio
import logging
import time

from gateway.config.provider_model import Provider
from gateway.provider.call import Calls
from gateway.provider.discovery import EndpointName, Metadata, discover, discovery_urls
from gateway.provider.errors import ProviderError, UnreachableError

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.25
_PAUSE_MAX_S = 5.0
# Requests that find no endpoint try again, but not each of them: a provider that just failed gets this pause.
_QUIET_S = 0.5


class Endpoints:
    """Finds the endpoints of one provider; `name` is the configuration's, for the log."""

    def __init__(self, name: str, config: Provider, calls: Calls) -> None:
        self._name = name
        self._config = config
        self._calls = calls
        self._metadata: Metadata | None = None
        self._jwks_uri = config.jwks_uri
        self._needs = needed_endpoints(config)
        self._failure: ProviderError | None = None
        self._tried_at: float | None = None  # monotonic
        self._attempt: asyncio.Task[None] | None = None
        self._search: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether every endpoint that tokens are judged with is known."""
        return all(getattr(self._metadata, name, None) is not None for name in self._needs)

    @property
    def why_not_ready(self) -> str:
        """Why discovery has not succeeded yet, and which URL was asked; empty where nothing is known to be wrong."""
        if self.ready or self._failure is None:
            return ""
        return f"{self._failure.reason} ({discovery_urls(self._config.issuer or '')[0]})"

    @property
    def objection(self) -> str:
        """What the provider's metadata says against how it is asked; empty where it says nothing, or is not known."""
        return "" if self._metadata is None else self._metadata.supported.objection(self._config)

    def start(self) -> None:
        """Begin to look for endpoints that the configuration does not name."""
        if not self.ready and self._search is None:
            self._search = asyncio.get_running_loop().create_task(self._search_until_found())

    async def close(self) -> None:
        self._closed = True
        tasks = [task for task in (self._search, self._attempt) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def introspection_url(self) -> str:
        """The introspection endpoint; waits for an attempt at discovery if none is known yet.

        The attempt's calls have their deadline, which bounds the wait. Raises `ProviderError` when the attempt failed,
        or when one failed a moment ago.
        """
        known = self._known_introspection_url()
        if known is None:
            await self._discover_unless_just_failed()
            known = self._known_introspection_url()
        if known is None:
            raise self._not_discovered()
        return known

    async def token_url(self) -> str:
        """The token endpoint, discovered on first use. Raises `ProviderError`."""
        config = self._config
        if config.token_endpoint is not None:
            return config.token_endpoint
        if self._metadata is not None and self._metadata.token_endpoint is not None:
            return self._metadata.token_endpoint
        if config.issuer is None:
            raise UnreachableError("no token endpoint is known; write token_endpoint or issuer into the configuration")
        found = await discover(self._calls, config.issuer, "token_endpoint")
        assert found.token_endpoint is not None  # `discover` was told to need it
        self._metadata = self._metadata or found
        return found.token_endpoint

    async def jwks_url(self) -> str:
        """The URL of the provider's public keys, discovered on first use. Raises `ProviderError`."""
        if self._jwks_uri is None and "jwks_uri" in self._needs:
            if self._metadata is None:
                await self._discover_unless_just_failed()
            if self._metadata is None:
                raise self._not_discovered()
            self._jwks_uri = self._metadata.jwks_uri
        if self._jwks_uri is None:
            if self._config.issuer is None:
                raise UnreachableError("no URL of its keys is known; write jwks_uri or issuer into the configuration")
            self._jwks_uri = (await discover(self._calls, self._config.issuer, "jwks_uri")).jwks_uri
            assert self._jwks_uri is not None  # `discover` was told to need it
        return self._jwks_uri

    def _known_introspection_url(self) -> str | None:
        if self._config.introspection_endpoint is not None:
            return self._config.introspection_endpoint
        return self._metadata.introspection_endpoint if self._metadata is not None else None

    def _not_discovered(self) -> ProviderError:
        reason = self._failure.reason if self._failure is not None else "no attempt has ended"
        retry_after_s = self._failure.retry_after_s if self._failure is not None else None
        return ProviderError(f"discovery has not succeeded yet: {reason}", retry_after_s)

    async def _discover_unless_just_failed(self) -> None:
        is_running = self._attempt is not None and not self._attempt.done()
        just_failed = self._tried_at is not None and time.monotonic() - self._tried_at < _QUIET_S
        if self._closed or (just_failed and not is_running):
            return
        await self._wait_for_attempt()

    async def _wait_for_attempt(self) -> None:
        if self._attempt is None or self._attempt.done():
            self._attempt = asyncio.get_running_loop().create_task(self._try_once())
        # `wait` keeps the two apart: a caller that leaves does not end the attempt for the others, and an attempt that
        # `close` ends does not cancel the caller.
        await asyncio.wait({self._attempt})

    async def _try_once(self) -> None:
        try:
            self._metadata = await discover(self._calls, self._config.issuer or "", *self._needs)
            if objection := self.objection:
                self._say(logging.WARNING, f"discovery succeeded, but {objection}", "done", reason=objection)
            else:
                self._say(logging.INFO, "discovery succeeded", "done")
        except ProviderError as error:
            if self._failure is None or self._failure.reason != error.reason:
                words = f"discovery failed and is tried again: {error.reason}"
                self._say(logging.WARNING, words, "failed", reason=error.reason)
            self._failure = error
        finally:
            self._tried_at = time.monotonic()

    def _say(self, level: int, words: str, state: str, **more: str) -> None:
        """One line per change of state. The first of the two URLs is the one that nearly all providers have."""
        url = discovery_urls(self._config.issuer or "")[0]
        fields = {"provider": self._name, "state": state, "url": url, **more}
        _log.log(level, "provider %s: %s (%s)", self._name, words, url, extra={"event": "discovery", "fields": fields})

    async def _search_until_found(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self.ready:
            await self._wait_for_attempt()
            if not self.ready:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _PAUSE_MAX_S)


def needed_endpoints(config: Provider) -> tuple[EndpointName, ...]:
    """The endpoints that tokens are judged with and that only discovery can tell."""
    needs: list[EndpointName] = []
    if config.validation != "jwt" and config.introspection_endpoint is None:
        needs.append("introspection_endpoint")
    if config.validation != "introspection" and config.jwks_uri is None:
        needs.append("jwks_uri")
    return tuple(needs)
