from gateway.proxy.downstream.head_budget import HeadBudget


def budget_of(bytes_max: int) -> HeadBudget[str]:
    """The first letter of a holder is its network."""
    return HeadBudget(lambda holder: holder[0], bytes_max)


def test_within_the_budget_nobody_gives_anything_up():
    budget = budget_of(100)
    assert budget.hold("a", 60) is None
    assert budget.hold("b", 40) is None
    assert budget.held_bytes == 100


def test_beyond_it_the_largest_does():
    budget = budget_of(100)
    budget.hold("a", 20)
    budget.hold("b", 60)
    assert budget.hold("c", 30) == "b"
    budget.hold("b", 0)
    assert budget.held_bytes == 50
    assert budget.hold("c", 90) == "c"


def test_many_small_heads_of_one_network_press_out_no_large_one_of_another():
    budget = budget_of(100)
    assert budget.hold("victim", 30) is None
    for number in range(35):
        assert budget.hold(f"attacker{number}", 2) is None
    assert budget.hold("attacker0", 3) == "attacker0"
    assert budget.hold("victim", 31) == "attacker0"


def test_what_is_held_is_counted_once():
    budget = budget_of(100)
    for size in range(100):
        assert budget.hold("a", size) is None
    budget.hold("a", 0)
    budget.hold("a", 0)
    assert budget.held_bytes == 0
    assert not budget._held
    assert not budget._network_bytes
