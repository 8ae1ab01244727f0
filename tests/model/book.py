"""The brokerage in one page of code: the model that the real one is compared with, step by step.

Written for clarity alone: no database, no messages, no crash, and no clock but the day that a call is given. What has
not been done for a customer yet is in `line`; what the exchange said and no turn has seen is in `said`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from itertools import count

SEC_PER_USD = Decimal("0.0278")
"""Of the proceeds of a sale, rounded up to the cent."""

CAT_PER_SHARE = Decimal("0.0035")
"""Of purchases and sales, rounded up to the cent."""

VIOLATIONS_MAX, RESTRICTION_DAYS = 2, 5
"""So many good-faith violations restrict an account for so long: less than really, so that both happen often."""

LOOK_AHEAD = 4
"""How many a turn rejects before it leaves the rest to the next."""

serials = count()


@dataclass
class Day:
    """A day: its date, whether the market is open now, and when what is traded on it settles."""

    today: date
    is_open: bool
    settles_on: date


@dataclass
class Order:
    """A trade, as the model sees it. `queues`: it asked to wait for the opening; `is_queued`: it does."""

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
        """Whether an order that comes with the same key is the same one."""
        return other.ticker in {self.ticker, self.placed_as} and (
            (self.type, self.quantity, self.queues) == (other.type, other.quantity, other.queues)
        )

    def reject(self, reason: str) -> None:
        self.status, self.reason = "REJECTED", reason


@dataclass
class Said:
    """One report of the exchange: filled at a price on a day, or rejected. `keeps_terms`: it is as ordered."""

    number: int
    ticker: str
    price: Decimal | None
    day: Day
    reason: str = "exchange_error"
    keeps_terms: bool = True


@dataclass
class Lot:
    """Shares that came in together, and what they cost in all. `paid_until`: when the cash for them has settled."""

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
    said: list[Said] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)

    # -- what there is

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
        """All that is available, or what has settled of it after too many violations."""
        return self.withdrawable(today) if self.is_restricted(today) else self.available

    def is_restricted(self, today: date) -> bool:
        return self.settled_cash_until is not None and today < self.settled_cash_until

    # -- what customers do

    def place(self, order: Order, key: str | None, is_open: bool) -> int | None:
        """The trade's number; None where the key was used for other terms."""
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
        """Why it is refused; empty where it is not."""
        if amount > self.available:
            return "insufficient"
        if amount > self.withdrawable(today):
            return "unsettled"
        self.cash -= amount
        return ""

    def cancel(self, number: int) -> bool:
        """Whether it had not been sent yet."""
        if self.line[number].status != "PLACED":
            return False
        self.line[number].reject("cancelled")
        return True

    # -- what staff and companies do

    def adjust(self, ticker: str, change: int, price: Decimal, today: date) -> bool:
        """Whether there were enough shares that nothing holds."""
        flying = self.in_flight
        held = flying.quantity if flying and (flying.type, flying.ticker) == ("SELL", ticker) else 0
        if change < 0 and self.shares[ticker] - held < -change:
            return False
        if change > 0:
            self._receive(ticker, change, price * change, Lot(change, price * change, today))
        else:
            self._give(ticker, -change, None, "fifo", today)
        return True

    def dividend(self, ticker: str, per_share: Decimal) -> None:
        self.cash += rounded(Fraction(per_share) * self.shares[ticker])

    def split(self, ticker: str, numerator: int, denominator: int, price: Decimal) -> None:
        """Multiply shares and lots, and pay for what is no whole share. What has not been sent is rejected."""
        for order in self.line:
            if order.status == "PLACED" and order.ticker == ticker:
                order.reject("corporate_action")
        before = self.shares[ticker]
        after, rest = divmod(before * numerator, denominator)
        self.cash += rounded(Fraction(price) * rest / denominator)
        if after != before:
            self.shares[ticker], self.cost[ticker] = after, self.cost[ticker] if after else Decimal(0)
            self.lots[ticker] = self._continued(self.lots[ticker], before, after)

    def rename(self, ticker: str, new: str) -> None:
        """Let shares, lots and what has not been sent go on under another ticker."""
        for order in self.line:
            if order.status == "PLACED" and order.ticker == ticker:
                order.ticker, order.placed_as = new, order.placed_as or ticker
        quantity = self.shares.pop(ticker, 0)
        self.shares[new], self.cost[new] = quantity, self.cost.pop(ticker, Decimal(0))
        self.lots[new] = self._continued(self.lots.pop(ticker, []), quantity, quantity)

    def _continued(self, lots: list[Lot], before: int, after: int) -> list[Lot]:
        """Each lot with its part of the shares afterwards; what is left of less than a share goes with the next."""
        new: list[Lot] = []
        seen = given = 0
        cost, paid = Decimal(0), [date.min]
        for lot in sorted(lots, key=oldest):
            seen, cost = seen + lot.quantity, cost + lot.cost
            paid += [lot.paid_until] if lot.paid_until else []
            if whole := seen * after // before - given:
                new.append(Lot(whole, cost, lot.day, max(paid) if len(paid) > 1 else None))
                given, cost, paid = given + whole, Decimal(0), [date.min]
        return new

    # -- what lanes do

    def turn(self, day: Day) -> None:
        """Settle what was said, then send the oldest that cash or shares allow; those before it are rejected."""
        waiting, self.said = self.said, []
        for word in waiting:
            order = self.line[word.number]
            if order.status == "PLACED":
                self.said.append(word)
            elif order.status == "IN PROGRESS" and self._is_as_ordered(order, word):
                self._settle(order, word)
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

    def is_due_at_the_opening(self) -> bool:
        """Whether the bell rings: something is queued, and the first in line may go."""
        queued = any(order.status == "PLACED" and order.is_queued for order in self.line)
        return queued and not self.in_flight and not self.is_halted

    def _is_as_ordered(self, order: Order, word: Said) -> bool:
        is_within_hold = order.type == "SELL" or word.price is None or word.price * order.quantity <= order.hold
        return word.keeps_terms and word.ticker == order.ticker and is_within_hold

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

    def _settle(self, order: Order, word: Said) -> None:
        if word.price is None:
            order.reject(word.reason)
            return
        order.status, day = "FILLED", word.day
        amount, cat = word.price * order.quantity, up_to_the_cent(CAT_PER_SHARE * order.quantity)
        if order.type == "BUY":
            fee = min(cat, self.cash - amount)
            self.cash -= amount + fee
            lot = Lot(order.quantity, amount + fee, day.today, self._paid_until(day.today))
            self._receive(order.ticker, order.quantity, amount, lot)
        else:
            fee = min(up_to_the_cent(SEC_PER_USD * amount) + cat, amount)
            self.cash += amount - fee
            self._give(order.ticker, order.quantity, amount - fee, order.method, day.today)
            self.sales.append(Sale(day.settles_on, amount - fee))
        self.fees += fee

    def _paid_until(self, today: date) -> date:
        """When the cash that is gone has settled: what is left are the proceeds that settle last."""
        left = self.cash
        for settles_on in sorted({sale.settles_on for sale in self.sales if sale.settles_on > today}, reverse=True):
            left -= sum(sale.net for sale in self.sales if sale.settles_on == settles_on)
            if left < 0:
                return settles_on
        return today

    def _receive(self, ticker: str, quantity: int, cost: Decimal, lot: Lot) -> None:
        self.shares[ticker] += quantity
        self.cost[ticker] += cost
        self.lots[ticker].append(lot)

    def _give(self, ticker: str, quantity: int, proceeds: Decimal | None, method: str, today: date) -> None:
        """Take shares out of lots in the method's order. What was not sold gains nothing, and violates nothing."""
        left = self.shares[ticker] - quantity
        self.cost[ticker] = rounded(Fraction(self.cost[ticker]) * left / self.shares[ticker])
        self.shares[ticker] = left
        is_early = False
        for lot in sorted(self.lots[ticker], key=ORDERS[method]):
            taken = min(lot.quantity, quantity)
            if not taken:
                break
            cost = rounded(Fraction(lot.cost) * taken / lot.quantity)
            if proceeds is not None:
                brought = rounded(Fraction(proceeds) * taken / quantity)
                self.gains += brought - cost
                proceeds -= brought
                is_early |= lot.paid_until is not None and max(lot.day, today) < lot.paid_until
            lot.quantity, lot.cost, quantity = lot.quantity - taken, lot.cost - cost, quantity - taken
        self.lots[ticker] = [lot for lot in self.lots[ticker] if lot.quantity]
        if is_early:
            self._violate(today)

    def _violate(self, today: date) -> None:
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
    """USD with four decimals, half to even."""
    return Decimal(round(amount * 10_000)).scaleb(-4)
