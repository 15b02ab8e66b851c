"""Four gateways and one limit: callers above, at and below it, and one far above once Redis is killed in the middle."""

from support.fleet import fleet
from support.limit_load import load

RATE = 100


async def test_the_rate_is_one_for_all_processes_and_an_outage_fails_nobody(tmp_path) -> None:
    limits = {"per-user": {"rate": f"{RATE}/1s", "by": "sub"}}
    # The access log would be most of the work here.
    async with fleet(tmp_path, workers=1, limits=limits, cache={"timeout": "200ms"}) as served:
        rates = {"above": 2.0 * RATE, "at": 0.98 * RATE, "below": RATE / 2}
        statuses, for_s = await load(served, rates, 5.0)
        most = RATE * for_s + RATE
        assert most * 0.9 <= statuses["above", 200] <= most * 1.1, statuses
        assert statuses["at", 200] >= RATE * for_s * 0.9, statuses
        assert statuses["below", 429] == 0, statuses
        assert {status for _, status in statuses} == {200, 429}
        served.redis.kill()
        statuses, for_s = await load(served, rates | {"far-above": 6.0 * RATE}, 4.0)
        assert {status for _, status in statuses} <= {200, 429}, statuses
        assert statuses["above", 200] <= 2 * RATE * for_s * 1.1, statuses
        assert statuses["far-above", 200] <= 2 * (RATE * for_s + RATE) * 1.1, statuses  # twice its burst, too
        assert statuses["below", 429] == 0, statuses
