"""Check whether an order may be placed now, given the trading controls and how much work is waiting.

Orders that arrive faster than the lanes can process them are refused, so that the backlog can't grow without limit.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection

from accounts.queries import positions_of
from exchange import market, prices
from trades import controls, queries
from trades.controls import Kind, Rules, rules, set_control
from trades.models import Type, WhenClosed
from web.cached import Cached

__all__ = ["Kind", "Rules", "rules", "set_control"]  # and everything below

LOAD_SECONDS_MAX = 1.0
PRICE_SECONDS_MAX = 86_400.0  # an old price is better than none for limiting the value of an order
PLACED_COUNTED_MAX = 200_000  # the most trades that measuring the load reads


class UnknownTicker(Exception):
    """The exchange does not list this stock."""


class PlacingRefused(Exception):
    """The order may not be placed now. Each kind of refusal is a subclass."""


class TradingHalted(PlacingRefused):
    """Trading is halted: for everybody, for this customer, or in this stock."""


class TickerRestricted(PlacingRefused):
    """Orders in this stock are not accepted."""


class TooManyShares(PlacingRefused):
    """The order is for more shares than one order may have."""


class TooMuchMoney(PlacingRefused):
    """At the last price, the order is worth more than one order may be."""


class PriceUnknown(PlacingRefused):
    """The value of an order is limited, and no price is known to check it against."""


class TooManyOrders(PlacingRefused):
    """The customer has reached the limit of orders per minute."""


class Overloaded(PlacingRefused):
    """The lanes have reached the limit of waiting work."""


class LineTooLong(PlacingRefused):
    """The customer has reached the limit of open trades."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much work is waiting.

    `is_full`: whether a turn is due for OPEN_TRADES_MAX customers. Trades that wait behind an earlier trade of the same
    customer, or are halted, are not counted: the lanes can't work on them, so they delay nobody.
    `full_lines` has the customers with OPEN_TRADES_OF_A_CUSTOMER_MAX or more trades waiting.
    """

    is_full: bool = False
    full_lines: frozenset[int] = frozenset()


def _read_load() -> Load:
    most = settings.OPEN_TRADES_MAX
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [max(PLACED_COUNTED_MAX, most), most, settings.OPEN_TRADES_OF_A_CUSTOMER_MAX])
        waiting, full_lines = cursor.fetchone()
    # To find who is due takes much longer than to count what waits at all, and it matters only when that is much.
    is_full = waiting >= most and len(queries.due_customers(rules(), limit=most)) >= most
    return Load(is_full, frozenset(full_lines or ()))


_load = Cached(_read_load, LOAD_SECONDS_MAX, initial=Load())


def load() -> Load:
    """Return how much work is waiting, at most a little over LOAD_SECONDS_MAX old.

    While one thread measures it, the others use the previous result, so the orders of one second can exceed a limit.
    """
    return _load.get()


def last_price(ticker: str) -> Decimal:
    """Return the last known price, at most PRICE_SECONDS_MAX old. Never calls the exchange.

    Raises:
        PriceUnknown: No price is known.
    """
    quote = prices.known([ticker], PRICE_SECONDS_MAX).get(ticker)
    if quote is None:
        raise PriceUnknown
    return quote.price


def forget() -> None:
    """Expire the cached controls and load, so that both are read again when they are next needed."""
    controls.forget()
    _load.expire()


def check(customer_id: int, ticker: str, quantity: int) -> None:
    """Check that this customer may place an order for this many shares of this stock now.

    Raises:
        PlacingRefused: The first of these that applies: LineTooLong, Overloaded, TradingHalted, TickerRestricted,
            TooManyShares, PriceUnknown, TooMuchMoney.
    """
    now, waiting = rules(), load()
    if customer_id in waiting.full_lines:
        raise LineTooLong
    if waiting.is_full:
        raise Overloaded
    if now.is_halted(customer_id, ticker):
        raise TradingHalted
    if ticker in now.restricted_tickers:
        raise TickerRestricted
    if (maximum := now.limit(Kind.SHARES_MAX, customer_id)) is not None and quantity > maximum:
        raise TooManyShares
    if (maximum := now.limit(Kind.NOTIONAL_MAX, customer_id)) is not None and quantity * last_price(ticker) > maximum:
        raise TooMuchMoney


def check_listed(customer_id: int, ticker: str, type: str) -> None:
    """Check that the exchange lists the stock.

    An order to sell shares that the customer owns always passes, and the exchange decides how it ends.

    Raises:
        UnknownTicker: The exchange does not list the stock.
    """
    if market.is_listed(ticker):
        return
    if type == Type.BUY or not positions_of(customer_id).filter(ticker=ticker, quantity__gt=0).exists():
        raise UnknownTicker(ticker)


def check_queue(customer_id: int, when_closed: str, queued_ahead: int = 0) -> bool:
    """Return whether a trade waits for the opening, because the market is closed and the customer asked to queue it.

    The customer's open trades are counted here, because `load` does not count queued ones.

    Args:
        queued_ahead: How many of the customer's trades are about to be queued ahead of this one.

    Raises:
        LineTooLong: The customer has reached the limit of open trades.
    """
    if when_closed != WhenClosed.QUEUE or market.is_open():
        return False
    with connection.cursor() as cursor:
        cursor.execute(PLACED_OF_CUSTOMER, [customer_id, settings.OPEN_TRADES_OF_A_CUSTOMER_MAX])
        if cursor.fetchone()[0] + queued_ahead >= settings.OPEN_TRADES_OF_A_CUSTOMER_MAX:
            raise LineTooLong
    return True


def orders_a_minute_max(customer_id: int) -> int | None:
    """Return how many orders this customer may place per minute; None if there is no limit."""
    maximum = rules().limit(Kind.ORDERS_A_MINUTE_MAX, customer_id)
    return None if maximum is None else int(maximum)


def check_rate(customer_id: int, sequence: int, maximum: int) -> None:
    """Check that the customer placed at most `maximum` orders in the last minute, including the one with this number.

    Call it in the transaction that drew the number: the lock on the customer's counter makes the check exact, and the
    exception rolls the order back. Numbers have no gaps, so it is enough to read the order `maximum` places earlier.

    Raises:
        TooManyOrders: This order exceeds the limit.
    """
    if sequence <= maximum:
        return
    parameters: list[Any] = [customer_id, sequence - maximum]
    with connection.cursor() as cursor:
        cursor.execute(PLACED_WITHIN_A_MINUTE, parameters)
        if cursor.fetchone() is not None:
            raise TooManyOrders


PLACED_WITHIN_A_MINUTE = """
    SELECT FROM trades_trade
    WHERE customer_id = %s AND sequence = %s AND placed_at > statement_timestamp() - interval '1 minute'
"""
PLACED_OF_CUSTOMER = """
    SELECT count(*) FROM (
        SELECT FROM trades_trade WHERE customer_id = %s AND status = 'PLACED' LIMIT %s) AS placed
"""
# Reads only the index of PLACED trades that are not queued and that of waiting reports, and no more of their entries
# than the limits. Its first number is at least that of the customers who are due.
WAITING = """
    WITH line AS (
        SELECT customer_id, count(*) AS placed FROM (
            SELECT customer_id FROM trades_trade WHERE status = 'PLACED' AND queued_at IS NULL LIMIT %s
        ) AS placed
        GROUP BY customer_id
    )
    SELECT coalesce(sum(placed), 0)::bigint
           + (SELECT count(*) FROM (SELECT FROM trades_report WHERE outcome = 'waiting' LIMIT %s) AS report),
           array_agg(customer_id) FILTER (WHERE placed >= %s)
    FROM line
"""
