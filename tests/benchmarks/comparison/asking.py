"""What a question costs: a proxy as `deploy/beside` has it asks about each request, with a token that is known.

nginx, Caddy and Traefik ask the gateway, or Oathkeeper's decision API. nginx also keeps what the gateway has answered
(`proxy_cache`), which no revocation reaches.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from benchmarks.comparison import oathkeeper, ours, wrk
from benchmarks.comparison.askers import ASKERS, Answerer, Asker
from benchmarks.comparison.checks import BAD, GOOD, CheckError
from benchmarks.comparison.loads import GET_32
from benchmarks.comparison.peer import NotInstalledError
from benchmarks.comparison.place import Place, port
from benchmarks.comparison.plan import Plan
from benchmarks.comparison.server import Server
from benchmarks.comparison.stage import READY_WITHIN_S, Stage, ask, await_answers


@dataclass(frozen=True)
class Cost:
    """Microseconds of CPU for one request."""

    asker_us: float
    answerer_us: float


Questions = dict[tuple[Asker, Answerer], list[Cost]]


@dataclass(frozen=True)
class _Pair:
    asker: Server
    answerer: Server

    def measured(self, folder: Path, seconds: int) -> Cost:
        before = self.asker.cpu_s(), self.answerer.cpu_s()
        done = wrk.run(GET_32, folder, self.asker.port, GOOD, seconds)
        if done.failed:
            raise CheckError(f"{self.asker.name}: {done}")
        spent = self.asker.cpu_s() - before[0], self.answerer.cpu_s() - before[1]
        return Cost(*(one / done.requests * 1e6 for one in spent))


def measure(stage: Stage, plan: Plan, tell: Callable[[str], None]) -> Questions:
    """All that are installed, in alternating rounds; `tell` says who is not."""
    tell("questions of other proxies")
    with ExitStack() as stack:
        pairs = dict(_pairs(stage, stack, tell))
        for one in pairs.values():
            one.measured(stage.place.folder, 1)
        return {
            key: [pairs[key].measured(stage.place.folder, plan.round_s) for _ in range(plan.rounds)] for key in pairs
        }


def _pairs(
    stage: Stage, stack: ExitStack, tell: Callable[[str], None]
) -> Iterator[tuple[tuple[Asker, Answerer], _Pair]]:
    answerers: dict[Answerer, Server] = {}
    for answerer, make in _ANSWERERS.items():
        try:
            answerers[answerer] = _up(stack, make(stage.place.below(f"answers-{answerer.name.lower()}")))
        except NotInstalledError as error:
            tell(f"left out: {error}")
    for asker, make_asker in ASKERS.items():
        for answerer, answers in answerers.items():
            for keeps in (False, True) if (asker, answerer) == (Asker.NGINX, Answerer.GATEWAY) else (False,):
                place = stage.place.below(f"asks-{asker.name}-{answerer.name}-{keeps}".lower())
                try:
                    asks = _up(stack, make_asker(place, answers.port, answerer, keeps))
                except NotInstalledError as error:
                    tell(f"left out: {error}")
                    continue
                _check(asks)
                yield (asker, Answerer.KEPT if keeps else answerer), _Pair(asks, answers)


def _up(stack: ExitStack, server: Server) -> Server:
    stack.callback(server.stop)
    server.start()
    await_answers(server)
    return server


def _check(asks: Server) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while (first := ask(asks.port, "/", GOOD)[0]) == HTTPStatus.NOT_FOUND and time.monotonic() < deadline:
        time.sleep(0.05)  # Traefik answers before it has read its routes
    found = [first, *(ask(asks.port, "/", token)[0] for token in (BAD, None))]
    if found not in ([200, 401, 401], [200, 403, 403]):
        raise CheckError(f"{asks.name} says {found} to a good token, a bad one and none")


def _gateway(place: Place, program: list[str], name: str) -> Server:
    decisions, admin = port(), port()
    document = {
        "server": {"listen": f"127.0.0.1:{port()}"},
        "decisions": {"listen": f"127.0.0.1:{decisions}"},
        "admin": {"listen": f"127.0.0.1:{admin}"},
        "providers": {
            "p": {
                "introspection_endpoint": f"http://127.0.0.1:{place.provider_port}/introspect",
                "client_id": "gw",
                "client_secret": "secret",
            }
        },
        "cache": {"ttl": "1h"},
        "log": {"level": "warning", "access": False},
        "routes": [{"name": "all", "match": {"path": "/**"}, "auth": {"scopes": ["read"]}}],
    }
    file = place.folder / "gateway.json"
    file.write_text(json.dumps(document))
    return place.proxy(name, [*program, "serve", "-c", str(file)], decisions)


def _this_one(place: Place) -> Server:
    return _gateway(place, [sys.executable, "-m", "gateway"], "gateway")


def _compiled(place: Place) -> Server:
    ours.compiled(place)  # raises without one
    return _gateway(place, [os.environ["COMPILED"]], "gateway, compiled")


def _oathkeeper(place: Place) -> Server:
    program, api = oathkeeper.binary(), port()
    (place.folder / "rules.json").write_text(json.dumps(oathkeeper.rules(place)))
    file = place.folder / "oathkeeper.json"
    file.write_text(json.dumps(oathkeeper.document(place, port(), api, port())))
    return place.proxy("Oathkeeper", ["env", "SQA_OPT_OUT=true", program, "serve", "--config", str(file)], api)


_ANSWERERS: Mapping[Answerer, Callable[[Place], Server]] = {
    Answerer.GATEWAY: _this_one,
    Answerer.COMPILED: _compiled,
    Answerer.OATHKEEPER: _oathkeeper,
}
