"""A simple model of the brokerage, with which the real one is compared after every step.

It is written for clarity alone: no database, no messages, no crashes, and no clock except the day that is passed to a
call. A customer's trades are in `line`; the exchange's reports that no turn has handled yet are in `reports`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from itertools import count

SEC_PER_USD = Decimal("0.0278")
"""On the proceeds of a sale, rounded up to the cent."""

CAT_PER_SHARE = Decimal("0.0035")
"""On purchases and sales, rounded up to the cent."""

VIOLATIONS_MAX, RESTRICTION_DAYS = 2, 5
"""How many good-faith violations restrict an account, and for how many days: few, so that both happen often."""

LOOK_AHEAD = 4
"""The number of trades that a turn rejects before it leaves the others to the next turn."""

serials = count()


@dataclass
class Day:
    """A day: its date, whether the market is open now, and the settlement date of its trades."""

    today: date
    is_open: bool
    settles_on: date


@dataclass
class Order:
    """A trade in the model. `queues`: the customer wants it queued while the market is closed; `is_queued`: it is."""

    ticker: str
    type: str
    quantity: int
    queues: bool = False
    status: str = "PLACED"
    reason: str = ""
    hold: Decimal = Decimal(0)
    method: str = ""
    placed_as: str = ""
    is_queued: bool = False
    is_sent: bool = False
    is_expired: bool = False
    claimed_on: date | None = None

    def has_terms_of(self, other: Order) -> bool:
        """Return whether another order has the same terms, so that it may be sent with the same key."""
        return other.ticker in {self.ticker, self.placed_as} and (
            (self.type, self.quantity, self.queues) == (other.type, other.quantity, other.queues)
        )

    def reject(self, reason: str) -> None:
        self.status, self.reason = "REJECTED", reason


@dataclass
class ModelReport:
    """A report from the exchange: filled at a price on a day, or rejected. `keeps_terms`: it agrees with the order."""

    number: int
    ticker: str
    price: Decimal | None
    day: Day
    reason: str = "exchange_error"
    keeps_terms: bool = True


@dataclass
class Lot:
    """Shares acquired together, and their total cost. `paid_until`: the day on which the cash spent on them settles."""

    quantity: int
    cost: Decimal
    day: date
    paid_until: date | None = None
    serial: int = field(default_factory=lambda: next(serials))


@dataclass
class Sale:
    """The proceeds of a sale, net of fees, and its settlement date."""

    settles_on: date
    net: Decimal


@dataclass
class Customer:
    """One customer's cash, shares and line of trades, by number from 0."""

    cash: Decimal = Decimal(0)
    shares: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    cost: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    lots: dict[str, list[Lot]] = field(default_factory=lambda: defaultdict(list))
    sales: list[Sale] = field(default_factory=list)
    gains: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    method: str = "fifo"
    violations: int = 0
    settled_cash_until: date | None = None
    is_halted: bool = False
    line: list[Order] = field(default_factory=list)
    reports: list[ModelReport] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)

    # -- cash and holds

    @property
    def in_flight(self) -> Order | None:
        return next((order for order in self.line if order.status == "IN PROGRESS"), None)

    @property
    def available(self) -> Decimal:
        return self.cash - (self.in_flight.hold if self.in_flight else 0)

    def unsettled(self, today: date) -> Decimal:
        return sum((sale.net for sale in self.sales if sale.settles_on > today), Decimal(0))

    def settled(self, today: date) -> Decimal:
        return max(Decimal(0), self.cash - self.unsettled(today))

    def withdrawable(self, today: date) -> Decimal:
        return min(self.available, self.settled(today))

    def spendable(self, today: date) -> Decimal:
        """Return the available cash, or only its settled part after too many good-faith violations."""
        return self.withdrawable(today) if self.is_restricted(today) else self.available

    def is_restricted(self, today: date) -> bool:
        return self.settled_cash_until is not None and today < self.settled_cash_until

    # -- operations of customers

    def place(self, order: Order, key: str | None, is_open: bool) -> int | None:
        """Add an order to the line; return its number, or None if the key was used with other terms."""
        if key in self.keys:
            return self.keys[key] if self.line[self.keys[key]].has_terms_of(order) else None
        order.is_queued = order.queues and not is_open
        self.line.append(order)
        if key:
            self.keys[key] = len(self.line) - 1
        return len(self.line) - 1

    def deposit(self, amount: Decimal) -> None:
        self.cash += amount

    def withdraw(self, amount: Decimal, today: date) -> str:
        """Withdraw cash; return why that is refused, or an empty string."""
        if amount > self.available:
            return "insufficient"
        if amount > self.withdrawable(today):
            return "unsettled"
        self.cash -= amount
        return ""

    def cancel(self, number: int) -> bool:
        """Cancel a trade that is still PLACED; return whether it was."""
        if self.line[number].status != "PLACED":
            return False
        self.line[number].reject("cancelled")
        return True

    # -- adjustments and corporate actions

    def adjust(self, ticker: str, change: int, price: Decimal, today: date) -> bool:
        """Add or remove shares; return whether there were enough shares that are not held."""
        in_flight = self.in_flight
        held = in_flight.quantity if in_flight and (in_flight.type, in_flight.ticker) == ("SELL", ticker) else 0
        if change < 0 and self.shares[ticker] - held < -change:
            return False
        if change > 0:
            self._receive(ticker, change, price * change, Lot(change, price * change, today))
        else:
            self._remove(ticker, -change, None, "fifo", today)
        return True

    def dividend(self, ticker: str, per_share: Decimal) -> None:
        self.cash += rounded(Fraction(per_share) * self.shares[ticker])

    def split(self, ticker: str, numerator: int, denominator: int, price: Decimal) -> None:
        """Multiply shares and lots, and pay cash for fractions of a share. PLACED trades are rejected."""
        for order in self.line:
            if order.status == "PLACED" and order.ticker == ticker:
                order.reject("corporate_action")
        before = self.shares[ticker]
        after, remainder = divmod(before * numerator, denominator)
        self.cash += rounded(Fraction(price) * remainder / denominator)
        if after != before:
            self.shares[ticker], self.cost[ticker] = after, self.cost[ticker] if after else Decimal(0)
            self.lots[ticker] = self._rescaled(self.lots[ticker], before, after)

    def rename(self, ticker: str, new: str) -> None:
        """Move shares, lots and PLACED trades to another ticker."""
        for order in self.line:
            if order.status == "PLACED" and order.ticker == ticker:
                order.ticker, order.placed_as = new, order.placed_as or ticker
        quantity = self.shares.pop(ticker, 0)
        self.shares[new], self.cost[new] = quantity, self.cost.pop(ticker, Decimal(0))
        self.lots[new] = self._rescaled(self.lots.pop(ticker, []), quantity, quantity)

    def _rescaled(self, lots: list[Lot], before: int, after: int) -> list[Lot]:
        """Return the lots scaled from `before` to `after` shares in total; fractions of a share go to the next lot."""
        new: list[Lot] = []
        shares_before = shares_after = 0
        cost, paid_until = Decimal(0), [date.min]
        for lot in sorted(lots, key=oldest):
            shares_before, cost = shares_before + lot.quantity, cost + lot.cost
            paid_until += [lot.paid_until] if lot.paid_until else []
            if quantity := shares_before * after // before - shares_after:
                new.append(Lot(quantity, cost, lot.day, max(paid_until) if len(paid_until) > 1 else None))
                shares_after, cost, paid_until = shares_after + quantity, Decimal(0), [date.min]
        return new

    # -- turns

    def turn(self, day: Day) -> None:
        """Settle waiting reports, then claim the oldest trade that cash or shares allow, and reject those before it."""
        reports, self.reports = self.reports, []
        for report in reports:
            order = self.line[report.number]
            if order.status == "PLACED":
                self.reports.append(report)
            elif order.status == "IN PROGRESS" and self._is_as_ordered(order, report):
                self._settle(order, report)
        rejected = 0
        for order in self.line:
            if self.in_flight or rejected == LOOK_AHEAD:
                return
            if order.status == "PLACED":
                if order.queues and not day.is_open:
                    order.is_queued = True
                    return
                if self.is_halted:
                    return
                self._claim(order, day.today)
                rejected += order.status == "REJECTED"

    def is_due_at_opening(self) -> bool:
        """Return whether the opening bell rings: a trade is queued, and the first in line can be claimed."""
        queued = any(order.status == "PLACED" and order.is_queued for order in self.line)
        return queued and not self.in_flight and not self.is_halted

    def _is_as_ordered(self, order: Order, report: ModelReport) -> bool:
        is_within_hold = order.type == "SELL" or report.price is None or report.price * order.quantity <= order.hold
        return report.keeps_terms and report.ticker == order.ticker and is_within_hold

    def _claim(self, order: Order, today: date) -> None:
        order.claimed_on = today
        if order.type == "BUY" and self.spendable(today) > 0:
            order.hold, order.status = self.spendable(today), "IN PROGRESS"
        elif order.type == "SELL" and self.shares[order.ticker] >= order.quantity:
            order.status, order.method = "IN PROGRESS", self.method
        elif order.type == "BUY":
            order.reject("unsettled_funds" if self.available > 0 else "insufficient_funds")
        else:
            order.reject("insufficient_shares")

    def _settle(self, order: Order, report: ModelReport) -> None:
        if report.price is None:
            order.reject(report.reason)
            return
        order.status, day = "FILLED", report.day
        amount, cat = report.price * order.quantity, up_to_the_cent(CAT_PER_SHARE * order.quantity)
        if order.type == "BUY":
            fee = min(cat, self.cash - amount)
            self.cash -= amount + fee
            lot = Lot(order.quantity, amount + fee, day.today, self._paid_until(day.today))
            self._receive(order.ticker, order.quantity, amount, lot)
        else:
            fee = min(up_to_the_cent(SEC_PER_USD * amount) + cat, amount)
            self.cash += amount - fee
            self._remove(order.ticker, order.quantity, amount - fee, order.method, day.today)
            self.sales.append(Sale(day.settles_on, amount - fee))
        self.fees += fee

    def _paid_until(self, today: date) -> date:
        """Return when the spent cash settles, given that the remaining cash is from the sales that settle last."""
        remaining = self.cash
        for settles_on in sorted({sale.settles_on for sale in self.sales if sale.settles_on > today}, reverse=True):
            remaining -= sum(sale.net for sale in self.sales if sale.settles_on == settles_on)
            if remaining < 0:
                return settles_on
        return today

    def _receive(self, ticker: str, quantity: int, cost: Decimal, lot: Lot) -> None:
        self.shares[ticker] += quantity
        self.cost[ticker] += cost
        self.lots[ticker].append(lot)

    def _remove(self, ticker: str, quantity: int, proceeds: Decimal | None, method: str, today: date) -> None:
        """Take shares out of lots in the method's order. Only sales have gains and good-faith violations."""
        remaining = self.shares[ticker] - quantity
        self.cost[ticker] = rounded(Fraction(self.cost[ticker]) * remaining / self.shares[ticker])
        self.shares[ticker] = remaining
        is_early = False
        for lot in sorted(self.lots[ticker], key=ORDERS[method]):
            closing = min(lot.quantity, quantity)
            if not closing:
                break
            cost = rounded(Fraction(lot.cost) * closing / lot.quantity)
            if proceeds is not None:
                lot_proceeds = rounded(Fraction(proceeds) * closing / quantity)
                self.gains += lot_proceeds - cost
                proceeds -= lot_proceeds
                is_early |= lot.paid_until is not None and max(lot.day, today) < lot.paid_until
            lot.quantity, lot.cost, quantity = lot.quantity - closing, lot.cost - cost, quantity - closing
        self.lots[ticker] = [lot for lot in self.lots[ticker] if lot.quantity]
        if is_early:
            self._add_violation(today)

    def _add_violation(self, today: date) -> None:
        self.violations += 1
        if self.violations >= VIOLATIONS_MAX:
            until = today + timedelta(days=RESTRICTION_DAYS)
            self.settled_cash_until = max(until, self.settled_cash_until or until)


def oldest(lot: Lot) -> tuple[date, int]:
    return lot.day, lot.serial


ORDERS = {
    "fifo": oldest,
    "lifo": lambda lot: (-lot.day.toordinal(), -lot.serial),
    "highest_cost": lambda lot: (-Fraction(lot.cost) / lot.quantity, *oldest(lot)),
}


def up_to_the_cent(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_CEILING)


def rounded(amount: Fraction) -> Decimal:
    """Return USD with four decimals, rounded half to even."""
    return Decimal(round(amount * 10_000)).scaleb(-4)
