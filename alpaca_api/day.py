"""The current trading day of an account: its value at the previous close, and its purchases since."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal

from django.utils import timezone

from accounts.models import Position
from exchange import calendar, market, prices
from exchange.prices import Quote
from trades import equity
from trades.day import NOTHING_BOUGHT, Bought, DayGain, bought_since, day_gain
from trades.equity import Held
from web.timezones import EASTERN


@dataclass(frozen=True, slots=True)
class Day:
    """An account's trading day so far.

    Attributes:
        quotes: Current prices and previous closes.
        held: The shares held at the previous close.
        bought: By ticker, the shares bought since then.
    """

    quotes: dict[str, Quote]
    held: Held
    bought: dict[str, Bought]

    @property
    def equity_before(self) -> Decimal | None:
        """The account's value at the previous close; None if a price is unknown."""
        return equity.equity([self.held], lambda ticker: [self._close(ticker)])[0]

    def gain(self, position: Position) -> DayGain | None:
        """Return the day's gain on a position; None if its price is unknown."""
        quote = self.quotes.get(position.ticker)
        if quote is None:
            return None
        return day_gain(position, quote.price, quote.previous_close, self.bought.get(position.ticker, NOTHING_BOUGHT))

    def _close(self, ticker: str) -> Decimal | None:
        return self.quotes[ticker].previous_close if ticker in self.quotes else None


def day_of(customer_id: int, positions: Iterable[Position]) -> Day:
    """Return a customer's trading day so far, given the customer's positions now."""
    closed_at = last_close()
    (held,) = equity.held_at(customer_id, [closed_at])
    return Day(
        quotes=prices.quotes({*equity.tickers_of([held]), *(position.ticker for position in positions)}),
        held=held,
        bought=bought_since(customer_id, closed_at),
    )


def last_close() -> datetime:
    """Return the close of the session before the current or latest one; midnight Eastern if the market never closes."""
    now = timezone.now()
    opened = calendar.sessions_opened(now)
    if market.is_always_open() or len(opened) < 2:
        return datetime.combine(calendar.eastern_date(now), time.min, EASTERN)
    return opened[-2].closes_at
