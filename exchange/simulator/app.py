"""Route each call to its endpoint, build the response, and apply the faults in force."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import structlog

from exchange.simulator.clock import Clock
from exchange.simulator.errors import Invalid, Problem
from exchange.simulator.faults import Faults
from exchange.simulator.formats import SECOND, format_time
from exchange.simulator.http_server import Caller, Request, Response
from exchange.simulator.parameters import Call
from exchange.simulator.proxy import proxy_answer

log = structlog.get_logger("exchange.app")

# Returns the status and the body; None: the call is never answered.
Endpoint = Callable[[Call], Awaitable[tuple[int, Any] | None]]

# Endpoints by path and method. A path that ends with a slash matches all paths that add a single name to it.
Routes = dict[str, dict[str, Endpoint]]


class App:
    """Answers every call. No input leads to a 500, unless a fault demands it."""

    def __init__(self, protocol: Routes, controls: Routes, faults: Faults, clock: Clock) -> None:
        self._protocol = protocol
        self._controls = controls
        self._faults = faults
        self._clock = clock

    async def __call__(self, request: Request, caller: Caller) -> Response | None:
        """Answer a call. Faults don't apply to the endpoints that control the exchange."""
        route, name = _route(request.path, self._controls)
        if request.method in self._controls.get(route, {}):
            return await self._answer(self._controls[route][request.method], request, caller, name)
        return await self._answer_with_faults(request, caller)

    async def _answer_with_faults(self, request: Request, caller: Caller) -> Response | None:
        faults, endpoint = self._faults, (request.method, request.path)
        delay = faults.pause_seconds("arriveDelayMs", *endpoint)
        if delay:
            await asyncio.sleep(delay)
        response: Response | None = None
        proxy_kind = faults.proxy_answer(*endpoint)
        if proxy_kind is None or faults.happens("proxyPassRate"):
            response = await self._answer(self._endpoint, request, caller, "")
        if proxy_kind is not None:
            response = proxy_answer(proxy_kind, response)
        if response is not None:
            response.head_pause_seconds = faults.pause_seconds("dripHeadMs", *endpoint)
            response.body_pause_seconds = faults.pause_seconds("dripBodyMs", *endpoint)
        delay = faults.pause_seconds("answerDelayMs", *endpoint)
        if delay:
            await asyncio.sleep(delay)
        return response

    async def _endpoint(self, call: Call) -> tuple[int, Any] | None:
        if self._faults.down:
            raise Problem(503, "down", "the exchange is down", headers=(("retry-after", "1"),))
        route, name = _route(call.request.path, self._protocol)
        endpoints, controls = self._protocol.get(route, {}), self._controls.get(route, {})
        if call.request.method in endpoints:
            return await endpoints[call.request.method](call._replace(name=name))
        if not endpoints and not controls:
            raise Problem(404, "not_found", "there is nothing at this path")
        allow = ", ".join(sorted({*endpoints, *controls}))
        raise Problem(405, "method_not_allowed", f"this path takes {allow}", headers=(("allow", allow),))

    async def _answer(self, endpoint: Endpoint, request: Request, caller: Caller, name: str) -> Response | None:
        # Read the time before the endpoint reads anything: a trade that it doesn't find had not arrived by then.
        at = self._clock.now()
        try:
            result = await endpoint(Call(request, caller, at, name))
        except Exception as failure:  # noqa: BLE001 - every error is answered in JSON
            problem = _problem(failure, request)
            return _response(at, problem.status, problem.body, problem.headers)
        return None if result is None else _response(at, *result)

    def refuse(self, status: int, detail: str) -> Response:
        """Return the response to bytes that are not a valid HTTP request."""
        problem = Problem(status, "not_http", detail, headers=(("connection", "close"),))
        return _response(self._clock.now(), problem.status, problem.body, problem.headers)


def _response(at: int, status: int, body: Any, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Build a JSON response with the exchange's time in its headers."""
    all_headers = [
        *headers,
        ("content-type", "application/json"),
        ("date", formatdate(at / SECOND, usegmt=True)),
        ("exchange-time", format_time(at)),
    ]
    return Response(status, all_headers, json.dumps(body, separators=(",", ":")).encode())


def _route(path: str, routes: Routes) -> tuple[str, str]:
    """Return the route of a path, and the name at its end if the route has one."""
    folder, _, name = path.rpartition("/")
    if path not in routes and name and folder + "/" in routes:
        return folder + "/", unquote(name)
    return path, ""


def _problem(failure: Exception, request: Request) -> Problem:
    """Convert an exception of an endpoint to a Problem."""
    if isinstance(failure, Problem):
        return failure
    if isinstance(failure, Invalid):
        summary = "; ".join(f"{entry['field']} {entry['detail']}".strip() for entry in failure.errors[:3])
        return Problem(422, "invalid", summary, failure.errors)
    if isinstance(failure, sqlite3.Error):
        log.error("record_not_available", error=str(failure))
        detail = "the exchange can't access its database at the moment"
        return Problem(503, "record_not_available", detail, headers=(("retry-after", "1"),))
    log.error("unexpected", method=request.method, path=request.path, exc_info=failure)
    return Problem(500, "internal_error", "something unexpected went wrong inside the exchange")
