"""The callers of the measurement of limits: ones that a gateway answers, and that keep to what it answers."""

import asyncio
from types import SimpleNamespace

import pytest
from benchmarks.limits import RATES
from support.fleet import Fleet
from support.limit_load import NO_ANSWER, load


async def answered(wire: bytes, rates: dict[str, float], for_s: float = 0.5):
    """What callers count who get `wire` on each connection once, and then its end."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(wire)
        writer.close()

    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        gateway = SimpleNamespace(address=server.sockets[0].getsockname())
        among = Fleet(None, None, [gateway])
        statuses, _ = await load(among, rates, for_s)
        await among.close_clients()
    return statuses


async def test_a_connection_that_is_to_end_is_not_used_again() -> None:
    wire = b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    statuses = await answered(wire, dict.fromkeys(RATES, 60.0))
    assert set(statuses) == {(who, 429) for who in RATES}


async def test_a_connection_that_ends_without_an_answer_is_counted_and_the_load_goes_on() -> None:
    statuses = await answered(b"", {"alice": 60.0})
    assert statuses["alice", NO_ANSWER] > 10


async def test_a_caller_whose_name_is_not_a_token_is_an_error() -> None:
    with pytest.raises(ValueError, match="far below"):
        await answered(b"", {"far below": 10.0})
