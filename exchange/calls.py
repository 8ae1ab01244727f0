"""The log of calls to the exchange and their outcomes, for staff: one row for each call, not for each trade.

Rows are written after the call, outside the transactions that change trades, and without waiting for the disk. A crash
may lose the last few, but nothing depends on them. An error while writing never fails a turn.
"""

import json
import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import structlog
from django.db import Error, connection

from exchange.messages import storable
from exchange.models import Call

EXECUTE, ASK = Call.Verb.EXECUTE, Call.Verb.ASK
UNKNOWN = Call.Outcome.UNKNOWN

log = structlog.get_logger()


class TimedCall:
    """A call in progress."""

    def __init__(self, verb: Call.Verb, trade_ids: list[UUID]) -> None:
        self._verb, self._trade_ids, self._began = verb, trade_ids, time.monotonic()

    def answered(self, answers: dict[str, str]) -> Call:
        """Return the row for a call that was answered. For `answers`, see `Call`."""
        return self._ended(Call.Outcome.ANSWERED, answers, "")

    def unknown(self, seen: str) -> Call:
        """Return the row for a call without a trustworthy answer. `seen` says what happened instead."""
        return self._ended(Call.Outcome.UNKNOWN, {}, storable(seen, 300))

    def _ended(self, outcome: Call.Outcome, answers: dict[str, str], seen: str) -> Call:
        took_ms = (time.monotonic() - self._began) * 1000
        return Call(
            verb=self._verb, trade_ids=self._trade_ids, outcome=outcome, answers=answers, seen=seen, took_ms=took_ms
        )


def begin(verb: Call.Verb, trade_ids: Iterable[UUID]) -> TimedCall:
    """Start timing a call."""
    return TimedCall(verb, list(trade_ids))


def status_of_report(report: dict[str, Any] | None) -> str:
    """Return the status in an answer to TradeExists; "not known" if the exchange doesn't know the trade."""
    return "not known" if report is None else storable(report.get("status"), 40)


def record(calls: Iterable[Call]) -> None:
    """Record these calls with a single statement. Never raises.

    Idempotent: no. A repeated call records them twice.
    """
    rows = [
        (c.verb, "{" + ",".join(map(str, c.trade_ids)) + "}", c.outcome, c.answers, c.seen, c.took_ms) for c in calls
    ]
    if not rows:
        return
    verbs, ids, outcomes, answers, seen, durations_ms = zip(*rows, strict=True)
    try:
        with connection.cursor() as cursor:
            # One round trip: the statement is its own transaction, and sets synchronous_commit only for itself.
            cursor.execute(
                INSERT_CALLS,
                [
                    list(verbs),
                    list(ids),
                    list(outcomes),
                    [json.dumps(answer) for answer in answers],
                    list(seen),
                    list(durations_ms),
                ],
            )
    except Error as error:
        log.warning("calls to the exchange could not be recorded", calls=len(rows), error=repr(error))


INSERT_CALLS = """
    WITH lazily AS (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO exchange_call (verb, trade_ids, outcome, answers, seen, took_ms)
    SELECT new.verb, new.trade_ids::uuid[], new.outcome, new.answers::jsonb, new.seen, new.took_ms
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::float8[])
        AS new (verb, trade_ids, outcome, answers, seen, took_ms), lazily
"""
