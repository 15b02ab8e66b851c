from gateway.workers.instance import Readiness, worst_breakers


def told(**breakers: str) -> Readiness:
    return Readiness(ready=True, checks={"breakers": breakers})


def test_the_worst_of_several_workers_breakers_is_reported():
    told_by = [told(p="closed", q="half_open"), told(p="open", q="closed"), told(p="half_open"), Readiness(ready=False)]
    assert worst_breakers(told_by) == {"p": "open", "q": "half_open"}
    assert worst_breakers([]) == {}
