"""One customer's cash and shares in memory: hold, release, and move them, and collect the postings.

`accounts.ledger` locks and reads accounts, and writes the changes.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from accounts.lots import Disposal, Opening, Payment, Split, part_of_cost
from accounts.models import CASH, LotMethod, Posting
from accounts.money import LARGEST_AMOUNT
from accounts.settlement import Dates, Unsettled, in_force
from web.timezones import eastern_today

LARGEST_POSITION = 10**12  # shares; more than any company has


class InsufficientFunds(Exception):
    """The amount is more than the cash that is available."""


class InsufficientShares(Exception):
    """The quantity is more than the shares that are available."""


class AccountFull(Exception):
    """The account can't hold what would be posted to it now."""


class BalanceTooLarge(AccountFull):
    """The account would hold more cash than an account can."""


class PositionTooLarge(AccountFull):
    """The account would hold more shares, or shares of a higher cost, than an account can."""


@dataclass(slots=True)
class Shares:
    """A customer's shares of one stock, and their total cost in USD."""

    quantity: int = 0
    held: int = 0
    cost: Decimal = Decimal(0)

    @property
    def available(self) -> int:
        return self.quantity - self.held


@dataclass(slots=True)
class NewPosting:
    """A posting that has not been written yet."""

    customer_id: int
    ticker: str
    kind: str
    cause: UUID
    change: Decimal
    total: Decimal
    price: Decimal | None
    settles_on: date


@dataclass(slots=True)
class Account:
    """One customer's locked cash and shares. Its methods only change memory; `Books.write` makes changes durable."""

    customer_id: int
    amount: Decimal
    held: Decimal
    shares: dict[str, Shares] = field(default_factory=dict)
    postings: list[NewPosting] = field(default_factory=list)
    lot_method: str = LotMethod.FIFO
    settled_cash_until: date | None = None
    movements: list[Opening | Disposal] = field(default_factory=list)
    sales: list[Unsettled] = field(default_factory=list)  # not written yet
    cash_changed: bool = False
    tickers_changed: set[str] = field(default_factory=set)

    @property
    def available(self) -> Decimal:
        return self.amount - self.held

    def buys_with_settled_cash_only(self, day: date) -> bool:
        """Return whether the account is restricted on a day, after too many good-faith violations."""
        return in_force(self.settled_cash_until, day) is not None

    def shares_of(self, ticker: str) -> Shares:
        return self.shares.setdefault(ticker, Shares())

    def hold_cash(self, amount: Decimal) -> None:
        """Set cash aside for a trade.

        Raises:
            InsufficientFunds: Not 0 < amount <= available.
        """
        if not 0 < amount <= self.available:
            raise InsufficientFunds
        self.held += amount
        self.cash_changed = True

    def release_cash(self, amount: Decimal) -> None:
        """Undo `hold_cash`."""
        self.held -= amount
        self.cash_changed = True

    def hold_shares(self, ticker: str, quantity: int) -> None:
        """Set shares aside for a trade.

        Raises:
            InsufficientShares: Not 0 < quantity <= available.
        """
        shares = self.shares_of(ticker)
        if not 0 < quantity <= shares.available:
            raise InsufficientShares
        shares.held += quantity
        self.tickers_changed.add(ticker)

    def release_shares(self, ticker: str, quantity: int) -> None:
        """Undo `hold_shares`."""
        self.shares_of(ticker).held -= quantity
        self.tickers_changed.add(ticker)

    def move_cash(
        self,
        kind: str,
        cause: UUID,
        change: Decimal,
        price: Decimal | None = None,
        settles_on: date | None = None,
    ) -> None:
        """Post cash in (change > 0) or out (change < 0), USD. It settles today if no date is given.

        Raises:
            InsufficientFunds: More cash would go out than is available.
            BalanceTooLarge: The account would hold more cash than an account can.
        """
        if -change > self.available:
            raise InsufficientFunds
        if self.amount + change > LARGEST_AMOUNT:
            raise BalanceTooLarge
        self.amount += change
        self.cash_changed = True
        self.postings.append(
            NewPosting(self.customer_id, CASH, kind, cause, change, self.amount, price, settles_on or eastern_today())
        )

    def move_shares(
        self,
        ticker: str,
        kind: str,
        cause: UUID,
        change: int,
        price: Decimal | None,
        dates: Dates | None = None,
        value: Decimal | None = None,
        method: str = LotMethod.FIFO,
        payment: Payment | None = None,
    ) -> None:
        """Post shares in (change > 0), each at a cost of `price`, or out (change < 0), at their average cost.

        Shares that come in open a lot; shares that go out close lots.

        Args:
            dates: When they were traded and when they settle; by default, both today.
            value: Their total cost with fees, or the proceeds net of fees, USD. By default, they cost `price` each, or
                were not sold.
            method: The LotMethod by which lots are closed.
            payment: How they were paid for, if they were bought.

        Raises:
            InsufficientShares: More shares would go out than are available.
            PositionTooLarge: The account would hold more shares than an account can.
        """
        quantity, cost = self._position_after(ticker, change, price)
        dates = dates or Dates(eastern_today(), eastern_today())
        shares = self.shares_of(ticker)
        shares.quantity, shares.cost = quantity, cost
        self.tickers_changed.add(ticker)
        of = (self.customer_id, ticker, cause, dates.traded_on, abs(change))
        self.movements.append(
            Opening(*of, (price or Decimal(0)) * change if value is None else value, payment=payment)
            if change > 0
            else Disposal(*of, value, method)
        )
        self.postings.append(
            NewPosting(
                self.customer_id,
                ticker,
                kind,
                cause,
                Decimal(change),
                Decimal(quantity),
                price,
                dates.settles_on,
            )
        )

    def split_shares(self, ticker: str, cause: UUID, quantity: int) -> None:
        """Post that a split has changed the position to `quantity` shares. Its total cost and its lots' dates stay.

        The posting's price is 0, which means that the cost stays, or empty if no whole share is left.

        Raises:
            PositionTooLarge: The account would hold more shares than an account can.
        """
        shares = self.shares_of(ticker)
        before, today = shares.quantity, eastern_today()
        if quantity == before:
            return
        if quantity > LARGEST_POSITION:
            raise PositionTooLarge
        shares.quantity = quantity
        shares.cost = shares.cost if quantity else Decimal(0)
        self.tickers_changed.add(ticker)
        self.movements.append(Split(self.customer_id, ticker, cause, today, before, None, after=quantity))
        change, total = Decimal(quantity - before), Decimal(quantity)
        price = Decimal(0) if quantity else None
        self.postings.append(
            NewPosting(self.customer_id, ticker, Posting.Kind.SPLIT, cause, change, total, price, today)
        )

    def rename_shares(self, ticker: str, new_ticker: str, cause: UUID) -> None:
        """Post that all shares of a stock go on under another ticker. Their cost goes with them; lots keep their dates.

        The postings have no price. The audit reads the cost from their cause, which stores it.

        Raises:
            PositionTooLarge: The account would hold more than it can.
        """
        before, after, today = self.shares_of(ticker), self.shares_of(new_ticker), eastern_today()
        quantity, cost = before.quantity, before.cost
        if not quantity:
            return
        if after.quantity + quantity > LARGEST_POSITION or after.cost + cost > LARGEST_AMOUNT:
            raise PositionTooLarge
        before.quantity, before.cost = 0, Decimal(0)
        after.quantity, after.cost = after.quantity + quantity, after.cost + cost
        self.tickers_changed |= {ticker, new_ticker}
        self.movements.append(
            Split(self.customer_id, ticker, cause, today, quantity, None, after=quantity, new_ticker=new_ticker)
        )
        change, total, kind = Decimal(quantity), Decimal(after.quantity), Posting.Kind.NEW_TICKER
        self.postings += [
            NewPosting(self.customer_id, ticker, kind, cause, -change, Decimal(0), None, today),
            NewPosting(self.customer_id, new_ticker, kind, cause, change, total, None, today),
        ]

    def _position_after(self, ticker: str, change: int, price: Decimal | None) -> tuple[int, Decimal]:
        """Return the quantity and the cost of the position after a change. Raises what `move_shares` raises."""
        shares = self.shares.get(ticker) or Shares()
        if -change > shares.available:
            raise InsufficientShares
        quantity = shares.quantity + change
        if change > 0:
            cost = shares.cost + (price or 0) * change
        else:
            cost = part_of_cost(shares.cost, quantity, shares.quantity)
        if quantity > LARGEST_POSITION or cost > LARGEST_AMOUNT:
            raise PositionTooLarge
        return quantity, cost

    def buy(
        self,
        cause: UUID,
        ticker: str,
        quantity: int,
        price: Decimal,
        amount: Decimal,
        dates: Dates | None = None,
        fee: Decimal = Decimal(0),
    ) -> None:
        """Post cash out and shares in. Nothing changes if it raises. Without dates it settles today.

        Raises:
            InsufficientFunds: The amount plus the fee is more than the available cash.
            PositionTooLarge: The account would hold more shares than an account can.
        """
        if amount + fee > self.available:
            raise InsufficientFunds
        self._position_after(ticker, quantity, price)
        dates = dates or Dates(eastern_today(), eastern_today())
        self.move_cash(Posting.Kind.BUY, cause, -amount, price, dates.settles_on)
        payment = Payment(self.amount - fee, tuple(self.sales))
        self.move_shares(ticker, Posting.Kind.BUY, cause, quantity, price, dates, amount + fee, payment=payment)
        self._charge(cause, fee, dates)

    def sell(
        self,
        cause: UUID,
        ticker: str,
        quantity: int,
        price: Decimal,
        amount: Decimal,
        dates: Dates | None = None,
        fee: Decimal = Decimal(0),
        method: str = LotMethod.FIFO,
    ) -> None:
        """Post shares out and cash in. Nothing changes if it raises. The remaining shares keep their average cost.

        Without dates it settles today. The fee must not exceed the amount.

        Raises:
            InsufficientShares: The quantity is more than the shares that are available.
            BalanceTooLarge: The account would hold more cash than an account can.
        """
        if self.amount + amount > LARGEST_AMOUNT:
            raise BalanceTooLarge
        dates = dates or Dates(eastern_today(), eastern_today())
        self.move_shares(ticker, Posting.Kind.SELL, cause, -quantity, price, dates, amount - fee, method)
        self.move_cash(Posting.Kind.SELL, cause, amount, price, dates.settles_on)
        self.sales.append(Unsettled(dates.settles_on, amount - fee))
        self._charge(cause, fee, dates)

    def _charge(self, cause: UUID, fee: Decimal, dates: Dates) -> None:
        if fee:
            self.move_cash(Posting.Kind.FEE, cause, -fee, None, dates.settles_on)
