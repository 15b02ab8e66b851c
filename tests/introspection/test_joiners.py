"""Who waits for one question, and that a provider's queue hears of them."""

import asyncio

from support.introspecting import Clock, CountingMeter, ScriptedIntrospector

from gateway.authn.bearer import Token
from gateway.authn.facts import IntrospectionResult
from gateway.cache.key import HmacKeys
from gateway.cache.local import LocalCache
from gateway.http.client_network import ClientNetwork, client_network
from gateway.introspection.authenticator import Authenticator, Question
from gateway.introspection.joiners import Joiners
from gateway.introspection.lifetime import Lifetimes

EVE, BOB, CAROL = (client_network(f"192.0.2.{number}") for number in (1, 2, 3))


def test_each_network_is_heard_of_once_while_somebody_listens() -> None:
    joiners, heard = Joiners(EVE), list[ClientNetwork]()
    joiners.join(BOB)
    with joiners.on_join(heard.append):
        for network in (EVE, BOB, CAROL, CAROL):
            joiners.join(network)
    joiners.join(client_network("192.0.2.4"))
    assert heard == [CAROL]
    assert list(joiners.networks) == [EVE, BOB, CAROL, client_network("192.0.2.4")]


def test_they_are_bounded() -> None:
    joiners = Joiners(EVE)
    for number in range(1000):
        joiners.join(client_network(f"10.0.{number // 250}.{number % 250}"))
    assert len(joiners.networks) == 256


class Listening(ScriptedIntrospector):
    joiners: Joiners | None = None

    async def introspect(self, token: Token, address: str = "", joiners: Joiners | None = None) -> IntrospectionResult:
        self.joiners = joiners
        return await super().introspect(token, address, joiners)


async def test_the_question_waits_in_the_name_of_each_network_that_joins_its_flight() -> None:
    provider = Listening(Clock())
    provider.gate = asyncio.Event()
    authenticator = Authenticator(
        {"keycloak": provider},
        keys=HmacKeys(None),
        local=LocalCache(10),
        shared=None,
        meter=CountingMeter(),
        lifetimes=Lifetimes(60, 10),
        clock=provider.clock,
        monotonic=Clock(1000.0),
    )
    asking = []
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.3"):
        question = Question("keycloak", Token("alice.1"), address=address)
        asking.append(asyncio.create_task(authenticator.look_up(question)))
        await asyncio.sleep(0.01)
    assert provider.joiners is not None
    assert list(provider.joiners.networks) == [EVE, BOB, CAROL]
    provider.gate.set()
    await asyncio.gather(*asking)
    assert provider.asked == ["alice.1"]
    await authenticator.close(5)
