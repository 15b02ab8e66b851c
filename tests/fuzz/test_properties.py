"""The promises of `harness.py` on what Hypothesis makes: of any bytes, and of the words that mean something there."""

import re
from pathlib import Path

import pytest
from fuzz.harness import HARNESSES
from hypothesis import given, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"
COMMON = [b" ", b"\t", b"\n", b"\r", b"\0", b"\x7f", b"\xe9", b"%", b"/", b".", b":", b",", b";", b"0", b"1"]
# Words that no search would hit upon soon.
WORDS = {
    "target": [b"%2e", b"%2F", b"%5c", b"%00", b"%c0%ae", b"..", b"//", b"http://", b"h", b"GET ", b"?", b"#", b"\\"],
    "host": [b"a", b"[::1]", b"*.", b"192.0.2.1", b":80", b"@", b"example", b"xn--", b"]", b"["],
    "headers": [b"X-User-Id", b"x_user.id", b"Connection", b"Authorization", b"Forwarded", b"X-Forwarded-For", b"Via"],
    "forwarded": [b"X-Forwarded-For:", b"X-Forwarded-Host:", b"X-Forwarded-Proto:", b"10.0.0.1", b"https", b"::1"],
    "bearer": [b"Bearer", b"bearer", b"Basic", b"=", b"abc", b"e30", b"eyJpc3MiOiJhIn0"],
    "framing": [b"\x01", b"Content-Length:", b"Transfer-Encoding:", b"chunked", b"gzip", b"5", b"+5"],
    "scanner": [b"POST / HTTP/1.1\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"\r\n", b";a=b",
                b"5\r\nhello\r\n", b"0\r\n\r\n", b"hello", b"X: y\r\n", b"1\r\nx\r\n",
                b"Upgrade: websocket\r\nConnection: upgrade\r\n"],
    "pattern": [b"{a}", b"{b}", b"**", b"{**}", b"a", b"%7e", b"%2f", b"..;", b"{"],
    "retry_after": [b"Sun, 06 Nov 1994 08:49:37 GMT", b"-9999", b"99999", b"Nov"],
    "request": [b"GET ", b"/public", b"/admin", b"/strip/me", b"/t/", b" HTTP/1.1", b"\nHost: h", b"..", b"%2e", b"%2f",
                b"\nAuthorization: Bearer t", b"\nX_User_Id: root", b"http://", b"//"],
}  # fmt: skip


def words_of(name: str) -> list[bytes]:
    seeds = b"\n".join(file.read_bytes()[:200] for file in sorted((CORPUS / name).iterdir())[:20])
    return [*COMMON, *WORDS.get(name, []), *set(re.findall(rb'[\w-]+|"[^"]*"|[^\w\s]+', seeds))]


@pytest.mark.parametrize("name", HARNESSES)
def test_the_promises_hold_on_any_bytes(name: str) -> None:
    @settings(max_examples=100)
    @given(st.binary(max_size=120))
    def hold(data: bytes) -> None:
        HARNESSES[name](data)

    hold()


@pytest.mark.parametrize("name", HARNESSES)
def test_the_promises_hold_on_what_is_made_of_their_own_words(name: str) -> None:
    @settings(max_examples=300)
    @given(st.lists(st.sampled_from(sorted(words_of(name))), max_size=12).map(b"".join))
    def hold(data: bytes) -> None:
        HARNESSES[name](data)

    hold()
