"""Route each call to its endpoint, turn what it returns or raises into an answer, and let the faults have their way."""

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

# Returns status and body; None leaves the call without an answer.
Endpoint = Callable[[Call], Awaitable[tuple[int, Any] | None]]

# Endpoints by path and method. A path that ends with a slash stands for all that continue it by one name.
Routes = dict[str, dict[str, Endpoint]]


class App:
    """Answers every call. No input is answered with a 500, unless a fault says so."""

    def __init__(self, protocol: Routes, controls: Routes, faults: Faults, clock: Clock) -> None:
        self._protocol = protocol
        self._controls = controls
        self._faults = faults
        self._clock = clock

    async def __call__(self, request: Request, caller: Caller) -> Response | None:
        """Answer a call; faults don't apply to the endpoints by which testers control the exchange."""
        route, name = _route(request.path, self._controls)
        if request.method in self._controls.get(route, {}):
            return await self._answer(self._controls[route][request.method], request, caller, name)
        return await self._answer_with_faults(request, caller)

    async def _answer_with_faults(self, request: Request, caller: Caller) -> Response | None:
        faults, where = self._faults, (request.method, request.path)
        delay = faults.pause_seconds("arriveDelayMs", *where)
        if delay:
            await asyncio.sleep(delay)
        response: Response | None = None
        intruder = faults.proxy_answer(*where)
        if intruder is None or faults.happens("proxyPassRate"):
            response = await self._answer(self._endpoint, request, caller, "")
        if intruder is not None:
            response = proxy_answer(intruder, response)
        if response is not None:
            response.head_pause_seconds = faults.pause_seconds("dripHeadMs", *where)
            response.body_pause_seconds = faults.pause_seconds("dripBodyMs", *where)
        delay = faults.pause_seconds("answerDelayMs", *where)
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
        # Taken before the endpoint looks at anything: a trade that it does not know had not arrived by this time.
        at = self._clock.now()
        try:
            found = await endpoint(Call(request, caller, at, name))
        except Exception as failure:  # noqa: BLE001 - whatever went wrong is answered in JSON
            problem = _problem(failure, request)
            return _response(at, problem.status, problem.body, problem.headers)
        return None if found is None else _response(at, *found)

    def refuse(self, status: int, detail: str) -> Response:
        """Answer what is not an HTTP request."""
        problem = Problem(status, "not_http", detail, headers=(("connection", "close"),))
        return _response(self._clock.now(), problem.status, problem.body, problem.headers)


def _response(at: int, status: int, body: Any, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Write an answer that carries the exchange's time."""
    all_headers = [
        *headers,
        ("content-type", "application/json"),
        ("date", formatdate(at / SECOND, usegmt=True)),
        ("exchange-time", format_time(at)),
    ]
    return Response(status, all_headers, json.dumps(body, separators=(",", ":")).encode())


def _route(path: str, routes: Routes) -> tuple[str, str]:
    """The route that a path belongs to, and the name at its end."""
    folder, _, name = path.rpartition("/")
    if path not in routes and name and folder + "/" in routes:
        return folder + "/", unquote(name)
    return path, ""


def _problem(failure: Exception, request: Request) -> Problem:
    """Turn what an endpoint raised into an answer."""
    if isinstance(failure, Problem):
        return failure
    if isinstance(failure, Invalid):
        summary = "; ".join(f"{entry['field']} {entry['detail']}".strip() for entry in failure.errors[:3])
        return Problem(422, "invalid", summary, failure.errors)
    if isinstance(failure, sqlite3.Error):
        log.error("record_not_available", error=str(failure))
        detail = "the exchange can't write its record at the moment"
        return Problem(503, "record_not_available", detail, headers=(("retry-after", "1"),))
    log.error("unexpected", method=request.method, path=request.path, exc_info=failure)
    return Problem(500, "internal_error", "something unexpected went wrong inside the exchange")
