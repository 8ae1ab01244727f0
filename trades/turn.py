"""A lane's turn: settle what was reported, claim what is next, hand it to the exchange.

The only place that moves a customer's trades and touches the books for them, in one transaction, under the customer's
lock. Everything is for a set of customers; a set of one is the quiet case.
"""

from collections.abc import Collection

import structlog
from django.db import Error, InterfaceError, OperationalError, connection, transaction

from accounts.ledger import Account, Books, InsufficientFunds, InsufficientShares, open_books
from trades import checks, queries
from trades.execute import execute
from trades.lane import ring_on_commit
from trades.models import Reason, Status, Trade, Type
from trades.queries import Ending
from trades.settle import settle

EXECUTE_WITHIN_SECONDS = 30  # from the claim; after that the exchange must not execute any more
ASK_AFTER_SECONDS = 3  # from the claim; a trade out for longer is asked about by the sweep
LOOK_AHEAD = 4  # trades of one customer that a turn can reject before it must ring again

log = structlog.get_logger()


def take_turn(customer_ids: Collection[int], by: str) -> None:
    """Settle and claim for these customers, then execute. Again: nothing is waiting, nothing happens.

    One customer's fault never stops another's turn: where the set fails, each is taken alone. What fails even so is
    logged and left to the sweep. Never raises. by: the process, for the trades' history.
    """
    try:
        claimed = _settle_and_claim(customer_ids, by)
        execute(claimed)
    except Exception as error:  # noqa: BLE001 — whatever it is, the other customers' turns go on
        away = isinstance(error, OperationalError | InterfaceError)  # of the database; where it came up tells nothing
        say = log.warning if away else log.exception
        say("turn failed", customers=len(customer_ids), first=next(iter(customer_ids)), error=repr(error))
        if _database_answers() and len(customer_ids) > 1:
            for customer_id in customer_ids:
                take_turn([customer_id], by)


def _settle_and_claim(customer_ids: Collection[int], by: str) -> list[Trade]:
    with transaction.atomic(durable=True):
        books = open_books(customer_ids)
        settle(books, by)
        claimed = _claim(books, by)
        books.write()
    return claimed


def _claim(books: Books, by: str) -> list[Trade]:
    """Where nothing is in flight, the oldest PLACED trade that cash or shares allow becomes IN PROGRESS, with its hold.

    Those before it, which nothing can be held for, are REJECTED. While trading is halted, what is placed waits.
    """
    rules = checks.rules()
    placed = queries.oldest_placed(books.customer_ids, LOOK_AHEAD)
    books.load_shares((trade.customer_id, trade.ticker) for trade in placed if trade.type == Type.SELL)
    claimed: dict[int, Trade] = {}
    waiting: set[int] = set()
    endings: list[Ending] = []
    for trade in placed:
        if trade.customer_id in claimed or trade.customer_id in waiting:
            continue
        if rules.halt(trade.customer_id, trade.ticker):
            waiting.add(trade.customer_id)
            continue
        try:
            _hold(books[trade.customer_id], trade)
            claimed[trade.customer_id] = trade
        except InsufficientFunds:
            endings.append(Ending(trade, Status.REJECTED, Reason.INSUFFICIENT_FUNDS))
        except InsufficientShares:
            endings.append(Ending(trade, Status.REJECTED, Reason.INSUFFICIENT_SHARES))
    queries.end(endings, by)
    queries.claim(list(claimed.values()), EXECUTE_WITHIN_SECONDS, ASK_AFTER_SECONDS, by)
    # Who saw nothing but rejections may have more in line.
    ring_on_commit({ending.trade.customer_id for ending in endings} - claimed.keys() - waiting)
    return list(claimed.values())


def _hold(account: Account, trade: Trade) -> None:
    """Set aside what the trade may need: all available cash for a BUY, whose price nobody knows; a SELL's shares."""
    if trade.type == Type.BUY:
        account.hold_cash(hold := account.available)
        trade.max_price = hold
    else:
        account.hold_shares(trade.ticker, trade.quantity)


def _database_answers() -> bool:
    """Whether a new connection can be had; the old one, which may be broken, is given up."""
    try:
        connection.close()
        connection.ensure_connection()
    except Error:
        return False
    return True
