"""Place: check an order, record it as a PLACED trade, and ring the lane."""

from collections.abc import Sequence

import structlog
from django.db import IntegrityError, connection, transaction

from trades import checks, queries, transitions
from trades.lane import ring_on_commit
from trades.models import Trade, WhenClosed
from trades.transitions import Placing
from web.access import Access
from web.batching import Batcher

QUANTITY_MAX = 1_000_000  # shares in one trade

log = structlog.get_logger()


class TradeKeyReused(Exception):
    """The customer used this idempotency key before, for a trade with different terms."""


def place_trade(
    customer_id: int,
    ticker: str,
    type: str,
    quantity: int,
    key: str | None = None,
    by: str = "api",
    when_closed: str = WhenClosed.REJECT,
    time_in_force: str | None = None,
    access: Access | None = None,
) -> tuple[Trade, bool]:
    """Record a market order as a PLACED trade at the end of the customer's line.

    The trade is durable when this returns. Cash and shares are checked later, when the trade's turn comes.

    Idempotent: with a key. The same key and terms return the first trade as it is now; without a key, each call places
    another trade.

    Args:
        customer_id: The customer.
        ticker: The stock.
        type: BUY or SELL.
        quantity: Whole shares, 1 to QUANTITY_MAX.
        key: The customer's idempotency key.
        by: The door, for the trade's history.
        when_closed: What to do with it if its turn comes while the market is closed.
        time_in_force: What the client sent, to be shown again. It has no effect.
        access: The access of the request, if it must be confirmed.

    Returns:
        The trade, and whether it had been placed before.

    Raises:
        UnknownTicker: The exchange does not list the stock.
        TradeKeyReused: The key belongs to a trade with different terms.
        PlacingRefused: A check refused the order.
    """
    trade = Trade(customer_id=customer_id, ticker=ticker, type=type, quantity=quantity, idempotency_key=key)
    trade.when_closed, trade.time_in_force = when_closed, time_in_force
    return place(trade, by, access)


def place(trade: Trade, by: str, access: Access | None = None) -> tuple[Trade, bool]:
    """Do what `place_trade` does, for an unsaved Trade."""
    if before := find_replayed(trade):
        return before, True
    return insert_or_find(check_order(trade, by)._replace(access=access), checks.orders_a_minute_max(trade.customer_id))


def check_order(trade: Trade, by: str, queued_ahead: int = 0) -> Placing:
    """Check that this trade may be placed now, and return it ready for insertion.

    Raises:
        UnknownTicker: The exchange does not list the stock.
        PlacingRefused: A check refused the order.
    """
    checks.check_listed(trade.customer_id, trade.ticker, trade.type)
    checks.check(trade.customer_id, trade.ticker, trade.quantity)
    return Placing(trade, by, checks.check_queue(trade.customer_id, trade.when_closed, queued_ahead))


def insert_or_find(placing: Placing, rate: int | None) -> tuple[Trade, bool]:
    """Insert a trade, unless another request has placed one with its key meanwhile.

    Returns:
        The trade that is recorded now, and whether the other request placed it.

    Raises:
        TradeKeyReused: The key was used meanwhile, for a trade with different terms.
        TooManyOrders: It would be more than `rate` orders within a minute.
    """
    trade = placing.trade
    try:
        _insert(placing, rate)
    except IntegrityError:
        if (placed := Trade.objects.filter(id=trade.id).first()) is not None:
            trade = placed  # the first insert had committed, but its outcome was unknown, so it was repeated
        elif before := find_replayed(trade):
            return before, True  # two requests with this key arrived at once, and the other one placed the trade
        else:
            raise
    log.info("placed", trades=[str(trade.id)], customer=trade.customer_id, by=placing.by)
    return trade, False


def find_replayed(new: Trade) -> Trade | None:
    """Return the trade that the customer placed earlier with the key of this one, if any.

    Raises:
        TradeKeyReused: It has different terms.
    """
    if not new.idempotency_key:
        return None
    trade = queries.placed_with_key(new.customer_id, new.idempotency_key)
    if trade and not are_same_terms(trade, new):
        raise TradeKeyReused
    return trade


def are_same_terms(first: Trade, second: Trade) -> bool:
    """Return whether two trades with the same key are the same order. `first` is the trade that was placed first."""
    if second.ticker not in {first.ticker, first.placed_as}:
        return False
    terms = ["type", "quantity", "when_closed"]
    if first.time_in_force and second.time_in_force:  # empty for our API and older releases
        terms.append("time_in_force")
    return all(getattr(first, name) == getattr(second, name) for name in terms)


def _insert(placing: Placing, rate: int | None) -> None:
    """Insert one trade, if possible in one statement with others that arrive at the same moment."""
    # Only a transaction of its own can enforce a rate, and the caller's must not contain other customers' trades.
    if rate is None and (insert_set([placing])[0] if connection.in_atomic_block else insert_batched(placing)):
        return
    if placing.access is None:
        insert_alone([placing], rate)
    else:
        placing.access.confirm()
        _insert(placing._replace(access=None), rate)


def insert_set(placings: Sequence[Placing]) -> list[bool]:
    """Insert trades with one statement, and ring; return for each trade whether it was inserted.

    If the set fails, none is inserted, and each caller must insert its trade alone, in its own thread and on its own
    connection. So an error reaches only the caller that caused it.

    Raises:
        OperationalError: The database did not answer in time. It is unknown whether the trades are inserted.
    """
    try:
        with connection.commit_limit():  # type: ignore[attr-defined] # of brokerage.database
            inserted = transitions.insert_trades(placings)
    except Exception as error:
        if not isinstance(error, IntegrityError):  # otherwise a key was used before
            if len(placings) == 1 or isinstance(error.__cause__, TimeoutError):  # alone, each would wait once more
                raise
            log.warning("placing a set failed; placing each trade alone", trades=len(placings), error=repr(error))
        return [False] * len(placings)
    ring_on_commit({trade.customer_id for trade, _, is_queued, _ in placings if trade.sequence and not is_queued})
    return inserted


insert_batched = Batcher(insert_set)


def insert_alone(placings: Sequence[Placing], rate: int | None) -> None:
    """Insert trades of one customer, once no other transaction is placing for the customer or has the customer locked.

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
