"""Exchanges that stay open, and what ends them: a purge that names their token, its `exp`, a provider's no, a reload.

A request is decided once; a WebSocket, an event stream or a long download then goes on for as long as it likes. Those
that are still open after half a second are looked for here, several times a second, so that short exchanges pay
nothing. From then on each is found by the marks of its facts. An order to forget something ends it at once; an order to
forget everything, or the end of the facts' window, has its token asked about, through the caches and turns that every
question goes through. What a reload leaves open is judged by the new configuration.

Nothing here may hold up the loop: what concerns many is done in slices, and few questions are under way at a time.
Client networks take turns with them, and an exchange whose turn has not come in time ends: whoever has thousands of
tokens delays neither the end of his own exchanges nor the questions about those of others.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from math import inf

from gateway.authn.facts import Facts, Inactive, Indeterminate, IntrospectionResult, TooMany
from gateway.authn.question import Question
from gateway.compiled import CompiledRoute
from gateway.introspection.refresh import AHEAD
from gateway.introspection.tag_purge import TagPurge
from gateway.proxy.generation import Generation
from gateway.proxy.relay import Relay
from gateway.proxy.request_context import RequestContext
from gateway.proxy.streams.exchange_index import OpenExchanges, StreamFate, Window, window_of
from gateway.proxy.streams.open_exchange import EXPIRED, GONE, REVOKED, UNTOLD, OpenExchange, opened, refused_by
from gateway.proxy.streams.rounds import Rounds
from gateway.proxy.streams.slices import Slices

_PERIOD_S = 0.25
_YOUNG_S = 0.5
# How long facts may take at the most: their turn in the fleet, their place in a queue, their call.
_FACTS_S = 60.0
_SPREAD_S = 10.0
_AGAIN_S = 1.0
_AGAIN_MAX_S = 10.0
# How long after its time a question may still be waited for: in the queues before a provider, and for its answer.
_LATE_S = 10.0
# Whoever waits for an answer comes before what is open anyway.
_ASKING_SHARE = 4


class Streams:
    """Of one listener. `relays` are the exchanges under way; `running` is the configuration in force."""

    def __init__(self, running: Callable[[], Generation], relays: Callable[[], Iterable[Relay]]) -> None:
        self._running = running
        self._relays = relays
        self._open: OpenExchanges[OpenExchange] = OpenExchanges()
        self._slices = Slices()
        self._waiting: Rounds[OpenExchange] = Rounds()  # for their turn to be asked about
        self._asking: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._purges_kept_s = inf

    def __len__(self) -> int:
        return len(self._open)

    def start(self) -> None:
        self._keep_purges()
        self._timer = asyncio.get_running_loop().call_later(_PERIOD_S, self._look)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    # What may end them.

    def purged(self, purge: TagPurge) -> None:
        """What `purge` covers is forgotten in this process."""
        now_s = time.monotonic()
        fate, those = self._open.purge(purge, now_s)
        for one in those:
            self._befall(one, fate, now_s)

    def revoked_elsewhere(self, key: bytes) -> None:
        """A provider has called the token with this cache key inactive."""
        now = time.time()
        for one in self._open.bearing((key,)):
            self._end(one, EXPIRED if one.exp <= now else REVOKED)

    def judge_all(self) -> None:
        """Another configuration is in force, or something was learned by which facts are judged."""
        self._keep_purges()
        routes = {route.name: route for route in self._running().gate.routes}
        now_s = time.monotonic()
        for one in self._open:
            self._slices.do(partial(self._judge_anew, one, routes.get(one.route.name), now_s))

    # Several times a second.

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_PERIOD_S, self._look)
        now_s, now = time.monotonic(), time.time()
        for relay in self._relays():
            if not relay.is_watched and now_s - relay.started_s >= _YOUNG_S:
                relay.is_watched = True
                self._take_up(relay, now_s)
        for one in self._open:
            if not one.relay.is_open:
                self._open.discard(one)
                one.relay.is_watched = False  # it may be sent again
            elif one.is_kept:
                pass  # whatever becomes of its token
            elif one.exp <= now:
                self._end(one, EXPIRED)
            elif one.end_at_s + _LATE_S <= now_s:
                self._end(one, UNTOLD)
            elif one.ask_at_s <= now_s and not one.is_asking:
                one.is_asking = True
                self._waiting.put(one.turn.client, self._open.marks(one)[0], one)
        self._open.forget_purges(now_s - self._purges_kept_s)
        self._ask_more()

    def _keep_purges(self) -> None:
        """From a request's first byte until it is seen here nothing takes longer than facts and a connection."""
        longest_s = max((route.config.timeout for route in self._running().gate.routes), default=0.0)
        self._purges_kept_s = _FACTS_S + longest_s + _YOUNG_S + _PERIOD_S

    def _take_up(self, relay: Relay, now_s: float) -> None:
        turn = relay.exchange
        if not isinstance(turn, RequestContext) or turn.matched is None:
            return
        route: CompiledRoute | None = turn.matched.value
        one, running = opened(relay, turn, turn.matched.value, now_s), self._running()
        if turn.running is not running:
            route = next((each for each in running.gate.routes if each.name == one.route.name), None)
        self._judge_anew(one, route, turn.started_s)

    # What the configuration in force says of one.

    def _judge_anew(self, one: OpenExchange, route: CompiledRoute | None, since_s: float) -> None:
        """`route` is the one of its name now. Purges since `since_s` may not have found it."""
        if not one.relay.is_open:
            return
        running, was_kept = self._running(), one.is_kept
        one.is_kept = (one.route if route is None else route).config.auth.streams == "keep"
        if route is not None:
            one.route = route
        now_s = time.monotonic()
        reason = GONE if route is None else refused_by(route, one, running.gate, time.time())
        if reason is not None and not one.is_kept:
            self._hold(one, now_s)  # until it has ended
            self._end(one, reason)
            return
        if one.question is None or one.facts is None or one.question.provider not in running.gate.speakers:
            self._hold(one, now_s)
            return
        if one.keyed_by is not running.authenticator:
            self._key(one, one.question, one.facts, running, since_s)
        self._has_window(one, one.question, running)
        if was_kept and not one.is_kept:
            one.ask_at_s, one.end_at_s = now_s, max(now_s, one.end_at_s)  # nobody has asked meanwhile

    def _hold(self, one: OpenExchange, now_s: float) -> None:
        """It has no token that could end, or none that matters any more."""
        one.keyed_by, one.ask_at_s, one.end_at_s = None, inf, inf
        self._open.put(one, (), now_s)

    def _key(self, one: OpenExchange, question: Question, facts: Facts, running: Generation, since_s: float) -> None:
        now_s, authenticator = time.monotonic(), running.authenticator
        is_rekeyed, one.keyed_by = one.keyed_by is not None, authenticator
        fate = self._open.put(one, authenticator.marks(question, facts), since_s)
        if is_rekeyed:
            # Another cache or another provider: what is known there of the token has to be seen.
            fate = StreamFate.IS_ASKED if fate is StreamFate.GOES_ON else fate
        elif one.turn.stale_s is not None or authenticator.introspected_at_s(question) is None:
            # Its facts only stood in, or are forgotten already: perhaps somebody else has had a no since.
            one.known_at_s, one.ask_at_s = one.turn.started_s - (one.turn.stale_s or 0.0), now_s
        else:
            self._is_known(one, question, running, instead_s=one.turn.started_s)
        self._befall(one, fate, now_s)

    # Asking again.

    def _is_known(self, one: OpenExchange, question: Question, running: Generation, *, instead_s: float) -> None:
        """Its facts are as old as the caches say, else as of `instead_s`."""
        at_s = running.authenticator.introspected_at_s(question)
        one.known_at_s, one.tries, one.ask_at_s = instead_s if at_s is None else at_s, 0, inf
        self._has_window(one, question, running)

    def _has_window(self, one: OpenExchange, question: Question, running: Generation) -> None:
        """By the configuration in force, and since its facts are known."""
        window = self._window(question, running)
        one.ask_at_s = min(one.ask_at_s, one.known_at_s + window.ask_after_s)
        one.end_at_s = one.known_at_s + window.end_after_s

    def _window(self, question: Question, running: Generation) -> Window:
        return window_of(running.config.cache.ttl, question.max_age_s, question.stale_s)

    def _ask_more(self) -> None:
        limit = self._asking_max()
        while self._waiting and len(self._asking) < limit:
            work = self._ask(self._waiting.take())
            task = asyncio.get_running_loop().create_task(work, name="asking about an open exchange")
            self._asking.add(task)
            task.add_done_callback(self._asked)

    def _asking_max(self) -> int:
        providers = self._running().config.providers.values()
        return max(1, min((one.max_concurrency for one in providers), default=1) // _ASKING_SHARE)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            self._ask_more()

    async def _ask(self, those: list[OpenExchange]) -> None:
        """One question for all that have this token, as young an answer as the strictest of them needs."""
        running = self._running()
        try:
            questions = [one.question for one in those if one.question is not None]
            if not questions:
                return  # a reload has made their routes open
            max_age_s = min(self._window(question, running).ask_after_s for question in questions)
            question = replace(questions[0], max_age_s=max_age_s, stale_s=None, address=AHEAD)
            if question.provider not in running.gate.speakers:
                return  # a reload has come, which judges them
            found = await running.authenticator.ask(question)
            for one in those:
                self._slices.do(partial(self._heard, one, found.answer, running))
        finally:
            for one in those:
                one.is_asking = False
                one.ask_at_s = max(one.ask_at_s, time.monotonic() + _PERIOD_S)

    def _heard(self, one: OpenExchange, answer: IntrospectionResult | TooMany, running: Generation) -> None:
        question, known = one.question, one.facts
        if question is None or one not in self._open or running is not self._running():
            return
        now_s = time.monotonic()
        if isinstance(answer, Inactive):
            self._end(one, EXPIRED if one.exp <= time.time() else REVOKED)
            return
        if not isinstance(answer, Facts):
            # A queue of the gateway's own is no outage: who can fill it must not keep a revoked token alive.
            is_crowded = isinstance(answer, TooMany) or (isinstance(answer, Indeterminate) and answer.is_crowded)
            self._is_untold(one, now_s, 0.0 if question.stale_s is None or not is_crowded else question.stale_s)
            return
        one.facts = answer
        if answer is not known and (marks := running.authenticator.marks(question, answer)) != self._open.marks(one):
            self._open.put(one, marks, now_s)
        if (reason := refused_by(one.route, one, running.gate, time.time())) is not None:
            self._end(one, reason)
            return
        self._is_known(one, question, running, instead_s=now_s)

    def _is_untold(self, one: OpenExchange, now_s: float, less_s: float) -> None:
        """Nobody could tell: it has what is left of its time, or so much less, and is asked about again within that."""
        until_s = one.end_at_s - less_s
        if until_s <= now_s:
            self._end(one, UNTOLD)
            return
        one.tries += 1
        again_s = min(_AGAIN_MAX_S, _AGAIN_S * one.tries) * random.uniform(0.7, 1.0)  # noqa: S311 - no secret
        one.ask_at_s = min(now_s + again_s, until_s)

    # The end.

    def _befall(self, one: OpenExchange, fate: StreamFate, now_s: float) -> None:
        match fate:
            case StreamFate.ENDS:
                self._end(one, REVOKED)
            case StreamFate.IS_ASKED:
                soon_s = now_s + random.uniform(0, _SPREAD_S)  # noqa: S311 - no secret
                one.ask_at_s = min(one.ask_at_s, soon_s)
            case StreamFate.GOES_ON:
                pass

    def _end(self, one: OpenExchange, reason: str) -> None:
        if not one.is_kept:
            self._slices.do(partial(one.relay.stop, reason))
