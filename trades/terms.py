"""Terms: check whether a report matches the order, and whether it repeats how the trade has already ended."""

from exchange.messages import Report as ParsedReport
from trades.models import FINAL, Trade, Type
from trades.transitions import Ending


class BreaksTerms(Exception):
    """The report does not match the terms of its trade."""


def check_terms(trade: Trade, parsed: ParsedReport) -> None:
    """Check that a report matches the terms of its trade.

    Raises:
        BreaksTerms: It does not. The message says what is wrong.
    """
    if parsed.status not in FINAL:
        raise BreaksTerms(f"{parsed.status} is not final")
    if (parsed.ticker, parsed.type, parsed.quantity) != (trade.ticker, trade.type, trade.quantity):
        raise BreaksTerms(f"it is about {parsed.type} {parsed.quantity} {parsed.ticker}")
    if parsed.fill:
        if parsed.fill.amount != parsed.fill.price * parsed.quantity:
            raise BreaksTerms(f"{parsed.quantity} at {parsed.fill.price} is not {parsed.fill.amount}")
        if trade.type == Type.BUY and parsed.fill.amount > trade.hold:
            raise BreaksTerms(f"{parsed.fill.amount} is more than the {trade.hold} allowed")


def repeats_ending(parsed: ParsedReport, trade: Trade, ending: Ending | None) -> bool:
    """Return whether a report repeats how the trade ended. Two rejections are the same, whatever their reasons."""
    ended = ending or trade
    price, amount = (parsed.fill.price, parsed.fill.amount) if parsed.fill else (None, None)
    return (parsed.ticker, parsed.type, parsed.quantity, parsed.status, price, amount) == (
        trade.ticker,
        trade.type,
        trade.quantity,
        ended.status,
        ended.price,
        ended.amount,
    )
