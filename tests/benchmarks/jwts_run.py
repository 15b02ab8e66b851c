"""The CPU time of one gateway for JWTs that it knows, that are new, and that are forged."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.cpu_time import AT_ONCE, CONNECTIONS, cpu_us
from benchmarks.jwts_peer import PeerCost, PeerTokens, is_installed, measured_peer
from support.echoing import IDENTITY, echoing_backend
from support.processes import ServedGateway
from support.redis_server import free_port
from support.running_gateway import ADMIN_TOKEN
from support.scripted_provider import ScriptedProvider
from support.signing import encoded, forged_by_mac, jwk, key_for, rsa_key, signed, unsigned

MODES = ("introspection", "jwt", "jwt_then_introspection")
KEYS_EVERY_S = 10.0
_HUGE_CHARS = 20_000
_LIFETIME_S = 3_600
_serials = count(1)


@dataclass(frozen=True)
class Plan:
    """`forged` tokens of all kinds together; `requests` with the known token in each of `rounds`, for either mode."""

    forged: int = 10_000
    rounds: int = 9
    requests: int = 4_000
    new: int = 1_000
    cores: frozenset[int] = frozenset()  # the gateway's and the peer's; empty: any
    has_peer: bool = False  # measured, too, where it is installed


@dataclass
class Report:
    plan: Plan
    known_us: dict[str, list[float]] = field(default_factory=lambda: {"introspection": [], "jwt": []})
    new_us: dict[str, float] = field(default_factory=dict)
    forged_us: dict[str, float] = field(default_factory=dict)
    forged_bytes: dict[str, int] = field(default_factory=dict)
    forged: Counter[int] = field(default_factory=Counter)  # by status
    lasted_s: float = 0.0
    asked: int = 0  # introspections about forged ones
    key_fetches: int = 0
    other_calls: int = 0  # to addresses that a forged token names
    reached_backend: int = 0
    peer: PeerCost | None = None

    @property
    def key_fetches_allowed(self) -> int:
        return int(self.lasted_s / KEYS_EVERY_S) + 1

    @property
    def is_sound(self) -> bool:
        return (
            self.forged == {401: self.plan.forged}
            and self.asked == self.other_calls == self.reached_backend == 0
            and self.key_fetches <= self.key_fetches_allowed
        )

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.known_us["jwt"], self.known_us["introspection"], strict=True)
        return sorted(mine / others for mine, others in pairs)

    def tables(self) -> str:
        by_mode = {mode: median(self.known_us[mode]) for mode in self.known_us}
        ratios = self.ratios
        known = f"{median(ratios):.3f} ({ratios[0]:.3f}…{ratios[-1]:.3f})"
        rows: list[tuple[str, object]] = [
            ("a known token, `validation: introspection`", f"{by_mode['introspection']:.0f}"),
            ("the same token, `validation: jwt`", f"{by_mode['jwt']:.0f}"),
            ("the second against the first, round by round", known),
            *((f"a new {name} JWT, `validation: jwt`", f"{us:.0f}") for name, us in self.new_us.items()),
        ]
        forged = [
            f"| {kind} | {self.forged_bytes[kind]:,} | {self.forged_us[kind]:.0f} |" for kind in sorted(self.forged_us)
        ]
        refused = ", ".join(f"{status}: {number:,}" for status, number in sorted(self.forged.items()))
        summary = (
            f"{self.forged.total():,} forged JWTs in {self.lasted_s:.0f} s ({refused}): {self.asked} introspections, "
            f"{self.other_calls} calls to addresses in a token, {self.key_fetches} fetches of keys "
            f"(at most {self.key_fetches_allowed})."
        )
        return "\n".join(
            [
                "| CPU µs of the gateway for one request with | |",
                "| --- | ---: |",
                *(f"| {words} | {figure} |" for words, figure in rows),
                "",
                summary,
                "",
                "| forged JWT, `validation: jwt_then_introspection` | bytes | CPU µs |",
                "| --- | ---: | ---: |",
                *forged,
                *self._beside_peer(by_mode["jwt"]),
            ]
        )

    def _beside_peer(self, known_us: float) -> list[str]:
        if self.peer is None:
            return []
        peer, forged_us = self.peer, self.forged_us["bad signature"]
        rows = [("the same token again", known_us, peer.known_us)]
        rows += [(f"a new {name} JWT", us, peer.new_us[name]) for name, us in self.new_us.items()]
        rows += [("a JWT with a bad signature", forged_us, peer.forged_us)]
        return [
            "",
            "| CPU µs for one request with | gateway | Apache with mod_oauth2 |",
            "| --- | ---: | ---: |",
            *(f"| {words} | {ours:.0f} | {theirs:.0f} |" for words, ours, theirs in rows),
            "",
            f"mod_oauth2 fetched the keys {peer.key_fetches:,} times for {peer.forged:,} JWTs with a bad signature.",
        ]


async def measured(plan: Plan, folder: Path) -> Report:
    report = Report(plan)
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(ScriptedProvider())
        provider.keys = {"keys": [jwk(rsa_key()), jwk(key_for_es256(), "e1")]}
        backend = echoing_backend()
        await backend.start()
        stack.push_async_callback(backend.stop)
        gateway = ServedGateway("jwts", folder, _document(provider, backend.url))
        stack.push_async_callback(gateway.stop)
        await gateway.start()
        if plan.cores:
            os.sched_setaffinity(gateway.pid, plan.cores)
        stage = _Stage(gateway, provider, report)
        await stage.measure_known()
        await stage.measure_new()
        await stage.fetch_keys()
        before = len(backend.requests)
        await stage.measure_forged()
        report.reached_backend = len(backend.requests) - before
        if plan.has_peer and is_installed():
            tokens = stage.peer_tokens()
            report.peer = await measured_peer(provider, backend.url, folder / "apache", plan.cores, tokens)
    return report


class _Stage:
    def __init__(self, gateway: ServedGateway, provider: ScriptedProvider, report: Report) -> None:
        self._gateway, self._provider, self._report = gateway, provider, report

    def claims(self, **more: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self._provider.issuer, "sub": "alice", "iat": now, "exp": now + _LIFETIME_S}
        return {**claims, "jti": str(next(_serials)), "scope": "a b", **more}

    async def measure_known(self) -> None:
        """By turns within each round, and the first of a round is another each time: the machine is not always idle."""
        token = signed(self.claims())
        self._provider.default = {"active": True, "token_type": "Bearer", **self.claims()}
        modes = list(self._report.known_us)
        for mode in modes:
            await self._cpu_us(mode, [token] * (CONNECTIONS * AT_ONCE), 200)
        for number in range(self._report.plan.rounds):
            for mode in modes if number % 2 else reversed(modes):
                us = await self._cpu_us(mode, [token] * self._report.plan.requests, 200)
                self._report.known_us[mode].append(us)

    async def measure_new(self) -> None:
        for name, tokens in self._new_tokens().items():
            self._report.new_us[name] = await self._cpu_us("jwt", tokens, 200)

    def peer_tokens(self) -> PeerTokens:
        """As many as the gateway has got, but for forged ones: the peer asks for keys about each."""
        forged = [signed(self.claims(), rsa_key(2)) for _ in range(self._report.plan.new)]
        return PeerTokens([signed(self.claims())] * self._report.plan.requests, self._new_tokens(), forged)

    def _new_tokens(self) -> dict[str, list[str]]:
        keys = {"RS256": (rsa_key(), "k1"), "ES256": (key_for_es256(), "e1")}
        number = range(self._report.plan.new)
        return {name: [signed(self.claims(), key, name, kid=kid) for _ in number] for name, (key, kid) in keys.items()}

    async def fetch_keys(self) -> None:
        await self._cpu_us("jwt_then_introspection", [signed(self.claims())], 200)

    async def measure_forged(self) -> None:
        report, provider = self._report, self._provider
        calls, fetches = len(provider.calls), len(provider.key_fetches)
        kinds = forgeries(self.claims, f"{provider.url}/introspect/of-another")
        shares = [len(range(start, report.plan.forged, len(kinds))) for start in range(len(kinds))]
        began_s = time.monotonic()
        for (kind, forge), share in zip(kinds.items(), shares, strict=True):
            tokens = [forge() for _ in range(share)]
            report.forged_us[kind] = await self._cpu_us("jwt_then_introspection", tokens, 401)
            report.forged_bytes[kind] = round(median(map(len, tokens)))
            report.forged[401] += share
        report.lasted_s = time.monotonic() - began_s
        report.key_fetches = len(provider.key_fetches) - fetches
        paths = Counter(call.path for call in provider.calls[calls:])
        report.asked = paths.pop("/introspect", 0)
        report.other_calls = paths.total() - report.key_fetches

    async def _cpu_us(self, mode: str, tokens: Sequence[str], status: int) -> float:
        """The CPU time of the gateway for each; every one has to get `status`."""
        return await cpu_us(self._gateway.address, [self._gateway.pid], f"/{mode}/x", tokens, {status})


def forgeries(claims: Callable[..., dict[str, Any]], place: str) -> dict[str, Callable[[], str]]:
    """Makers of forged JWTs, each of which is another token. `place` is an address that the forger controls."""
    another = rsa_key(2)

    def changed() -> str:
        head, _, signature = signed(claims()).split(".")
        return f"{head}.{encoded(repr(claims(sub='root')).replace(chr(39), chr(34)).encode())}.{signature}"

    return {
        "bad signature": lambda: signed(claims(), another),
        "good signature of other claims": changed,
        "`none`": lambda: unsigned(claims()),
        "HS256 keyed with the public key": lambda: forged_by_mac(claims()),
        "another `kid`": lambda: signed(claims(), another, kid=f"other-{next(_serials)}"),
        "`jku`": lambda: signed(claims(), another, jku=place),
        "`crit`": lambda: signed(claims(), crit=["exp"]),
        "huge": lambda: signed(claims(pad="x" * _HUGE_CHARS), another),
        "a huge header": lambda: signed(claims(), another, pad="x" * _HUGE_CHARS),
        "expired": lambda: signed(claims(exp=int(time.time()) - 1)),
    }


_ES256: list[Any] = []


def key_for_es256() -> Any:
    if not _ES256:
        _ES256.append(key_for("ES256"))
    return _ES256[0]


def _document(provider: ScriptedProvider, backend_url: str) -> dict[str, Any]:
    own = {
        "issuer": provider.issuer,
        "jwks_uri": provider.jwks_uri,
        "introspection_endpoint": provider.introspection_endpoint,
        "client_id": "gw",
        "client_secret": "secret-of-the-client",
    }
    return {
        "server": {"listen": f"127.0.0.1:{free_port()}", "unknown_tokens": None},
        "admin": {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN},
        "log": {"level": "warning", "access": False},
        "providers": {mode: {**own, "validation": mode} for mode in MODES},
        "cache": {"ttl": "1h"},
        "routes": [
            {
                "name": mode,
                "match": {"path": f"/{mode}/**"},
                "backend": backend_url,
                "auth": {"provider": mode},
                "identity": IDENTITY,
            }
            for mode in MODES
        ],
    }
