"""What an account is worth and how it has performed: the books say what was held, the exchange at which price."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.utils import timezone

from accounts.models import CASH
from accounts.money import money
from exchange import price_history, prices
from exchange.prices import Quote
from trades import charts, equity
from trades.charts import Chart, Course
from trades.periods import Grid, Period, day_words, grid, keeps_hours

SHOWN_SECONDS_MAX = 3600  # how old a price on a page may be
STOCK_ALL = timedelta(days=5 * 365)  # how far back a stock's chart goes
ZERO = Decimal(0)


@dataclass(slots=True)
class Worth:
    """What an account is worth, USD, and how it has performed over a period. None: not known now.

    `gain` leaves out what was deposited and withdrawn; `ratio` is the time-weighted return. `deposits` is what was
    deposited since the period began, less what was withdrawn.
    """

    value: Decimal | None
    words: str
    gain: Decimal | None = None
    ratio: Decimal | None = None
    chart: Chart | None = None
    deposits: Decimal = ZERO
    has_shares: bool = False


def worth(customer_id: int, period: Period, *, shows_deposits: bool = False) -> Worth:
    """Return what the account is worth now, and its course over a period.

    At each moment of the chart: cash and shares as the postings until then left them, at the price of that moment. The
    line is the time-weighted return; with `shows_deposits` it is what the account was worth, beside net deposits.
    """
    now = timezone.now()
    words = day_words() if period.name == "1D" else period.words
    opened = _opened_at(customer_id)
    if opened is None:
        return Worth(value=ZERO, words=words, gain=ZERO)
    moments_of = grid(period, opened, now)
    moments = moments_of.moments
    held = equity.held_at(customer_id, [*moments[:-1], now])
    tickers = equity.tickers_of(held)
    quotes = prices.quotes(tickers, SHOWN_SECONDS_MAX)
    courses = _courses(tickers, moments_of, quotes)
    values = equity.equity(held, lambda ticker: courses[ticker])
    made = Worth(values[-1], words, has_shares=bool(equity.tickers_of(held[-1:])))
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return made
    flows = _flows(customer_id, [*moments[:-1], now], courses)
    made.deposits = sum((came_in - went_out for came_in, went_out in flows[1:]), ZERO)
    base = known[0]
    if period.name == "1D" and keeps_hours() and opened < moments[0]:
        base = _at_previous_close(held[0], quotes) or base
    returns = charts.time_weighted([base, *known], [(ZERO, ZERO), *flows])[1:]
    made.gain, made.ratio = known[-1] - base - made.deposits, returns[-1]
    if shows_deposits:
        invested, brought = [], base
        for came_in, went_out in flows:
            brought += came_in - went_out
            invested.append(brought)
        course = Course(moments, known, base, moments_of.axis, known, returns, invested)
    else:
        course = Course(moments, returns, ZERO, moments_of.axis, known, returns)
    made.chart = charts.draw(course)
    return made


def stock_chart(ticker: str, period: Period, quote: Quote | None) -> tuple[Chart | None, Decimal | None]:
    """Return the course of a stock's price over a period, and its change as a ratio."""
    now = timezone.now()
    moments_of = grid(period, now - STOCK_ALL, now)
    moments = moments_of.moments
    points = price_history.history(ticker, moments[0], moments_of.step_seconds, moments[-1])
    if not points or quote is None:
        return None, None
    first = points[0].at
    moments = [moment for moment in moments if moment >= first or moment is moments[-1]]
    found = price_history.price_at(points, moments[:-1])
    values = [*(price for price in found if price is not None), quote.price]
    base = quote.previous_close if period.name == "1D" and keeps_hours() else values[0]
    changes = [value / base - 1 for value in values]
    return charts.draw(Course(moments, values, base, moments_of.axis, values, changes)), changes[-1]


def _courses(tickers: list[str], moments_of: Grid, quotes: dict[str, Quote]) -> dict[str, list[Decimal | None]]:
    """Return the price of each stock at each moment; the last one is the price now."""
    *past, _ = moments_of.moments
    found = price_history.histories(tickers, past[0], moments_of.step_seconds, past[-1]) if past else {}
    return {
        ticker: [
            *price_history.price_at(found.get(ticker, []), past),
            quotes[ticker].price if ticker in quotes else None,
        ]
        for ticker in tickers
    }


def _at_previous_close(held: equity.Held, quotes: dict[str, Quote]) -> Decimal | None:
    closes = {ticker: quote.previous_close for ticker, quote in quotes.items()}
    return equity.equity([held], lambda ticker: [closes.get(ticker)])[0]


def _opened_at(customer_id: int) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT created_at FROM accounts_posting WHERE customer_id = %s ORDER BY id LIMIT 1", [customer_id]
        )
        row = cursor.fetchone()
    return row[0] if row else None


def _flows(
    customer_id: int, moments: Sequence[datetime], courses: dict[str, list[Decimal | None]]
) -> list[tuple[Decimal, Decimal]]:
    """Return what came in and what went out until each moment since the one before, USD; nothing until the first.

    Deposits, withdrawals, and what staff adjusted: none of it is a gain. Shares count at the price of that moment.
    """
    came_in, went_out = [ZERO] * len(moments), [ZERO] * len(moments)
    with connection.cursor() as cursor:
        cursor.execute(FLOWS, {"customer": customer_id, "first": moments[0], "moments": list(moments)})
        for number, ticker, change in cursor.fetchall():
            at = min(number, len(moments) - 1)
            price = Decimal(1) if ticker == CASH else courses.get(ticker, [ZERO] * len(moments))[at]
            amount = money(change * (price or ZERO))
            (came_in if amount > 0 else went_out)[at] += abs(amount)
    return list(zip(came_in, went_out, strict=True))


# A posting counts until the first moment that is not before it.
FLOWS = f"""
    SELECT width_bucket(created_at - interval '1 microsecond', %(moments)s::timestamptz[]) AS number, ticker, change
    FROM accounts_posting
    WHERE customer_id = %(customer)s AND id > {equity.LAST_BEFORE} AND created_at > %(first)s
      AND kind IN ('deposit', 'withdrawal', 'adjustment')
"""
