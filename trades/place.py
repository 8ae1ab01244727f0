"""PlaceTrade: check the order, record it, ring the lane."""

from collections.abc import Sequence

import structlog
from django.db import IntegrityError, connection, transaction

from trades import checks, transitions
from trades.lane import ring_on_commit
from trades.models import Trade, WhenClosed
from trades.transitions import Placing
from web.batching import Batcher

QUANTITY_MAX = 1_000_000  # shares of one trade

log = structlog.get_logger()


class TradeKeyReused(Exception):
    """The customer used this idempotency key before, for a trade with other terms."""


def place_trade(
    customer_id: int,
    ticker: str,
    type: str,
    quantity: int,
    key: str | None = None,
    by: str = "api",
    when_closed: str = WhenClosed.REJECT,
    time_in_force: str | None = None,
) -> tuple[Trade, bool]:
    """Record a market order as PLACED at the end of the customer's line.

    What is returned is durable. Funds are checked when the trade's turn comes.

    Idempotent: with the same key and terms, the first trade as it is now. Without a key, another trade is placed.

    Args:
        type: BUY or SELL.
        quantity: Whole shares, 1 to QUANTITY_MAX.
        key: The customer's idempotency key.
        by: The door, for the trade's history.
        when_closed: What becomes of it if its turn comes while the market is closed.
        time_in_force: What the client called it, to be shown again; it changes nothing.

    Returns:
        The trade, and whether it had been placed before.

    Raises:
        UnknownTicker: The exchange does not list the stock.
        TradeKeyReused: The key belongs to a trade with other terms.
        PlacingRefused: A check refused it.
    """
    trade = Trade(customer_id=customer_id, ticker=ticker, type=type, quantity=quantity, idempotency_key=key)
    trade.when_closed, trade.time_in_force = when_closed, time_in_force
    return place(trade, by)


def place(trade: Trade, by: str) -> tuple[Trade, bool]:
    """Record this trade, which is not yet inserted. Otherwise like `place_trade`."""
    if before := placed_before(trade):
        return before, True
    return insert_or_find(check_order(trade, by), checks.orders_a_minute_max(trade.customer_id))


def check_order(trade: Trade, by: str, queued_ahead: int = 0) -> Placing:
    """Check whether this trade may be placed now; return it as it is to be inserted.

    Raises:
        UnknownTicker: The exchange does not list the stock.
        PlacingRefused: A check refused it.
    """
    checks.check_listed(trade.customer_id, trade.ticker, trade.type)
    checks.check(trade.customer_id, trade.ticker, trade.quantity)
    return Placing(trade, by, checks.check_queue(trade.customer_id, trade.when_closed, queued_ahead))


def insert_or_find(placing: Placing, rate: int | None) -> tuple[Trade, bool]:
    """Insert one trade; return it, or the one that was placed with its key meanwhile, and whether it was that one.

    Raises:
        TradeKeyReused: The key was used meanwhile, for a trade with other terms.
        TooManyOrders: It would be more than `rate` orders within a minute.
    """
    trade = placing.trade
    try:
        _insert(placing, rate)
    except IntegrityError:
        if (placed := Trade.objects.filter(id=trade.id).first()) is not None:
            trade = placed  # an insert whose outcome was not heard had gone through, and was repeated
        elif before := placed_before(trade):
            return before, True  # two requests with this key arrived at once, and the other one placed the trade
        else:
            raise
    log.info("placed", trades=[str(trade.id)], customer=trade.customer_id, by=placing.by)
    return trade, False


def placed_before(wanted: Trade) -> Trade | None:
    """Return the trade that the customer has placed with the key of this one, if any.

    Raises:
        TradeKeyReused: It has other terms.
    """
    if not wanted.idempotency_key:
        return None
    trade = Trade.objects.filter(customer_id=wanted.customer_id, idempotency_key=wanted.idempotency_key).first()
    if trade and not are_same_terms(trade, wanted):
        raise TradeKeyReused
    return trade


def are_same_terms(one: Trade, other: Trade) -> bool:
    """Return whether two trades with one key are the same order."""
    terms = ["ticker", "type", "quantity", "when_closed"]
    if one.time_in_force and other.time_in_force:  # else it is of the other API, or of a release that kept none
        terms.append("time_in_force")
    return all(getattr(one, name) == getattr(other, name) for name in terms)


def _insert(placing: Placing, rate: int | None) -> None:
    """Insert one trade, in one statement with others that arrive at the same moment if possible."""
    if rate is not None:  # which only a transaction can keep to
        insert_alone([placing], rate)
    elif connection.in_atomic_block:  # which must not become that of others' trades
        if not insert_set([placing])[0]:
            insert_alone([placing], None)
    elif not insert_batched(placing):
        insert_alone([placing], None)


def insert_set(placings: Sequence[Placing]) -> list[bool]:
    """Insert trades by one statement, and ring; return for each whether it was inserted.

    If the set fails, each of them is inserted alone, so that an error reaches only its cause: in its own thread and
    on its own connection.
    """
    try:
        inserted = transitions.insert_trades(placings)
    except IntegrityError:
        return [False] * len(placings)
    except Exception as error:
        if len(placings) == 1:
            raise
        log.warning("placing a set failed; placing each trade alone", trades=len(placings), error=repr(error))
        return [False] * len(placings)
    ring_on_commit({trade.customer_id for trade, _, is_queued in placings if trade.sequence and not is_queued})
    return inserted


insert_batched = Batcher(insert_set)


def insert_alone(placings: Sequence[Placing], rate: int | None) -> None:
    """Insert trades of one customer, once no other transaction is placing for them or has them locked.

    Raises:
        IntegrityError: A key was used before.
        TooManyOrders: There would be more than `rate` orders within a minute.
    """
    customer_id = placings[0].trade.customer_id
    with transaction.atomic(durable=True):
        transitions.lock_counter(customer_id)
        if not all(transitions.insert_trades(placings)):
            raise transitions.ChangedElsewhere(f"{customer_id} has no counter, although it is locked")
        if rate is not None:
            checks.check_rate(customer_id, placings[-1].trade.sequence, rate)
        ring_on_commit([] if all(placing.is_queued for placing in placings) else [customer_id])
