"""The brokerage in one page of code: the model that the real one is compared with, step by step.

Written for clarity alone: no database, no messages, no crash, no time. What has not been done for a customer yet is in
`line`; what the exchange said and no turn has seen is in `said`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

FEE_PER_USD = Decimal("0.0278")
"""Of the proceeds of a sale, rounded up to the cent."""


@dataclass
class Order:
    """A trade, as the model sees it. `word`: the price at which the exchange filled it, or None for a rejection."""

    ticker: str
    type: str
    quantity: int
    status: str = "PLACED"
    hold: Decimal = Decimal(0)


@dataclass
class Said:
    """One report of the exchange. `keeps_terms`: it is about what was ordered."""

    number: int
    price: Decimal | None
    keeps_terms: bool = True


@dataclass
class Lot:
    """Shares that came in together, and what they cost in all. Those of an earlier `day` go out first."""

    quantity: int
    cost: Decimal
    day: int = 0


@dataclass
class Customer:
    """One customer's cash, shares and line of trades, by number from 0."""

    cash: Decimal = Decimal(0)
    shares: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    cost: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    lots: dict[str, list[Lot]] = field(default_factory=lambda: defaultdict(list))
    gains: Decimal = Decimal(0)
    is_halted: bool = False
    line: list[Order] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)

    @property
    def in_flight(self) -> Order | None:
        return next((order for order in self.line if order.status == "IN PROGRESS"), None)

    @property
    def available(self) -> Decimal:
        return self.cash - (self.in_flight.hold if self.in_flight else 0)

    def place(self, order: Order, key: str | None) -> int | None:
        """The trade's number; None where the key was used for other terms."""
        if key in self.keys:
            before = self.line[self.keys[key]]
            same = (before.ticker, before.type, before.quantity) == (order.ticker, order.type, order.quantity)
            return self.keys[key] if same else None
        self.line.append(order)
        if key:
            self.keys[key] = len(self.line) - 1
        return len(self.line) - 1

    def deposit(self, amount: Decimal) -> None:
        self.cash += amount

    def withdraw(self, amount: Decimal) -> bool:
        """Whether there was enough that nothing holds."""
        if amount > self.available:
            return False
        self.cash -= amount
        return True

    def cancel(self, number: int) -> bool:
        """Whether it had not been sent yet."""
        if self.line[number].status != "PLACED":
            return False
        self.line[number].status = "REJECTED"
        return True

    def adjust(self, ticker: str, change: int, price: Decimal) -> bool:
        """Whether there were enough shares that nothing holds."""
        flying = self.in_flight
        held = flying.quantity if flying and (flying.type, flying.ticker) == ("SELL", ticker) else 0
        if change < 0 and self.shares[ticker] - held < -change:
            return False
        if change > 0:
            self._receive(ticker, change, price * change, day=1)
        else:
            self._give(ticker, -change, None)
        return True

    def split(self, ticker: str, numerator: int, denominator: int, price: Decimal) -> None:
        """Multiply shares and lots, and pay for what is no whole share. What has not been sent is rejected."""
        for order in self.line:
            if order.status == "PLACED" and order.ticker == ticker:
                order.status = "REJECTED"
        before, lots = self.shares[ticker], self.lots[ticker]
        after, rest = divmod(before * numerator, denominator)
        self.cash += rounded(Fraction(price) * rest / denominator)
        if after == before:
            return
        self.shares[ticker], self.lots[ticker] = after, []
        self.cost[ticker] = self.cost[ticker] if after else Decimal(0)
        seen = given = 0
        waiting = Decimal(0)
        for lot in lots:
            seen, waiting = seen + lot.quantity, waiting + lot.cost
            whole = seen * after // before - given
            if whole:
                self.lots[ticker].append(Lot(whole, waiting, lot.day))
                given, waiting = given + whole, Decimal(0)

    def turn(self) -> None:
        """Settle what was said, then send the oldest that cash or shares allow; those before it are rejected."""
        waiting, self.said = self.said, []
        for word in waiting:
            order = self.line[word.number]
            if order.status == "PLACED":
                self.said.append(word)
            elif order.status == "IN PROGRESS" and word.keeps_terms and self._within_hold(order, word):
                self._settle(order, word.price)
        rejected = 0
        for order in self.line:
            if self.in_flight or rejected == LOOK_AHEAD or self.is_halted:
                return
            if order.status == "PLACED":
                self._claim(order)
                rejected += order.status == "REJECTED"

    def _within_hold(self, order: Order, word: Said) -> bool:
        return order.type == "SELL" or word.price is None or word.price * order.quantity <= order.hold

    def _settle(self, order: Order, price: Decimal | None) -> None:
        order.status = "REJECTED" if price is None else "FILLED"
        if price is None:
            return
        amount = price * order.quantity
        if order.type == "BUY":
            self.cash -= amount
            self._receive(order.ticker, order.quantity, amount)
        else:
            net = amount - min((amount * FEE_PER_USD).quantize(Decimal("0.01"), ROUND_CEILING), amount)
            self.cash += net
            self._give(order.ticker, order.quantity, net)

    def _receive(self, ticker: str, quantity: int, cost: Decimal, day: int = 0) -> None:
        self.shares[ticker] += quantity
        self.cost[ticker] += cost
        self.lots[ticker].append(Lot(quantity, cost, day))
        self.lots[ticker].sort(key=lambda lot: lot.day)

    def _give(self, ticker: str, quantity: int, proceeds: Decimal | None) -> None:
        """Take shares out, first in, first out. What was not sold gains nothing."""
        left = self.shares[ticker] - quantity
        self.cost[ticker] = rounded(Fraction(self.cost[ticker]) * left / self.shares[ticker])
        self.shares[ticker] = left
        while quantity:
            lot = self.lots[ticker][0]
            taken = min(lot.quantity, quantity)
            cost = rounded(Fraction(lot.cost) * taken / lot.quantity)
            if proceeds is not None:
                brought = rounded(Fraction(proceeds) * taken / quantity)
                self.gains += brought - cost
                proceeds -= brought
            lot.quantity, lot.cost, quantity = lot.quantity - taken, lot.cost - cost, quantity - taken
            if not lot.quantity:
                del self.lots[ticker][0]

    def _claim(self, order: Order) -> None:
        if order.type == "BUY" and self.cash > 0:
            order.status, order.hold = "IN PROGRESS", self.cash
        elif order.type == "SELL" and self.shares[order.ticker] >= order.quantity:
            order.status = "IN PROGRESS"
        else:
            order.status = "REJECTED"


def rounded(amount: Fraction) -> Decimal:
    """USD with four decimals, half to even."""
    return Decimal(round(amount * 10_000)).scaleb(-4)


LOOK_AHEAD = 4
"""How many a turn rejects before it leaves the rest to the next."""
