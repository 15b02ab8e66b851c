"""The second listener: the page, health, metrics and routes for everybody who reaches it.

Explain, purge and the last refusals need the admin token.

It is not part of the data path. Its questions to the workers have deadlines, and a slow response here holds up nobody.
Refusals have the form of the public listener's (RFC 9457), with RFC 6750's challenge.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.admin.access import is_rebound, token_refusal
from gateway.admin.origins import allow_origins
from gateway.admin.page import page
from gateway.admin.questions import BadQuestionError, parse_explain, parse_selector
from gateway.admin.status import About, status
from gateway.config.server_model import Admin
from gateway.http.refusal import STATUS_OF_CODE, Refusal, render
from gateway.observe.exposition import CONTENT_TYPE, OPENMETRICS_CONTENT_TYPE, exposition, wants_openmetrics
from gateway.workers.instance import Instance, InstanceError

_logger = logging.getLogger(__name__)

_BODY_MAX_BYTES = 64 * 2**10
_BODY_S = 10.0
_CODE_OF_STATUS = {404: "no_route", 405: "method_not_allowed", 413: "content_too_large", 403: "forbidden"}


class _RefusedError(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def admin_app(instance: Instance, settings: Callable[[], Admin], about: Callable[[], About] = About) -> web.Application:
    """Build the application.

    `settings` gives the present `admin` part of the configuration, and `about` the rest that is shown of it; a reload
    may change both.
    """
    routes = _Routes(instance, settings, about)
    app = web.Application(middlewares=[routes.refusing], client_max_size=_BODY_MAX_BYTES)
    app.router.add_get("/", routes.page)
    app.router.add_get("/status", routes.status)
    app.router.add_get("/refusals", routes.refusals)
    app.router.add_get("/health/live", routes.live)
    app.router.add_get("/health/ready", routes.ready)
    app.router.add_get("/metrics", routes.metrics)
    app.router.add_get("/routes", routes.routes)
    app.router.add_post("/explain", routes.explain)
    app.router.add_delete("/cache", routes.purge)
    app.on_response_prepare.append(routes.finish)
    allow_origins(app, lambda: settings().cors.allow_origins)
    return app


class _Routes:
    def __init__(self, instance: Instance, settings: Callable[[], Admin], about: Callable[[], About]) -> None:
        self._instance = instance
        self._settings = settings
        self._about = about

    async def page(self, _request: web.Request) -> web.Response:
        shown = page()
        return web.Response(text=shown.text, content_type="text/html", headers=shown.headers)

    async def status(self, _request: web.Request) -> web.Response:
        snapshot = await self._instance.snapshot()
        told = (self._instance.readiness(), self._instance.routes(), self._instance.workers())
        # In a thread: with many routes it takes longer than a request may wait.
        text = await asyncio.to_thread(lambda: json.dumps(status(self._about(), snapshot, *told, time.time())))
        return _json_text(text)

    async def refusals(self, request: web.Request) -> web.Response:
        self._admit(request)
        return _json({"refusals": await self._instance.refusals()})

    async def live(self, _request: web.Request) -> web.Response:
        return _json({"status": "live"})

    async def ready(self, _request: web.Request) -> web.Response:
        readiness = self._instance.readiness()
        body = {
            "status": "ready" if readiness.ready else "not ready",
            "reasons": list(readiness.reasons),
            "checks": readiness.checks,
        }
        return _json(body, status=200 if readiness.ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        snapshot = await self._instance.snapshot()
        is_openmetrics = wants_openmetrics(",".join(request.headers.getall("Accept", ())))
        # In a thread: with many routes the text takes longer than a request may wait.
        text = await asyncio.to_thread(exposition, snapshot, is_openmetrics=is_openmetrics)
        kind = OPENMETRICS_CONTENT_TYPE if is_openmetrics else CONTENT_TYPE
        return web.Response(body=text, headers={"Content-Type": kind})

    async def routes(self, _request: web.Request) -> web.Response:
        return _json(self._instance.routes())

    async def explain(self, request: web.Request) -> web.Response:
        self._admit(request)
        question = parse_explain(await _body(request))
        return _json(await self._instance.explain(question))

    async def purge(self, request: web.Request) -> web.Response:
        self._admit(request)
        selector = parse_selector(await _body(request), request.rel_url.raw_query_string)
        evicted = await self._instance.purge(selector)
        what = next(iter(selector), "everything")  # the kind of claim, not its value
        _logger.info("cache purged", extra={"event": "cache_purged", "fields": {"what": what, "evicted": evicted}})
        return _json({"evicted": evicted})

    def _admit(self, request: web.Request) -> None:
        refusal = token_refusal(request.headers.getall("Authorization", ()), self._settings().token)
        if refusal is not None:
            raise _RefusedError(refusal)

    @web.middleware
    async def refusing(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn every failure into a problem document."""
        try:
            if is_rebound(request.headers.get("Host"), self._settings().listen):
                return _problem(Refusal("forbidden", "use the address or localhost to reach a loopback listener"))
            return await handler(request)
        except _RefusedError as error:
            return _problem(error.refusal)
        except web.HTTPException as error:
            return _problem(_refusal_of(error))
        except ValueError as error:  # BadQuestionError, or a worker's reason why there can be no such request
            return _problem(Refusal("invalid_request", str(error)))
        except InstanceError as error:
            _logger.warning("a worker did not answer: %s", error, extra={"event": "admin_unanswered"})
            return _problem(Refusal("gateway_timeout", f"not all workers did it; try again ({error})"))
        except Exception:
            _logger.exception("an admin request failed", extra={"event": "admin_failed"})
            return _problem(Refusal("internal_error", "this should not have happened; the log says more"))

    async def finish(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Server"] = "gateway"  # aiohttp would name its version and Python's
        if self._settings().cors.allow_origins:
            response.headers["Vary"] = "Origin"


def _json(value: object, status: int = 200) -> web.Response:
    return _json_text(json.dumps(value), status)


def _json_text(text: str, status: int = 200) -> web.Response:
    # With a newline, so that a shell's prompt does not stand behind the answer.
    return web.Response(text=text + "\n", status=status, content_type="application/json")


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_BODY_S):
            return await request.read()
    except TimeoutError:
        raise _RefusedError(Refusal("request_timeout", f"the body took longer than {_BODY_S:g} s")) from None
    except (web.RequestPayloadError, ConnectionError):
        raise BadQuestionError("the body ended too soon") from None


def _refusal_of(error: web.HTTPException) -> Refusal:
    """The refusals of aiohttp itself (no such path, another method, too large a body, a preflight) in our form."""
    code = _CODE_OF_STATUS.get(error.status, "invalid_request")
    allow = error.headers.get("Allow")
    detail = error.text if code == "forbidden" and error.text else HTTPStatus(STATUS_OF_CODE[code]).phrase
    return Refusal(code, detail, (("Allow", allow),) if allow else ())


def _problem(refusal: Refusal) -> web.Response:
    request_id = secrets.token_hex(16)
    rendered = render(refusal, request_id)
    headers = {**dict(rendered.headers), "X-Request-Id": request_id}
    return web.Response(status=rendered.status, headers=headers, body=rendered.body)
