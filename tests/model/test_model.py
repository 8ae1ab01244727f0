"""The brokerage against a model of it: random operations and faults, compared after every step."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from accounts.account import Account, InsufficientFunds
from accounts.funding import deposit, withdraw
from accounts.models import Balance, Position, Posting
from accounts.models import Customer as Person
from tests.conftest import StandInExchange
from tests.factories import CustomerFactory
from tests.model.book import LOOK_AHEAD, Customer, Order, Said
from tests.people import rung, word
from trades import turn
from trades.lane import lane_of
from trades.models import Report, Status, Trade
from trades.place import TradeKeyReused, place_trade
from trades.report import store_reports

EXAMPLES, STEPS = int(os.environ.get("MODEL_EXAMPLES") or 60), 50
CUSTOMERS = 3
TICKERS = ("KO", "IBM")

whose = st.integers(0, CUSTOMERS - 1)
some = st.sets(whose, min_size=1)
prices = st.decimals("0.01", "400", places=2).map(lambda price: price.quantize(Decimal("0.0001")))
amounts = st.decimals("0.0001", "3000", places=4)
keys = st.none() | st.sampled_from(["a", "b", "c"])


class Crash(OperationalError):
    """The process dies here: what it has not committed is gone."""


class AgainstTheModel(RuleBasedStateMachine):
    """Rules are what customers, lanes, the exchange and bad luck do; each is done to both."""

    @initialize(cash=st.tuples(*[st.sampled_from([Decimal(0), Decimal(100), Decimal(5000)])] * CUSTOMERS))
    def open_accounts(self, cash: tuple[Decimal, ...]) -> None:
        self.real: list[Person] = [CustomerFactory() for _ in cash]  # type: ignore[misc]
        self.model = [Customer() for _ in cash]
        self.trades: list[list[Trade]] = [[] for _ in cash]
        self.finals: dict[Any, tuple[Any, ...]] = {}
        self.bodies: list[dict[str, Any]] = []
        for who, amount in enumerate(cash):
            if amount:
                self.deposit(who, amount)

    # -- customers

    @rule(
        who=whose,
        ticker=st.sampled_from(TICKERS),
        type=st.sampled_from(["BUY", "SELL"]),
        quantity=st.integers(1, 9),
        key=keys,
    )
    def place(self, who: int, ticker: str, type: str, quantity: int, key: str | None) -> None:
        number = self.model[who].place(Order(ticker, type, quantity), key)
        if number is None:
            with pytest.raises(TradeKeyReused):
                place_trade(self.real[who].id, ticker, type, quantity, key)
            return
        trade, replayed = place_trade(self.real[who].id, ticker, type, quantity, key)
        assert replayed == (number < len(self.trades[who]))
        if replayed:
            assert trade.id == self.trades[who][number].id
        else:
            assert trade.sequence == number + 1
            self.trades[who].append(trade)

    @rule(who=whose, amount=amounts)
    def deposit(self, who: int, amount: Decimal) -> None:
        self.model[who].deposit(amount)
        deposit(self.real[who].id, amount)

    @rule(who=whose, amount=amounts)
    def withdraw(self, who: int, amount: Decimal) -> None:
        if self.model[who].withdraw(amount):
            withdraw(self.real[who].id, amount)
        else:
            with pytest.raises(InsufficientFunds):
                withdraw(self.real[who].id, amount)

    # -- lanes

    @rule(who=some)
    def take_turn(self, who: set[int]) -> None:
        turn.take_turn([self.real[n].id for n in who], by="test")
        for n in who:
            self.model[n].turn()

    @rule(who=some)
    def answer_rings(self, who: set[int]) -> None:
        """The lanes of these customers answer whoever has rung; a customer who has not gets no turn."""
        rang = {id for lane in {lane_of(self.real[n].id) for n in who} for id in rung(lane)}
        turn.take_turn(sorted(rang), by="test")
        for customer, model in zip(self.real, self.model, strict=True):
            if customer.id in rang:
                model.turn()

    @rule(who=some, at=st.integers(1, 14), commits=st.booleans())
    def crash_in_a_turn(self, who: set[int], at: int, commits: bool) -> None:
        """At its n-th statement, or right after its commit; then nothing, or all, has happened."""
        ids = [self.real[n].id for n in who]
        if commits:
            with mock.patch.object(turn, "execute", side_effect=Crash):
                assert _crashes(lambda: turn.execute(turn.settle_and_claim(ids, "test")))
            for n in who:
                self.model[n].turn()
        elif not _crashes(lambda: turn.settle_and_claim(ids, "test"), at):
            for n in who:
                self.model[n].turn()

    @rule(who=whose, at=st.integers(1, 3))
    def crash_while_placing(self, who: int, at: int) -> None:
        if not _crashes(lambda: place_trade(self.real[who].id, "KO", "BUY", 1), at):
            self.model[who].place(Order("KO", "BUY", 1), None)
            self.trades[who].append(Trade.objects.filter(customer=self.real[who]).latest("sequence"))

    @rule(who=whose, amount=amounts, at=st.integers(1, 6))
    def crash_while_depositing(self, who: int, amount: Decimal, at: int) -> None:
        if not _crashes(lambda: deposit(self.real[who].id, amount, f"{random.random()}"), at) or self._moved(who):
            self.model[who].deposit(amount)

    def _moved(self, who: int) -> bool:
        """The crash came after the commit."""
        return Balance.objects.get(customer=self.real[who]).amount != self.model[who].cash

    # -- the exchange

    @rule(who=whose, fills=st.booleans(), price=prices, number=st.integers(0, 30))
    def report(self, who: int, fills: bool, price: Decimal, number: int) -> None:
        """True, again, or contradicting what it said before; about a trade in flight, final, or not even sent."""
        if not self.trades[who]:
            return
        number = self._in_flight(who, number)
        self._say(who, number, Status.FILLED if fills else Status.REJECTED, price if fills else None)

    @rule(who=whose, price=prices, quantity=st.integers(1, 9), number=st.integers(0, 30))
    def report_what_was_not_ordered(self, who: int, price: Decimal, quantity: int, number: int) -> None:
        if not self.trades[who]:
            return
        number = self._in_flight(who, number)
        trade = self.trades[who][number]
        body = word(trade, Status.FILLED, price, quantity=trade.quantity + quantity)
        store_reports([body], Report.Source.CALLBACK)
        self.model[who].said.append(Said(number, price, keeps_terms=False))

    @rule(number=st.integers(0, 100))
    def report_the_very_same_again(self, number: int) -> None:
        if self.bodies:
            store_reports([self.bodies[number % len(self.bodies)]] * 2, Report.Source.SWEEP)

    def _in_flight(self, who: int, number: int) -> int:
        """Mostly the trade in flight, for the others have no news."""
        statuses = [order.status for order in self.model[who].line]
        if number < 22 and "IN PROGRESS" in statuses:
            return statuses.index("IN PROGRESS")
        return number % len(statuses)

    def _say(self, who: int, number: int, status: Status, price: Decimal | None) -> None:
        body = word(self.trades[who][number], status, price)
        if body not in self.bodies:
            self.bodies.append(body)
            self.model[who].said.append(Said(number, price))
        store_reports([body], Report.Source.CALLBACK)

    # -- what is compared

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        for who, (customer, model) in enumerate(zip(self.real, self.model, strict=True)):
            line = list(Trade.objects.filter(customer=customer).order_by("sequence"))
            assert [trade.id for trade in line] == [trade.id for trade in self.trades[who]]
            assert [trade.status for trade in line] == [order.status for order in model.line]
            balance = Balance.objects.get(customer=customer)
            assert (balance.amount, balance.available) == (model.cash, model.available)
            shares = {p.ticker: p.quantity for p in Position.objects.filter(customer=customer) if p.quantity}
            assert shares == {ticker: quantity for ticker, quantity in model.shares.items() if quantity}
            posted = Posting.objects.filter(customer=customer, ticker="").aggregate(Sum("change"))["change__sum"]
            assert (posted or 0) == model.cash
            for trade in line:
                if trade.status in {Status.FILLED, Status.REJECTED}:
                    now = (trade.status, trade.price, trade.amount, trade.reason_code, trade.settled_at)
                    assert self.finals.setdefault(trade.id, now) == now


def _crashes(work: Callable[[], Any], at: int = 0) -> bool:
    """Whether the work came to its `at`-th statement, or to a crash of its own; what it left open is rolled back."""
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


@pytest.mark.big
@pytest.mark.django_db(transaction=True)
def test_thousands_of_steps_agree_with_the_model(exchange: StandInExchange) -> None:
    assert turn.LOOK_AHEAD == LOOK_AHEAD
    assert not transaction.get_connection().in_atomic_block
    run_state_machine_as_test(
        AgainstTheModel,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@pytest.mark.django_db(transaction=True)
def test_a_model_that_sees_nothing_would_be_noticed(exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Account, "release_cash", lambda account, amount: None)
    # Flaky: what was noticed came of a set whose order is not the same twice. It was noticed all the same.
    with pytest.raises((AssertionError, InsufficientFunds, IntegrityError, Flaky)):
        run_state_machine_as_test(
            AgainstTheModel,
            settings=settings(
                max_examples=200,
                stateful_step_count=STEPS,
                deadline=None,
                phases=[Phase.generate],
                database=None,
                derandomize=True,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
