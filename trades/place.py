"""PlaceTrade: check, record, ring."""

from contextlib import nullcontext
from uuid import UUID

import structlog
from django.db import IntegrityError, connection, transaction
from uuid_utils.compat import uuid7

from exchange.market import is_listed
from trades import checks
from trades.lane import ring_on_commit
from trades.models import Trade

QUANTITY_MAX = 1_000_000  # shares of one trade

log = structlog.get_logger()


class UnknownTicker(Exception):
    """The exchange does not list this stock."""


class TradeKeyReused(Exception):
    """The customer used this idempotency key before, for a trade with other terms."""


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
    trade_id = uuid7()
    rate = checks.orders_a_minute_max(customer_id)
    try:
        # One statement is a transaction of its own, and two round trips less; only a limit on the rate needs more.
        with nullcontext() if rate is None else transaction.atomic(durable=True):
            placed_at, sequence = _record(trade_id, customer_id, ticker, type, quantity, key, by)
            if rate is not None:
                checks.check_rate(customer_id, sequence, rate)
            ring_on_commit([customer_id])
    except IntegrityError:
        # The same key came in twice at once: the other one placed the trade, and this one left no trace.
        if key and (before := _placed_before(customer_id, key, ticker, type, quantity)):
            return before, True
        raise
    log.info("placed", trades=[str(trade_id)], customer=customer_id, by=by)
    trade = Trade(
        id=trade_id,
        customer_id=customer_id,
        sequence=sequence,
        ticker=ticker,
        type=type,
        quantity=quantity,
        idempotency_key=key,
        placed_at=placed_at,
    )
    return trade, False


def _placed_before(customer_id: int, key: str, ticker: str, type: str, quantity: int) -> Trade | None:
    trade = Trade.objects.filter(customer_id=customer_id, idempotency_key=key).first()
    if trade and (trade.ticker, trade.type, trade.quantity) != (ticker, type, quantity):
        raise TradeKeyReused
    return trade


def _record(trade_id: UUID, customer_id: int, ticker: str, type: str, quantity: int, key: str | None, by: str):
    with connection.cursor() as cursor:
        cursor.execute(
            RECORD,
            {
                "id": trade_id,
                "customer": customer_id,
                "ticker": ticker,
                "type": type,
                "quantity": quantity,
                "key": key,
                "by": by,
            },
        )
        return cursor.fetchone()


# One statement, so that the number, the trade and its history cost one round trip, and so that the counter's row,
# whose lock makes the order of numbers the order of commits, is locked as briefly as can be.
RECORD = """
    WITH counter AS (
        INSERT INTO trades_tradecounter AS c (customer_id, last) VALUES (%(customer)s, 1)
        ON CONFLICT (customer_id) DO UPDATE SET last = c.last + 1
        RETURNING last
    ), trade AS (
        INSERT INTO trades_trade
            (id, customer_id, sequence, ticker, type, quantity, idempotency_key, status, reason_code)
        SELECT %(id)s, %(customer)s, last, %(ticker)s, %(type)s, %(quantity)s, %(key)s, 'PLACED', '' FROM counter
        RETURNING id, placed_at, sequence
    ), history AS (
        INSERT INTO trades_move (trade_id, from_status, to_status, why, by, customer_id)
        SELECT id, '', 'PLACED', '', %(by)s, %(customer)s FROM trade
    )
    SELECT placed_at, sequence FROM trade
"""
