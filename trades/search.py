"""Search a customer's trades. Every page costs the same, whatever the filter and however many trades there are.

The sequence numbers of a customer's trades have no gaps and grow with time. They are the order and the cursors of a
list, and a binary search over them finds a moment. Final trades are indexed by status, type and stock; open trades are
few.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

from django.db import connection
from django.db.models import QuerySet

from trades.models import FINAL, Status, Trade, Type

OPEN = (Status.PLACED, Status.IN_PROGRESS)
BRANCHES_MAX = 40  # more combinations than this are filtered row by row
# `placed_at` is when the statement began. Its number was drawn when it got the counter's lock, at most this much later.
LOCK_WAIT_MAX = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class TradeFilter:
    """The trades to search for. None or empty matches any. Times and sequence numbers are exclusive bounds."""

    statuses: Collection[str] = ()
    types: Collection[str] = ()
    tickers: Collection[str] = ()
    placed_after: datetime | None = None
    placed_before: datetime | None = None
    above: int | None = None
    below: int | None = None


def find_trades(customer_id: int, trade_filter: TradeFilter, limit: int, *, newest_first: bool = True) -> list[Trade]:
    """Return up to `limit` of a customer's trades, in the order of their sequence numbers."""
    order = "-sequence" if newest_first else "sequence"
    rows = Trade.objects.filter(customer_id=customer_id)
    if trade_filter.above is not None:
        rows = rows.filter(sequence__gt=trade_filter.above)
    if trade_filter.below is not None:
        rows = rows.filter(sequence__lt=trade_filter.below)
    if trade_filter.placed_after:
        first = _first_after(customer_id, trade_filter.placed_after, -LOCK_WAIT_MAX)
        rows = rows.filter(placed_at__gt=trade_filter.placed_after, sequence__gte=first)
    if trade_filter.placed_before:
        first = _first_after(customer_id, trade_filter.placed_before, LOCK_WAIT_MAX)
        rows = rows.filter(placed_at__lt=trade_filter.placed_before, sequence__lt=first)
    branches, in_flight = _branches(rows, trade_filter)
    if not branches:
        trades = []
    elif len(branches) == 1:
        trades = list(branches[0].order_by(order)[:limit])
    else:
        head, *rest = [branch.order_by(order)[:limit] for branch in branches]
        trades = list(head.union(*rest, all=True).order_by(order)[:limit])
    if in_flight is not None and (open_trade := list(in_flight)):
        trades = sorted(trades + open_trade, key=lambda trade: trade.sequence, reverse=newest_first)[:limit]
    return trades


def open_trades(customer_id: int, limit: int) -> list[Trade]:
    """Return up to `limit` of a customer's open trades, oldest first, however many final ones there are."""
    return find_trades(customer_id, TradeFilter(statuses=OPEN), limit, newest_first=False)


def _branches(rows: QuerySet[Trade], trade_filter: TradeFilter) -> tuple[list[QuerySet[Trade]], QuerySet[Trade] | None]:
    """Return the queries whose union is the result: those that an index can answer in order, and one for IN PROGRESS.

    The query for IN PROGRESS must have no ORDER BY, or PostgreSQL would walk the customer's whole line to find one row.
    """
    if not (trade_filter.statuses or trade_filter.types or trade_filter.tickers):
        return [rows], None
    statuses = trade_filter.statuses or Status.values
    types = trade_filter.types or Type.values
    open_rows = rows.filter(type__in=types)
    if trade_filter.tickers:
        open_rows = open_rows.filter(ticker__in=trade_filter.tickers)
    in_flight = open_rows.filter(status=Status.IN_PROGRESS) if Status.IN_PROGRESS in statuses else None
    branches = [open_rows.filter(status=Status.PLACED)] if Status.PLACED in statuses else []
    final = [status for status in statuses if status in FINAL]
    tickers: list[str | None] = list(trade_filter.tickers) or [None]
    combinations = list(product(final, types, tickers))
    if len(combinations) > BRANCHES_MAX:
        return [*branches, rows.filter(status__in=final, type__in=types, ticker__in=trade_filter.tickers)], in_flight
    for status, type, ticker in combinations:
        branch = rows.filter(status=status, type=type)
        branches.append(branch if ticker is None else branch.filter(ticker=ticker))
    return branches, in_flight


def _first_after(customer_id: int, moment: datetime, margin: timedelta) -> int:
    """Return the sequence number of the customer's first trade after a moment; one past the last if there is none.

    It is found by binary search. The margin is added to the moment first.
    """
    try:
        moment += margin
    except OverflowError:
        return 0 if margin < timedelta() else 2**62
    with connection.cursor() as cursor:
        cursor.execute(FIRST_AFTER, {"customer": customer_id, "moment": moment})
        row = cursor.fetchone()
    return int(row[0]) if row else 1


FIRST_AFTER = """
    WITH RECURSIVE half AS (
        SELECT 1::bigint AS low, last + 1 AS high FROM trades_tradecounter WHERE customer_id = %(customer)s
        UNION ALL
        SELECT CASE WHEN t.placed_at > %(moment)s THEN half.low ELSE t.sequence + 1 END,
               CASE WHEN t.placed_at > %(moment)s THEN t.sequence ELSE half.high END
        FROM half JOIN trades_trade AS t ON t.customer_id = %(customer)s AND t.sequence = (half.low + half.high) / 2
        WHERE half.low < half.high
    )
    SELECT low FROM half WHERE low = high
"""
