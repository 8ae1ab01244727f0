"""What is forgotten, and when: calls to the exchange, and sign-ins. Trades, books, reports and the audit log stay.

Calls are kept for EXCHANGE_CALLS_KEPT_DAYS, and longer while a trade in them is open or an open exception names one.
Sign-ins are kept for `accounts.models.SIGN_INS_KEPT_DAYS`, which the database itself sees to.
"""

import time
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import connection

from accounts import sign_ins

ROWS_A_BATCH = 1_000
SECONDS_MAX = 60  # of one round; the next one goes on

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows were deleted, and whether there was time for all of them."""

    calls: int
    sign_ins: int
    all_done: bool


def forget() -> Forgotten:
    """Delete what is older than it is kept, in batches, for SECONDS_MAX at most. Again: what has grown old since."""
    began = time.monotonic()
    deleted, done = 0, False
    at, id = "-infinity", 0
    while not done and time.monotonic() - began < SECONDS_MAX:
        with connection.cursor() as cursor:
            days = settings.EXCHANGE_CALLS_KEPT_DAYS
            cursor.execute(FORGET_CALLS, {"days": days, "at": at, "id": id, "rows": ROWS_A_BATCH})
            gone, looked, at, id = cursor.fetchone()
        deleted += gone
        done = looked < ROWS_A_BATCH
    came = 0
    while done and (gone := sign_ins.forget_old(ROWS_A_BATCH)):
        came += gone
        done = time.monotonic() - began < SECONDS_MAX
    if deleted or came:
        log.info("forgot what is old", calls=deleted, sign_ins=came, all_done=done)
    return Forgotten(deleted, came, done)


# A batch begins behind the last row of the one before, so what is kept is looked at once, however much that is.
FORGET_CALLS = """
    WITH looked AS MATERIALIZED (
        SELECT id, at, trade_ids FROM exchange_call
        WHERE at < now() - make_interval(days => %(days)s)
          AND (at, id) > (%(at)s::timestamptz, %(id)s::bigint)
        ORDER BY at, id LIMIT %(rows)s
    ), kept AS MATERIALIZED (
        SELECT id FROM trades_trade WHERE status = 'PLACED'
        UNION SELECT id FROM trades_trade WHERE status = 'IN PROGRESS'
        UNION SELECT trade_id FROM office_case WHERE closed_at IS NULL AND trade_id IS NOT NULL
    ), spared AS (
        SELECT looked.id FROM looked, unnest(looked.trade_ids) AS named (trade_id)
        JOIN kept ON kept.id = named.trade_id
    ), gone AS (
        DELETE FROM exchange_call USING looked
        WHERE exchange_call.id = looked.id AND looked.id NOT IN (SELECT id FROM spared) RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone), count(*), max(at), (array_agg(id ORDER BY at DESC, id DESC))[1] FROM looked
"""
