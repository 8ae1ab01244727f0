"""PlaceTrade: check the order, record it, ring the lane."""

from collections.abc import Sequence

import structlog
from django.db import IntegrityError, transaction

from accounts.queries import positions_of
from exchange.market import is_listed
from trades import checks, transitions
from trades.lane import ring_on_commit
from trades.models import Trade, Type
from trades.transitions import Placing
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
    """Record a market order as PLACED at the end of the customer's line.

    What is returned is durable. The ring that follows may get lost; then the sweep rings. Funds are checked when the
    trade's turn comes.

    Idempotent: with the same key and terms, returns the first trade as it is now. Without a key, places another trade.

    Args:
        customer_id: Whose trade it is.
        ticker: The stock.
        type: BUY or SELL.
        quantity: Whole shares, 1 to QUANTITY_MAX.
        key: The customer's idempotency key.
        by: The door, for the trade's history.

    Returns:
        The trade, and whether it had been placed before.

    Raises:
        UnknownTicker: The exchange does not list the stock.
        TradeKeyReused: The key belongs to a trade with other terms.
        PlacingRefused: `checks.check` or `checks.check_rate` refused it.
    """
    if key and (before := _placed_before(customer_id, key, ticker, type, quantity)):
        return before, True
    # Shares that are held can always be offered for sale: the exchange decides.
    if not is_listed(ticker) and not (type == Type.SELL and _holds(customer_id, ticker)):
        raise UnknownTicker(ticker)
    checks.check(customer_id, ticker, quantity)
    trade = Trade(customer_id=customer_id, ticker=ticker, type=type, quantity=quantity, idempotency_key=key)
    rate = checks.orders_a_minute_max(customer_id)
    try:
        # Orders that arrive at the same moment are inserted by one statement; a limit on the rate needs a transaction.
        if rate is not None or not insert_batched(Placing(trade, by)):
            insert_alone(Placing(trade, by), rate)
    except IntegrityError:
        # The same key arrived twice at once: the other request placed the trade, and this one left no trace.
        if key and (before := _placed_before(customer_id, key, ticker, type, quantity)):
            return before, True
        raise
    log.info("placed", trades=[str(trade.id)], customer=customer_id, by=by)
    return trade, False


def _holds(customer_id: int, ticker: str) -> bool:
    return positions_of(customer_id).filter(ticker=ticker, quantity__gt=0).exists()


def _placed_before(customer_id: int, key: str, ticker: str, type: str, quantity: int) -> Trade | None:
    trade = Trade.objects.filter(customer_id=customer_id, idempotency_key=key).first()
    if trade and (trade.ticker, trade.type, trade.quantity) != (ticker, type, quantity):
        raise TradeKeyReused
    return trade


def insert_set(placings: Sequence[Placing]) -> list[bool]:
    """Insert trades by one statement, and ring; return for each whether it was inserted."""
    try:
        inserted = transitions.insert_trades(placings)
    except IntegrityError:  # one of them repeats a key; which one shows when each is inserted alone
        return [False] * len(placings)
    ring_on_commit({trade.customer_id for trade, _ in placings if trade.sequence})
    return inserted


insert_batched = Batcher(insert_set)


def insert_alone(placing: Placing, rate: int | None) -> None:
    """Insert one trade, once no other transaction is placing for its customer.

    Raises:
        IntegrityError: The key was used before.
        TooManyOrders: It would be more than `rate` orders within a minute.
    """
    customer_id = placing.trade.customer_id
    with transaction.atomic(durable=True):
        transitions.lock_counter(customer_id)
        transitions.insert_trades([placing])
        if rate is not None:
            checks.check_rate(customer_id, placing.trade.sequence, rate)
        ring_on_commit([customer_id])
