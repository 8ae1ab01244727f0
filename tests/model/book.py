"""What the brokerage does, in a page: the model that the real one is compared with, step by step.

Written for clarity alone: no database, no messages, no crash, no time. What has not been done for a customer yet is in
`line`; what the exchange said and no turn has seen is in `said`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal


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
class Customer:
    """One customer's cash, shares and line of trades, by number from 0."""

    cash: Decimal = Decimal(0)
    shares: dict[str, int] = field(default_factory=lambda: defaultdict(int))
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
            if self.in_flight or rejected == LOOK_AHEAD:
                return
            if order.status == "PLACED":
                self._claim(order)
                rejected += order.status == "REJECTED"

    def _within_hold(self, order: Order, word: Said) -> bool:
        return order.type == "SELL" or word.price is None or word.price * order.quantity <= order.hold

    def _settle(self, order: Order, price: Decimal | None) -> None:
        order.status = "REJECTED" if price is None else "FILLED"
        if price is not None:
            sign = 1 if order.type == "BUY" else -1
            self.cash -= sign * price * order.quantity
            self.shares[order.ticker] += sign * order.quantity

    def _claim(self, order: Order) -> None:
        if order.type == "BUY" and self.cash > 0:
            order.status, order.hold = "IN PROGRESS", self.cash
        elif order.type == "SELL" and self.shares[order.ticker] >= order.quantity:
            order.status = "IN PROGRESS"
        else:
            order.status = "REJECTED"


LOOK_AHEAD = 4
"""How many a turn rejects before it leaves the rest to the next."""
