"""What the exchange was called for, and what it answered: kept for staff, one row a call, not a row a trade.

Kept after the call, outside every transaction that moves a trade, without waiting for the disk: a crash loses the last
few, and nothing depends on them. Keeping never fails a turn.
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


class Timed:
    """A call that has begun."""

    def __init__(self, verb: Call.Verb, trade_ids: list[UUID]) -> None:
        self._verb, self._trade_ids, self._began = verb, trade_ids, time.monotonic()

    def answered(self, answers: dict[str, str]) -> Call:
        """It answered; `answers` as in Call."""
        return self._ended(Call.Outcome.ANSWERED, answers, "")

    def unknown(self, seen: str) -> Call:
        """No answer that can be trusted; `seen`: what was seen instead."""
        return self._ended(Call.Outcome.UNKNOWN, {}, storable(seen, 300))

    def _ended(self, outcome: Call.Outcome, answers: dict[str, str], seen: str) -> Call:
        took_ms = (time.monotonic() - self._began) * 1000
        return Call(
            verb=self._verb, trade_ids=self._trade_ids, outcome=outcome, answers=answers, seen=seen, took_ms=took_ms
        )


def begin(verb: Call.Verb, trade_ids: Iterable[UUID]) -> Timed:
    """Note when a call begins."""
    return Timed(verb, list(trade_ids))


def said(report: dict[str, Any] | None) -> str:
    """What TradeExists answered, in a word or two."""
    return "not known" if report is None else storable(report.get("status"), 40)


def keep(calls: Iterable[Call]) -> None:
    """Keep these calls, in one statement. Again: kept twice. Never raises."""
    rows = [
        (c.verb, "{" + ",".join(map(str, c.trade_ids)) + "}", c.outcome, c.answers, c.seen, c.took_ms) for c in calls
    ]
    if not rows:
        return
    verbs, ids, outcomes, answers, seen, took = zip(*rows, strict=True)
    try:
        with connection.cursor() as cursor:
            # One round trip: the statement is its own transaction, for which alone it turns the wait for the disk off.
            cursor.execute(
                KEEP,
                [list(verbs), list(ids), list(outcomes), [json.dumps(a) for a in answers], list(seen), list(took)],
            )
    except Error as error:
        log.warning("calls to the exchange were not kept", calls=len(rows), error=repr(error))


KEEP = """
    WITH lazily AS (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO exchange_call (verb, trade_ids, outcome, answers, seen, took_ms)
    SELECT new.verb, new.trade_ids::uuid[], new.outcome, new.answers::jsonb, new.seen, new.took_ms
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::float8[])
        AS new (verb, trade_ids, outcome, answers, seen, took_ms), lazily
"""
