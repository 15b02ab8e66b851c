from gateway.proxy.streams.rounds import Rounds


def taken(rounds: Rounds[str]) -> list[list[str]]:
    groups = []
    while rounds:
        groups.append(rounds.take())
    return groups


def test_one_network_has_its_turns_and_no_more_however_many_wait_for_it() -> None:
    rounds: Rounds[str] = Rounds()
    for number in range(5):
        rounds.put("192.0.2.1", number, f"a{number}")
    rounds.put("198.51.100.1", 0, "b0")
    rounds.put("2001:db8:1:1::1", 0, "c0")
    rounds.put("2001:db8:1:2::1", 1, "c1")
    assert taken(rounds) == [["a0"], ["b0"], ["c0"], ["a1"], ["c1"], ["a2"], ["a3"], ["a4"]]


def test_who_waits_for_the_same_goes_together_and_at_the_first_ones_turn() -> None:
    rounds: Rounds[str] = Rounds()
    for about, one in [(b"x", "1"), (b"y", "2"), (b"x", "3")]:
        rounds.put("192.0.2.1", about, one)
    assert rounds.take() == ["1", "3"]
    rounds.put("192.0.2.1", b"x", "4")
    assert taken(rounds) == [["2"], ["4"]]


def test_without_anybody_there_is_no_turn() -> None:
    assert not Rounds()
