"""Settle: turn what the exchange said into the books.

A report ends its trade if the trade is in flight and the report keeps to what was ordered. Every other report is kept,
with what is odd about it, for a person to look at, and moves nothing.
"""

import json

import structlog

from accounts.ledger import LARGEST_AMOUNT, Account, Books
from exchange.messages import Malformed, storable
from exchange.messages import Report as Word
from trades import queries
from trades.models import FINAL, Outcome, Reason, Status, Trade, Type
from trades.queries import Ending, Handling

log = structlog.get_logger()


def settle(books: Books, by: str) -> None:
    """Handle every waiting report of these customers. Again: nothing is waiting, nothing happens.

    Cash and shares are posted in `books`, which the caller writes in the same transaction.
    """
    waiting = queries.waiting_reports(books.customer_ids)
    if not waiting:
        return
    trades = queries.trades_with_terms(report.trade_id for report in waiting)
    books.load_shares((trade.customer_id, trade.ticker) for trade in trades.values())
    endings: dict[Trade, Ending] = {}
    handlings: list[Handling] = []
    for report in waiting:
        trade = trades[report.trade_id]
        if trade.status == Status.PLACED:
            continue  # its claim was lost with a database that failed over; the report waits until it is claimed again
        try:
            word = Word.parse(json.loads(report.body))
            if trade.status in FINAL or trade in endings:
                agrees = _says_the_same(word, trade, endings.get(trade))
                handlings.append(Handling(report, Outcome.AGREES if agrees else Outcome.CONTRADICTS))
            else:
                endings[trade] = _settle_one(books[trade.customer_id], trade, word)
                handlings.append(Handling(report, Outcome.SETTLED))
        except (Malformed, ValueError, RecursionError) as error:
            handlings.append(Handling(report, Outcome.MALFORMED, storable(error)))
        except BreaksTerms as error:
            handlings.append(Handling(report, Outcome.BREAKS_TERMS, storable(error)))
    queries.end(list(endings.values()), by)
    queries.handle(handlings)
    for handling in handlings:
        if handling.outcome not in {Outcome.SETTLED, Outcome.AGREES}:
            log.error("report needs a person", trade=str(handling.report.trade_id), outcome=handling.outcome)


class BreaksTerms(Exception):
    """The report is not about what was ordered."""


def _settle_one(account: Account, trade: Trade, word: Word) -> Ending:
    _check_terms(account, trade, word)
    if trade.type == Type.BUY:
        account.release_cash(trade.hold)
    else:
        account.release_shares(trade.ticker, trade.quantity)
    if word.fill is None:
        known = word.reason_code in Reason.values
        return Ending(trade, Status.REJECTED, word.reason_code if known else Reason.EXCHANGE_ERROR, reason=word.reason)
    move = account.buy if trade.type == Type.BUY else account.sell
    move(trade.id, trade.ticker, trade.quantity, word.fill.price, word.fill.amount)
    return Ending(trade, Status.FILLED, price=word.fill.price, amount=word.fill.amount, reason=word.reason)


def _check_terms(account: Account, trade: Trade, word: Word) -> None:
    """Raises BreaksTerms."""
    if word.status not in FINAL:
        raise BreaksTerms(f"{word.status} is not final")
    if (word.ticker, word.type, word.quantity) != (trade.ticker, trade.type, trade.quantity):
        raise BreaksTerms(f"it is about {word.type} {word.quantity} {word.ticker}")
    if word.fill:
        if word.fill.amount != word.fill.price * word.quantity:
            raise BreaksTerms(f"{word.quantity} at {word.fill.price} do not make {word.fill.amount}")
        if trade.type == Type.BUY and word.fill.amount > trade.hold:
            raise BreaksTerms(f"{word.fill.amount} is more than the {trade.hold} allowed")
        if trade.type == Type.SELL and account.amount + word.fill.amount > LARGEST_AMOUNT:
            raise BreaksTerms(f"{word.fill.amount} more is more than an account can hold")


def _says_the_same(word: Word, trade: Trade, ending: Ending | None) -> bool:
    """Whether the word and the way the trade ended are one. Two rejections are, whatever their reasons."""
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
