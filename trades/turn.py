"""Turn: settle the waiting reports of a set of customers, claim their next trades, and send them to the exchange.

A turn makes trades IN PROGRESS, ends them, and posts their fills, in one transaction that has locked the customers.
When there is little to do, the set is a single customer.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import structlog
from django.db import Error, InterfaceError, OperationalError, connection, transaction

from accounts.account import InsufficientFunds, InsufficientShares
from accounts.ledger import Books, open_books
from accounts.settlement import Cash
from trades import asking, queries, transitions
from trades.controls import rules
from trades.execute import execute
from trades.hold import hold, set_hold
from trades.lane import ring_on_commit
from trades.market_now import MarketNow, market_now
from trades.models import Reason, Status, Trade, Type, WhenClosed
from trades.settle import move_to_review, settle
from trades.transitions import Ending
from web.timezones import eastern_date, eastern_today
from web.writes import Writes

EXECUTE_WITHIN_SECONDS = 30  # from the claim, by the exchange's clock; later it must not execute the trade
LOOK_AHEAD = 4  # how many trades of a customer a turn reads, and so can reject before it must ring again

log = structlog.get_logger()


def take_turn(customer_ids: Collection[int], by: str) -> None:
    """Settle and claim for these customers, then execute. Never raises.

    One customer's problem never stops another's turn: if the set fails, each customer is served alone. A turn that
    fails even then is logged and left to the sweep.

    Idempotent: yes. If nothing is waiting, nothing happens.

    Args:
        customer_ids: The customers, each at most once.
        by: The process, for the trades' history.
    """
    try:
        execute(settle_and_claim(customer_ids, by))
    except Exception as error:  # noqa: BLE001 — whatever it is, the other customers' turns go on
        # If the database is down, a traceback would say nothing new.
        is_database_down = isinstance(error, OperationalError | InterfaceError)
        log_failure = log.warning if is_database_down else log.exception
        log_failure("turn failed", customers=len(customer_ids), first=next(iter(customer_ids)), error=repr(error))
        if not _database_answers():
            return
        if len(customer_ids) > 1:
            for customer_id in customer_ids:
                take_turn([customer_id], by)
        elif not is_database_down:
            _move_to_review(next(iter(customer_ids)), error)


def _move_to_review(customer_id: int, error: Exception) -> None:
    try:
        move_to_review(customer_id, error)
    except Error as further:
        log.warning("reports could not be moved to review", customer=customer_id, error=repr(further))


def settle_and_claim(customer_ids: Collection[int], by: str) -> list[Trade]:
    """Settle reports and claim trades, in one transaction.

    Returns:
        The claimed trades, which the caller must send to the exchange.
    """
    now = market_now()
    with transaction.atomic(durable=True):
        return serve(open_books(customer_ids), now, by)


def serve(books: Books, now: MarketNow, by: str) -> list[Trade]:
    """Do what `settle_and_claim` does, for open books. It reads with one statement, and writes with one or two."""
    work = queries.read_work(books.customer_ids, LOOK_AHEAD)
    books.set_shares(work.positions)
    endings, verdicts = settle(books, work, now.last_prices)
    books.change_lots()  # a sale may have restricted its account, which affects the next claim
    claims = claim(books, work.placed_after({ending.trade for ending in endings}), now)
    with Writes() as writes:
        transitions.end(writes, endings + claims.rejected, by)
        transitions.write_verdicts(writes, verdicts)
        if claims.claimed:
            writes.execute()  # one trade in flight for each customer: the one before must have ended
        transitions.claim(writes, claims.claimed, now.at, EXECUTE_WITHIN_SECONDS, asking.ASK_AFTER_SECONDS, by)
        transitions.queue(writes, claims.queued)
        books.add_to(writes)
    return claims.claimed


class Claims(NamedTuple):
    """What becomes of placed trades."""

    claimed: list[Trade]
    rejected: list[Ending]
    queued: list[Trade]


def claim(books: Books, placed: Sequence[Trade], now: MarketNow) -> Claims:
    """Decide which trade of each customer is next, and hold what it needs in the books.

    A trade is REJECTED if there is not enough cash or shares to hold for it, and the next one is tried. A halted trade
    waits. So does a trade that the customer asked to queue, while the market is closed.

    Args:
        books: The customers' open books.
        placed: Their oldest PLACED trades, in order. None of these customers has a trade in flight.
        now: The market.
    """
    controls = rules()
    cash = _cash_of_restricted(books, placed, now)
    claimed: dict[int, Trade] = {}
    waiting: set[int] = set()
    queued: list[Trade] = []
    rejected: list[Ending] = []
    for trade in placed:
        if trade.customer_id in claimed or trade.customer_id in waiting:
            continue
        is_queued = trade.when_closed == WhenClosed.QUEUE and not now.is_open
        if is_queued or controls.is_halted(trade.customer_id, trade.ticker):
            waiting.add(trade.customer_id)
            if is_queued and trade.queued_at is None:
                queued.append(trade)
            continue
        account = books[trade.customer_id]
        if trade.type == Type.BUY:
            spendable = cash[account.customer_id].spendable if account.customer_id in cash else account.available
            set_hold(trade, spendable, now.last_prices.price(trade.ticker))
        try:
            hold(account, trade)
            claimed[trade.customer_id] = trade
        except InsufficientFunds:
            reason = Reason.UNSETTLED_FUNDS if account.available > 0 else Reason.INSUFFICIENT_FUNDS
            rejected.append(Ending(trade, Status.REJECTED, reason))
        except InsufficientShares:
            rejected.append(Ending(trade, Status.REJECTED, Reason.INSUFFICIENT_SHARES))
    # If this turn only rejects trades of a customer, there may be more in line.
    ring_on_commit({ending.trade.customer_id for ending in rejected} - claimed.keys() - waiting)
    return Claims(list(claimed.values()), rejected, queued)


def _cash_of_restricted(books: Books, placed: Sequence[Trade], now: MarketNow) -> dict[int, Cash]:
    """Return the cash of those buyers whose accounts are restricted to settled cash. One query, if there are any."""
    today = eastern_date(now.at) if now.at else eastern_today()
    buyers = {trade.customer_id for trade in placed if trade.type == Type.BUY}
    return books.cash_of({buyer for buyer in buyers if books[buyer].buys_with_settled_cash_only(today)}, today)


def _database_answers() -> bool:
    """Close the connection, which may be broken, and return whether a new one can be opened."""
    try:
        connection.close()
        connection.ensure_connection()
    except Error:
        return False
    return True
