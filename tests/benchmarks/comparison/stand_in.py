"""The identity provider of the comparison, a process of its own: `python stand_in.py PORT TLS_PORT CERTIFICATE`.

Counts what it is asked. A token that begins with `good` or `slow` is active, every other is not; about a `slow` one it
thinks for 5 ms. The user of token T is `u-T`.

    POST /introspect   RFC 7662
    POST /verify       the same in words that nginx understands: 401 for inactive, the claims in headers
    POST /token        token exchange (RFC 8693): another token of T, as long as Keycloak's
    GET /metadata      where the first of them is (RFC 8414)
    GET /count         how many of those two have come
    anything else      what a backend would answer: 100 bytes, and for /whoami who is said to be calling
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import Any
from urllib.parse import parse_qsl

ACTIVE = ("good", "slow")
SLOW_S = 0.005
LIFE_S = 36_000
EXCHANGED_CHARS = 800
SCOPE = "openid profile read"
ANSWER = b'{"answer":"' + b"x" * 87 + b'"}'  # 100 bytes


def claims(token: str) -> dict[str, Any]:
    """About what Keycloak says of a person's token, roles of one client and of the realm included."""
    if not token.startswith(ACTIVE):
        return {"active": False}
    now = int(time.time())
    return {
        "active": True,
        "exp": now + LIFE_S,
        "iat": now,
        "iss": "https://sso.example.com/realms/demo",
        "aud": ["orders-api", "account"],
        "sub": f"u-{token}",
        "typ": "Bearer",
        "client_id": "demo-app",
        "username": "alice",
        "preferred_username": "alice",
        "email": "alice@example.com",
        "scope": SCOPE,
        "realm_access": {"roles": ["manager", "offline_access"]},
        "resource_access": {"orders-api": {"roles": ["clerk"]}},
        "session_state": "3f1c3fd1-8a55-4f0e-9a2e-1c0de5c0ffee",
    }


def identity_lines(facts: dict[str, Any]) -> str:
    """The five headers that the gateway sends by default."""
    pairs = {
        "X-User-Id": facts["sub"],
        "X-User-Name": facts["preferred_username"],
        "X-Client-Id": facts["client_id"],
        "X-Scopes": facts["scope"],
        "X-Roles": ",".join(facts["realm_access"]["roles"]),
    }
    return "".join(f"{name}: {value}\r\n" for name, value in pairs.items())


def answer_bytes(body: bytes, status: str = "200 OK", lines: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


class Provider:
    def __init__(self) -> None:
        self.count = 0

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[float, bytes]:
        """After how many seconds, and what."""
        if path in {"/introspect", "/verify"}:
            self.count += 1
            token = dict(parse_qsl(body.decode())).get("token", "")
            return (SLOW_S if token.startswith("slow") else 0.0), self._about(token, path)
        if path == "/token":
            token = f"{dict(parse_qsl(body.decode()))['subject_token']}{'x' * EXCHANGED_CHARS}"
            document = {"access_token": token, "token_type": "Bearer", "expires_in": LIFE_S}
            return 0.0, answer_bytes(json.dumps(document).encode())
        if path == "/count":
            return 0.0, answer_bytes(str(self.count).encode())
        if path == "/metadata":
            issuer = f"http://{headers['host']}"
            document = {"issuer": issuer, "introspection_endpoint": f"{issuer}/introspect"}
            return 0.0, answer_bytes(json.dumps(document).encode())
        if path == "/whoami":
            seen = {"user": headers.get("x-user-id", ""), "authorization": headers.get("authorization", "")}
            return 0.0, answer_bytes(json.dumps(seen).encode())
        return 0.0, answer_bytes(ANSWER)

    def _about(self, token: str, path: str) -> bytes:
        facts = claims(token)
        body = json.dumps(facts).encode()
        if path == "/introspect":
            return answer_bytes(body)
        return answer_bytes(body, lines=identity_lines(facts)) if facts["active"] else answer_bytes(body, "401 No")


class Conversation(asyncio.Protocol):
    """Requests one after the other, each with a `Content-Length` or without a body: its callers are known."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._received[:end].decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            whole = end + 4 + int(headers.get("content-length", 0))
            if len(self._received) < whole:
                return
            body, self._received = self._received[end + 4 : whole], self._received[whole:]
            delay_s, answer = self._provider.answer(first.split(" ")[1], headers, body)
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def serve(port: int, tls_port: int, certificate: str) -> None:
    provider = Provider()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()

    def connect() -> Conversation:
        return Conversation(provider)

    await loop.create_server(connect, "127.0.0.1", tls_port, ssl=tls, backlog=2048)
    server = await loop.create_server(connect, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
