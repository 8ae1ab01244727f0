"""Closing prices: store the last price of each month, at which statements value shares.

The exchange adjusts past prices for splits, and a stock may be delisted, so the prices are stored once, soon after the
end of the month.
"""

from datetime import timedelta
from decimal import Decimal

import structlog

from accounts.models import ClosingPrice, Position, Posting
from accounts.money import money
from accounts.statements import Month
from exchange import gateway, prices
from trades import ticker_change
from trades.models import CorporateAction
from web.timezones import eastern_today

LOOK_BACK = timedelta(days=7)  # the market is never closed for longer
STEP_SECONDS = 3600

log = structlog.get_logger()


def store_closing_prices() -> int:
    """Store the closing prices of every month that is over, for all stocks that customers have ever held.

    Idempotent: yes. Months that have prices are left alone. Any number of sweeps may call it.

    Returns:
        How many prices were stored.

    Raises:
        Unknown: The exchange gave no answer that can be trusted. Nothing was stored for that month.
    """
    opened = Posting.objects.order_by("id").values_list("created_at", flat=True).first()
    month, missing = Month.of_day(eastern_today()).preceding, []
    while opened and month >= Month.of(opened) and not ClosingPrice.objects.filter(day=month.last).exists():
        missing += [month] if month.is_over else []
        month = month.preceding
    if not missing:
        return 0
    tickers = list(Position.objects.order_by("ticker").values_list("ticker", flat=True).distinct())
    return sum(_store(month, tickers) for month in reversed(missing))


def _store(month: Month, tickers: list[str]) -> int:
    """Store the closing prices of one month, in one statement."""
    ends = month.following.begins
    quoted_as = {ticker: ticker_change.today(ticker) for ticker in tickers}
    bars = gateway.bars_of_many(sorted(set(quoted_as.values())), ends - LOOK_BACK, ends, STEP_SECONDS)
    splits, unlisted = _splits_since(month), prices.last_of_unlisted(ends)
    rows = []
    for ticker, today in quoted_as.items():
        closes = [bar.close for bar in bars.get(today, ()) if bar.at < ends]
        price = money(closes[-1] * splits.get(today, 1)) if closes else unlisted.get(today)
        is_last_known = price is not None and not closes
        rows.append(ClosingPrice(day=month.last, ticker=ticker, price=price, is_last_known=is_last_known))
    ClosingPrice.objects.bulk_create(rows, ignore_conflicts=True)
    unknown = [row.ticker for row in rows if row.price is None]
    log.info("closing prices stored", month=str(month), stocks=len(rows), unknown=len(unknown))
    return len(rows)


def _splits_since(month: Month) -> dict[str, Decimal]:
    """Return by how much the exchange has divided the prices of this month since, by the ticker of today."""
    states = CorporateAction.State.APPROVED, CorporateAction.State.APPLYING, CorporateAction.State.DONE
    splits = CorporateAction.objects.filter(kind=CorporateAction.Kind.SPLIT, state__in=states)
    ratios: dict[str, Decimal] = {}
    for split in splits.filter(ex_date__gt=month.last, ex_date__lte=eastern_today()):
        ticker = ticker_change.today(split.ticker)
        ratios[ticker] = (
            ratios.get(ticker, Decimal(1)) * Decimal(split.numerator or 1) / Decimal(split.denominator or 1)
        )
    return ratios
