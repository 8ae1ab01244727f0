"""Estimate what a trade would cost or bring at the last price, and whether the customer could pay or deliver."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.conf import settings

from accounts import queries as accounts
from accounts.models import Balance, Position
from accounts.money import money
from accounts.settlement import cash_of, in_force
from exchange import prices
from trades.fees import fees_of
from trades.models import Trade, Type
from trades.search import open_trades
from web.timezones import eastern_today

AHEAD_MAX = 10_000  # more open trades than a customer can have


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate of a trade, in USD and shares.

    `cash` and `shares` (of its stock) are what the customer will have when the trade's turn comes: today's holdings,
    changed by the open trades ahead of it at their last prices. `spendable` is the part of the cash that a BUY may use:
    all of it or, before `settled_cash_until`, only settled cash. `ahead` is the number of trades ahead, and `selling`
    the number of shares of this stock that they sell. `price` and `amount` are None if no price is known.
    """

    ticker: str
    type: str
    quantity: int
    price: Decimal | None
    amount: Decimal | None
    cash: Decimal
    spendable: Decimal
    shares: int
    ahead: int
    selling: int = 0
    settled_cash_until: date | None = None

    @property
    def cost_max(self) -> Decimal | None:
        """The most that a BUY may cost, USD: the amount at its collar, or the spendable cash if that is less.

        None without a price.
        """
        if self.price is None:
            return None
        return min(self.spendable, money(self.price * (1 + settings.BUY_COLLAR)) * self.quantity)

    @property
    def shares_max(self) -> int:
        """How many shares the cash buys even if the price rises to the collar; 0 without a price."""
        return 0 if self.price is None else int(self.spendable // money(self.price * (1 + settings.BUY_COLLAR)))

    @property
    def fees(self) -> Decimal | None:
        """The regulatory fees if it were executed today at the last price, USD; None without a price."""
        if self.amount is None:
            return None
        fees_max = self.amount if self.type == Type.SELL else max(Decimal(0), self.cash - self.amount)
        return sum(fees_of(self.type, self.quantity, self.amount, eastern_today(), fees_max).values(), Decimal(0))

    @property
    def cash_left(self) -> Decimal | None:
        """Cash after the trade, USD."""
        if self.amount is None:
            return None
        fees = self.fees or Decimal(0)
        return self.cash - self.amount - fees if self.type == Type.BUY else self.cash + self.amount - fees

    @property
    def shares_left(self) -> int:
        """Shares of the stock after the trade."""
        return self.shares + self.quantity if self.type == Type.BUY else self.shares - self.quantity

    @property
    def is_covered(self) -> bool:
        """Whether there is enough cash (BUY) or enough shares (SELL). A BUY without a price counts as covered."""
        if self.type == Type.BUY:
            return self.amount is None or self.amount <= self.spendable
        return self.quantity <= self.shares


@dataclass(slots=True)
class _Line:
    """What a customer will have once the open trades are done, if they execute at the last prices."""

    cash: Decimal
    spendable: Decimal
    settled_cash_until: date | None
    shares: Counter[str]
    selling: Counter[str]
    ahead: int
    quotes: dict[str, prices.Quote]


def buying_power(customer_id: int) -> Decimal:
    """Return the cash that a trade placed now could use, USD, after the open trades ahead of it."""
    return buying_power_after(
        accounts.balance_of(customer_id), accounts.positions_of(customer_id), open_trades(customer_id, AHEAD_MAX)
    )


def buying_power_after(balance: Balance, positions: Iterable[Position], ahead: Sequence[Trade]) -> Decimal:
    """Do what `buying_power` does, without reading what the caller has read.

    Args:
        balance: The customer's cash.
        positions: All of the customer's positions.
        ahead: All of the customer's open trades, oldest first.
    """
    return _follow_line(balance, positions, ahead).spendable


def estimate_trade(customer_id: int, ticker: str, type: str, quantity: int) -> Estimate:
    """Estimate a trade as if it were placed now, at the end of the customer's line.

    The open trades ahead are applied in order. One that is not covered will be rejected, so it uses nothing. One
    without a known price is ignored.
    """
    line = _follow_line(
        accounts.balance_of(customer_id),
        accounts.positions_of(customer_id),
        open_trades(customer_id, AHEAD_MAX),
        {ticker},
    )
    price = line.quotes[ticker].price if ticker in line.quotes else None
    return Estimate(
        ticker=ticker,
        type=type,
        quantity=quantity,
        price=price,
        amount=None if price is None else money(price * quantity),
        cash=line.cash,
        spendable=line.spendable,
        shares=line.shares[ticker],
        ahead=line.ahead,
        selling=line.selling[ticker],
        settled_cash_until=line.settled_cash_until,
    )


def _follow_line(
    balance: Balance, positions: Iterable[Position], ahead: Sequence[Trade], tickers: Collection[str] = ()
) -> _Line:
    """Apply the customer's open trades in order, and read the prices of their stocks and of these."""
    quotes = prices.quotes({*tickers, *(trade.ticker for trade in ahead)})
    cash, spendable, until = _cash_of(balance)
    shares = Counter({position.ticker: position.quantity for position in positions})
    selling: Counter[str] = Counter()
    for trade in ahead:
        if trade.ticker not in quotes:
            continue
        amount = money(quotes[trade.ticker].price * trade.quantity)
        if trade.type == Type.BUY and amount <= spendable:
            cash -= amount
            spendable -= amount
            shares[trade.ticker] += trade.quantity
        elif trade.type == Type.SELL and trade.quantity <= shares[trade.ticker]:
            cash += amount
            spendable += 0 if until else amount  # the proceeds have not settled by then
            shares[trade.ticker] -= trade.quantity
            selling[trade.ticker] += trade.quantity
    return _Line(cash, spendable, until, shares, selling, len(ahead), quotes)


def _cash_of(balance: Balance) -> tuple[Decimal, Decimal, date | None]:
    """Return all cash and the part that a purchase may use, USD, and the date until which that is only settled cash."""
    until = in_force(balance.settled_cash_until, eastern_today())
    return balance.amount, cash_of(balance.customer_id).settled if until else balance.amount, until
