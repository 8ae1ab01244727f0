"""Settle: judge reports, and post what the exchange executed.

A report ends its trade if the trade is in flight and the report matches its terms. A report that contradicts a trade or
can't be read changes nothing and goes to manual review, with a note of what is wrong. No verdict is final while the
trade is in flight, because the account or the software may change: a report is judged again when the exchange repeats
it or when staff ask for it.
"""

import json

from django.db import transaction

from accounts.account import Account, AccountFull
from accounts.ledger import Books, open_books
from exchange.messages import Malformed, storable
from exchange.messages import Report as ParsedReport
from exchange.prices import LastPrices
from trades import queries, transitions
from trades.fill import post_fill
from trades.hold import hold, reason_too_expensive, release
from trades.models import FINAL, Outcome, Reason, Status, Trade
from trades.queries import Work
from trades.terms import BreaksTerms, check_terms, repeats_ending
from trades.transitions import Ending, Verdict
from web.writes import Writes


def settle(books: Books, work: Work, last_prices: LastPrices) -> tuple[list[Ending], list[Verdict]]:
    """Judge all waiting reports of these customers, and end the trades that they settle.

    Cash and shares are posted in `books`. The caller must write the books, the endings and the verdicts in the
    transaction that read the work.

    Args:
        books: The customers' open books, with the positions of the work.
        work: What there is to do for them.
        last_prices: Used to find out why a BUY was rejected as too expensive.

    Returns:
        How trades end, and what is decided about the reports.
    """
    endings: dict[Trade, Ending] = {}
    verdicts: list[Verdict] = []
    for report in work.reports:
        trade = work.trades[report.trade_id]
        if trade.status == Status.PLACED:
            continue  # the claim was lost in a failover; the report waits until the trade is claimed again
        try:
            parsed = ParsedReport.parse(json.loads(report.body))
            if trade.status in FINAL or trade in endings:
                agrees = repeats_ending(parsed, trade, endings.get(trade))
                verdicts.append(Verdict(report, Outcome.AGREES if agrees else Outcome.CONTRADICTS))
            else:
                endings[trade] = _settle_one(books[trade.customer_id], trade, parsed, last_prices)
                verdicts.append(Verdict(report, Outcome.SETTLED))
        except (Malformed, ValueError, RecursionError) as error:
            verdicts.append(Verdict(report, Outcome.MALFORMED, storable(error)))
        except BreaksTerms as error:
            verdicts.append(Verdict(report, Outcome.BREAKS_TERMS, storable(error)))
    return list(endings.values()), verdicts


def _settle_one(account: Account, trade: Trade, parsed: ParsedReport, last_prices: LastPrices) -> Ending:
    check_terms(trade, parsed)
    release(account, trade)
    if parsed.fill is None:
        reason_code = parsed.reason_code if parsed.reason_code in Reason.values else Reason.EXCHANGE_ERROR
        if reason_code == Reason.INSUFFICIENT_FUNDS:
            reason_code = reason_too_expensive(account, trade, last_prices)
        return Ending(trade, Status.REJECTED, reason_code, reason=parsed.reason)
    try:
        return post_fill(account, trade, parsed.fill, parsed.reason)
    except AccountFull as error:
        hold(account, trade)
        raise BreaksTerms(f"It cannot be posted now: {error.__doc__}") from None


def move_to_review(customer_id: int, error: BaseException) -> None:
    """Move a customer's waiting reports to manual review, because a turn failed on them.

    Otherwise they would make every later turn fail that has this customer in its set.
    """
    with transaction.atomic(durable=True):
        books = open_books([customer_id])
        reason = storable(f"A turn failed on it: {error!r}")
        reports = queries.waiting_reports(books.customer_ids)
        with Writes() as writes:
            transitions.write_verdicts(writes, [Verdict(report, Outcome.BREAKS_TERMS, reason) for report in reports])
