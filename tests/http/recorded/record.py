"""Records what clients really send: `python tests/http/recorded/record.py`, into the files beside it.

A server on loopback answers just enough to keep a client going and writes down, for each request, the segments in which
its bytes came: a client that sends head and body by two writes is not the one that sends both at once. One line of JSON
for each request: `{"what": "GET /orders/1", "segments": ["…", "…"]}`, each byte one character (Latin-1).

The browser is a Chromium without a window, over TLS, as fetch metadata and client hints are kept from plain HTTP. It
loads a page with its style, script and picture, and the page's script calls an API below its own origin and one of
another origin, by which it is asked for CORS. Services call the same API, ten requests each.

Programs that are not there are left out, and their files stay as they are. `CHROMIUM` names the browser, `NODE_MODULES`
the folder with undici, `PYTHON` an interpreter with httpx, requests and aiohttp.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trustme

FOLDER = Path(__file__).parent
CLIENTS = FOLDER / "clients"
_WITHIN_S = 90.0
_TOKEN = "recorded-SlAV32hkKG4hcF8QyzT9vBnJ5mWxR7dLp2Q"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CORS = (
    "Access-Control-Allow-Origin: https://app.example\r\nAccess-Control-Allow-Headers: authorization, content-type\r\n"
    "Access-Control-Allow-Methods: GET, POST, PUT, PATCH, DELETE\r\nAccess-Control-Max-Age: 0\r\n"
)
_FILES = {
    "/": ("index.html", "text/html"),
    "/app.js": ("app.js", "text/javascript"),
    "/app.css": ("app.css", "text/css"),
}


@dataclass
class Recording:
    lines: list[str] = field(default_factory=list)
    is_done: asyncio.Event = field(default_factory=asyncio.Event)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests one after the other; what is none that it understands ends the connection."""
        try:
            while segments := await _segments(reader):
                first = segments[0].split(b"\r\n")[0].decode("latin-1").rpartition(" ")[0]
                if "/done" in first:
                    self.is_done.set()
                else:
                    shown = [segment.decode("latin-1") for segment in segments]
                    self.lines.append(json.dumps({"what": first, "segments": shown}))
                writer.write(_answer(first))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _segments(reader: asyncio.StreamReader) -> list[bytes]:
    """Those of one request; none where the connection ended."""
    segments: list[bytes] = []
    whole = b""
    while True:
        data = await reader.read(2**18)
        if not data:
            return []
        segments.append(data)
        whole += data
        head, end, body = whole.partition(b"\r\n\r\n")
        if not end:
            continue
        length = _LENGTH.search(head)
        if _CHUNKED.search(head):
            if body.endswith(b"0\r\n\r\n"):
                return segments
        elif len(body) >= (int(length[1]) if length else 0):
            return segments


def _answer(first: str) -> bytes:
    method, _, target = first.partition(" ")
    path = target.partition("?")[0]
    name, kind = _FILES.get(path, ("", "image/svg+xml" if path.endswith(".svg") else "application/json"))
    body = (CLIENTS / name).read_bytes() if name else b'{"answer":42}'
    if method in {"OPTIONS", "HEAD"}:
        body = b""
    head = f'HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nETag: "1"\r\n{_CORS}'
    cookies = "Set-Cookie: session=0123456789abcdef; Path=/; HttpOnly\r\nSet-Cookie: theme=dark; Path=/\r\n"
    return (head + (cookies if path == "/" else "") + "\r\n").encode() + body


async def record(name: str, command: Sequence[str], *, is_browser: bool = False, **environment: str) -> None:
    """`command` gets the address of the server as its last words, a browser is told by its own."""
    recording = Recording()
    tls = _tls() if is_browser else None
    server = await asyncio.start_server(recording.converse, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    words = [word.replace("PORT", str(port)) for word in command]
    process = await asyncio.create_subprocess_exec(
        *words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=None, env={**os.environ, **environment}
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            await (recording.is_done.wait() if is_browser else process.wait())
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        server.close()
    (FOLDER / f"{name}.jsonl").write_text("".join(line + "\n" for line in recording.lines))
    print(f"{name}: {len(recording.lines)} requests")


def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("app.example", "api.example").configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _commands() -> dict[str, list[str] | None]:
    """What is run for each service, `None` where it is not there."""
    python = os.environ.get("PYTHON", sys.executable)
    url = "http://127.0.0.1:PORT"
    node, go, curl = shutil.which("node"), shutil.which("go"), shutil.which("curl")
    modules = os.environ.get("NODE_MODULES")
    return {
        **{name: [python, str(CLIENTS / f"with_{name}.py"), url, _TOKEN] for name in ("httpx", "requests", "aiohttp")},
        "undici": [node, str(CLIENTS / "with_undici.mjs"), url, _TOKEN] if node and modules else None,
        "fetch": [node, str(CLIENTS / "with_fetch.mjs"), url, _TOKEN] if node else None,
        "net_http": [go, "run", str(CLIENTS / "with_net_http.go"), url, _TOKEN] if go else None,
        "curl": ["sh", str(CLIENTS / "with_curl.sh"), url, _TOKEN] if curl else None,
    }


async def main() -> None:
    for name, command in _commands().items():
        if command is not None:
            await record(name, command)
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if browser:
        with tempfile.TemporaryDirectory() as profile:
            words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"]
            words += ["--ignore-certificate-errors", f"--user-data-dir={profile}", "--remote-debugging-port=0"]
            words += ["--host-resolver-rules=MAP *.example 127.0.0.1:PORT, MAP * ~NOTFOUND", "https://app.example/"]
            await record("chromium", words, is_browser=True)


if __name__ == "__main__":
    asyncio.run(main())
