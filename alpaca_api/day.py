"""The day so far: what the account was worth at the previous close, and what has been bought since."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal

from django.db.models import F, Sum
from django.utils import timezone

from accounts.models import CASH, Position, Posting
from exchange import calendar, market, prices
from exchange.prices import Quote
from trades import equity
from trades.equity import Held
from web.timezones import EASTERN


@dataclass(frozen=True, slots=True)
class Day:
    """Prices now and at the previous close, what was held then, and the net cost of the shares bought since, USD."""

    quotes: dict[str, Quote]
    held: Held
    bought: dict[str, Decimal]

    @property
    def equity_before(self) -> Decimal | None:
        """The account's value at the previous close; None if a price isn't known."""
        return equity.equity([self.held], lambda ticker: [self._close(ticker)])[0]

    def profit(self, position: Position) -> tuple[Decimal, Decimal] | None:
        """Return the profit of the day on a position, USD, and as a ratio; None where no price is known."""
        quote = self.quotes.get(position.ticker)
        if quote is None:
            return None
        before = self.held.get(position.ticker, Decimal(0)) * quote.previous_close
        bought = self.bought.get(position.ticker, Decimal(0))
        gain = quote.price * position.quantity - before - bought
        invested = before + max(bought, Decimal(0))
        return gain, (gain / invested if invested else Decimal(0))

    def _close(self, ticker: str) -> Decimal | None:
        return self.quotes[ticker].previous_close if ticker in self.quotes else None


def day_of(customer_id: int) -> Day:
    """Return a customer's day so far."""
    closed_at = last_close()
    (held,) = equity.held_at(customer_id, [closed_at])
    since = Posting.objects.filter(customer_id=customer_id, created_at__gt=closed_at, price__isnull=False)
    bought = since.exclude(ticker=CASH).values("ticker").annotate(cost=Sum(F("change") * F("price")))
    owned = Position.objects.filter(customer_id=customer_id, quantity__gt=0).values_list("ticker", flat=True)
    return Day(
        quotes=prices.quotes({*equity.tickers_of([held]), *owned}),
        held=held,
        bought={row["ticker"]: row["cost"] for row in bought},
    )


def last_close() -> datetime:
    """Return when the session before the present, or latest, one closed; where it never does, midnight Eastern."""
    now = timezone.now()
    day = calendar.eastern_date(now)
    opened = [one for one in calendar.sessions(day - timedelta(days=20), day) if one.opens_at <= now]
    if is_always_open() or len(opened) < 2:
        return datetime.combine(day, time.min, EASTERN)
    return opened[-2].closes_at


def is_always_open() -> bool:
    """Whether the exchange never closes, as the stand-in does unless it is told otherwise."""
    hours = market.clock()
    return bool(hours and hours["hours"] == "always")
