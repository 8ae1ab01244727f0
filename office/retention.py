"""Retention: delete old calls to the exchange and old sign-ins. Trades, books, reports and the audit log are kept.

Calls are kept for EXCHANGE_CALLS_KEPT_DAYS, and longer while one of their trades is open or named by an open exception.
Sign-ins are kept for `accounts.models.SIGN_INS_KEPT_DAYS`; the database refuses to delete them sooner.
"""

import time
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import connection

from accounts import sign_ins

ROWS_PER_BATCH = 1_000
SECONDS_MAX = 60  # for each run; the next run continues

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many rows were deleted, and whether all old rows are gone."""

    calls: int
    sign_ins: int
    all_done: bool


def delete_old() -> Deleted:
    """Delete old rows in batches, for at most SECONDS_MAX. Idempotent."""
    began = time.monotonic()
    deleted, done = 0, False
    at, id = "-infinity", 0
    while not done and time.monotonic() - began < SECONDS_MAX:
        with connection.cursor() as cursor:
            days = settings.EXCHANGE_CALLS_KEPT_DAYS
            cursor.execute(DELETE_CALLS, {"days": days, "at": at, "id": id, "rows": ROWS_PER_BATCH})
            deleted_rows, rows_read, at, id = cursor.fetchone()
        deleted += deleted_rows
        done = rows_read < ROWS_PER_BATCH
    sign_in_count = 0
    while done and (deleted_rows := sign_ins.forget_old(ROWS_PER_BATCH)):
        sign_in_count += deleted_rows
        done = time.monotonic() - began < SECONDS_MAX
    if deleted or sign_in_count:
        log.info("deleted old records", calls=deleted, sign_ins=sign_in_count, all_done=done)
    return Deleted(deleted, sign_in_count, done)


# Each batch begins after the last row of the previous one, so rows that are kept are read only once.
DELETE_CALLS = """
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
