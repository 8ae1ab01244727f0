"""The brokerage and its model side by side: their initial state, their clock, and the comparison."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.db.models import Sum
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from accounts import settlement
from accounts.account import InsufficientShares
from accounts.adjustments import ask_for_adjustment, decide_on_adjustment
from accounts.audit import BOOKS, examine
from accounts.funding import deposit
from accounts.models import Customer as Person
from accounts.models import GoodFaithViolation, Lot, LotClosing, Position, Posting
from exchange import calendar, exchange_time, gateway, market
from tests.conftest import StandInExchange
from tests.factories import CustomerFactory
from tests.model.book import Customer, Day, oldest
from trades.audit import TRADES
from trades.models import Status, Trade, Type
from web.timezones import eastern_today

CUSTOMERS = 3
STOCKS = (0, 1)
NEEDS_DATABASE_CLOCK = "only_trades_settle_later"  # this rule reads the database's clock, which these tests can't move
RULES = tuple(rule for rule in BOOKS + TRADES if rule.name != NEEDS_DATABASE_CLOCK)

numbers = count()
SECONDS_A_DAY = 86_400


class Crash(OperationalError):
    """The process dies here and loses everything that it has not committed."""


class Clock:
    """This process's clock, which is `days` ahead of the machine's."""

    days = 0

    @classmethod
    def now(cls) -> datetime:
        return datetime.now(tz=calendar.EASTERN) + timedelta(days=cls.days)


class Compared(RuleBasedStateMachine):
    """Three customers in the brokerage, and the same three in the model."""

    exchange: StandInExchange

    @initialize(
        cash=st.tuples(*[st.sampled_from([Decimal(0), Decimal(100), Decimal(5000)])] * CUSTOMERS),
        shares=st.tuples(*[st.integers(0, 20)] * CUSTOMERS),
    )
    def open_accounts(self, cash: tuple[Decimal, ...], shares: tuple[int, ...]) -> None:
        self.real: list[Person] = [CustomerFactory() for _ in cash]  # type: ignore[misc]
        self.model = [Customer() for _ in cash]
        self.trades: list[list[Trade]] = [[] for _ in cash]
        self.finals: dict[Any, tuple[Any, ...]] = {}
        self.bodies: list[dict[str, Any]] = []
        # Each example has its own stocks: a corporate action reaches every holder, even those of earlier examples.
        example = next(numbers)
        self.tickers = [f"S{example}.{stock}" for stock in STOCKS]
        self.staff: list[Person] = [CustomerFactory(is_staff=True) for _ in range(2)]  # type: ignore[misc]
        self.set_clock(0)
        self.set_hours(is_open=True)
        for index, amount in enumerate(cash):
            if amount:
                self.model[index].deposit(amount)
                deposit(self.real[index].id, amount)
        for index, quantity in enumerate(shares):
            if quantity:
                self.adjust(index, 0, quantity, Decimal(10))

    def adjust(self, index: int, stock: int, change: int, price: Decimal) -> None:
        """Let staff add shares to an account or remove them."""
        adjustment = ask_for_adjustment(
            self.real[index].id,
            Decimal(change),
            "error",
            "test",
            self.staff[0],
            ticker=self.tickers[stock],
            price=price if change > 0 else None,
        )
        if self.model[index].adjust(self.tickers[stock], change, price, self.day.today):
            decide_on_adjustment(adjustment.id, True, self.staff[1])
        else:
            with pytest.raises(InsufficientShares):
                decide_on_adjustment(adjustment.id, True, self.staff[1])

    # -- time

    def set_clock(self, days: int) -> None:
        """Move the clocks of this process and of the exchange."""
        Clock.days = days
        self.exchange.move_clock(days * SECONDS_A_DAY)
        exchange_time.forget()
        gateway.clock()
        self._set_day()

    def set_hours(self, *, is_open: bool) -> None:
        """Share with all processes, as the sweep does, that the market is open or closed until further notice."""
        hours = {"isOpen": is_open, "hours": "nyse", "nextOpen": None, "nextClose": None}
        cache.set(market.CLOCK_KEY, (time.time() + 3600, hours), 3600)
        market.forget()
        self.is_open = is_open
        self._set_day()

    def _set_day(self) -> None:
        today = eastern_today()
        self.day = Day(today, getattr(self, "is_open", True), calendar.settlement_date(today))

    # -- the comparison

    @invariant()
    def brokerage_agrees_with_model(self) -> None:
        for index, (customer, model) in enumerate(zip(self.real, self.model, strict=True)):
            self._compare_line(index, customer, model)
            self._compare_cash(customer, model)
            self._compare_shares(customer, model)

    def _compare_line(self, index: int, customer: Person, model: Customer) -> None:
        line = list(Trade.objects.filter(customer=customer).order_by("sequence"))
        assert [trade.id for trade in line] == [trade.id for trade in self.trades[index]]
        assert [(trade.status, trade.ticker, trade.reason_code) for trade in line] == [
            (order.status, order.ticker, order.reason) for order in model.line
        ]
        assert [trade.queued_at is not None for trade in line] == [order.is_queued for order in model.line]
        for trade in line:
            if trade.status in {Status.FILLED, Status.REJECTED}:
                final = (trade.status, trade.price, trade.amount, trade.reason_code, trade.settled_at)
                assert self.finals.setdefault(trade.id, final) == final

    def _compare_cash(self, customer: Person, model: Customer) -> None:
        cash, today = settlement.cash_of(customer.id), self.day.today
        assert (cash.amount, cash.available, cash.unsettled, cash.settled, cash.withdrawable, cash.spendable) == (
            model.cash,
            model.available,
            model.unsettled(today),
            model.settled(today),
            model.withdrawable(today),
            model.spendable(today),
        )
        in_force = model.settled_cash_until if model.is_restricted(today) else None
        assert cash.settled_cash_until == in_force
        assert GoodFaithViolation.objects.filter(customer=customer).count() == model.violations
        posted = Posting.objects.filter(customer=customer, ticker="")
        assert (posted.aggregate(sum=Sum("change"))["sum"] or 0) == model.cash
        assert -(posted.filter(kind="fee").aggregate(sum=Sum("change"))["sum"] or 0) == model.fees

    def _compare_shares(self, customer: Person, model: Customer) -> None:
        positions = {
            position.ticker: (position.quantity, position.cost)
            for position in Position.objects.filter(customer=customer)
            if position.quantity
        }
        assert positions == {
            ticker: (quantity, model.cost[ticker]) for ticker, quantity in model.shares.items() if quantity
        }
        held = {position.ticker: position.held for position in Position.objects.filter(customer=customer, held__gt=0)}
        sold = [order for order in model.line if order.status == Status.IN_PROGRESS and order.type == Type.SELL]
        assert held == {order.ticker: order.quantity for order in sold}
        lots = Lot.objects.filter(customer=customer, remaining__gt=0).order_by("acquired_on", "id")
        for ticker in self.tickers:
            open_lots = [
                (lot.acquired_on, lot.remaining, lot.remaining_cost, lot.paid_with_until)
                for lot in lots
                if lot.ticker == ticker
            ]
            assert open_lots == [
                (lot.day, lot.quantity, lot.cost, lot.paid_until) for lot in sorted(model.lots[ticker], key=oldest)
            ]
        gains = LotClosing.objects.filter(customer=customer).aggregate(Sum("gain"))["gain__sum"]
        assert (gains or 0) == model.gains

    def teardown(self) -> None:
        """Check at the end that the audit finds no violation."""
        assert examine(RULES).violations == []


def crashes(work: Callable[[], Any], at: int = 0) -> bool:
    """Crash the work at its `at`-th statement, if it gets there; return whether it crashed, there or elsewhere."""
    count = 0

    def statement(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal count
        count += 1
        if count == at:
            raise Crash
        return execute(sql, params, many, context)

    try:
        with connection.execute_wrapper(statement):
            work()
    except Crash:
        return True
    return False
