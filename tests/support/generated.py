"""Requests and answers made up by chance: plain ones, odd ones and broken ones, in shares that a test can rely on.

Of each table the first entry is what most clients and backends say. A draw takes it more often than not, so that many
cases are plain, most of the others are odd in one place, and a few in several.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import TypeVar

from support.backend import CLOSE, RESET, Pause, Script, chunked, script

T = TypeVar("T")

METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "get", "TRACE", "PRI")
ORDINARY_METHODS = frozenset(METHODS[:7])
ROUTES = (
    "any", "open", "api", "scoped", "strip", "moved", "kept", "small", "gets", "slash", "shared", "public", "options",
)  # fmt: skip
# Of a preflight: the routes that know of origins and one that does not, and the fields that make it one.
PREFLIGHT_ROUTES = ("shared", "public", "options", "any")
ORIGINS = (
    ("https://a.example",), ("https://b.example",), (), ("null",), ("https://a.example", "https://a.example"),
    ("https://b.example", "https://a.example"), ("https://a.example, https://b.example",), ("\xff",), ("",),
)  # fmt: skip
ASKED_METHODS = (
    ("GET",), ("POST",), (), ("DELETE",), ("get",), ("GET", "GET"), ("OPTIONS",), ("",), ("G T",), ("\xe9",),
    ("GET,PUT",),
)  # fmt: skip
ASKED_HEADERS = (
    ("authorization",), (), ("Authorization,x-a",), ("x-b",), ("x-a,, X-A ,\t",), ("x-a", "x-b"), ("x y",), ("\xff",),
    ("*",), ("",), ("a" * 3000,), ("x-a: b",), (",".join(f"x-{number}" for number in range(300)),),
)  # fmt: skip
TARGETS = (
    "/{}/x", "/{}/x?a=1&b=%20", "/{}/", "/{}", "/{}/x/y/z?", "/{}/%7euser", "/{}/%C3%BC", "/{}/a%2Fb", "/{}/..%2f",
    "/{}/../x", "/{}/./x", "/{}//x", "//{}/x", "/{}/x#y", "/{}/%zz", "/{}/%", "/{}/%00", "/{}/\\x", "/{}/x;a=b/y",
    "/{}/*", "/{}/<x>", '/{}/"x"', "/{}/{{x}}", "/{}/x|y^z`", '/{}/x?a="b"<c>', "/{}/x?a#b", "/{}/[x]", "/{}/x:80",
    "/{}/@x", "/{}/~x!$&'()*+,;=", "/nowhere", "/", "/?x", "/{}/x?token=t", "*", "http://gw.example/{}/x", "gw:80",
    "{}/x", "http://gw.example:8080/{}/x?y", "HTTP://gw.example/{}",
    "/{}/" + "a" * 3000, "/{}/x?" + "%41" * 1000, "/{}/%2e%2e/x", "/{}/x%0d%0aX-A:%20b", "/{}/%c0%ae%c0%ae/",
)  # fmt: skip
HOSTS = (
    ("gw.example",), ("gw.example:8080",), ("GW.Example.",), ("[::1]:80",), ("other.example",), (), ("a", "b"), ("",),
    ("gw.example, b",), ("user@gw.example",), ("gw.example/x",), ("gw.example:99999",), ("gw_x.example",), ("-",),
)  # fmt: skip
AUTHORIZATIONS = (
    ("Bearer {good}",), (), ("bearer {good}",), ("BEARER  {good}",), ("Bearer {bad}",), ("Bearer {unclear}",),
    ("Bearer",), ("Bearer ",), ("Bearer a b",), ("Basic dXNlcjpw",), ("Bearer {good}", "Bearer {good}"),
    ("Bearer {good},Bearer x",), ("Bearer \xe9\xff",), ("Bearer a=b",), ("Bearer " + "a" * 5000,), ("{good}",),
    ("Bearer\t{good}",),
)  # fmt: skip
# Lines that an ordinary request may have, whatever becomes of them.
LINES = (
    "Accept: */*", "User-Agent: generated/1.0", "accept-encoding: gzip, br", "Cookie: a=b; c=d", "Cookie: e=f",
    "Content-Type: text/plain; charset=utf-8", 'If-None-Match: "x"', "X-Marker: here", "traceparent: 00-1-2-03",
    "X-User-Id: root", "x-user-id: root", "X_USER_ID: root", "X.User.Id: root", "X-User-Id:", "X-Roles: admin",
    "X-Forwarded-For: 10.9.9.9", "X-Forwarded-For: 192.0.2.1, 127.0.0.1", "X-Forwarded-Host: evil.example",
    "X-Forwarded-Host: good.example", "X-Forwarded-Proto: https", "X-Forwarded-Proto: gopher", "X-Forwarded-Port: 1",
    "Forwarded: for=evil;host=evil", "X-Real-IP: 10.0.0.1", "X-Request-Id: given-1", "X-Request-Id: a b",
    "Via: 1.0 before", "Connection: keep-alive", "TE: trailers", "Content_Length: 7", "Transfer_Encoding: chunked",
    "X-Original-URL: /admin", "X-Http-Method-Override: DELETE", "Proxy-Authorization: Basic eA==", "Range: bytes=0-1",
    "X-Bytes: \xe9\xfc\xff", "X-Empty:", "X-Blank: \t ", "X-Tab: a\tb", "!#$%&'*+-.^_`|~: odd", "0: 0", "Via: \xff",
    "User-Agent: twice", "Content-Type: text/html", 'ETag: "a"', "Server: me", "Max-Forwards: 0", "Content-Range: x",
    "Content-Location: /y", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-Fetch-Mode: x",
    "Content-Encoding: gzip", "Accept-Encoding: ", "Date: yesterday", "X-Long: " + "b" * 2000, 'X-Nobody: "\\"',
    "HTTP2-Settings-Not: x", "Cache-Control: no-cache", "Authorization_: Bearer x", "X-Kept: a", "X-Dropped: a",
    "Origin: https://a.example", "Origin: https://a.example", "Origin: https://b.example", "Origin: null", "origin:",
    "Access-Control-Request-Method: GET", "access-control-request-headers: x",
)  # fmt: skip
# Of each of these an ordinary request has one.
SINGLE_NAMES = {
    "Content-Length", "Content-Location", "Content-Range", "Content-Type", "ETag", "Host", "Max-Forwards", "Server",
    "User-Agent",
}  # fmt: skip
# Lines that make it another kind of request, or none.
ODD_LINES = (
    "Connection: close", "Connection: Keep-Alive, X-User-Id", "Connection: X-Marker, Authorization", "Connection: \x7f",
    "Sec-WebSocket-Key1: old", "Connection: upgrade", "Upgrade: h2c", "Upgrade: websocket", "HTTP2-Settings: x",
    "Keep-Alive: timeout=9", "Proxy-Connection: keep-alive", "Trailer: X-T", "Expect: 100-continue", "Expect: x",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked, gzip", "X-Nul: a\0b", "X-Cr: a\rb", "X-Lf: a\nX-Evil: b", "X-Del: \x7f", "X A: b",
    "X-A : b", " X-Fold: b", ": b", "X-A", "X\xe9: b", "X-A: b\r\n folded", "(x): b", "X-A:\x01", "Content-Length : 3",
    "Content-Length: +3", "Content-Length: 3, 3", "Content-Length: 0x3", "Content-Length: \xd9\xa3",
)  # fmt: skip
BODIES = (b"hello", b"", b"x" * 20, b"\0\r\n\r\n\xff", b"y" * 5000, b"GET /open/smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
REASONS = {100: "Continue", 103: "Early Hints", 200: "OK", 204: "No Content", 304: "Not Modified"}
CHUNKED = ["Transfer-Encoding: chunked"]
NO_CHUNKS = b"0\r\n\r\n"
_LATE = 0.3  # of the bodies
_CHUNKED = 0.1  # likewise
# Of the requests: with another behind it, by an old client, with nothing to follow.
_SEVERAL = 0.08
_OLD = 0.05
_LAST = 0.05
_PREFLIGHT = 0.1
ODD_REASON = "Odd R\xe9ason"
STATUSES = (200, 204, 304, 201, 206, 205, 301, 400, 401, 404, 500, 503, 599)
ANSWER_LINES = (
    "Content-Type: text/html", "Set-Cookie: a=b; Path=/", "Set-Cookie: c=d", 'ETag: "x"', "X-Answer: \xe9\xff",
    "Date: Mon, 03 Jan 2000 00:00:00 GMT", "Connection: X-Gone", "X-Gone: 1", "Server: backend", "Via: 1.0 inner",
    "X-Request-Id: from-the-backend", "Keep-Alive: timeout=5", "Location: http://backend/x", "X-Empty:", "X-Kept: b",
    "Trailer: X-T", "Connection: keep-alive", "Content_Length: 3", "Transfer_Encoding: x", "Upgrade: h2c", "X-Drop: a",
    "Access-Control-Allow-Origin: *", "Proxy-Authenticate: Basic", 'Alt-Svc: h3=":443"', "WWW-Authenticate: Basic",
)  # fmt: skip
BROKEN_ANSWERS: tuple[Script, ...] = (
    script(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    script(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"),
    script(b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n"),
    script(b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n"),
    script(b"HTTP/1.1 200 OK\r\nX-A: a\r\n folded\r\nContent-Length: 0\r\n\r\n"),
    script(b"HTTP/2.0 200 OK\r\n\r\n"),
    script(b"garbage\r\n\r\n"),
    script(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    script(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nshort", CLOSE),
    script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", CLOSE),
    script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n-1\r\n"),
    script(b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE),
    script(CLOSE),
    script(RESET),
    script(b"HTTP/1.1 103 Early Hints\r\n\r\n", CLOSE),
)


@dataclass(frozen=True)
class Sent:
    """What a client sends before it waits for `methods` to be answered. `cut`: where a second write begins, if any."""

    wire: bytes
    methods: tuple[str, ...]
    pieces: int = 1
    ordinary: int = 0  # how many plain requests: at once, or one with its body in a second write
    cut: int = 0

    @property
    def writes(self) -> list[bytes]:
        size = len(self.wire) // self.pieces + 1
        return (
            [part for part in (self.wire[: self.cut], self.wire[self.cut :]) if part]
            if self.cut
            else [self.wire[start : start + size] for start in range(0, len(self.wire), size)]
        )


@dataclass(frozen=True)
class Conversation:
    """All on one connection. The answers are for the requests that reach the backend, in order."""

    sends: tuple[Sent, ...]
    answers: tuple[Script, ...]


class Generator:
    """`draw` makes another conversation with each call; the same seed makes the same ones.

    Tokens begin with what they are (`good`, `bad`, `unclear`) and are never drawn twice.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._tokens = 0

    def draw(self) -> Conversation:
        oddness = self._chance.choice((0.02, 0.02, 0.15))
        sends = tuple(self._sent(oddness) for _ in range(self._chance.choice((1, 1, 2))))
        return Conversation(sends, tuple(self._answer() for _ in range(8)))

    def _pick(self, table: Sequence[T], oddness: float) -> T:
        """The first, or with the chance `oddness` any."""
        return self._chance.choice(table) if self._chance.random() < oddness else table[0]

    def _some(self, table: Sequence[T], counts: Sequence[int]) -> list[T]:
        return [self._chance.choice(table) for _ in range(self._chance.choice(counts))]

    def _sent(self, oddness: float) -> Sent:
        if self._chance.random() < max(oddness, _SEVERAL):
            several = [self._request(oddness / 4) for _ in range(self._chance.choice((2, 2, 5)))]
            methods = tuple(one.methods[0] for one in several)
            wire, cut = b"".join(one.wire for one in several), several[0].cut
            # What stands behind one that is not plain goes where that goes.
            ordinary = [*takewhile(bool, (one.ordinary for one in several))]
            return Sent(wire, methods, ordinary=len(ordinary), cut=cut)
        return self._request(oddness)

    def _request(self, oddness: float) -> Sent:
        chance = self._chance
        method = self._pick(METHODS, oddness) if chance.random() < oddness else chance.choice(METHODS[:6])
        route = chance.choice(ROUTES)
        target = self._pick(TARGETS, 0.4).replace("{}", route).replace("{{x}}", "{x}")
        version = self._pick(("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/0.9", "http/1.1"), oddness)
        if chance.random() < _OLD:
            version = "HTTP/1.0"
        lines = [f"Host: {host}" for host in self._pick(HOSTS, 0.1)]
        lines += [f"Authorization: {value}" for value in self._authorization()]
        if chance.random() < _PREFLIGHT:
            method, route = "OPTIONS", chance.choice(PREFLIGHT_ROUTES)
            target = self._pick(TARGETS, 0.2).replace("{}", route).replace("{{x}}", "{x}")
            lines += self._preflight()
        lines += self._some(LINES, (0, 2, 4, 9))
        odd_lines = self._some(ODD_LINES, (1, 1, 2)) if chance.random() < oddness else []
        if chance.random() < _LAST:
            lines.append(chance.choice(("Connection: close", "connection: Close")))
        body, framing = self._body(method, oddness)
        lines += framing + odd_lines
        chance.shuffle(lines)
        head = "\r\n".join([f"{method} {target} {version}", *lines, "", ""]).encode("latin-1")
        pieces = 3 if chance.random() < oddness else 1
        is_plain = method in ORDINARY_METHODS and version in {"HTTP/1.1", "HTTP/1.0"} and not odd_lines
        is_plain = is_plain and target.startswith(("/", "http://"))
        is_framed = framing == [f"Content-Length: {len(body)}"] or (not framing and not body)
        is_framed |= framing == CHUNKED and version == "HTTP/1.1" and len(body) > len(NO_CHUNKS)
        is_framed &= body[-len(NO_CHUNKS) :] == NO_CHUNKS or framing != CHUNKED
        options = {line.partition(": ")[2].lower() for line in lines if line.lower().startswith("connection:")}
        is_plain = is_plain and len(options) < 2
        single = [name for name in (line.partition(":")[0] for line in lines) if name in SINGLE_NAMES]
        is_plain = is_plain and is_framed and len(set(single)) == len(single) and "Host" in single and pieces == 1
        cut = len(head) if body and pieces == 1 and chance.random() < _LATE else 0
        return Sent(head + body, (method,), pieces, int(is_plain), cut if framing != CHUNKED else 0)

    def _preflight(self) -> list[str]:
        """The lines of one, or nearly so."""
        return [
            *(f"Origin: {value}" for value in self._pick(ORIGINS, 0.3)),
            *(f"Access-Control-Request-Method: {value}" for value in self._pick(ASKED_METHODS, 0.3)),
            *(f"Access-Control-Request-Headers: {value}" for value in self._pick(ASKED_HEADERS, 0.5)),
        ]

    def _authorization(self) -> list[str]:
        self._tokens += 1
        names = {name: f"{name}-{self._tokens}" for name in ("good", "bad", "unclear")}
        return [value.format(**names) for value in self._pick(AUTHORIZATIONS, 0.4)]

    def _body(self, method: str, oddness: float) -> tuple[bytes, list[str]]:
        """The body and the lines that frame it."""
        chance = self._chance
        if method not in {"POST", "PUT", "PATCH"} and chance.random() > oddness * 2:
            return b"", []
        body = self._pick(BODIES, 0.5)
        is_chunked = chance.random() < _CHUNKED
        if not is_chunked and chance.random() > oddness:
            return body, [f"Content-Length: {len(body)}"]
        cuts = sorted({0, len(body), *(chance.randrange(len(body) + 1) for _ in range(chance.choice((0, 0, 3))))})
        parts = [body[start:end] for start, end in pairwise(cuts)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + NO_CHUNKS
        if is_chunked:
            return chunks, CHUNKED
        return chance.choice(
            [
                (chunks, CHUNKED),
                (chunks, ["transfer-encoding: Chunked", "Content-Length: 3"]),
                (chunks[:-2] + b"X-Trailer: a\r\n\r\n", ["Transfer-Encoding: chunked"]),
                (b"5\r\nhelloX", ["Transfer-Encoding: chunked"]),
                (body, [f"Content-Length: {len(body)}"] * 2),
                (body, [f"content-length: 00{len(body)}"]),
                (body + b"X", [f"Content-Length: {len(body)}"]),
                (b"", ["Content-Length: 18446744073709551616"]),
                (b"", ["Content-Length:"]),
            ]
        )

    def _answer(self) -> Script:
        chance = self._chance
        if chance.random() < 0.12:
            return chance.choice(BROKEN_ANSWERS)
        status = self._pick(STATUSES, 0.4)
        lines = tuple(self._some(ANSWER_LINES, (0, 1, 3)))
        first = f"{status} {REASONS.get(status, ODD_REASON)}"
        body = b"" if status in {204, 304} else self._pick((b"answer", b"", b"z" * 3000), 0.3)
        head = "\r\n".join([f"HTTP/1.1 {first}", *lines, "", ""]).encode("latin-1")
        whole = head.replace(b"\r\n", b"\r\nContent-Length: %d\r\n" % len(body), 1) + body
        return script(whole) if chance.random() < 0.6 else self._framed(head, body, whole)

    def _framed(self, head: bytes, body: bytes, whole: bytes) -> Script:
        chance = self._chance
        interim = [f"HTTP/1.1 {code} {REASONS[code]}\r\nLink: </{code}>\r\n\r\n".encode() for code in (100, 103)]
        if head[9:12] in {b"204", b"304"}:
            return script(chance.choice(interim) + head)
        return chance.choice(
            [
                script(chunked(body or b"a")),
                script(chunked(body or b"a", b"tail", end=b"0\r\nX-Trailer: a\r\n\r\n")),
                script(head + body, CLOSE),
                script(head.replace(b"HTTP/1.1", b"HTTP/1.0", 1) + body, CLOSE),
                script(chance.choice(interim) + whole),
                script(b"".join(interim) * 2, Pause(0.005), whole),
                script(whole[:20], Pause(0.005), whole[20:]),
                script(whole, at_head=True),
                script(whole.replace(b"\r\n", b"\r\nConnection: close\r\n", 1), CLOSE),
                script(whole + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"),
            ]
        )
