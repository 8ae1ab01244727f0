"""What an account is worth and how it has performed, from the books and the exchange's prices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.utils import timezone

from accounts.models import CASH
from accounts.money import money
from exchange import market, price_history, prices
from exchange.price_history import Point
from exchange.prices import Quote
from trades import charts, equity, ticker_change
from trades.charts import Chart, Series
from trades.periods import Period, TimeGrid, day_label, time_grid_of

SHOWN_SECONDS_MAX = 3600  # the oldest price that a page shows
STOCK_ALL = timedelta(days=5 * 365)  # how far back a stock's chart goes
ZERO = Decimal(0)
BEFORE = timedelta(microseconds=1)  # just before an account's first posting


@dataclass(slots=True)
class Worth:
    """What an account is worth, USD, and how it has performed over a period. None: not known now.

    `gain` leaves out deposits and withdrawals; `ratio` is the time-weighted return. `deposits` are the net deposits of
    the period.
    """

    value: Decimal | None
    words: str
    gain: Decimal | None = None
    ratio: Decimal | None = None
    chart: Chart | None = None
    deposits: Decimal = ZERO
    has_shares: bool = False


def worth(customer_id: int, period: Period, *, shows_deposits: bool = False) -> Worth:
    """Return what an account is worth now, and how it has performed over a period.

    Each point of the chart values the cash and shares of that moment at the prices of that moment. The line is the
    time-weighted return or, with `shows_deposits`, the value of the account, next to a line of net deposits.
    """
    now = timezone.now()
    words = day_label() if period.name == "1D" else period.words
    opened = _opened_at(customer_id)
    if opened is None:
        return Worth(value=ZERO, words=words, gain=ZERO)
    time_grid = time_grid_of(period, opened, now)
    moments = time_grid.moments
    held = equity.held_at(customer_id, [*moments[:-1], now])
    tickers = equity.tickers_of(held)
    quotes = prices.quotes(tickers, SHOWN_SECONDS_MAX, prices.LIVE_SECONDS)
    price_series = _price_series(tickers, time_grid, quotes)
    values = equity.equity(held, lambda ticker: price_series[ticker])
    result = Worth(values[-1], words, has_shares=bool(equity.tickers_of(held[-1:])))
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return result
    is_new = time_grid.begins_with_account
    flows = _flows(customer_id, opened - BEFORE if is_new else moments[0], [*moments[:-1], now], price_series)
    result.deposits = sum((inflow - outflow for inflow, outflow in flows), ZERO)
    base = ZERO if is_new else known[0]
    if period.name == "1D" and market.has_trading_hours() and not is_new:
        base = _at_previous_close(held[0], quotes) or base
    returns = charts.time_weighted([base, *known], [(ZERO, ZERO), *flows])[1:]
    result.gain, result.ratio = known[-1] - base - result.deposits, returns[-1]
    if shows_deposits:
        invested, net_deposits = [], base
        for inflow, outflow in flows:
            net_deposits += inflow - outflow
            invested.append(net_deposits)
        series = Series(moments, known, base, time_grid.axis, known, returns, invested)
    else:
        series = Series(moments, returns, ZERO, time_grid.axis, known, returns)
    result.chart = charts.draw(series)
    return result


def stock_chart(ticker: str, period: Period, quote: Quote | None) -> tuple[Chart | None, Decimal | None]:
    """Return the chart of a stock's price over a period, and the price's change as a ratio."""
    now = timezone.now()
    time_grid = time_grid_of(period, now - STOCK_ALL, now)
    moments = time_grid.moments
    points = price_history.history(ticker, moments[0], time_grid.step_seconds, moments[-1])
    if not points or quote is None:
        return None, None
    first = points[0].at
    moments = [moment for moment in moments if moment >= first or moment is moments[-1]]
    past_prices = price_history.price_at(points, moments[:-1])
    values = [*(price for price in past_prices if price is not None), quote.price]
    base = quote.previous_close if period.name == "1D" and market.has_trading_hours() else values[0]
    changes = [value / base - 1 for value in values]
    return charts.draw(Series(moments, values, base, time_grid.axis, values, changes)), changes[-1]


def _price_series(tickers: list[str], time_grid: TimeGrid, quotes: dict[str, Quote]) -> dict[str, list[Decimal | None]]:
    """Return each stock's price at each moment; the last one is the price now."""
    *earlier, _ = time_grid.moments
    histories = price_history.histories(tickers, earlier[0], time_grid.step_seconds, earlier[-1]) if earlier else {}
    return {
        ticker: [*_past_prices(histories.get(ticker, []), earlier, quote), quote.price if quote else None]
        for ticker in tickers
        for quote in [quotes.get(ticker)]
    }


def _past_prices(points: list[Point], past: list[datetime], quote: Quote | None) -> list[Decimal | None]:
    """Return the price at each moment. The exchange has no history of a stock that it no longer lists."""
    found = price_history.price_at(points, past)
    if quote is None or not quote.is_last_known:
        return found
    return [quote.price if price is None else price for price in found]


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
    customer_id: int, first: datetime, moments: Sequence[datetime], price_series: dict[str, list[Decimal | None]]
) -> list[tuple[Decimal, Decimal]]:
    """Return the inflow and the outflow between each moment and the one before, USD; for the first one, since `first`.

    These are deposits, withdrawals, and adjustments, which are not gains. Shares count at the price of the moment.
    """
    inflow, outflow = [ZERO] * len(moments), [ZERO] * len(moments)
    with connection.cursor() as cursor:
        cursor.execute(FLOWS, {"customer": customer_id, "first": first, "moments": list(moments)})
        rows = cursor.fetchall()
        shares = equity.InTodaysShares(customer_id, {ticker for _, ticker, _, _ in rows} - {CASH})
        for number, ticker, change, posted_at in rows:
            at = min(number, len(moments) - 1)
            if ticker == CASH:
                amount = money(change)
            else:
                price = price_series.get(ticker_change.today(ticker), [ZERO] * len(moments))[at] or ZERO
                amount = money(change * price * shares.factor(ticker, posted_at))
            (inflow if amount > 0 else outflow)[at] += abs(amount)
    return list(zip(inflow, outflow, strict=True))


# A posting belongs to the first moment that is not earlier than it.
FLOWS = f"""
    SELECT width_bucket(created_at - interval '1 microsecond', %(moments)s::timestamptz[]) AS number, ticker, change,
           created_at
    FROM accounts_posting
    WHERE customer_id = %(customer)s AND id > {equity.LAST_BEFORE} AND created_at > %(first)s
      AND kind IN ('deposit', 'withdrawal', 'adjustment')
"""
