"""Other projects' collections of odd requests, sent to both lanes: nothing that is not plainly a request gets through.

The backend splits what reaches it strictly, by itself; it must find no fault, and never the request that a corpus
hides in a body. Afterwards a caller on a new connection gets its own answer.
"""

import asyncio
import os
import re
from pathlib import Path

import pytest
from support.wire import Client, request

LLHTTP = os.environ.get("LLHTTP", "")
SMUGGLER = os.environ.get("SMUGGLER", "")
HIDDEN = "GET /open/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER_S = 0.3
AT_ONCE = 40


def llhttp_requests():
    """The requests in llhttp's tests, as they stand and with a `Host` where they have none."""
    files = sorted(Path(LLHTTP).glob("test/request/*.md")) if LLHTTP else []
    blocks = [block for file in files for block in re.findall(r"```http\n(.*?)```", file.read_text(), re.DOTALL)]
    for block in blocks:
        wire = re.sub(r"\\\n", "", block).replace("\n", "\r\n")
        wire = wire.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t").replace("\\f", "\f")
        yield wire.encode("latin-1", "replace")
        if not re.search(r"^host:", wire, re.IGNORECASE | re.MULTILINE):
            yield re.sub(r"\r\n", "\r\nHost: a\r\n", wire, count=1).encode("latin-1", "replace")


def smuggler_requests():
    """Each head of smuggler's configurations before a body that hides a request.

    The length never ends where the hidden one begins: by the length alone it would then be a request.
    """
    library = Path(SMUGGLER) / "lib" / "Payload.py"
    if not SMUGGLER or not library.is_file():
        return
    names = {}
    exec(library.read_text(), names)
    for config in sorted(Path(SMUGGLER).glob("configs/*.py")):
        names["mutations"] = {}
        exec(config.read_text(), names)
        for payload in names["mutations"].values():
            for body in (names["EndChunk"] + HIDDEN, names["Chunked"](HIDDEN) + names["EndChunk"]):
                for length in (-1, len(body) - 1):
                    payload.host, payload.method, payload.endpoint = "a", "POST", "/open/visible"
                    payload.body, payload.cl = body, length
                    yield str(payload).encode("latin-1")


@pytest.mark.parametrize("lane", ["fast", "general"])
@pytest.mark.parametrize(("corpus", "named"), [(llhttp_requests, "LLHTTP"), (smuggler_requests, "SMUGGLER")])
async def test_nothing_hidden_is_served_and_nobody_is_confused(corpus, named, lane, serve, backend):
    wires = await asyncio.to_thread(lambda: list(corpus()))
    if not wires:
        pytest.skip(f"{named} names no checkout of that project; see CONTRIBUTING.md")
    gateway = await serve(fast_path=lane == "fast")
    places = asyncio.Semaphore(AT_ONCE)

    async def send(wire):
        async with places, await Client.of(gateway.address) as client:
            await client.send(wire)
            await asyncio.sleep(ANSWER_S)

    await asyncio.gather(*map(send, wires))
    assert [seen.target for seen in backend.requests if "hidden" in seen.target] == []
    async with await Client.of(gateway.address) as client:
        await client.send(request("GET", "/open/canary"))
        assert (await client.answer()).body == b"hello"
    assert backend.faults == []
