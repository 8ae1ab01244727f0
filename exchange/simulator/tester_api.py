"""The endpoints with which testers control the exchange: faults, clock, closures and corporate actions."""

from __future__ import annotations

import re
from datetime import time as clock_time
from typing import Any

import structlog

from exchange.simulator.announcement_store import AnnouncementStore
from exchange.simulator.app import Routes
from exchange.simulator.calendar import Closure, eastern
from exchange.simulator.callbacks import Callbacks
from exchange.simulator.clock import OFFSET_SECONDS_MAX, Clock
from exchange.simulator.corporate_actions import read_action
from exchange.simulator.errors import Invalid, Problem, error
from exchange.simulator.execution import ExecutionEngine
from exchange.simulator.faults import Faults
from exchange.simulator.formats import SECOND, format_time, parse_date
from exchange.simulator.market import Market
from exchange.simulator.parameters import Call

log = structlog.get_logger("exchange.tester_api")

CLOSURES_MAX = 100
REASON_LENGTH_MAX = 200


class TesterApi:
    """Controls the behavior of the exchange. These endpoints are not part of the protocol."""

    def __init__(
        self,
        announcements: AnnouncementStore,
        market: Market,
        clock: Clock,
        faults: Faults,
        engine: ExecutionEngine,
        callbacks: Callbacks,
    ) -> None:
        self._announcements = announcements
        self._market = market
        self._clock = clock
        self._faults = faults
        self._engine = engine
        self._callbacks = callbacks

    def routes(self) -> Routes:
        """Return the endpoints by path and method."""
        return {
            "/v1/faults": {"GET": self.show_faults, "PUT": self.set_faults, "DELETE": self.clear_faults},
            "/v1/clock": {"PUT": self.move_clock, "DELETE": self.reset_clock},
            "/v1/closures": {"GET": self.show_closures, "PUT": self.put_closures, "DELETE": self.delete_closures},
            "/v1/corporate-actions": {"POST": self.announce},
        }

    # -- faults

    async def show_faults(self, call: Call) -> tuple[int, Any]:
        """Return all faults, with the default values of those that are not in force."""
        return 200, self._faults.as_json()

    async def set_faults(self, call: Call) -> tuple[int, Any]:
        """Set these faults, and leave the others as they are."""
        self._faults.set(_object(call.json()))
        return self._faults_changed()

    async def clear_faults(self, call: Call) -> tuple[int, Any]:
        """End all faults."""
        self._faults.clear()
        return self._faults_changed()

    def _faults_changed(self) -> tuple[int, Any]:
        log.info("faults", **self._faults.in_force())
        self._engine.wake()
        self._callbacks.wake()
        return 200, self._faults.as_json()

    # -- clock

    async def move_clock(self, call: Call) -> tuple[int, Any]:
        """Set the exchange's clock ahead of the machine's, or behind it."""
        body = _object(call.json())
        seconds: Any = body.get("offsetSeconds")
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if body.keys() != {"offsetSeconds"} or not number or abs(seconds) > OFFSET_SECONDS_MAX:
            limits = f"from -{OFFSET_SECONDS_MAX} to {OFFSET_SECONDS_MAX}"
            raise Invalid([error("offsetSeconds", f"must be a number of seconds {limits}, and the only field")])
        return self._set_clock(round(seconds * SECOND))

    async def reset_clock(self, call: Call) -> tuple[int, Any]:
        """Set the exchange's clock to the machine's time."""
        return self._set_clock(0)

    def _set_clock(self, offset: int) -> tuple[int, Any]:
        self._announcements.put_clock_offset(offset)
        self._clock.offset = offset
        log.info("clock", offset_seconds=self._clock.offset_seconds)
        return 200, {"at": format_time(self._clock.now()), "offsetSeconds": self._clock.offset_seconds}

    # -- closures

    async def show_closures(self, call: Call) -> tuple[int, Any]:
        """Return all closures, in order of their days."""
        return 200, {"closures": [_closure_json(closure) for closure in self._announcements.closures()]}

    async def put_closures(self, call: Call) -> tuple[int, Any]:
        """Add closures. A closure replaces an earlier one for the same day."""
        entries = _object(call.json()).get("closures")
        if not isinstance(entries, list) or not 1 <= len(entries) <= CLOSURES_MAX:
            raise Invalid([error("closures", f"must be a list of 1 to {CLOSURES_MAX} closures")])
        errors: list[dict[str, str]] = []
        closures = [self._read_closure(entry, f"closures[{n}]", errors) for n, entry in enumerate(entries)]
        if errors:
            raise Invalid(errors)
        self._announcements.put_closures(closure for closure in closures if closure is not None)
        return await self._closures_changed(call)

    async def delete_closures(self, call: Call) -> tuple[int, Any]:
        """Delete the closure of the day in `date`, or all closures."""
        query = call.query()
        day = query.date("date", self._market.hours.day_of(call.at)) if "date" in query else None
        self._announcements.delete_closures(day)
        return await self._closures_changed(call)

    async def _closures_changed(self, call: Call) -> tuple[int, Any]:
        self._market.set_closures(self._announcements.closures())
        status, body = await self.show_closures(call)
        log.info("closures", **body)
        return status, body

    def _read_closure(self, entry: Any, path: str, errors: list[dict[str, str]]) -> Closure | None:
        if not isinstance(entry, dict):
            errors.append(error(path, "must be a JSON object with date and, for an early close, close"))
            return None
        field = "date"
        try:
            day = parse_date(entry.get("date"))
            session = self._market.hours.scheduled_session(day)
            if session is None:
                raise ValueError("must be a day on which the market is scheduled to open")
            close, now = entry.get("close"), self._clock.now()
            if close is None and now >= session.opens:
                raise ValueError("must be a day whose session has not opened yet; otherwise, give an early close")
            field = "close"
            if close is not None:
                close = _read_close(close)
                if not max(session.opens, now) < eastern(day, close) < session.scheduled_close:
                    raise ValueError("must be in the future, and between the opening and the scheduled close")
            field = "reason"
            reason = entry.get("reason", "")
            if not isinstance(reason, str) or len(reason) > REASON_LENGTH_MAX:
                raise ValueError(f"must be a text of at most {REASON_LENGTH_MAX} characters")
        except ValueError as problem:
            errors.append(error(f"{path}.{field}", str(problem)))
            return None
        return Closure(day, close, reason)

    # -- corporate actions

    async def announce(self, call: Call) -> tuple[int, Any]:
        """Store a corporate action. It changes prices and listings from its ex-date on.

        Idempotent: a repetition with the same `actionId` and content returns the first one, with 200.
        """
        action = read_action(call.json(), call.at)
        first = self._announcements.find_action(action.action_id)
        if first is not None:
            if not first.has_same_content(action):
                raise Problem(409, "conflict", "this actionId came before with other content")
            return 200, first.as_json()
        self._market.listings.check(action, self._market.hours.session_at(call.at).day)
        if action.reference_price is None:
            action = action._replace(reference_price=self._market.reference_price(action, call.at))
        action = self._announcements.add_action(action)
        self._market.announce(action)
        log.info("corporate_action", **{name: value for name, value in action.as_json().items() if value is not None})
        return 201, action.as_json()


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Invalid([error("", "must be a JSON object")])
    return body


def _read_close(value: object) -> clock_time:
    if not isinstance(value, str) or not re.fullmatch(r"\d\d:\d\d(:\d\d)?", value, re.ASCII):
        raise ValueError('must be a time of day, Eastern, such as "13:00"')
    return clock_time.fromisoformat(value)


def _closure_json(closure: Closure) -> dict[str, Any]:
    return {
        "date": closure.day.isoformat(),
        "close": None if closure.close is None else closure.close.isoformat().removesuffix(":00"),
        "reason": closure.reason,
    }
