"""The brokerage against a model of it: random operations and faults, compared after every step."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from accounts.account import Account, InsufficientFunds, InsufficientShares
from accounts.adjustments import ask_for_adjustment, decide_on_adjustment
from accounts.audit import BOOKS, examine
from accounts.funding import deposit, withdraw
from accounts.models import Balance, Lot, LotClosing, Position, Posting
from accounts.models import Customer as Person
from tests.conftest import StandInExchange
from tests.factories import CustomerFactory
from tests.model.book import FEE_PER_USD, LOOK_AHEAD, Customer, Order, Said
from tests.people import report_body, take_rung_customers
from trades import controls, corporate_actions, fees, turn
from trades.audit import TRADES
from trades.cancel import NotCancellable, cancel_trade
from trades.checks import TradingHalted
from trades.lane import lane_of
from trades.models import CorporateAction, Report, Status, Trade, TradingControl
from trades.place import TradeKeyReused, place_trade
from trades.report import store_reports

EXAMPLES, STEPS = int(os.environ.get("MODEL_EXAMPLES") or 60), 50
CUSTOMERS = 3
STOCKS = (0, 1)
SPLITS = ((2, 1), (3, 2), (1, 3), (4, 3))

whose = st.integers(0, CUSTOMERS - 1)
some = st.sets(whose, min_size=1)
prices = st.decimals("0.01", "400", places=2).map(lambda price: price.quantize(Decimal("0.0001")))
amounts = st.decimals("0.0001", "3000", places=4)
stocks = st.sampled_from(STOCKS)
numbers = count()
keys = st.none() | st.sampled_from(["a", "b", "c"])


class Crash(OperationalError):
    """The process dies here and loses what it has not committed."""


class AgainstTheModel(RuleBasedStateMachine):
    """Rules are what customers, lanes, the exchange and bad luck do; each is done to both."""

    @initialize(cash=st.tuples(*[st.sampled_from([Decimal(0), Decimal(100), Decimal(5000)])] * CUSTOMERS))
    def open_accounts(self, cash: tuple[Decimal, ...]) -> None:
        self.real: list[Person] = [CustomerFactory() for _ in cash]  # type: ignore[misc]
        self.model = [Customer() for _ in cash]
        self.trades: list[list[Trade]] = [[] for _ in cash]
        self.finals: dict[Any, tuple[Any, ...]] = {}
        self.bodies: list[dict[str, Any]] = []
        # Stocks of its own: a split reaches every holder, also those of the examples before.
        example = next(numbers)
        self.tickers = [f"S{example}.{stock}" for stock in STOCKS]
        self.staff: list[Person] = [CustomerFactory(is_staff=True) for _ in range(2)]  # type: ignore[misc]
        for who, amount in enumerate(cash):
            if amount:
                self.deposit(who, amount)

    # -- customers

    @rule(
        who=whose,
        stock=stocks,
        type=st.sampled_from(["BUY", "SELL"]),
        quantity=st.integers(1, 9),
        key=keys,
    )
    def place(self, who: int, stock: int, type: str, quantity: int, key: str | None) -> None:
        ticker = self.tickers[stock]
        if self.model[who].is_halted and key not in self.model[who].keys:
            with pytest.raises(TradingHalted):
                place_trade(self.real[who].id, ticker, type, quantity, key)
            return
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

    @rule(who=whose, number=st.integers(0, 30))
    def cancel(self, who: int, number: int) -> None:
        """The newest, mostly: what is old is final."""
        if not self.trades[who]:
            return
        number = max(0, len(self.trades[who]) - 1 - number)
        trade = self.trades[who][number]
        if self.model[who].cancel(number):
            cancel_trade(self.real[who].id, trade.id, "test")
        else:
            with pytest.raises(NotCancellable):
                cancel_trade(self.real[who].id, trade.id, "test")

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

    # -- staff and companies

    @rule(who=whose, is_on=st.booleans())
    def halt(self, who: int, is_on: bool) -> None:
        kind = TradingControl.Kind.HALT_CUSTOMER
        controls.set_control(kind, is_on, reason="test", by=self.staff[0], customer=self.real[who])
        self.model[who].is_halted = is_on

    @rule(who=whose, stock=stocks, change=st.integers(-5, 5).filter(bool), price=prices)
    def adjust(self, who: int, stock: int, change: int, price: Decimal) -> None:
        ticker = self.tickers[stock]
        asked = ask_for_adjustment(
            self.real[who].id,
            Decimal(change),
            "error",
            "test",
            self.staff[0],
            ticker=ticker,
            price=price if change > 0 else None,
        )
        if self.model[who].adjust(ticker, change, price):
            decide_on_adjustment(asked.id, True, self.staff[1])
        else:
            with pytest.raises(InsufficientShares):
                decide_on_adjustment(asked.id, True, self.staff[1])

    @rule(stock=stocks, ratio=st.sampled_from(SPLITS), price=prices, batch=st.integers(1, 3))
    def split(self, stock: int, ratio: tuple[int, int], price: Decimal, batch: int) -> None:
        """It waits for what is in progress: here it comes when nothing is."""
        ticker, (numerator, denominator) = self.tickers[stock], ratio
        if any(model.in_flight and model.in_flight.ticker == ticker for model in self.model):
            return
        terms = {"numerator": numerator, "denominator": denominator, "reference_price": price}
        terms["ex_date"] = date.today() - timedelta(days=7)  # a session has opened since
        action = CorporateAction(kind="SPLIT", ticker=ticker, **terms)
        corporate_actions.enter(action, "test")
        with (
            mock.patch.object(corporate_actions, "HALT_SECONDS", 0),
            mock.patch.object(corporate_actions, "CUSTOMERS_PER_BATCH", batch),
        ):
            corporate_actions.apply_due()
        controls.forget()
        action.refresh_from_db()
        assert action.state == CorporateAction.State.DONE
        for model in self.model:
            model.split(ticker, numerator, denominator, price)

    # -- lanes

    @rule(who=some)
    def take_turn(self, who: set[int]) -> None:
        turn.take_turn([self.real[n].id for n in who], by="test")
        for n in who:
            self.model[n].turn()

    @rule(who=some)
    def answer_rings(self, who: set[int]) -> None:
        """The lanes of these customers answer whoever has rung; a customer who has not gets no turn."""
        rang = {id for lane in {lane_of(self.real[n].id) for n in who} for id in take_rung_customers(lane)}
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
        ticker = self.tickers[0]
        if self.model[who].is_halted:
            return
        if not _crashes(lambda: place_trade(self.real[who].id, ticker, "BUY", 1), at):
            self.model[who].place(Order(ticker, "BUY", 1), None)
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
        body = report_body(trade, Status.FILLED, price, quantity=trade.quantity + quantity)
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
        body = report_body(self.trades[who][number], status, price)
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
            costs = {p.ticker: p.cost for p in Position.objects.filter(customer=customer) if p.quantity}
            assert costs == {ticker: model.cost[ticker] for ticker in shares}
            lots = Lot.objects.filter(customer=customer, remaining__gt=0).order_by("acquired_on", "id")
            for ticker in self.tickers:
                open_lots = [(lot.remaining, lot.remaining_cost) for lot in lots if lot.ticker == ticker]
                assert open_lots == [(lot.quantity, lot.cost) for lot in model.lots[ticker]]
            gains = LotClosing.objects.filter(customer=customer).aggregate(Sum("gain"))["gain__sum"]
            assert (gains or 0) == model.gains
            posted = Posting.objects.filter(customer=customer, ticker="").aggregate(Sum("change"))["change__sum"]
            assert (posted or 0) == model.cash
            for trade in line:
                if trade.status in {Status.FILLED, Status.REJECTED}:
                    now = (trade.status, trade.price, trade.amount, trade.reason_code, trade.settled_at)
                    assert self.finals.setdefault(trade.id, now) == now

    def teardown(self) -> None:
        """At the end the books prove themselves."""
        assert examine(BOOKS + PROVEN).violations == []


PROVEN = tuple(rule for rule in TRADES if rule.name.startswith(("entitlement_", "corporate_action_", "fill_has_its_")))


def charge_fees() -> None:
    """Let sales cost the fee of the model."""
    fees.enter_rate(
        "sec",
        date(2020, 1, 1),
        None,
        per_usd=FEE_PER_USD,
        per_share=Decimal(0),
        maximum=None,
        source="test",
        by="test",
    )
    assert fees.rates_on(date(2026, 1, 2))


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
    charge_fees()
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
def test_a_model_that_compares_nothing_is_detected(exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    charge_fees()
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
