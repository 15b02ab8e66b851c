"""Ends exchanges that stay open: after a purge that names their token, at `exp`, after a provider's no, after a reload.

A request is decided once. A WebSocket, an event stream or a long download then goes on for as long as it likes.

How this works:

- A timer sweeps over the relays four times a second. It takes up those that have been open for half a second, so
  that short exchanges pay nothing.
- From then on `OpenExchanges` finds each of them by the tags of its facts. A purge that names a tag ends it at once.
- Each exchange has a window for its facts. Near the window's end, and after a purge of everything, the gateway asks
  about the token again, through the same caches and leases as any other question.
- The result renews the facts, ends the exchange, or leaves it until the window ends where the provider cannot tell.
- A reload has `judge_all` judge every open exchange by the new configuration.

Nothing here may hold up the event loop: `Slices` does in slices what concerns many exchanges, and only a few questions
are under way at once. `Rounds` lets client networks take turns. An exchange that the gateway did not get to ask about
in time ends. So a client with thousands of tokens delays neither the end of its own exchanges nor the questions about
those of others.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
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
from gateway.proxy.streams.open_exchange import EXPIRED, GONE, REVOKED, UNCERTAIN, OpenExchange, opened, refused_by
from gateway.proxy.streams.rounds import Rounds
from gateway.proxy.streams.slices import Slices

_SWEEP_S = 0.25
_YOUNG_S = 0.5
# How long facts may take at most: the lease of the fleet, the place in a queue, the call itself.
_FACTS_S = 60.0
_SPREAD_S = 10.0
_RETRY_S = 1.0
_RETRY_MAX_S = 10.0
# How long past its end an exchange may wait for its question: in the queues before a provider, and for the result.
_OVERDUE_S = 10.0
# A request that waits for facts comes before an exchange that is open anyway.
_ASKING_SHARE = 4


class Streams:
    """Watches the open exchanges of a listener. `relays` gives those under way, `in_force` the configuration."""

    def __init__(self, in_force: Callable[[], Generation], relays: Callable[[], Iterable[Relay]]) -> None:
        self._generation = in_force
        self._relays = relays
        self._open: OpenExchanges[OpenExchange] = OpenExchanges()
        self._slices = Slices()
        self._waiting: Rounds[OpenExchange] = Rounds()  # to be asked about
        self._asking: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._purges_kept_s = inf

    def __len__(self) -> int:
        return len(self._open)

    def start(self) -> None:
        self._keep_purges()
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    # The events that may end an exchange.

    def purged(self, purge: TagPurge) -> None:
        """End or ask about the exchanges that `purge` covers."""
        now_s = time.monotonic()
        fate, those = self._open.purge(purge, now_s)
        for stream in those:
            self._apply(stream, fate, now_s)

    def revoked_elsewhere(self, key: bytes) -> None:
        """End the exchanges of the token with this cache key, which a provider has called inactive."""
        now = time.time()
        for stream in self._open.tagged((key,)):
            self._end(stream, EXPIRED if stream.exp <= now else REVOKED)

    def judge_all(self) -> None:
        """Judge every open exchange: another configuration is in force, or the rules for facts have changed."""
        self._keep_purges()
        routes = {route.name: route for route in self._generation().compiled.routes}
        now_s = time.monotonic()
        for stream in self._open:
            self._slices.do(partial(self._judge, stream, routes.get(stream.route.name), now_s))

    # Several times a second.

    def _sweep(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)
        now_s, now = time.monotonic(), time.time()
        for relay in self._relays():
            if not relay.is_watched and now_s - relay.started_s >= _YOUNG_S:
                relay.is_watched = True
                self._begin_to_watch(relay, now_s)
        for stream in self._open:
            if not stream.relay.is_open:
                self._open.discard(stream)
                stream.relay.is_watched = False  # it may be sent again
            elif stream.is_kept:
                pass  # its token does not matter
            elif stream.exp <= now:
                self._end(stream, EXPIRED)
            elif stream.end_at_s + _OVERDUE_S <= now_s:
                self._end(stream, UNCERTAIN)
            elif stream.ask_at_s <= now_s and not stream.is_asking:
                stream.is_asking = True
                self._waiting.put(stream.context.client, self._open.tags(stream)[0], stream)
        self._open.forget_purges(now_s - self._purges_kept_s)
        self._start_asking()

    def _keep_purges(self) -> None:
        """Keep purges for as long as a request may take, from its first byte until a sweep sees it."""
        longest_s = max((route.config.timeout for route in self._generation().compiled.routes), default=0.0)
        self._purges_kept_s = _FACTS_S + longest_s + _YOUNG_S + _SWEEP_S

    def _begin_to_watch(self, relay: Relay, now_s: float) -> None:
        context = relay.record
        if not isinstance(context, RequestContext) or context.matched is None:
            return
        route: CompiledRoute | None = context.matched.value
        stream, generation = opened(relay, context, context.matched.value, now_s), self._generation()
        if context.running is not generation:
            route = next((each for each in generation.compiled.routes if each.name == stream.route.name), None)
        self._judge(stream, route, context.started_s)

    # Judging an exchange by the configuration in force.

    def _judge(self, stream: OpenExchange, route: CompiledRoute | None, since_s: float) -> None:
        """Judge by `route`, which has its route's name now, and by the purges since `since_s`."""
        if not stream.relay.is_open:
            return
        generation, was_kept = self._generation(), stream.is_kept
        stream.is_kept = (stream.route if route is None else route).config.auth.streams == "keep"
        if route is not None:
            stream.route = route
        now_s = time.monotonic()
        reason = GONE if route is None else refused_by(route, stream, generation.compiled, time.time())
        if reason is not None and not stream.is_kept:
            self._index_without_token(stream, now_s)  # until it has ended
            self._end(stream, reason)
            return
        if (
            stream.question is None
            or stream.facts is None
            or stream.question.provider not in generation.compiled.trusted_issuers
        ):
            self._index_without_token(stream, now_s)
            return
        if stream.tagged_by is not generation.authenticator:
            self._index_by_token(stream, stream.question, stream.facts, generation, since_s)
        self._set_window(stream, stream.question, generation)
        if was_kept and not stream.is_kept:
            stream.ask_at_s, stream.end_at_s = now_s, max(now_s, stream.end_at_s)  # nobody asked meanwhile

    def _index_without_token(self, stream: OpenExchange, now_s: float) -> None:
        """Index it under no tag and set no window: it has no token, or none that matters any more."""
        stream.tagged_by, stream.ask_at_s, stream.end_at_s = None, inf, inf
        self._open.put(stream, (), now_s)

    def _index_by_token(
        self, stream: OpenExchange, question: Question, facts: Facts, generation: Generation, since_s: float
    ) -> None:
        now_s, authenticator = time.monotonic(), generation.authenticator
        is_moved, stream.tagged_by = stream.tagged_by is not None, authenticator
        fate = self._open.put(stream, authenticator.tags(question, facts), since_s)
        if is_moved:
            # Another cache or another provider, which may know more about the token.
            fate = StreamFate.IS_ASKED if fate is StreamFate.GOES_ON else fate
        elif stream.context.stale_s is not None or authenticator.introspected_at_s(question) is None:
            # Its facts were stale, or are forgotten already: somebody else may have had a no since.
            stream.introspected_at_s = stream.context.started_s - (stream.context.stale_s or 0.0)
            stream.ask_at_s = now_s
        else:
            self._renew(stream, question, generation, instead_s=stream.context.started_s)
        self._apply(stream, fate, now_s)

    # Asking again.

    def _renew(self, stream: OpenExchange, question: Question, generation: Generation, *, instead_s: float) -> None:
        """Begin a new window. The facts are as old as the caches say, else as of `instead_s`."""
        at_s = generation.authenticator.introspected_at_s(question)
        stream.introspected_at_s, stream.tries, stream.ask_at_s = instead_s if at_s is None else at_s, 0, inf
        self._set_window(stream, question, generation)

    def _set_window(self, stream: OpenExchange, question: Question, generation: Generation) -> None:
        """Set both ends of the window by the configuration in force."""
        window = self._window(question, generation)
        stream.ask_at_s = min(stream.ask_at_s, stream.introspected_at_s + window.ask_after_s)
        stream.end_at_s = stream.introspected_at_s + window.end_after_s

    def _window(self, question: Question, generation: Generation) -> Window:
        return window_of(generation.config.cache.ttl, question.max_age_s, question.stale_s)

    def _start_asking(self) -> None:
        limit = self._asking_max()
        while self._waiting and len(self._asking) < limit:
            work = self._ask(self._waiting.take())
            task = asyncio.get_running_loop().create_task(work, name="asking about an open exchange")
            self._asking.add(task)
            task.add_done_callback(self._asked)

    def _asking_max(self) -> int:
        providers = self._generation().config.providers.values()
        return max(1, min((provider.max_concurrency for provider in providers), default=1) // _ASKING_SHARE)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            self._start_asking()

    async def _ask(self, those: list[OpenExchange]) -> None:
        """Ask once for all exchanges of a token, for a result as young as the strictest of them needs."""
        generation = self._generation()
        try:
            questions = [stream.question for stream in those if stream.question is not None]
            if not questions:
                return  # a reload has made their routes public
            max_age_s = min(self._window(question, generation).ask_after_s for question in questions)
            question = questions[0].within(max_age_s, None, AHEAD)
            if question.provider not in generation.compiled.trusted_issuers:
                return  # a reload has come and judges them
            found = await generation.authenticator.look_up(question)
            for stream in those:
                self._slices.do(partial(self._take_result, stream, found.result, generation))
        finally:
            for stream in those:
                stream.is_asking = False
                stream.ask_at_s = max(stream.ask_at_s, time.monotonic() + _SWEEP_S)

    def _take_result(self, stream: OpenExchange, result: IntrospectionResult | TooMany, generation: Generation) -> None:
        question, before = stream.question, stream.facts
        if question is None or stream not in self._open or generation is not self._generation():
            return
        now_s = time.monotonic()
        if isinstance(result, Inactive):
            self._end(stream, EXPIRED if stream.exp <= time.time() else REVOKED)
            return
        if not isinstance(result, Facts):
            # A full queue of our own is not an outage: a client that can fill it must not keep a revoked token alive.
            is_queue_full = isinstance(result, TooMany) or (isinstance(result, Indeterminate) and result.is_queue_full)
            self._wait_or_end(stream, now_s, 0.0 if question.stale_s is None or not is_queue_full else question.stale_s)
            return
        stream.facts = result
        tags = self._open.tags(stream) if result is before else generation.authenticator.tags(question, result)
        if tags != self._open.tags(stream):
            self._open.put(stream, tags, now_s)
        if (reason := refused_by(stream.route, stream, generation.compiled, time.time())) is not None:
            self._end(stream, reason)
            return
        self._renew(stream, question, generation, instead_s=now_s)

    def _wait_or_end(self, stream: OpenExchange, now_s: float, less_s: float) -> None:
        """Nobody could tell: ask again within the rest of its window, less `less_s`, or end it where none is left."""
        until_s = stream.end_at_s - less_s
        if until_s <= now_s:
            self._end(stream, UNCERTAIN)
            return
        stream.tries += 1
        again_s = min(_RETRY_MAX_S, _RETRY_S * stream.tries) * random.uniform(0.7, 1.0)  # noqa: S311 - no secret
        stream.ask_at_s = min(now_s + again_s, until_s)

    # The end.

    def _apply(self, stream: OpenExchange, fate: StreamFate, now_s: float) -> None:
        match fate:
            case StreamFate.ENDS:
                self._end(stream, REVOKED)
            case StreamFate.IS_ASKED:
                soon_s = now_s + random.uniform(0, _SPREAD_S)  # noqa: S311 - no secret
                stream.ask_at_s = min(stream.ask_at_s, soon_s)
            case StreamFate.GOES_ON:
                pass

    def _end(self, stream: OpenExchange, reason: str) -> None:
        if not stream.is_kept:
            self._slices.do(partial(stream.relay.stop, reason))
