"""The mixed load: requests as a service's callers send them, no two of them alike.

Request number n asks for one of 100,000 paths with one of 1,000 tokens, a query and a `traceparent` that no other
request has, and the cookie that belongs to the token. Everything follows from n: two peers that are sent the same
numbers are sent the same bytes. The requests of one run go through paths and tokens by strides, so that a run of a few
thousand of them touches as many paths and all tokens.

`script` makes wrk write them, `wire` does the same in Python: for the open loop, and so that a test can compare.
"""

from __future__ import annotations

PATHS = 100_000
TOKENS = 1_000
SERVICES = 10  # first segments, over which the paths are spread evenly
# No common factor with what they are taken by, so that each is met before one is met again.
_PATH_STRIDE, _TOKEN_STRIDE = 61_803, 617
# The numbers of two runs must not meet. Up to a million requests belong to a run.
RUN_NUMBERS = 1_000_000
_TOKEN = "good-mixed-%032d"
_COOKIE = "session=%032x; theme=dark"
_TRACE = "a3ce929d0e0e4736"

# One concatenation and one format for each request: wrk sends these about as fast as it repeats itself.
_SCRIPT = r"""
local number, credentials = {first}, {{}}
for i = 0, {tokens} - 1 do
    credentials[i] = string.format("\r\nAuthorization: Bearer {token}\r\nCookie: {cookie}{lines}", i, i)
end
local format, floor = string.format, math.floor
local body = string.rep("x", {body_bytes})
request = function()
    local n = number
    number = n + 1
    local path = n * {path_stride} % {paths}
    local own = format("%016x", n + 1)
    return "{method} {prefix}/service-" .. path % {services} .. "/items/" .. path .. "?page=" .. n
        .. " HTTP/1.1\r\nHost: localhost" .. credentials[(n * {token_stride} + floor(n / {tokens})) % {tokens}]
        .. "\r\ntraceparent: 00-{trace}" .. own .. "-" .. own .. "-01\r\n\r\n" .. body
end
"""


def token(number: int) -> str:
    """The token `number` of TOKENS."""
    return _TOKEN % (number % TOKENS)


def script(prefix: str, first: int, body_bytes: int, services: int, lines: str = "") -> str:
    """For wrk: requests from number `first` on, by POST where there is a body. `lines` are further fields."""
    return _SCRIPT.format(
        first=first,
        tokens=TOKENS,
        token=_TOKEN,
        cookie=_COOKIE,
        lines=_lines(lines, body_bytes).replace("\r\n", r"\r\n"),
        body_bytes=body_bytes,
        path_stride=_PATH_STRIDE,
        paths=PATHS,
        method="POST" if body_bytes else "GET",
        prefix=prefix,
        services=services,
        token_stride=_TOKEN_STRIDE,
        trace=_TRACE,
    )


def wire(number: int, prefix: str = "", body_bytes: int = 0, services: int = SERVICES, lines: str = "") -> bytes:
    """The same request as `script` has wrk send."""
    path = number * _PATH_STRIDE % PATHS
    which = (number * _TOKEN_STRIDE + number // TOKENS) % TOKENS
    own = f"{number + 1:016x}"
    head = (
        f"{'POST' if body_bytes else 'GET'} {prefix}/service-{path % services}/items/{path}?page={number} HTTP/1.1\r\n"
        f"Host: localhost\r\nAuthorization: Bearer {token(which)}\r\nCookie: {_COOKIE % which}"
        f"{_lines(lines, body_bytes)}\r\ntraceparent: 00-{_TRACE}{own}-{own}-01\r\n\r\n"
    )
    return head.encode() + b"x" * body_bytes


def _lines(lines: str, body_bytes: int) -> str:
    length = f"\r\nContent-Type: application/octet-stream\r\nContent-Length: {body_bytes}" if body_bytes else ""
    return lines + length
