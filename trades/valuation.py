"""Value stocks for display: their prices, the day's change, and a customer's positions in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.utils import timezone

from accounts.models import Position
from exchange import market, price_history, prices
from exchange.models import Stock
from exchange.prices import Quote
from trades import charts
from trades.day import NOTHING_BOUGHT, Bought, DayGain, bought_since, day_gain
from trades.periods import DAY_SECONDS, YEAR, day_grid

SHOWN_SECONDS_MAX = 3600  # the oldest price that a page shows, with its age


@dataclass(slots=True)
class Holding:
    """A stock with its price, the day's change, and a customer's position in it. None: not known.

    `before` is the price from which the day's change is counted, USD. `bought` is what the customer has bought since
    then. `share` is the position's share of the account's value, as a ratio.
    """

    ticker: str
    name: str
    quote: Quote | None
    before: Decimal | None
    spark: str
    position: Position | None = None
    bought: Bought = NOTHING_BOUGHT
    share: Decimal | None = None

    @property
    def price(self) -> Decimal | None:
        return self.quote.price if self.quote else None

    @property
    def day_change(self) -> Decimal | None:
        """The day's change of the price, as a ratio."""
        return self.quote.price / self.before - 1 if self.quote and self.before else None

    @property
    def quantity(self) -> int:
        return self.position.quantity if self.position else 0

    @property
    def value(self) -> Decimal | None:
        return self.position.market_value(self.price) if self.position else None

    @property
    def day(self) -> DayGain | None:
        """The day's gain or loss on these shares."""
        if self.position is None or self.quote is None or not self.before:
            return None
        return day_gain(self.position, self.quote.price, self.before, self.bought)

    @property
    def day_gain(self) -> Decimal | None:
        return self.day.amount if self.day else None

    @property
    def day_ratio(self) -> Decimal | None:
        return self.day.ratio if self.day else None

    @property
    def cost(self) -> Decimal:
        return self.position.cost if self.position else Decimal(0)

    @property
    def gain(self) -> Decimal | None:
        return None if self.value is None else self.value - self.cost

    @property
    def gain_ratio(self) -> Decimal | None:
        return None if self.gain is None or not self.cost else self.gain / self.cost


def holdings(tickers: Iterable[str], positions: dict[str, Position]) -> list[Holding]:
    """Return these stocks with price, day's change, sparkline, and position, in the order given."""
    tickers = list(tickers)
    names = company_names(tickers)
    quotes = prices.quotes(tickers, SHOWN_SECONDS_MAX, prices.LIVE_SECONDS)
    day, has_hours = day_grid(), market.has_trading_hours()
    owner = next((position.customer_id for position in positions.values()), None)
    bought = bought_since(owner, day.moments[0]) if owner else {}
    price_series = price_history.histories(quotes, day.moments[0], day.step_seconds, day.moments[-1])
    valued = []
    for ticker in tickers:
        quote, points = quotes.get(ticker), price_series.get(ticker, [])
        before = None
        if quote:
            before = points[0].price if points and not has_hours else quote.previous_close
        valued.append(
            Holding(
                ticker=ticker,
                name=names.get(ticker, ticker),
                quote=quote,
                before=before,
                spark=charts.sparkline([point.price for point in points] + ([quote.price] if quote else [])),
                position=positions.get(ticker),
                bought=bought.get(ticker, NOTHING_BOUGHT),
            )
        )
    return valued


def read_charts() -> None:
    """Read the prices of the usual charts of all listed stocks, so that no page has to wait for them. Idempotent.

    These are the charts of the day, and those of months and of the year. The year is read for some stocks at a time.

    Raises:
        Unknown: There was no trustworthy answer.
    """
    listed, day = market.listed(), day_grid()
    price_history.refresh(listed, day.moments[0], day.step_seconds, day.moments[-1])
    year = timezone.now() - YEAR
    price_history.refresh(listed, year, DAY_SECONDS, batches_max=1)


def company_names(tickers: Iterable[str]) -> dict[str, str]:
    """Return the names of the companies by ticker."""
    return dict(Stock.objects.filter(ticker__in=list(tickers)).values_list("ticker", "name"))
