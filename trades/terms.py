"""Terms: whether a report of the exchange keeps to what was ordered, and whether it repeats what is known."""

from exchange.messages import Report as Word
from trades.models import FINAL, Trade, Type
from trades.transitions import Ending


class BreaksTerms(Exception):
    """The report does not keep to the terms of its trade."""


def check_terms(trade: Trade, word: Word) -> None:
    """Check a report against its trade.

    Raises:
        BreaksTerms: With what is wrong.
    """
    if word.status not in FINAL:
        raise BreaksTerms(f"{word.status} is not final")
    if (word.ticker, word.type, word.quantity) != (trade.ticker, trade.type, trade.quantity):
        raise BreaksTerms(f"it is about {word.type} {word.quantity} {word.ticker}")
    if word.fill:
        if word.fill.amount != word.fill.price * word.quantity:
            raise BreaksTerms(f"{word.quantity} at {word.fill.price} do not make {word.fill.amount}")
        if trade.type == Type.BUY and word.fill.amount > trade.hold:
            raise BreaksTerms(f"{word.fill.amount} is more than the {trade.hold} allowed")


def says_the_same(word: Word, trade: Trade, ending: Ending | None) -> bool:
    """Return whether a report says how the trade ended. Two rejections are the same, whatever their reasons."""
    ended = ending or trade
    price, amount = (word.fill.price, word.fill.amount) if word.fill else (None, None)
    return (word.ticker, word.type, word.quantity, word.status, price, amount) == (
        trade.ticker,
        trade.type,
        trade.quantity,
        ended.status,
        ended.price,
        ended.amount,
    )
