import pytest
from redis.exceptions import InvalidResponse

from gateway.cache.resp import ErrorReply, Reply, ReplyParser, packed

LIMIT = 64

REPLIES: list[tuple[bytes, list[Reply]]] = [
    (b":1\r\n", [1]),
    (b":-2\r\n$-1\r\n", [-2, None]),
    (b"$0\r\n\r\n", [b""]),
    (b"$5\r\na\r\nbc\r\n", [b"a\r\nbc"]),
    (b"+OK\r\n", [b"OK"]),
    (b"-WRONGTYPE Operation against a key\r\n:7\r\n", [ErrorReply("WRONGTYPE"), 7]),
    (b"-MOVED 3999 127.0.0.1:6381\r\n", [ErrorReply("MOVED")]),
    (b"*4\r\n$2\r\nab\r\n:500\r\n:-2\r\n$0\r\n\r\n", [[b"ab", 500, -2, b""]]),
    (b"*0\r\n*-1\r\n*1\r\n-ERR no\r\n", [[], None, [ErrorReply("ERR")]]),
    (b"$64\r\n" + b"x" * LIMIT + b"\r\n" + b":12\r\n" * 100, [b"x" * LIMIT, *[12] * 100]),
]


@pytest.mark.parametrize(("text", "replies"), REPLIES)
def test_replies_are_read_however_they_arrive(text: bytes, replies: list[Reply]) -> None:
    assert ReplyParser(LIMIT).feed(text) == replies
    for step in (1, 2, 3, 7):
        parser = ReplyParser(LIMIT)
        read = [parser.feed(text[at : at + step]) for at in range(0, len(text), step)]
        assert [reply for some in read for reply in some] == replies


@pytest.mark.parametrize(("text", "replies"), REPLIES)
def test_what_comes_behind_them_is_kept_for_later(text: bytes, replies: list[Reply]) -> None:
    for rest in (b":", b":1", b"$", b"$3\r\nab", b"*2\r\n:1\r\n", b"$64\r\n" + b"y" * 60):
        parser = ReplyParser(LIMIT)
        assert parser.feed(text + rest) == replies
        missing = {b":": b"1\r\n", b":1": b"\r\n", b"$": b"0\r\n\r\n", b"$3\r\nab": b"c\r\n"}
        parser.feed(missing.get(rest, b":5\r\n" if rest.startswith(b"*") else b"yyyy\r\n"))
        assert parser.feed(b":9\r\n") == [9]


@pytest.mark.parametrize(
    "text",
    [
        b":abc\r\n",
        b":\r\n",
        b"$x\r\n",
        b"$-2\r\n",
        b"$65\r\n",
        b"$99999999999999\r\n",
        b"$1\r\nab\r\n",
        b"*-5\r\n",
        b"*17\r\n",
        b"*2147483647\r\n",
        b"*1\r\n*1\r\n:1\r\n",
        b">2\r\n+a\r\n+b\r\n",
        b"%1\r\n+a\r\n+b\r\n",
        b"_\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x00",
        b":" + b"1" * 2_000,
        b"+" + b"x" * 2_000 + b"\r\n",
        b"*1\r\n*2147483647\r\n",
    ],
)
def test_what_is_out_of_bounds_is_no_reply(text: bytes) -> None:
    with pytest.raises(InvalidResponse):
        ReplyParser(LIMIT).feed(b":1\r\n" + text)
    parser = ReplyParser(LIMIT)
    with pytest.raises(InvalidResponse):
        _drip(parser, text)


def _drip(parser: ReplyParser, text: bytes) -> None:
    for at in range(len(text)):
        parser.feed(text[at : at + 1])


def test_a_text_that_drips_in_is_looked_at_when_it_can_be_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, scalar = 0, ReplyParser._scalar

    def counted(parser: ReplyParser, data: bytes) -> Reply:
        nonlocal looks
        looks += 1
        return scalar(parser, data)

    monkeypatch.setattr(ReplyParser, "_scalar", counted)
    parser, text = ReplyParser(2**18), b"$200000\r\n" + b"x" * 200_000 + b"\r\n"
    read = [parser.feed(text[at : at + 10]) for at in range(0, len(text), 10)]
    assert read[-1] == [b"x" * 200_000]
    assert looks <= 5


def test_commands_are_packed_as_redis_reads_them() -> None:
    assert packed(b"PTTL", b"a b\r\n") == b"*2\r\n$4\r\nPTTL\r\n$5\r\na b\r\n\r\n"
