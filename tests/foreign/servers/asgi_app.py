"""For uvicorn: what Starlette, and FastAPI on it, answers behind the gateway."""

from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route


async def echo(request: Request) -> Response:
    return JSONResponse({"path": request.url.path, "headers": dict(request.headers)})


async def away(request: Request) -> Response:
    return RedirectResponse(request.url_for("echo"))


async def text(_: Request) -> Response:
    return PlainTextResponse("a line of text\n" * 200)


app = Starlette(
    routes=[Route("/echo", echo, name="echo"), Route("/away", away), Route("/slash/", echo), Route("/text", text)]
)
app.add_middleware(GZipMiddleware)
