"""Settle: post what the exchange reported.

A report ends its trade if the trade is in flight and the report matches its terms. Every other report is kept for
manual review, with a note of what is wrong, and changes nothing. No verdict is final while the trade is in flight,
because the account or the software may change: a report is judged again when the exchange repeats it, and when staff
ask for it.
"""

import json

import structlog
from django.db import transaction

from accounts.account import Account, AccountFull
from accounts.ledger import Books, open_books
from exchange.messages import Malformed, storable
from exchange.messages import Report as Word
from exchange.prices import LastPrices
from trades import queries, transitions
from trades.fill import post_fill
from trades.hold import hold, release, why_too_dear
from trades.models import FINAL, Outcome, Reason, Status, Trade
from trades.terms import BreaksTerms, check_terms, says_the_same
from trades.transitions import Ending, Verdict

log = structlog.get_logger()


def settle(books: Books, last_prices: LastPrices, by: str) -> None:
    """Judge all waiting reports of these customers, and end the trades that they settle.

    Cash and shares are posted in `books`; the caller writes them in the same transaction.

    Idempotent: yes. When nothing is waiting, nothing happens.

    Args:
        books: The customers' open books.
        last_prices: They show why a BUY was rejected as too expensive.
        by: The process, for the trades' history.
    """
    waiting = queries.waiting_reports(books.customer_ids)
    if not waiting:
        return
    trades = queries.trades_with_terms(report.trade_id for report in waiting)
    books.load_shares((trade.customer_id, trade.ticker) for trade in trades.values())
    endings: dict[Trade, Ending] = {}
    verdicts: list[Verdict] = []
    for report in waiting:
        trade = trades[report.trade_id]
        if trade.status == Status.PLACED:
            continue  # its claim was lost in a failover; the report waits until the trade is claimed again
        try:
            word = Word.parse(json.loads(report.body))
            if trade.status in FINAL or trade in endings:
                agrees = says_the_same(word, trade, endings.get(trade))
                verdicts.append(Verdict(report, Outcome.AGREES if agrees else Outcome.CONTRADICTS))
            else:
                endings[trade] = _settle_one(books[trade.customer_id], trade, word, last_prices)
                verdicts.append(Verdict(report, Outcome.SETTLED))
        except (Malformed, ValueError, RecursionError) as error:
            verdicts.append(Verdict(report, Outcome.MALFORMED, storable(error)))
        except BreaksTerms as error:
            verdicts.append(Verdict(report, Outcome.BREAKS_TERMS, storable(error)))
    transitions.end(list(endings.values()), by)
    transitions.write_verdicts(verdicts)
    for verdict in verdicts:
        if verdict.outcome not in {Outcome.SETTLED, Outcome.AGREES}:
            log.error("report needs manual review", trade=str(verdict.report.trade_id), outcome=verdict.outcome)


def _settle_one(account: Account, trade: Trade, word: Word, last_prices: LastPrices) -> Ending:
    check_terms(trade, word)
    release(account, trade)
    if word.fill is None:
        reason_code = word.reason_code if word.reason_code in Reason.values else Reason.EXCHANGE_ERROR
        if reason_code == Reason.INSUFFICIENT_FUNDS:
            reason_code = why_too_dear(account, trade, last_prices)
        return Ending(trade, Status.REJECTED, reason_code, reason=word.reason)
    try:
        return post_fill(account, trade, word.fill, word.reason)
    except AccountFull as error:
        hold(account, trade)
        raise BreaksTerms(f"It cannot be posted now: {error.__doc__}") from None


def set_aside(customer_id: int, error: BaseException) -> None:
    """Put a customer's waiting reports aside for manual review, because a turn failed on them.

    Otherwise every later turn with this customer in its set would fail on them as well.
    """
    with transaction.atomic(durable=True):
        books = open_books([customer_id])
        reason = storable(f"A turn failed on it: {error!r}")
        transitions.write_verdicts(
            [Verdict(report, Outcome.BREAKS_TERMS, reason) for report in queries.waiting_reports(books.customer_ids)]
        )
