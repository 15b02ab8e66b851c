"""What differs, and nothing else does, where the gateway stands in nginx's place; `docs/neighbours.md` says why.

With `preserve_host`, as nginx's users write it; a difference that is not in these tables is news.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from foreign.side_by_side.places import KEPT, NGINX, proxies
from foreign.side_by_side.seen import differences, exchanged
from foreign.side_by_side.trials import scripted
from support.backend import Backend
from support.lanes import LANES

# nginx answers, the gateway refuses: what backends could read in two ways.
REFUSED = {"/a%2Fb", "/a%2fb", "/shop/a%2Fb", "/a;b=c", "/a%3Bb", "/a//b", "/a/./b", "/a/../b", "/a%5Cb", "/q?a=%zz"}
# nginx's limits are 8 KiB for a field and 1 MiB for a body, and it redirects to a location's slash.
OTHER_STATUS = dict.fromkeys(("a field of 9000 bytes", "a field of 20000 bytes"), "400 200") | {
    "a field of 40000 bytes": "400 431",
    "2 MB": "413 200",
    "/shop": "301 200",
    "TRACE": "405 400",
    **dict.fromkeys(REFUSED, "200 400"),
}
OTHERS: dict[str, set[str]] = {
    "forged": {"told forwarded", "told x-forwarded-for", "told x-forwarded-port", "told x-forwarded-prefix"},
    "hop by hop": {f"told {name}" for name in ("authorization", "connection", "proxy", "upgrade", "x-hop", "x_under")},
    "/%7Ea": {"target"},
    "/%41": {"target"},
    "Server and its like": {"answer x-accel-buffering", "answer x-accel-expires"},
    "chunks and a trailer": {"answer trailer"},
    "chunked upload": {"told content-length", "told transfer-encoding"},
    "expect, and does not wait": {"1xx"},
    "a body on GET": {"told connection"},
    "host with a port": {"told host", "told x-forwarded-host"},
    "Host in capitals": {"told host", "told x-forwarded-host"},
}
# The backend's own address, in each of its forms; "backend" is what nginx calls the backend.
LED = ("to http://127.0.0.1", "to http://backend/", "to //127.0.0.1", "/shop/x to http://gw.example/")
# Releases of nginx differ.
LEFT_OUT = {"103", "no HTTP"}


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    one = Backend()
    await one.start()
    yield one
    await one.stop()


def expected(name: str) -> set[str]:
    if name in OTHER_STATUS:
        return {f"status {OTHER_STATUS[name]}"}
    found = set(OTHERS.get(name, ()))
    if any(mark in name for mark in LED):
        found.add("answer location")
    if name.startswith("/shop") or name == "a cookie, stripped":
        found.add("told x-forwarded-prefix")
    return found


def in_words(what: str, values: tuple[str, str]) -> str:
    return f"status {values[0]} {values[1]}" if what == "status" else what


@pytest.mark.parametrize("lane", LANES)
async def test_nothing_differs_but_what_is_meant_to(backend: Backend, tmp_path: Path, lane: str) -> None:
    seen: dict[str, Any] = {}
    async with proxies(backend.port, tmp_path, lane) as addresses:
        trials = [trial for trial in scripted(backend.url) if trial.name not in LEFT_OUT]
        for trial in trials:
            theirs, ours = [await exchanged(addresses[name], trial, backend) for name in (NGINX, KEPT)]
            assert theirs.status, trial
            seen[trial.name] = {in_words(*one) for one in differences(theirs, ours).items()}
    assert seen == {trial.name: expected(trial.name) for trial in trials}
