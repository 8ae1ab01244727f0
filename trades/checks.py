"""What is checked before a trade is recorded, and the switches with which staff halts and limits trading.

A halt refuses what is placed from then on, and no lane claims what was placed before: it waits PLACED until the halt is
lifted, or is cancelled. Every process looks at the switches again after RULES_AGE_SECONDS_MAX: so long a switch takes.

And how much waits: what comes faster than lanes work it off is refused rather than queued without end.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from django.conf import settings
from django.db import connection

from accounts.models import Customer
from exchange import gateway
from exchange.messages import Unknown
from trades.models import TradingControl

RULES_AGE_SECONDS_MAX = 0.5
LOAD_AGE_SECONDS_MAX = 1.0
PRICE_AGE_SECONDS_MAX = 2.0
PRICES_KEPT_MAX = 10_000

Kind = TradingControl.Kind


class PlacingRefused(Exception):
    """An order that may not be placed now; each kind says why."""


class TradingHalted(PlacingRefused):
    """Of all, of this customer, or of this stock."""


class TickerRestricted(PlacingRefused):
    """Nothing of this stock may be placed."""


class TooManyShares(PlacingRefused):
    """More shares than an order may have."""


class TooMuchMoney(PlacingRefused):
    """Worth more, at the last price, than an order may be."""


class PriceUnknown(PlacingRefused):
    """There is a limit on what an order may be worth, and no price to tell what it is worth."""


class TooManyOrders(PlacingRefused):
    """More orders in a minute than the customer may place."""


class Overloaded(PlacingRefused):
    """As many trades wait in all as may."""


class LineTooLong(PlacingRefused):
    """As many of the customer's trades wait as may."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many trades wait PLACED, OPEN_TRADES_MAX at most, and who has OPEN_TRADES_OF_A_CUSTOMER_MAX of them or more.

    By number and not by age: what is halted, or stands in one customer's long line, is old and keeps nobody else up.
    """

    waiting: int = 0
    full_lines: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Rules:
    """What is in force. A limit's key is a customer's id, or None: everybody's who has none of their own."""

    all_halted: bool = False
    halted_customers: frozenset[int] = frozenset()
    halted_tickers: frozenset[str] = frozenset()
    restricted_tickers: frozenset[str] = frozenset()
    limits: dict[tuple[str, int | None], Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, switches: Iterable[TradingControl]) -> "Rules":
        """The rules that these switches, each the newest of its kind and subject, make."""
        on = [switch for switch in switches if switch.is_on]
        return cls(
            all_halted=any(switch.kind == Kind.HALT_ALL for switch in on),
            halted_customers=frozenset(
                switch.customer_id for switch in on if switch.kind == Kind.HALT_CUSTOMER and switch.customer_id
            ),
            halted_tickers=frozenset(switch.ticker for switch in on if switch.kind == Kind.HALT_TICKER),
            restricted_tickers=frozenset(switch.ticker for switch in on if switch.kind == Kind.RESTRICT_TICKER),
            limits={(switch.kind, switch.customer_id): switch.value for switch in on if switch.value is not None},
        )

    def halt(self, customer_id: int, ticker: str) -> bool:
        """Whether this customer's trading of this stock is halted."""
        return self.all_halted or customer_id in self.halted_customers or ticker in self.halted_tickers

    def limit(self, kind: TradingControl.Kind, customer_id: int) -> Decimal | None:
        """The customer's own limit, else everybody's, else None."""
        return self.limits.get((kind, customer_id), self.limits.get((kind, None)))


_rules = Rules()
_read_at = float("-inf")
_reading = threading.Lock()
_load = Load()
_load_read_at = float("-inf")
_weighing = threading.Lock()
_prices: dict[str, tuple[float, Decimal]] = {}


def rules() -> Rules:
    """What is in force, RULES_AGE_SECONDS_MAX old at most."""
    global _rules, _read_at
    if time.monotonic() - _read_at > RULES_AGE_SECONDS_MAX:
        with _reading:
            began = time.monotonic()
            if began - _read_at > RULES_AGE_SECONDS_MAX:
                newest = TradingControl.objects.order_by("kind", "ticker", "customer_id", "-id")
                _rules = Rules.of(newest.distinct("kind", "ticker", "customer_id"))
                _read_at = began
    return _rules


def load() -> Load:
    """What waits, LOAD_AGE_SECONDS_MAX and the time of a look old at most: while one thread looks, nobody waits for it.

    So the limits are kept to within what comes in during a second.
    """
    global _load, _load_read_at
    if time.monotonic() - _load_read_at > LOAD_AGE_SECONDS_MAX and _weighing.acquire(blocking=False):
        try:
            began = time.monotonic()
            with connection.cursor() as cursor:
                cursor.execute(WAITING, [settings.OPEN_TRADES_OF_A_CUSTOMER_MAX, settings.OPEN_TRADES_MAX])
                waiting, full_lines = cursor.fetchone()
            _load, _load_read_at = Load(waiting, frozenset(full_lines)), began
        finally:
            _weighing.release()
    return _load


def forget() -> None:
    """Read everything anew when it is next asked for."""
    global _read_at, _load_read_at
    _read_at = _load_read_at = float("-inf")
    _prices.clear()


def check(customer_id: int, ticker: str, quantity: int) -> None:
    """Whether staff, and what waits already, let this customer place this many shares of this stock now.

    Raises, in this order: LineTooLong, Overloaded, TradingHalted, TickerRestricted, TooManyShares, PriceUnknown,
    TooMuchMoney.
    """
    now, waits = rules(), load()
    if customer_id in waits.full_lines:
        raise LineTooLong
    if waits.waiting >= settings.OPEN_TRADES_MAX:
        raise Overloaded
    if now.halt(customer_id, ticker):
        raise TradingHalted
    if ticker in now.restricted_tickers:
        raise TickerRestricted
    if (most := now.limit(Kind.SHARES_MAX, customer_id)) is not None and quantity > most:
        raise TooManyShares
    if (most := now.limit(Kind.NOTIONAL_MAX, customer_id)) is not None and quantity * _price(ticker) > most:
        raise TooMuchMoney


def orders_a_minute_max(customer_id: int) -> int | None:
    """How many orders this customer may place within a minute; None: as many as they like."""
    most = rules().limit(Kind.ORDERS_A_MINUTE_MAX, customer_id)
    return None if most is None else int(most)


def check_rate(customer_id: int, sequence: int, most: int) -> None:
    """Whether the customer may place the trade with this number now, and no more than `most` within a minute.

    To be called in the transaction that drew the number: the lock on the customer's counter makes it exact, and the
    exception takes the trade back. Numbers have no gaps, so one row tells how many came within the minute.
    Raises TooManyOrders.
    """
    if sequence <= most:
        return
    with connection.cursor() as cursor:
        cursor.execute(PLACED_WITHIN_A_MINUTE, [customer_id, sequence - most])
        if cursor.fetchone() is not None:
            raise TooManyOrders


def set_control(
    kind: TradingControl.Kind,
    is_on: bool,
    *,
    reason: str,
    by: Customer,
    ticker: str = "",
    customer: Customer | None = None,
    value: Decimal | None = None,
    row: TradingControl | None = None,
) -> TradingControl:
    """Halt, restrict or limit, or end that; who did it and why is kept. Within a second every process keeps to it.

    Again: one more row of the same. Raises IntegrityError where subject or value do not fit the kind.
    """
    row = row or TradingControl()
    row.kind, row.is_on, row.reason, row.by = kind, is_on, reason, by
    row.ticker, row.customer, row.value = ticker.strip().upper(), customer, value
    row.save(force_insert=True)
    forget()
    return row


def _price(ticker: str) -> Decimal:
    """The last price, PRICE_AGE_SECONDS_MAX old at most; older while the exchange is away. Raises PriceUnknown."""
    read_at, price = _prices.get(ticker, (float("-inf"), Decimal(0)))
    if time.monotonic() - read_at > PRICE_AGE_SECONDS_MAX:
        try:
            price = gateway.quote(ticker)["price"]
        except (Unknown, gateway.NotListed):
            if not price:
                raise PriceUnknown from None
        if len(_prices) >= PRICES_KEPT_MAX:
            _prices.clear()
        _prices[ticker] = (time.monotonic(), price)
    return price


PLACED_WITHIN_A_MINUTE = """
    SELECT FROM trades_trade
    WHERE customer_id = %s AND sequence = %s AND placed_at > statement_timestamp() - interval '1 minute'
"""
# Only the index over what is PLACED is read, and no further than to the limit.
WAITING = """
    SELECT coalesce(sum(waiting), 0)::bigint,
           coalesce(array_agg(customer_id) FILTER (WHERE waiting >= %s), '{}'::bigint[])
    FROM (
        SELECT customer_id, count(*) AS waiting
        FROM (SELECT customer_id FROM trades_trade WHERE status = 'PLACED' ORDER BY customer_id LIMIT %s) AS placed
        GROUP BY customer_id
    ) AS line
"""
