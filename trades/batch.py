"""Place several trades of one customer in one call. They are recorded as one set, but each is checked on its own."""

from collections.abc import Sequence

import structlog
from django.db import IntegrityError

from trades import checks
from trades.models import Trade
from trades.place import (
    TradeKeyReused,
    are_same_terms,
    check_order,
    insert_alone,
    insert_or_find,
    insert_set,
    place,
)
from trades.transitions import Placing

BATCH_MAX = 100  # trades in one call
REFUSALS = (checks.UnknownTicker, checks.PlacingRefused, TradeKeyReused)
Outcome = tuple[Trade, bool] | Exception

log = structlog.get_logger()


def place_trades(customer_id: int, trades: Sequence[Trade], by: str = "api") -> list[Outcome]:
    """Record unsaved trades at the end of the customer's line, in this order, with one statement.

    Each trade is checked on its own, as by `place_trade`. If one is refused, the others are still placed.

    Idempotent: like `place_trade` for each trade with a key, even if two trades in the batch have the same key.

    Args:
        trades: 1 to BATCH_MAX trades, all of this customer.
        by: The door, for the trades' history.

    Returns:
        For each trade: the trade and whether it had been placed before, or the exception that refused it, which is one
        of REFUSALS.
    """
    keys = [trade.idempotency_key for trade in trades if trade.idempotency_key]
    before = Trade.objects.filter(customer_id=customer_id, idempotency_key__in=keys) if keys else ()
    by_key = {trade.idempotency_key: trade for trade in before}  # the loop adds those that are about to be inserted
    outcomes: dict[int, Outcome] = {}
    placings: dict[int, Placing] = {}
    repeated: dict[int, Trade] = {}
    for position, trade in enumerate(trades):
        if trade.idempotency_key and trade.idempotency_key in by_key:
            repeated[position] = trade
            continue
        queued_ahead = sum(placing.is_queued for placing in placings.values())
        try:
            placings[position] = check_order(trade, by, queued_ahead)
        except REFUSALS as refusal:
            outcomes[position] = refusal
        else:
            by_key[trade.idempotency_key] = trade
    outcomes |= zip(placings, _insert(customer_id, list(placings.values())), strict=True)
    outcomes |= {position: _replay(by_key[trade.idempotency_key], trade, by) for position, trade in repeated.items()}
    return [outcomes[position] for position in range(len(trades))]


def _insert(customer_id: int, placings: Sequence[Placing]) -> list[Outcome]:
    """Insert trades with one statement, or one by one if one of them makes the statement fail."""
    if not placings:
        return []
    rate = checks.orders_a_minute_max(customer_id)
    try:
        if rate is not None or not all(insert_set(placings)):
            insert_alone(placings, rate)
    except (IntegrityError, checks.TooManyOrders):
        for placing in placings:
            placing.trade.sequence = None  # type: ignore[assignment]  # its number was rolled back
        return [_insert_one(placing, rate) for placing in placings]
    log.info("placed", trades=[str(placing.trade.id) for placing in placings], customer=customer_id, by=placings[0].by)
    return [(placing.trade, False) for placing in placings]


def _insert_one(placing: Placing, rate: int | None) -> Outcome:
    try:
        return insert_or_find(placing, rate)
    except REFUSALS as refusal:
        placing.trade.sequence = None  # type: ignore[assignment]
        return refusal


def _replay(first: Trade, trade: Trade, by: str) -> Outcome:
    """Return the outcome of a trade whose key `first` used. If `first` was refused, the trade is placed instead."""
    if first.sequence:
        return (first, True) if are_same_terms(first, trade) else TradeKeyReused()
    try:
        return place(trade, by)
    except REFUSALS as refusal:
        return refusal
