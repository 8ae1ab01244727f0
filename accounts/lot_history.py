"""Lot history: build the lots of postings that were made before lots and settlement dates were recorded.

A posting without a settlement date is not in the lots yet. The ledger calls this when it must close lots that do not
exist; `manage.py build_lots` does it for all customers.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from accounts.lots import WRITE_LOTS, Disposal, LotChanges, Opening, Pair, load_open_lots
from accounts.models import CASH, Posting
from web.timezones import eastern_date
from web.writes import Writes

TRADED = {Posting.Kind.BUY, Posting.Kind.SELL}


def build_lots(pairs: Collection[Pair]) -> int:
    """Date the undated postings of these customers' stocks and build their lots, in the caller's transaction.

    Needs the customers' locks. The trade date of a posting is the Eastern date on which it was posted.

    Idempotent: yes. Postings that have a date are left alone.

    Returns:
        How many share postings were dated.
    """
    rows = _read_undated(UNDATED_OF_PAIRS, [list(column) for column in zip(*pairs, strict=True)]) if pairs else []
    return _build(rows)


def build_lots_of(customer_ids: Collection[int]) -> int:
    """Do what `build_lots` does for all stocks that these customers ever held, and date their cash postings too."""
    return _build(_read_undated(UNDATED_OF_CUSTOMERS, [list(customer_ids)]))


Row = tuple[int, int, str, str, UUID, Decimal, Decimal | None, datetime]


def _read_undated(statement: str, parameters: list[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Row] = cursor.fetchall()
    return rows


def _build(rows: list[Row]) -> int:
    if not rows:
        return 0
    settlement_date: Callable[[date], date] = import_string(settings.SETTLEMENT_DATE)
    changes = load_open_lots({(row[1], row[2]) for row in rows if row[2] != CASH})
    days: list[date] = []
    for row, traded_on in _with_dates(rows):
        days.append(settlement_date(traded_on) if row[3] in TRADED else traded_on)
        if row[2] != CASH:
            _replay(changes, row, traded_on)
    with Writes() as writes:
        writes.add(WRITE_LOTS, changes.columns)
        writes.add(DATE_POSTINGS, [[row[0] for row in rows], days])
    return sum(row[2] != CASH for row in rows)


def _with_dates(rows: list[Row]) -> Iterator[tuple[Row, date]]:
    for row in rows:
        yield row, eastern_date(row[7])


def _replay(changes: LotChanges, row: Row, traded_on: date) -> None:
    _, customer_id, ticker, kind, cause, change, price, _ = row
    quantity = int(abs(change))
    if change > 0:
        changes.apply(Opening(customer_id, ticker, cause, traded_on, quantity, (price or Decimal(0)) * quantity))
    else:
        proceeds = (price or Decimal(0)) * quantity if kind == Posting.Kind.SELL else None
        changes.apply(Disposal(customer_id, ticker, cause, traded_on, quantity, proceeds))


_COLUMNS = "p.id, p.customer_id, p.ticker, p.kind, p.cause, p.change, p.price, p.created_at"
UNDATED_OF_PAIRS = f"""
    SELECT {_COLUMNS} FROM unnest(%s::bigint[], %s::text[]) AS wanted (customer_id, ticker)
    JOIN accounts_posting AS p USING (customer_id, ticker) WHERE p.settles_on IS NULL ORDER BY p.id
"""
UNDATED_OF_CUSTOMERS = f"""
    SELECT {_COLUMNS} FROM accounts_posting AS p
    WHERE p.customer_id = ANY (%s) AND p.settles_on IS NULL ORDER BY p.id
"""
DATE_POSTINGS = """
    dated AS (
        UPDATE accounts_posting AS p SET settles_on = new.settles_on
        FROM unnest(%s::bigint[], %s::date[]) AS new (id, settles_on) WHERE p.id = new.id
    )
"""
