"""An admin listener with nothing behind it but an instance that keeps what it was asked."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from gateway.config.server_model import Admin
from gateway.observe.metrics import Metrics
from gateway.workers.instance import Readiness

TOKEN = "the-admin-token-ü$%"


@dataclass
class FakeInstance:
    """Does what it is told and keeps what it was asked."""

    metrics: Metrics = field(default_factory=Metrics)
    asked: list[Mapping[str, str]] = field(default_factory=list)
    told: Readiness = field(default_factory=lambda: Readiness(ready=True, checks={"provider": "found"}))
    raises: Exception | None = None

    async def snapshot(self) -> dict[str, Any]:
        return self.metrics.snapshot()

    async def purge(self, selector: Mapping[str, str]) -> int:
        return await self._asked(selector, 3)

    async def explain(self, question: Mapping[str, str]) -> dict[str, Any]:
        return await self._asked(question, {"decision": "allow", "steps": []})

    async def _asked(self, what: Mapping[str, str], answer: Any) -> Any:
        self.asked.append(what)
        await asyncio.sleep(0)
        if self.raises is not None:
            raise self.raises
        return answer

    def readiness(self) -> Readiness:
        return self.told

    async def refusals(self) -> list[dict[str, Any]]:
        return await self._asked({}, [{"code": "invalid_token", "reason": "aud is [account]"}])

    def workers(self) -> list[dict[str, Any]]:
        return [{"pid": 7, "serving": True, "snapshot": {}}]

    def routes(self) -> list[dict[str, Any]]:
        return [{"name": "orders"}]


class Client:
    """Requests to a running admin listener; the token goes with them unless it is told otherwise."""

    def __init__(self, session: aiohttp.ClientSession, url: str, instance: FakeInstance) -> None:
        self.session = session
        self.url = url
        self.instance = instance
        self.settings: Admin = Admin()

    async def ask(self, method: str, path: str, *, token: str | None = TOKEN, headers: Any = (), **more: Any) -> Any:
        sent = [*dict(headers).items()] + ([("Authorization", f"Bearer {token}")] if token is not None else [])
        async with self.session.request(method, self.url + path, headers=sent, **more) as answer:
            return answer, await answer.read()


def problem(answer: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
    assert answer.content_type == "application/problem+json"
    value = json.loads(body)
    assert value["status"] == answer.status
    assert value.keys() == {"type", "title", "status", "detail", "code", "request_id"}
    assert value["request_id"] == answer.headers["X-Request-Id"]
    return value
