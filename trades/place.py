"""PlaceTrade: check, record, ring."""

from collections.abc import Sequence
from typing import NamedTuple

import structlog
from django.db import IntegrityError, connection, transaction

from accounts.together import Together
from exchange.market import is_listed
from trades import checks
from trades.lane import ring_on_commit
from trades.models import Trade, TradeCounter

QUANTITY_MAX = 1_000_000  # shares of one trade

log = structlog.get_logger()


class UnknownTicker(Exception):
    """The exchange does not list this stock."""


class TradeKeyReused(Exception):
    """The customer used this idempotency key before, for a trade with other terms."""


class Placing(NamedTuple):
    """A trade to be recorded, and the door that it came through."""

    trade: Trade
    by: str


def place_trade(
    customer_id: int, ticker: str, type: str, quantity: int, key: str | None = None, by: str = "api"
) -> tuple[Trade, bool]:
    """Record a market order as PLACED, at the end of the customer's line; the trade, and whether it was there before.

    Again with the same key and terms: the first trade, as it is now. Without a key: another trade. What came back is
    durable; the ring that follows may be lost, and then the sweep rings. Funds are looked at when its turn comes.

    quantity: whole shares, 1 to QUANTITY_MAX; type: BUY or SELL; by: the door, for the trade's history.
    Raises UnknownTicker, TradeKeyReused, and what `checks.check` and `checks.check_rate` raise.
    """
    if key and (before := _placed_before(customer_id, key, ticker, type, quantity)):
        return before, True
    if not is_listed(ticker):
        raise UnknownTicker(ticker)
    checks.check(customer_id, ticker, quantity)
    trade = Trade(customer_id=customer_id, ticker=ticker, type=type, quantity=quantity, idempotency_key=key)
    rate = checks.orders_a_minute_max(customer_id)
    try:
        # Whoever comes at the same moment is recorded by the same statement; only a limit on the rate needs more.
        if rate is not None or not _record_together(Placing(trade, by)):
            _record_alone(Placing(trade, by), rate)
    except IntegrityError:
        # The same key came in twice at once: the other one placed the trade, and this one left no trace.
        if key and (before := _placed_before(customer_id, key, ticker, type, quantity)):
            return before, True
        raise
    log.info("placed", trades=[str(trade.id)], customer=customer_id, by=by)
    return trade, False


def _placed_before(customer_id: int, key: str, ticker: str, type: str, quantity: int) -> Trade | None:
    trade = Trade.objects.filter(customer_id=customer_id, idempotency_key=key).first()
    if trade and (trade.ticker, trade.type, trade.quantity) != (ticker, type, quantity):
        raise TradeKeyReused
    return trade


def _record_all(placings: Sequence[Placing]) -> list[bool]:
    try:
        recorded = _record(placings)
    except IntegrityError:  # one of them used a key twice; which one shows when each is recorded alone
        return [False] * len(placings)
    ring_on_commit({trade.customer_id for trade, _ in placings if trade.sequence})
    return recorded


_record_together = Together(_record_all)


def _record_alone(placing: Placing, rate: int | None) -> None:
    """Record one trade, as soon as nobody else is placing for its customer. Raises IntegrityError, TooManyOrders."""
    customer_id = placing.trade.customer_id
    with transaction.atomic(durable=True):
        TradeCounter.objects.bulk_create([TradeCounter(customer_id=customer_id, last=0)], ignore_conflicts=True)
        TradeCounter.objects.select_for_update(no_key=True).get(customer_id=customer_id)
        _record([placing])
        if rate is not None:
            checks.check_rate(customer_id, placing.trade.sequence, rate)
        ring_on_commit([customer_id])


def _record(placings: Sequence[Placing]) -> list[bool]:
    """Give each trade its number and its time, and write it with its history; which of them were. The others' customers
    have no counter yet, or somebody else is placing for them at this moment. Raises IntegrityError."""
    with connection.cursor() as cursor:
        cursor.execute(
            RECORD,
            [
                [placing.trade.id for placing in placings],
                [placing.trade.customer_id for placing in placings],
                [placing.trade.ticker for placing in placings],
                [placing.trade.type for placing in placings],
                [placing.trade.quantity for placing in placings],
                [placing.trade.idempotency_key for placing in placings],
                [placing.by for placing in placings],
            ],
        )
        recorded = {trade_id: (sequence, placed_at) for trade_id, sequence, placed_at in cursor.fetchall()}
    for trade, _ in placings:
        if trade.id in recorded:
            trade.sequence, trade.placed_at = recorded[trade.id]
    return [trade.id in recorded for trade, _ in placings]


# One statement, so that numbers, trades and their history cost one round trip, and so that the counters' rows, whose
# lock makes the order of numbers the order of commits, are locked as briefly as can be. Whoever is locked is left out,
# so that no customer's placing waits for another's. Counters keep `xact` for the feed's order: this transaction got its
# number with its first lock, and may have the next lock after one with a higher number.
RECORD = """
    WITH asked AS (
        SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY place) AS nth,
               count(*) OVER (PARTITION BY customer_id) AS number
        FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[])
            WITH ORDINALITY AS new (id, customer_id, ticker, type, quantity, key, by, place)
    ), free AS (
        SELECT customer_id FROM trades_tradecounter WHERE customer_id IN (SELECT customer_id FROM asked)
        FOR NO KEY UPDATE SKIP LOCKED
    ), counter AS (
        UPDATE trades_tradecounter AS c
        SET last = c.last + number, xact = GREATEST(c.xact, pg_current_xact_id()::text::bigint)
        FROM free JOIN asked ON asked.customer_id = free.customer_id AND nth = 1
        WHERE c.customer_id = free.customer_id
        RETURNING c.customer_id, c.last - number AS before, c.xact
    ), trade AS (
        INSERT INTO trades_trade
            (id, customer_id, sequence, ticker, type, quantity, idempotency_key, status, reason_code)
        SELECT id, customer_id, before + nth, ticker, type, quantity, key, 'PLACED', ''
        FROM asked JOIN counter USING (customer_id)
        RETURNING id, sequence, placed_at
    ), history AS (
        INSERT INTO trades_move (trade_id, from_status, to_status, why, by, customer_id, xact)
        SELECT id, '', 'PLACED', '', by, customer_id, xact FROM asked JOIN counter USING (customer_id)
        ORDER BY place
    )
    SELECT id, sequence, placed_at FROM trade
"""
