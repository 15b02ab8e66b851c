"""A FastCGI authorizer for Apache's mod_authnz_fcgi: asks the gateway's decisions listener about each request.

    python3 authorizer.py 127.0.0.1:9192 http://127.0.0.1:9191

It needs Python 3.9 or later and nothing else. What the gateway allows becomes a 200 with `Variable-…` fields, which
Apache makes environment variables of; a refusal goes to the client as it is. Where the gateway gives no answer, it is
503: nothing passes unasked.
"""

from __future__ import annotations

import http.client
import socket
import socketserver
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedIOBase
from urllib.parse import urlsplit

Fields = list[tuple[str, str]]

# Each header of identity.headers in the gateway's file, and the environment variable that apache.conf reads.
VARIABLES = {
    "X-User-Id": "X_USER_ID",
    "X-User-Name": "X_USER_NAME",
    "X-Roles": "X_ROLES",
    "Authorization": "X_AUTHORIZATION",
}
TIMEOUT_S = 5
DEFAULT_PORTS = {"http": "80", "https": "443"}
HEADER = struct.Struct("!BBHHBB")
BEGIN, END, PARAMS, STDOUT = 1, 3, 4, 6
# Of the connection, or told anew.
OWN = {"host", "connection", "keep-alive", "upgrade", "expect", "te", "transfer-encoding", "content-length"}
TOLD = {"x-forwarded-method", "x-forwarded-uri", "x-forwarded-host", "x-forwarded-for", "x-forwarded-proto"}
LONG, LONG_MAX = 0x80, 0x7FFFFFFF
RECORD_MAX = 0xFFFF
ALLOWED, REFUSED = 200, 400
PROBLEM: Fields = [("Content-Type", "application/problem+json"), ("Retry-After", "1")]
AWAY = (503, PROBLEM, b'{"type": "about:blank", "title": "Service Unavailable", "status": 503}')


def read_exactly(stream: BufferedIOBase, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data


def read_parameters(stream: BufferedIOBase) -> tuple[int, dict[str, str]]:
    """The number of the request, and its environment."""
    data = b""
    while True:
        _, kind, number, size, padding, _ = HEADER.unpack(read_exactly(stream, HEADER.size))
        content = read_exactly(stream, size)
        read_exactly(stream, padding)
        if kind == PARAMS and not content:
            return number, dict(pairs(data))
        if kind == PARAMS:
            data += content


def pairs(data: bytes) -> Iterator[tuple[str, str]]:
    """Names and values (FastCGI §3.4): a length from 128 on has four bytes."""
    place = 0
    while place < len(data):
        lengths = []
        for _ in range(2):
            width = 4 if data[place] & LONG else 1
            lengths.append(int.from_bytes(data[place : place + width], "big") & (LONG_MAX if width > 1 else LONG - 1))
            place += width
        name, value = data[place : place + lengths[0]], data[place + lengths[0] : place + sum(lengths)]
        place += sum(lengths)
        yield name.decode("latin-1"), value.decode("latin-1")


def subrequest(environment: Mapping[str, str]) -> Fields:
    """The fields of the client, and what tells of its request."""
    fields = [
        ("X-Forwarded-Method", environment["REQUEST_METHOD"]),
        ("X-Forwarded-Uri", environment["REQUEST_URI"]),
        ("X-Forwarded-Host", authority(environment)),
        ("X-Forwarded-For", environment["REMOTE_ADDR"]),
        ("X-Forwarded-Proto", scheme(environment)),
    ]
    for name, value in environment.items():
        field = name[len("HTTP_") :].replace("_", "-")
        if name.startswith("HTTP_") and field.lower() not in OWN | TOLD:
            fields.append((field, value))
    return fields


def scheme(environment: Mapping[str, str]) -> str:
    return "https" if environment.get("HTTPS") == "on" else "http"


def authority(environment: Mapping[str, str]) -> str:
    """The name that Apache went by, and the port that the client wrote: the URL in a DPoP proof has it, too."""
    name, port = environment["SERVER_NAME"], environment.get("SERVER_PORT", "")
    return name if port in ("", DEFAULT_PORTS[scheme(environment)]) else f"{name}:{port}"


def ask(url: str, environment: Mapping[str, str]) -> tuple[int, Fields, bytes]:
    """Status, fields and body of the gateway's answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_S)
    try:
        connection.putrequest("GET", "/", skip_accept_encoding=True)
        for name, value in subrequest(environment):
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    except (OSError, http.client.HTTPException, ValueError):
        return AWAY
    finally:
        connection.close()


def response(status: int, fields: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """What Apache is told: CGI fields, and the body of a refusal."""
    if status == ALLOWED:
        found = {name.lower(): value for name, value in fields}
        if not all(name.lower() in found for name in VARIABLES):
            return response(*AWAY)  # an identity header that the gateway does not know: see VARIABLES
        lines = [f"Variable-{variable}: {found[name.lower()]}" for name, variable in VARIABLES.items()]
        return "\r\n".join(["Status: 200", *lines, "", ""]).encode("latin-1")
    if status < REFUSED:
        return response(*AWAY)
    kept = [f"{name}: {value}" for name, value in fields if name.lower() not in OWN | {"date", "server"}]
    return "\r\n".join([f"Status: {status}", *kept, "", ""]).encode("latin-1") + body


class Authorizer(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        self.connection.settimeout(TIMEOUT_S)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            number, environment = read_parameters(self.rfile)
        except (EOFError, OSError):
            return
        told = response(*ask(self.server.gateway, environment))
        if len(told) > RECORD_MAX:
            told = response(*AWAY)  # cut off it could be another identity
        wire = HEADER.pack(1, STDOUT, number, len(told), 0, 0) + told + HEADER.pack(1, STDOUT, number, 0, 0, 0)
        self.wfile.write(wire + HEADER.pack(1, END, number, 8, 0, 0) + bytes(8))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, place: tuple[str, int], gateway: str) -> None:
        super().__init__(place, Authorizer)
        self.gateway = gateway


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    with Server((host, int(port)), sys.argv[2]) as server:
        server.serve_forever()
