from gateway.server.head_budget import HeadBudget


def test_within_the_budget_nobody_gives_anything_up():
    budget = HeadBudget(100)
    assert budget.hold("a", 60) is None
    assert budget.hold("b", 40) is None
    assert budget.held_bytes == 100


def test_beyond_it_the_largest_does():
    budget = HeadBudget(100)
    budget.hold("a", 20)
    budget.hold("b", 60)
    assert budget.hold("c", 30) == "b"
    budget.hold("b", 0)
    assert budget.held_bytes == 50
    assert budget.hold("c", 90) == "c"


def test_what_is_held_is_counted_once():
    budget = HeadBudget(100)
    for size in range(100):
        assert budget.hold("a", size) is None
    budget.hold("a", 0)
    budget.hold("a", 0)
    assert budget.held_bytes == 0
