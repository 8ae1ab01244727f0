"""What an account is worth, now and at any moment before: the books say what was held, the exchange at which price."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil

from django.db import connection
from django.utils import timezone

from accounts.ledger import money
from accounts.models import CASH, Position
from exchange import market, prices
from exchange.models import Stock
from exchange.prices import Quote
from trades import charts
from trades.charts import Chart

POINTS = 96  # of a chart
DAY = timedelta(days=1)
SPARK_STEP_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Period:
    """A period of time that ends now. length None: since the beginning."""

    name: str
    words: str
    length: timedelta | None


PERIODS = {
    period.name: period
    for period in (
        Period("1D", "today", DAY),
        Period("1W", "past week", timedelta(days=7)),
        Period("1M", "past month", timedelta(days=30)),
        Period("3M", "past 3 months", timedelta(days=91)),
        Period("1Y", "past year", timedelta(days=365)),
        Period("ALL", "all time", None),
    )
}
STOCK_ALL = timedelta(days=5 * 365)  # how far back a stock's chart goes


@dataclass(slots=True)
class Holding:
    """A stock with its price of the day, and what a customer has of it. `day_change` is a ratio; None: not known."""

    ticker: str
    name: str
    quote: Quote | None
    day_change: Decimal | None
    spark: str
    position: Position | None = None

    @property
    def price(self) -> Decimal | None:
        return self.quote.price if self.quote else None

    @property
    def value(self) -> Decimal | None:
        return self.quote.price * self.position.quantity if self.quote and self.position else None

    @property
    def cost(self) -> Decimal:
        return self.position.cost if self.position else Decimal(0)

    @property
    def gain(self) -> Decimal | None:
        return None if self.value is None else self.value - self.cost

    @property
    def gain_ratio(self) -> Decimal | None:
        return None if self.gain is None or not self.cost else self.gain / self.cost


@dataclass(slots=True)
class Worth:
    """What an account is worth, and how that came about over a period. None: the exchange gives no prices now."""

    value: Decimal | None
    change: Decimal | None = None
    ratio: Decimal | None = None
    chart: Chart | None = None
    transfers: Decimal = Decimal(0)
    words: str = ""
    held: dict[str, int] = field(default_factory=dict)


def day_words() -> str:
    """What a day's change is of."""
    clock = market.clock()
    return "past 24 hours" if clock and clock["hours"] == "always" else "today"


def holdings(tickers: Iterable[str], positions: dict[str, Position]) -> list[Holding]:
    """These stocks with price, day's change and sparkline, in the order given."""
    tickers = list(tickers)
    names = names_of(tickers)
    quotes = prices.quotes(tickers)
    begins = prices.day_start()
    always = day_words() != "today"
    found = []
    for ticker in tickers:
        quote = quotes.get(ticker)
        points = prices.history(ticker, begins, SPARK_STEP_SECONDS) if quote else []
        before = None
        if quote:
            before = points[0].price if always and points else quote.previous_close
        found.append(
            Holding(
                ticker=ticker,
                name=names.get(ticker, ticker),
                quote=quote,
                day_change=(quote.price - before) / before if quote and before else None,
                spark=charts.sparkline([point.price for point in points] + ([quote.price] if quote else [])),
                position=positions.get(ticker),
            )
        )
    return found


def names_of(tickers: Iterable[str]) -> dict[str, str]:
    """Companies by ticker."""
    return dict(Stock.objects.filter(ticker__in=list(tickers)).values_list("ticker", "name"))


def worth(customer_id: int, period: Period) -> Worth:
    """What the account is worth now, and its course over a period.

    At each moment of the chart: cash and shares as the postings until then left them, at the price of that moment. The
    change leaves out what was brought in or taken out.
    """
    now = timezone.now()
    opened = _opened_at(customer_id)
    if opened is None:
        return Worth(value=Decimal(0), change=Decimal(0), words=period.words)
    is_day = period.name == "1D"
    start = prices.day_start() if is_day else now - period.length if period.length else opened
    is_younger = opened > start
    start = max(start, opened)
    step = _step((now - start).total_seconds())
    # Multiples of the step, where the exchange's bars begin: so a chart's prices are those at its moments.
    whole = ceil(start.timestamp() / step) if is_younger else int(start.timestamp() // step)
    moments = [datetime.fromtimestamp(at, UTC) for at in _steps(whole * step, now.timestamp(), step)]
    held = _held_at(customer_id, moments, now)
    moments.append(now)
    tickers = {ticker for at in held for ticker, quantity in at.items() if ticker != CASH and quantity}
    quotes = prices.quotes(tickers)
    last = _value(held[-1], {ticker: quote.price for ticker, quote in quotes.items()})
    made = Worth(
        value=last,
        words=day_words() if is_day else period.words,
        held={t: int(q) for t, q in held[-1].items() if t != CASH},
    )
    made.transfers = _transfers(customer_id, moments[0])
    courses = {
        ticker: prices.price_at(prices.history(ticker, moments[0], step), moments) if moments[:-1] else [None]
        for ticker in sorted(tickers)
    }
    values = [
        _value(at, {ticker: course[number] for ticker, course in courses.items()})
        for number, at in enumerate(held[:-1])
    ]
    if last is None or any(value is None for value in values):
        return made
    known = [money(value) for value in values if value is not None]
    if is_day and known and not is_younger and made.words == "today":
        before = _value(held[0], {ticker: quote.previous_close for ticker, quote in quotes.items()})
        known[0] = money(before) if before is not None else known[0]
    made.chart = charts.draw(moments, [*known, last])
    first = known[0] if known else last
    made.change = last - first - made.transfers
    made.ratio = (
        made.change / (first + max(made.transfers, Decimal(0))) if first + max(made.transfers, Decimal(0)) else None
    )
    return made


def stock_chart(ticker: str, period: Period, quote: Quote | None) -> tuple[Chart | None, Decimal | None]:
    """The course of a stock's price over a period, and its change as a ratio."""
    now = timezone.now()
    is_day = period.name == "1D"
    start = prices.day_start() if is_day else now - (period.length or STOCK_ALL)
    points = prices.history(ticker, start, _step((now - start).total_seconds()))
    if not points or quote is None:
        return None, None
    moments, values = (
        [point.at for point in points if point.at < now],
        [point.price for point in points if point.at < now],
    )
    if is_day and day_words() == "today" and values:
        values[0] = quote.previous_close
    drawn = charts.draw([*moments, now], [*values, quote.price])
    return drawn, (drawn.change / drawn.first if drawn else None)


def _step(span_seconds: float) -> int:
    """Seconds between two moments of a chart of so long; whole quarters of an hour where it is long."""
    step = max(1, ceil(span_seconds / POINTS))
    return ceil(step / 900) * 900 if step > 450 else step


def _steps(first: int, last: float, step: int) -> list[int]:
    return list(range(first, ceil(last), step))


def _value(held: dict[str, Decimal], price_of: dict[str, Decimal | None]) -> Decimal | None:
    value = held.get(CASH, Decimal(0))
    for ticker, quantity in held.items():
        if ticker != CASH and quantity:
            price = price_of.get(ticker)
            if price is None:
                return None
            value += quantity * price
    return value


def _opened_at(customer_id: int) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT created_at FROM accounts_posting WHERE customer_id = %s ORDER BY id LIMIT 1", [customer_id]
        )
        row = cursor.fetchone()
    return row[0] if row else None


def _transfers(customer_id: int, after: datetime) -> Decimal:
    """What was brought in since, less what was taken out, USD."""
    with connection.cursor() as cursor:
        cursor.execute(TRANSFERS, [customer_id, after])
        return cursor.fetchone()[0]


def _held_at(customer_id: int, moments: list[datetime], now: datetime) -> list[dict[str, Decimal]]:
    """Cash and shares by ticker at each of these moments, which lie evenly, and at last now."""
    start = moments[0] if moments else now
    step = (moments[1] - moments[0]).total_seconds() if len(moments) > 1 else 1.0
    with connection.cursor() as cursor:
        cursor.execute(HELD, {"customer": customer_id, "start": start, "step": step, "last": len(moments)})
        rows = cursor.fetchall()
    changes: dict[int, dict[str, Decimal]] = defaultdict(dict)
    for number, ticker, total in rows:
        changes[number][ticker] = total
    held: list[dict[str, Decimal]] = []
    current: dict[str, Decimal] = {}
    for number in range(len(moments) + 1):
        current = current | changes.get(number, {})
        held.append(current)
    return held


# For each moment and ticker the last posting until then: moment 0 has all that came before it, the last all since.
HELD = """
    SELECT DISTINCT ON (number, ticker) number, ticker, total FROM (
        SELECT id, ticker, total, least(%(last)s, ceil(greatest(
            0, extract(epoch FROM created_at - %(start)s::timestamptz)) / %(step)s::numeric))::int AS number
        FROM accounts_posting WHERE customer_id = %(customer)s
    ) AS posting
    ORDER BY number, ticker, id DESC
"""
TRANSFERS = """
    SELECT coalesce(sum(change), 0) FROM accounts_posting
    WHERE customer_id = %s AND ticker = '' AND kind IN ('deposit', 'withdrawal') AND created_at > %s
"""
