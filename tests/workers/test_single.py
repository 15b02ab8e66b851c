import asyncio

import pytest

from gateway.workers import single
from gateway.workers.instance import Instance, InstanceError, Readiness
from gateway.workers.single import SingleProcess
from gateway.workers.worker import ConfigSource


class Worker:
    """The part of a worker that an instance asks."""

    async def purge(self, selector):
        return len(selector)

    async def explain(self, question):
        await asyncio.sleep(60)

    def snapshot(self):
        return {"counters": {}}

    def ready(self):
        return Readiness(ready=True)


@pytest.fixture
def instance() -> Instance:
    return SingleProcess(Worker(), ConfigSource("", "gateway.yaml", "."), routes=lambda: [{"name": "orders"}])


async def test_one_worker_answers_for_itself(instance):
    assert await instance.purge({"sub": "alice"}) == 1
    assert await instance.snapshot() == {"counters": {}}
    assert instance.readiness().ready
    assert instance.routes() == [{"name": "orders"}]


async def test_an_answer_has_a_deadline_here_too(instance, monkeypatch):
    monkeypatch.setattr(single, "_DEADLINE_S", 0.05)
    with pytest.raises(InstanceError, match="no answer within"):
        await instance.explain({"method": "GET", "url": "/"})
