"""PlaceTrade: check, record, ring."""

from collections.abc import Sequence

import structlog
from django.db import IntegrityError, transaction

from exchange.market import is_listed
from trades import checks, queries
from trades.lane import ring_on_commit
from trades.models import Trade
from trades.queries import Placing
from web.batching import Batcher

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
        recorded = queries.record(placings)
    except IntegrityError:  # one of them used a key twice; which one shows when each is recorded alone
        return [False] * len(placings)
    ring_on_commit({trade.customer_id for trade, _ in placings if trade.sequence})
    return recorded


_record_together = Batcher(_record_all)


def _record_alone(placing: Placing, rate: int | None) -> None:
    """Record one trade, as soon as nobody else is placing for its customer. Raises IntegrityError, TooManyOrders."""
    customer_id = placing.trade.customer_id
    with transaction.atomic(durable=True):
        queries.wait_in_line(customer_id)
        queries.record([placing])
        if rate is not None:
            checks.check_rate(customer_id, placing.trade.sequence, rate)
        ring_on_commit([customer_id])
