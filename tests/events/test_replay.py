from support.introspecting import Clock

from gateway.events.replay import Replays


class Fleet:
    def __init__(self):
        self.seen = {}

    async def has_seen(self, key):
        return key in self.seen

    async def remember_seen(self, key, life_s):
        self.seen[key] = life_s


async def test_an_event_is_known_again_until_its_time_is_over():
    clock = Clock()
    replays = Replays(clock)
    assert not await replays.is_replay(b"a", None)
    await replays.remember(b"a", 60, None)
    assert await replays.is_replay(b"a", None)
    assert not await replays.is_replay(b"b", None)
    clock.advance(61)
    assert not await replays.is_replay(b"a", None)


async def test_an_event_that_one_has_seen_the_fleet_has_seen():
    fleet = Fleet()
    await Replays(Clock()).remember(b"a", 60, fleet)
    assert fleet.seen == {b"a": 60}
    assert await Replays(Clock()).is_replay(b"a", fleet)


async def test_its_memory_is_bounded_and_the_oldest_goes_first():
    replays = Replays(Clock())
    for number in range(10_050):
        await replays.remember(str(number).encode(), 60, None)
    assert len(replays._until_s) == 10_000
    assert not await replays.is_replay(b"49", None)
    assert await replays.is_replay(b"50", None)
