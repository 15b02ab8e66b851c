"""What is sent through both proxies: to a backend that answers by script, and to each real server."""

from __future__ import annotations

from dataclasses import dataclass, field

from support.backend import CLOSE, Script, chunked, ok, script
from support.wire import request

HOST = "gw.example"


@dataclass(frozen=True)
class Trial:
    """`answer` is that of the backend with a script; real servers have their own."""

    name: str
    wire: bytes
    answer: Script = field(default=script(ok(b"hello", "Content-Type: text/plain")))
    method: str = "GET"
    held: bytes = b""  # sent once a 100 has come


def get(target: str, *lines: str, name: str = "", answer: Script | None = None) -> Trial:
    trial = Trial(name or target, request("GET", target, *lines, host=HOST))
    return trial if answer is None else Trial(trial.name, trial.wire, answer)


def answered(*fields: str, body: bytes = b"hello", status: str = "200 OK") -> Script:
    return script(ok(body, *fields, status=status))


def place(target: str, location: str) -> Trial:
    return get(target, name=f"{target} to {location}", answer=answered(f"Location: {location}", status="302 Found"))


def post(target: str, *lines: str, body: bytes = b"", name: str, answer: Script | None = None) -> Trial:
    wire = request("POST", target, *lines, host=HOST) + body
    return Trial(name, wire, answer or answered("Content-Type: text/plain"), "POST")


def expecting(target: str) -> Trial:
    wire = request("POST", target, "Content-Length: 5", "Expect: 100-continue", host=HOST)
    return Trial("expect", wire, method="POST", held=b"abcde")


BY_CHUNKS = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"
EARLY = script(
    ok(b"too much", status="413 Content Too Large").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1),
    CLOSE,
    at_head=True,
)
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"


def scripted(backend: str) -> list[Trial]:
    """For the backend with a script, whose URL this is."""
    own = [
        place(target, location)
        for target in ("/x", "/shop/x")
        for location in (
            f"{backend}/y",
            f"http://{HOST}/y",
            "http://backend/y",
            "/y",
            "y",
            "http://elsewhere.example/y",
            f"{backend.replace('http:', '')}/y",
        )
    ]
    paths = [
        "/a%20b",
        "/%7Ea",
        "/a%2Fb",
        "/a%2fb",
        "/a+b",
        "/a;b=c",
        "/a//b",
        "/a/./b",
        "/a/../b",
        "/a%zz",
        "/%C3%A9",
        "/a%5Cb",
        "/a/",
        "/shop/a%20b",
        "/shop/%7Ea",
        "/shop/a%2Fb",
        "/shop/",
        "/shop",
        "/%41",
        "/a%3Bb",
        "/a|b",
        "/a%00b",
    ]
    queries = ["/q?a=b+c%20d%7E%2F;e=//&f", "/q?", "/q?a=%zz", "/q?a=|"]
    long = [
        get("/long", f"X-Long: {'x' * size}", name=f"a field of {size} bytes") for size in (5000, 9000, 20000, 40000)
    ]
    return [
        get("/plain"),
        get(
            "/plain",
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: other.example",
            "X-Real-IP: 192.0.2.1",
            "Forwarded: for=192.0.2.1",
            "X-Request-Id: mine",
            "X-Forwarded-Prefix: /p",
            "X-Forwarded-Port: 1",
            name="forged",
        ),
        get(
            "/plain",
            "Authorization: Basic eDp5",
            "Cookie: a=b",
            "Proxy: x",
            "TE: trailers",
            "Upgrade: h2c",
            "Connection: Upgrade, X-Hop",
            "X-Hop: 1",
            "X_Under: 1",
            "Keep-Alive: 5",
            name="hop by hop",
        ),
        *own,
        *(get(target) for target in (*paths, *queries)),
        *long,
        get("/c", name="a cookie", answer=answered("Set-Cookie: a=b; Path=/account; Secure")),
        get("/shop/c", name="a cookie, stripped", answer=answered("Set-Cookie: a=b; Path=/account; Domain=backend")),
        get(
            "/s",
            name="Server and its like",
            answer=answered(
                "Server: Backend/1.0",
                "X-Powered-By: us",
                "Date: Mon, 01 Jan 2024 00:00:00 GMT",
                "X-Accel-Expires: 0",
                "X-Accel-Buffering: no",
                "Via: 1.1 behind",
                "Keep-Alive: timeout=5",
                'ETag: "a"',
                "X-Request-Id: theirs",
            ),
        ),
        get(
            "/z",
            "Accept-Encoding: gzip",
            name="gzip",
            answer=answered("Content-Encoding: gzip", 'ETag: "a"', "Vary: Accept-Encoding"),
        ),
        Trial(
            "HEAD",
            request("HEAD", "/h", host=HOST),
            script(b'HTTP/1.1 200 OK\r\nContent-Length: 3000\r\nETag: "a"\r\n\r\n'),
            "HEAD",
        ),
        Trial(
            "HEAD without a length",
            request("HEAD", "/h", host=HOST),
            script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "HEAD",
        ),
        get("/m", 'If-None-Match: "a"', name="304", answer=script(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n')),
        get("/n", name="204", answer=script(b"HTTP/1.1 204 No Content\r\n\r\n")),
        get(
            "/r",
            "Range: bytes=0-4",
            'If-Range: "a"',
            name="206",
            answer=answered("Content-Range: bytes 0-4/10", status="206 Partial Content"),
        ),
        get(
            "/k",
            name="chunks and a trailer",
            answer=script(chunked(b"abc", fields=("Trailer: X-T",), end=b"0\r\nX-T: 1\r\n\r\n")),
        ),
        get("/i", name="103", answer=script(EARLY_HINTS + ok(b"hello"))),
        get("/e", name="until the end", answer=script(b"HTTP/1.1 200 OK\r\n\r\nhello", CLOSE)),
        get("/b", name="no HTTP", answer=script(b"SSH-2.0-x\r\n", CLOSE)),
        get("/b", name="breaks before a head", answer=script(CLOSE)),
        post("/p", "Transfer-Encoding: chunked", body=BY_CHUNKS, name="chunked upload"),
        post("/p", "Content-Length: 5", "Expect: 100-continue", body=b"abcde", name="expect, and does not wait"),
        expecting("/p"),
        post("/p", "Content-Length: 0", name="POST of nothing"),
        post("/p", name="POST without a length"),
        post("/p", "Content-Length: 65536", body=b"x" * 65536, name="early 413", answer=EARLY),
        post("/p", "Content-Length: 2000000", body=b"x" * 2_000_000, name="2 MB"),
        post("/p", "Content-Length: 11000000", name="11 MB announced"),
        Trial("a body on GET", request("GET", "/g", "Content-Length: 5", host=HOST) + b"abcde"),
        Trial("absolute form", request("GET", "http://other.example/x", host=HOST)),
        Trial("HTTP/1.0", request("GET", "/x", host=HOST, version="1.0")),
        Trial("TRACE", request("TRACE", "/x", host=HOST), method="TRACE"),
        Trial("OPTIONS *", request("OPTIONS", "*", host=HOST), method="OPTIONS"),
        Trial("PROPFIND", request("PROPFIND", "/x", host=HOST), method="PROPFIND"),
        get("/x", "Host: again.example", name="two Hosts"),
        Trial("host with a port", request("GET", "/x", host=f"{HOST}:8080")),
        Trial("Host in capitals", request("GET", "/x", host="GW.Example")),
    ]


def to_real_servers() -> list[Trial]:
    """What each of `tests/foreign/servers` answers, as far as it can."""
    both = ("", "/shop")
    cookie = "Cookie: a=" + "x" * 9000
    longer = "Cookie: a=" + "x" * 20000
    return [
        *(get(f"{prefix}{target}") for prefix in both for target in ("/away", "/slash", "/relative", "/cookie")),
        get("/text", "Accept-Encoding: gzip", name="text, gzip"),
        get("/text", name="text"),
        get("/plain.txt", "Accept-Encoding: gzip", name="file, gzip where gzip_proxied is as it comes"),
        get("/file.txt", "Accept-Encoding: gzip", name="file, gzip"),
        Trial("file, HEAD", request("HEAD", "/file.txt", host=HOST), method="HEAD"),
        Trial("file, HEAD, gzip", request("HEAD", "/file.txt", "Accept-Encoding: gzip", host=HOST), method="HEAD"),
        get("/file.txt", "Range: bytes=0-4", name="file, range"),
        get("/file.txt", "If-None-Match: *", name="file, 304"),
        post("/upload", "Transfer-Encoding: chunked", body=BY_CHUNKS, name="upload, chunked"),
        expecting("/upload"),
        post("/reject", "Content-Length: 500000", body=b"x" * 500_000, name="upload, 413 at once"),
        get("/echo", name="echo"),
        get("/echo", cookie, name="9 KB of cookies"),
        get("/echo", longer, name="20 KB of cookies"),
    ]
