"""What browsers and services really send is answered, and the fast lane takes as much of it as the document says."""

from pathlib import Path

import pytest
from support.recorded import Recorded, clients, documented, replay, table

CLIENTS = clients()
DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.mark.parametrize("name", CLIENTS)
async def test_what_a_client_sends_is_answered_and_the_fast_lane_takes_its_share(name):
    taken = await replay(CLIENTS[name])
    assert [one.recorded.what for one in taken if one.status not in {200, 204}] == []
    fast = sum(one.is_fast for one in taken) / len(taken)
    assert round(fast * 100) >= documented(DOCUMENT.read_text())[name]


def test_the_document_speaks_of_every_client():
    assert set(documented(DOCUMENT.read_text())) == set(CLIENTS)


def test_there_are_a_browser_and_services_among_them_and_their_bytes_are_as_they_were():
    assert {"chromium", "httpx", "requests", "undici", "net_http", "curl"} <= set(CLIENTS)
    first = CLIENTS["chromium"][0]
    assert first.what == "GET /"
    assert b"\r\nSec-Fetch-Mode: navigate\r\n" in first.segments[0]
    assert first.segments[-1].endswith(b"\r\n\r\n")
    # These send the body behind the head: what has to be put together again.
    assert {len(one.segments) for one in CLIENTS["requests"]} == {1, 2}


async def test_what_no_fast_lane_takes_is_seen_not_to_be_taken():
    head = b"POST /api/orders HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"
    (taken,) = await replay([Recorded("POST /api/orders", (head,))])
    assert not taken.is_fast
    assert "| x | 1 | 0% | 1 body |" in table({"x": [taken]})
