"""A proof counts once: in one process, in an instance of several, in a fleet, and what holds while Redis is away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.backend import Backend, Wait, ok, script
from support.dpop import Prover
from support.processes import ServedGateway
from support.redis_server import RedisServer, free_port, running
from support.running_gateway import ADMIN_TOKEN, configuration, gateways, provider_settings
from support.scripted_provider import ScriptedProvider
from support.wire import Client, request
from support.workers import client_of_each

from gateway.authn.dpop_nonce import Nonces
from gateway.authn.seen_proofs import SeenProofs, Use, UseOutcome
from gateway.cache.key import HmacKeys
from gateway.condition import Met
from gateway.conditions.new_proof import NewProof
from gateway.http.refusal import Refusal
from gateway.runtime.proof_replays import ProofReplays
from gateway.workers.control import UnansweredError

KEYS = HmacKeys(None)
OWN, THIEF = Prover(), Prover("EdDSA")
SECRET = "secret-of-the-cache-0123456789"


def condition(number: int) -> NewProof:
    return NewProof(Use("jkt", f"digest {number}", 0.0))


def code(outcome: Refusal | Met | None) -> str | None:
    return outcome.code if isinstance(outcome, Refusal) else None if outcome is None else "met"


class Shared:
    def __init__(self) -> None:
        self.told: bool | None = True
        self.asked: list[bytes] = []

    async def claim_seen(self, tag: bytes, life_s: float) -> bool | None:
        assert life_s == 120
        self.asked.append(tag)
        return self.told


async def test_one_process_needs_nobody() -> None:
    port = ProofReplays(SeenProofs(), KEYS, None, None, None)
    assert [code(port.known(condition(1))) for _ in range(2)] == ["met", "invalid_dpop_proof"]


async def test_in_a_fleet_redis_has_the_word_and_what_is_known_here_asks_nobody() -> None:
    shared, seen = Shared(), SeenProofs()
    port = ProofReplays(seen, KEYS, shared, None, None)
    assert port.known(condition(1)) is None
    assert code(await port.find(condition(1))) == "met"
    assert code(port.known(condition(1))) == "invalid_dpop_proof"
    shared.told = False
    assert code(await port.find(condition(2))) == "invalid_dpop_proof"
    assert len(set(shared.asked)) == 2
    assert b"digest" not in b"".join(shared.asked)


@pytest.mark.parametrize("verdict", list(UseOutcome))
async def test_without_redis_the_supervisor_has_the_word(verdict) -> None:
    async def claim(_use: Use) -> str:
        return verdict.name

    port = ProofReplays(SeenProofs(), KEYS, None, claim, None)
    told = {UseOutcome.NEW: "met", UseOutcome.SEEN: "invalid_dpop_proof", UseOutcome.FULL: "rate_limited"}
    assert port.known(condition(1)) is None
    assert code(await port.find(condition(1))) == told[verdict]


async def test_while_redis_is_away_the_instance_goes_by_what_it_knows() -> None:
    shared = Shared()
    port = ProofReplays(SeenProofs(), KEYS, shared, None, None)
    assert code(await port.find(condition(1))) == "met"
    shared.told = None
    assert code(await port.find(condition(1))) == "invalid_dpop_proof"
    assert code(await port.find(condition(2))) == "met"
    assert code(await port.find(condition(2))) == "invalid_dpop_proof"


async def test_where_nobody_can_tell_it_is_neither_yes_nor_no() -> None:
    async def claim(_use: Use) -> str:
        raise UnansweredError("no answer")

    port = ProofReplays(SeenProofs(), KEYS, None, claim, None)
    assert code(await port.find(condition(1))) == "introspection_unavailable"


async def test_a_proof_that_is_taken_gets_the_nonce_for_the_next_and_foreseeing_uses_nothing() -> None:
    nonces = Nonces([b"k" * 32])
    port = ProofReplays(SeenProofs(), KEYS, None, None, nonces)
    for _ in range(2):
        assert code((await port.foresee(condition(1)))[0]) == "met"
    outcome = port.known(condition(1))
    assert isinstance(outcome, Met)
    assert [name for name, _ in outcome.fields] == ["DPoP-Nonce"]
    assert code((await port.foresee(condition(1)))[0]) == "invalid_dpop_proof"


@asynccontextmanager
async def bound_token() -> AsyncIterator[tuple[ScriptedProvider, Backend]]:
    backend = Backend()
    backend.default = script(ok())
    await backend.start()
    async with ScriptedProvider() as provider:
        provider.answers["t"] = {"active": True, "sub": "a", "token_type": "DPoP", "cnf": {"jkt": OWN.jkt}}
        yield provider, backend
    await backend.stop()


def text(provider: ScriptedProvider, backend: Backend, **more) -> str:
    routes = [{"name": "api", "match": {"path": "/**"}, "backend": backend.url}]
    return configuration(providers={"p": provider_settings(provider)}, routes=routes, **more)


async def get(gateway, proof: str) -> int:
    return (await gateway.get("/a", "Authorization: DPoP t", f"DPoP: {proof}")).status


async def test_two_instances_take_a_proof_once_and_nonces_of_each_other() -> None:
    server = RedisServer()
    with running(server):
        cache = {"redis": f"redis://127.0.0.1:{server.port}/0", "secret": SECRET}
        async with bound_token() as (provider, backend), gateways(SECRET) as start:
            more = {"cache": cache, "server": {"dpop_nonce": True}}
            one, other = await start(text(provider, backend, **more)), await start(text(provider, backend, **more))
            refused = await one.get(
                "/a", "Authorization: DPoP t", f"DPoP: {OWN.proof('GET', 'http://gw.example/a', 't')}"
            )
            assert (refused.status, refused.code) == (401, "use_dpop_nonce")
            nonce = refused.value("DPoP-Nonce")
            assert 'error="use_dpop_nonce"' in refused.values("WWW-Authenticate")[1]
            assert len(provider.introspections) == 0
            proof = OWN.proof("GET", "http://gw.example/a", "t", nonce=nonce)
            answer = await other.get("/a", "Authorization: DPoP t", f"DPoP: {proof}")
            assert answer.status == 200
            assert answer.value("DPoP-Nonce")
            assert [await get(one, proof), await get(other, proof)] == [401, 401]
            # The facts are in the memory of the one that asked, and the others have them from Redis.
            assert len(provider.introspections) == 1
            for instance in (one, other, await start(text(provider, backend, **more))):
                for scheme, by in (("Bearer", OWN), ("DPoP", THIEF)):
                    stolen = by.proof("GET", "http://gw.example/a", "t", nonce=nonce)
                    answer = await instance.get("/a", f"Authorization: {scheme} t", f"DPoP: {stolen}")
                    assert answer.status == 401
            assert len(provider.introspections) == 1
            fresh = [OWN.proof("GET", "http://gw.example/a", "t", nonce=nonce) for _ in range(5)]
            for proof in fresh:
                assert sorted(await asyncio.gather(get(one, proof), get(other, proof))) == [200, 401]


async def test_the_workers_of_an_instance_take_a_proof_once(tmp_path) -> None:
    async def asked(client: Client, proof: str) -> int:
        await client.send(request("GET", "/a", "Authorization: DPoP t", f"DPoP: {proof}"))
        return (await client.answer()).status

    async with bound_token() as (provider, backend):
        server = {"listen": f"127.0.0.1:{free_port()}", "workers": 2}
        admin = {"listen": f"127.0.0.1:{free_port()}", "token": ADMIN_TOKEN}
        document = json.loads(text(provider, backend, server=server, admin=admin))
        gateway = ServedGateway("gateway", tmp_path, document)
        await gateway.start()
        try:
            clients = list((await client_of_each(gateway)).values())
            assert len(clients) == 2
            for _ in range(10):
                proof = OWN.proof("GET", "http://gw.example/a", "t")
                assert sorted(await asyncio.gather(*(asked(client, proof) for client in clients))) == [200, 401]
                assert [await asked(client, proof) for client in clients] == [401, 401]
            for client in clients:
                await client.close()
        finally:
            await gateway.stop()


async def test_a_stream_that_a_proof_let_in_stays_open_over_a_reload() -> None:
    """Its token is judged again, with what came with it; the proof's minute does not matter any more."""
    go_on = asyncio.Event()
    async with bound_token() as (provider, backend), gateways() as start:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 6\r\n\r\n"
        backend.default = script(head + b"one", Wait(go_on), b"two")
        gateway = await start(text(provider, backend))
        client = await gateway.client()
        proof = OWN.proof("GET", "http://gw.example/a", "t")
        await client.send(request("GET", "/a", "Authorization: DPoP t", f"DPoP: {proof}"))
        await asyncio.sleep(1.0)  # from then on it is watched
        assert await gateway.reload(text(provider, backend, log={"level": "warning"}))
        await asyncio.sleep(0.5)
        go_on.set()
        assert (await client.answer()).body == b"onetwo"
