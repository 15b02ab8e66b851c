"""Who holds a connection and who gives way, without a connection."""

from ipaddress import IPv4Network, IPv6Network

import pytest

from gateway.proxy.downstream.shares import ConnectionLimits, Shares, default_share, is_exempt, networks_of


class Held:
    def __init__(self, peer: str, since_s: float | None = None) -> None:
        self.networks = networks_of(peer) if peer else ()
        self.since_s = since_s

    def unproductive_since_s(self) -> float | None:
        return self.since_s


class Table:
    """Shares and their clock."""

    def __init__(self, cap: int, share: int) -> None:
        self.shares: Shares[Held] = Shares(ConnectionLimits(cap, share))
        self.now_s = 1000.0

    def enter(self, peer: str, *, busy: bool = False, is_scarce: bool = False) -> tuple[Held, Held | None]:
        self.now_s += 0.001
        newcomer = Held(peer, None if busy else self.now_s)
        loser = self.shares.enter(newcomer, self.now_s, is_scarce=is_scarce)
        if loser is not None:
            self.shares.leave(loser)
        return newcomer, loser


@pytest.mark.parametrize(
    ("peer", "networks"),
    [
        ("192.0.2.7", ("192.0.2.7",)),
        ("::ffff:192.0.2.7", ("192.0.2.7",)),
        ("2001:db8:1:2:3::4", ("2001:db8:1:2::", "2001:db8:1::/48")),
        ("fe80::1%eth0", ("fe80::", "fe80::/48")),
        ("", ()),
    ],
)
def test_what_an_address_counts_for(peer, networks):
    assert networks_of(peer) == networks


def test_trusted_proxies_and_unix_sockets_have_no_share():
    trusted = [IPv4Network("10.0.0.0/8"), IPv6Network("2001:db8::/32"), "unix"]
    assert is_exempt("10.1.2.3", trusted)
    assert is_exempt("::ffff:10.1.2.3", trusted)
    assert is_exempt("2001:db8::1", trusted)
    assert is_exempt("", [])
    assert not is_exempt("192.0.2.1", trusted)
    assert not is_exempt("2001:db9::1", trusted)


@pytest.mark.parametrize(("cap", "share"), [(1, 1), (2, 1), (3, 2), (100, 87), (256, 224), (400, 256), (10_000, 5_000)])
def test_the_share_that_is_not_configured(cap, share):
    assert default_share(cap) == share


@pytest.mark.parametrize("cap", [16, 100, 256, 1000])
@pytest.mark.parametrize("peers", [["192.0.2.1"], [f"2001:db8:1:{number:x}::1" for number in range(8)]])
def test_one_network_at_work_leaves_room_for_another_whatever_the_cap(cap, peers):
    table = Table(cap, default_share(cap))
    for number in range(2 * cap):
        table.enter(peers[number % len(peers)], busy=True)
    assert table.enter("192.0.2.9", busy=True)[1] is None


def test_beyond_the_cap_the_oldest_of_the_largest_network_goes():
    table = Table(cap=6, share=6)
    lonely, _ = table.enter("192.0.2.1")
    many = [table.enter("192.0.2.2")[0] for _ in range(5)]
    assert table.enter("192.0.2.3")[1] is many[0]
    assert table.enter("192.0.2.3")[1] is many[1]
    assert lonely in table.shares.holders
    assert len(table.shares) == 6


def test_who_is_at_work_is_left_alone():
    table = Table(cap=3, share=3)
    for _ in range(2):
        table.enter("192.0.2.1", busy=True)
    idle, _ = table.enter("192.0.2.1")
    assert table.enter("192.0.2.2")[1] is idle


def test_where_all_are_at_work_the_newcomer_is_turned_away():
    table = Table(cap=2, share=2)
    for _ in range(2):
        table.enter("192.0.2.1", busy=True)
    newcomer, loser = table.enter("192.0.2.2", busy=True)
    assert loser is newcomer
    assert len(table.shares) == 2


def test_beyond_its_share_a_network_gives_up_its_own_even_where_there_is_room():
    table = Table(cap=100, share=2)
    first, _ = table.enter("192.0.2.1")
    table.enter("192.0.2.1")
    assert table.enter("192.0.2.1")[1] is first
    assert table.enter("192.0.2.2")[1] is None


def test_a_network_at_work_up_to_its_share_gets_no_more_and_others_do():
    table = Table(cap=4, share=2)
    for _ in range(2):
        assert table.enter("192.0.2.1", busy=True)[1] is None
    for _ in range(10):
        newcomer, loser = table.enter("192.0.2.1", busy=True)
        assert loser is newcomer
    assert table.enter("192.0.2.2", busy=True)[1] is None


def test_a_site_of_many_subscribers_has_half_as_many_again():
    table = Table(cap=100, share=4)
    for number in range(6):
        assert table.enter(f"2001:db8:1:{number}::1", busy=True)[1] is None
    newcomer, loser = table.enter("2001:db8:1:99::1", busy=True)
    assert loser is newcomer
    assert table.enter("2001:db8:2::1", busy=True)[1] is None


def test_a_site_counts_as_one_where_the_largest_is_looked_for():
    table = Table(cap=6, share=6)
    site = [table.enter(f"2001:db8:1:{number}::1")[0] for number in range(4)]
    for _ in range(2):
        table.enter("192.0.2.1")
    assert table.enter("192.0.2.9")[1] is site[0]


def test_proxies_give_way_last_and_have_no_share():
    table = Table(cap=6, share=2)
    for _ in range(5):
        assert table.enter("")[1] is None
    direct, _ = table.enter("192.0.2.1")
    assert table.enter("")[1] is direct
    _, loser = table.enter("192.0.2.1")
    assert loser is not None
    assert loser.networks == ()


def test_scarcity_is_as_the_cap():
    table = Table(cap=100, share=100)
    oldest, _ = table.enter("192.0.2.1")
    table.enter("192.0.2.1")
    assert table.enter("192.0.2.2", is_scarce=True)[1] is oldest


def test_one_that_did_something_since_the_look_is_not_the_oldest_any_more():
    table = Table(cap=40, share=40)
    held = [table.enter("192.0.2.1")[0] for _ in range(40)]
    assert table.enter("192.0.2.2")[1] is held[0]
    held[1].since_s = table.now_s
    held[2].since_s = None
    table.shares.leave(held[3])
    table.enter("192.0.2.2")
    assert table.enter("192.0.2.2")[1] is held[4]


def test_a_flood_costs_few_looks(monkeypatch):
    """Each look is at every connection of a network."""
    looks = []
    look = Shares._look
    monkeypatch.setattr(Shares, "_look", lambda table, network: looks.append(network) or look(table, network))
    table = Table(cap=2_000, share=2_000)
    for _ in range(4_000):
        table.enter("192.0.2.1")
    assert len(table.shares) == 2_000
    assert len(looks) <= 2_000 // (2_000 // 8) + 1


def test_nor_does_one_that_finds_nobody(monkeypatch):
    looks = []
    look = Shares._look
    monkeypatch.setattr(Shares, "_look", lambda table, network: looks.append(network) or look(table, network))
    table = Table(cap=1_000, share=1_000)
    for _ in range(2_000):
        table.enter("192.0.2.1", busy=True)
    assert len(looks) <= 1_000 / 10 + 1  # a thousand newcomers, a millisecond apart


def test_networks_are_counted_only_where_one_could_hold_too_much():
    table = Table(cap=40, share=20)
    held = [table.enter("192.0.2.1")[0] for _ in range(20)]
    assert table.shares._members == {}
    newcomer, loser = table.enter("192.0.2.1")
    assert loser is held[0]
    assert table.shares.held_by("192.0.2.1") == 20
    for holder in held[1:11]:
        table.shares.leave(holder)
    assert table.shares._members == {}
    assert [table.enter("192.0.2.1")[1] for _ in range(10)] == [None] * 10
    assert table.enter("192.0.2.1")[1] is held[11]
    assert newcomer in table.shares.holders


def test_a_smaller_share_is_for_all_that_come_after_it():
    table = Table(cap=40, share=20)
    first, _ = table.enter("192.0.2.1")
    table.enter("192.0.2.1")
    table.shares.adjust(ConnectionLimits(40, 2))
    assert table.enter("192.0.2.1")[1] is first


def test_the_count_does_not_begin_again_for_each_newcomer(monkeypatch):
    """To begin it takes a look at every connection."""
    begun = []
    begin = Shares._begin_count
    monkeypatch.setattr(Shares, "_begin_count", lambda table: begun.append(len(table)) or begin(table))
    table = Table(cap=1_000, share=1_000)
    for _ in range(100):
        table.enter("192.0.2.1")
    for _ in range(1_000):
        table.enter("192.0.2.1", is_scarce=True)
        table.enter("192.0.2.2", busy=True, is_scarce=True)
    assert begun == [100]


def test_nothing_is_left_of_those_that_have_gone():
    table = Table(cap=10, share=2)
    for number in range(100):
        table.enter(f"2001:db8:{number:x}::1")
        table.enter(f"192.0.2.{number}")
    for holder in list(table.shares.holders):
        table.shares.leave(holder)
        table.shares.leave(holder)
    assert (len(table.shares), table.shares._members) == (0, {})
    assert set(table.shares._candidates) <= {None}
