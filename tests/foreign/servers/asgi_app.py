"""For uvicorn: what Starlette, and FastAPI on it, answers behind the gateway."""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route


async def echo(request: Request) -> Response:
    told = {"path": request.url.path, "client": request.client and request.client.host, "url": str(request.url)}
    return JSONResponse({**told, "bytes": len(await request.body()), "headers": dict(request.headers)})


async def away(request: Request) -> Response:
    return RedirectResponse(request.url_for("echo"))


async def text(_: Request) -> Response:
    return PlainTextResponse("a line of text\n" * 200)


async def relative(_: Request) -> Response:
    return RedirectResponse("/echo")


async def file(_: Request) -> Response:
    return FileResponse(Path(os.environ["FILES"], "file.txt"))


async def cookie(_: Request) -> Response:
    return PlainTextResponse("set", headers={"Set-Cookie": "seen=1; Path=/account"})


async def reject(_: Request) -> Response:
    return PlainTextResponse("too large", 413)


app = Starlette(
    routes=[
        Route("/echo", echo, name="echo"),
        Route("/upload", echo, methods=["POST"]),
        Route("/away", away),
        Route("/slash/", echo),
        Route("/relative", relative),
        Route("/text", text),
        Route("/file.txt", file),
        Route("/cookie", cookie),
        Route("/reject", reject, methods=["POST"]),
    ]
)
app.add_middleware(GZipMiddleware)
