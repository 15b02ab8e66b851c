"""A recording backend that tells each caller what it was told about it.

Every request carries a marker of its own in its path; the answer repeats the marker and the identity headers. So an
answer that reached the wrong caller is seen at the caller, and a request that nobody vouched for at the backend.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.backend import Backend, Script, SeenRequest, ok, script
from support.running_gateway import RunningGateway
from support.wire import Answer

USER_HEADER = "X-User-Id"
IDENTITY: dict[str, Any] = {"headers": {USER_HEADER: "sub", "X-Roles": "realm_access.roles"}}
_serials = itertools.count(1)


def echo(request: SeenRequest) -> Script:
    """`{"target": …, "user": [the identity headers' values]}`."""
    told = {"target": request.target, "user": request.values(USER_HEADER)}
    answer = ok(json.dumps(told).encode(), "Content-Type: application/json")
    return script(answer)


def echoing_backend(host: str = "127.0.0.1") -> Backend:
    backend = Backend(host=host)
    backend.default = echo
    return backend


@asynccontextmanager
async def vouched_backend() -> AsyncIterator[Backend]:
    """An echoing backend that must have got sound HTTP alone, and no request without a user."""
    backend = echoing_backend(own_loopback_address())
    await backend.start()
    yield backend
    await backend.stop()
    assert backend.faults == []
    unvouched = [request.head for request in backend.requests if not request.values(USER_HEADER)]
    assert unvouched == [], "nobody vouched for it"


def own_loopback_address() -> str:
    """An address that no other process of the tests uses.

    Tests of other processes have backends that are down: ports of 127.0.0.1 that were free a moment ago. As soon as
    the system gives such a port to a backend here, the requests of their gateways reach it.
    """
    if sys.platform != "linux":  # elsewhere only 127.0.0.1 is there
        return "127.0.0.1"
    process = os.getpid()
    return f"127.{64 + (process >> 16) % 64}.{process >> 8 & 255}.{process & 255}"


def marked(path: str = "/api") -> str:
    """A target under `path` that no other request has."""
    return f"{path}/m{next(_serials)}"


def said(answer: Answer) -> tuple[str, list[str]]:
    """The marker and the users in an echo."""
    assert answer.status == 200, answer
    told = json.loads(answer.body)
    return told["target"], told["user"]


async def passes(gateway: RunningGateway, token: str, user: str, path: str = "/api") -> Answer:
    """A request with `token` gets exactly its own answer, as `user`."""
    target = marked(path)
    answer = await gateway.get(target, token=token)
    assert said(answer) == (target, [user])
    return answer


async def is_refused(
    gateway: RunningGateway, token: str, status: int, code: str, path: str = "/api", backend: Backend | None = None
) -> Answer:
    """A request with `token` is refused; with `backend`, the request never came there."""
    target = marked(path)
    answer = await gateway.get(target, token=token)
    assert (answer.status, answer.code) == (status, code), answer
    if backend is not None:
        assert reached(backend, target) == 0
    if status == 503:
        assert int(answer.value("Retry-After") or "0") >= 1
    if status == 401:
        assert answer.values("WWW-Authenticate")[0].startswith("Bearer ")
    return answer


def reached(backend: Backend, target: str) -> int:
    return sum(request.target == target for request in backend.requests)
