"""Renews the gateway's own tokens before they end, so that only the first request ever waits for one.

    used for the first time ──> kept: sleep to 3/4 of its life ──> renew ──> kept | failed: try again until it ends
                                                                             └── over: the next request begins anew

One task for each token, of which there are as many as providers and scopes in the configuration. `close` ends them. The
fleet has one token: whoever renews it first does so for all (`gateway.cache.lease`).

A backend that says that the token is not valid has it renewed once: a token that came by such a renewal is not renewed
again for the same reason. Otherwise a backend that refuses everything would make a call of each request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.authn.facts import Facts
from gateway.grants.grant_request import GrantRequest
from gateway.obtaining.obtainer import CLIENT_FRACTION, Obtainer

_RETRY_S = 5.0
_PAUSE_MIN_S = 0.1


class ClientTokens:
    """Renews what `obtainer` has for grants without a caller."""

    def __init__(self, obtainer: Obtainer, clock: Callable[[], float] = time.time) -> None:
        self._obtainer = obtainer
        self._clock = clock
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._renewing: dict[str, asyncio.Task[None]] = {}
        self._renewed_for: dict[str, str | None] = {}  # grant -> the token that came by a rejection

    def keep(self, grant: GrantRequest) -> None:
        """Renew it from now on, until it is over or `close`."""
        if grant.value in self._keeping:
            return
        task = asyncio.get_running_loop().create_task(self._keep(grant), name="keep a token of our own")
        self._keeping[grant.value] = task
        task.add_done_callback(lambda _: self._keeping.pop(grant.value, None))

    def rejected(self, grant: GrantRequest, token: str) -> None:
        """A backend has called `token` invalid. Renew it, if it is still in use and did not come in this way itself."""
        kept = self._obtainer.kept(grant)
        if kept is None or kept.phantom != token or grant.value in self._renewing:
            return
        if self._renewed_for.get(grant.value) == token:
            return
        work = self._renew_rejected(grant, kept)
        task = self._renewing[grant.value] = asyncio.get_running_loop().create_task(work, name="renew a rejected token")
        task.add_done_callback(lambda _: self._renewing.pop(grant.value, None))

    async def close(self) -> None:
        tasks = [*self._keeping.values(), *self._renewing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew_rejected(self, grant: GrantRequest, rejected: Facts) -> None:
        if await self._obtainer.renew(grant, rejected) and (kept := self._obtainer.kept(grant)) is not None:
            self._renewed_for[grant.value] = kept.phantom

    async def _keep(self, grant: GrantRequest) -> None:
        while (kept := self._obtainer.kept(grant)) is not None:
            assert kept.exp is not None  # whatever is kept has an end
            due = kept.introspected_at + CLIENT_FRACTION * (kept.exp - kept.introspected_at)
            if (wait_s := due - self._clock()) > 0:
                await asyncio.sleep(wait_s)
            elif not await self._obtainer.renew(grant, kept):
                await asyncio.sleep(min(_RETRY_S, max(_PAUSE_MIN_S, (kept.exp - self._clock()) / 4)))
            else:
                await asyncio.sleep(_PAUSE_MIN_S)
