"""A lane's turn: settle what was reported, claim the next trade, hand it to the exchange.

Only a turn changes the status of a trade in line and posts for it, in one transaction that has locked the customers. A
turn serves a set of customers. When there is little to do, it is a set of one.
"""

from collections.abc import Collection, Sequence

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
from trades.settle import set_aside, settle
from trades.transitions import Ending
from web.timezones import eastern_date, eastern_today

EXECUTE_WITHIN_SECONDS = 30  # from the claim, by the exchange's clock; after that it must not execute the trade
LOOK_AHEAD = 4  # trades of one customer that a turn can reject before it must ring again

log = structlog.get_logger()


def take_turn(customer_ids: Collection[int], by: str) -> None:
    """Settle and claim for these customers, then execute. Never raises.

    One customer's problem never stops another's turn: if the set fails, each customer is served alone. What still fails
    is logged and left to the sweep.

    Idempotent: yes. When nothing is waiting, nothing happens.

    Args:
        customer_ids: Whose turn it is; each at most once.
        by: The process, for the trades' history.
    """
    try:
        claimed = settle_and_claim(customer_ids, by)
        execute(claimed)
    except Exception as error:  # noqa: BLE001 — whatever it is, the other customers' turns go on
        away = isinstance(error, OperationalError | InterfaceError)  # the database: no traceback needed
        say = log.warning if away else log.exception
        say("turn failed", customers=len(customer_ids), first=next(iter(customer_ids)), error=repr(error))
        if not _database_answers():
            return
        if len(customer_ids) > 1:
            for customer_id in customer_ids:
                take_turn([customer_id], by)
        elif not away:
            _set_aside(next(iter(customer_ids)), error)


def _set_aside(customer_id: int, error: Exception) -> None:
    try:
        set_aside(customer_id, error)
    except Error as further:
        log.warning("reports were not set aside", customer=customer_id, error=repr(further))


def settle_and_claim(customer_ids: Collection[int], by: str) -> list[Trade]:
    """Do the part of a turn that is one transaction.

    Returns:
        The trades that were claimed, to be handed to the exchange.
    """
    now = market_now()
    with transaction.atomic(durable=True):
        books = open_books(customer_ids)
        settle(books, now.last_prices, by)
        books.change_lots()  # a sale may have restricted its account, which counts for the next claim
        claimed = claim(books, now, by)
        books.write()
    return claimed


def claim(books: Books, now: MarketNow, by: str) -> list[Trade]:
    """Make each customer's oldest PLACED trade IN PROGRESS, with its hold, where nothing is in flight.

    A trade that nothing can be held for is REJECTED, and the next one is tried. A halted trade waits, and so does one
    that asked for it while the market is closed.
    """
    controls = rules()
    placed = queries.oldest_placed(books.customer_ids, LOOK_AHEAD)
    books.load_shares((trade.customer_id, trade.ticker) for trade in placed if trade.type == Type.SELL)
    cash = _cash_of_restricted(books, placed, now)
    claimed: dict[int, Trade] = {}
    waiting: set[int] = set()
    queued: list[Trade] = []
    endings: list[Ending] = []
    for trade in placed:
        if trade.customer_id in claimed or trade.customer_id in waiting:
            continue
        is_queued = trade.when_closed == WhenClosed.QUEUE and not now.is_open
        if is_queued or controls.halt(trade.customer_id, trade.ticker):
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
            endings.append(Ending(trade, Status.REJECTED, reason))
        except InsufficientShares:
            endings.append(Ending(trade, Status.REJECTED, Reason.INSUFFICIENT_SHARES))
    transitions.queue(queued)
    transitions.end(endings, by)
    transitions.claim(list(claimed.values()), now.at, EXECUTE_WITHIN_SECONDS, asking.ASK_AFTER_SECONDS, by)
    # If this turn has only rejected trades of a customer, there may be more in line.
    ring_on_commit({ending.trade.customer_id for ending in endings} - claimed.keys() - waiting)
    return list(claimed.values())


def _cash_of_restricted(books: Books, placed: Sequence[Trade], now: MarketNow) -> dict[int, Cash]:
    """Return the cash of those that want to buy, with settled cash only. One statement, where there are any."""
    today = eastern_date(now.at) if now.at else eastern_today()
    buyers = {trade.customer_id for trade in placed if trade.type == Type.BUY}
    return books.cash_of({each for each in buyers if books[each].buys_with_settled_cash_only(today)}, today)


def _database_answers() -> bool:
    """Return whether a new connection can be opened. The old one, which may be broken, is closed."""
    try:
        connection.close()
        connection.ensure_connection()
    except Error:
        return False
    return True
