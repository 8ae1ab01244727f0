"""Operations of customers, staff, companies, lanes and the exchange, and faults, for the brokerage and its model."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from accounts.account import InsufficientFunds
from accounts.funding import UnsettledFunds, deposit, withdraw
from accounts.models import Balance, LotMethod
from tests.model.book import ModelReport, Order
from tests.model.comparison import CUSTOMERS, STOCKS, Clock, Compared, Crash, crashes
from tests.people import report_body, take_rung_customers
from trades import controls, corporate_actions, sweep, turn
from trades.bell import OpeningBell
from trades.cancel import NotCancellable, cancel_trade
from trades.checks import TradingHalted
from trades.lane import lane_of
from trades.models import CorporateAction, Report, Status, Trade, TradingControl, WhenClosed
from trades.place import TradeKeyReused, place_trade
from trades.report import store_reports

SPLITS = ((2, 1), (3, 2), (1, 3), (4, 3))

customer_indexes = st.integers(0, CUSTOMERS - 1)
customer_index_sets = st.sets(customer_indexes, min_size=1)
prices = st.decimals("0.01", "90", places=2).map(lambda price: price.quantize(Decimal("0.0001")))
amounts = st.decimals("0.0001", "3000", places=4)
stocks = st.sampled_from(STOCKS)
keys = st.none() | st.sampled_from(["a", "b", "c"])


class AgainstTheModel(Compared):
    """Each rule is an operation or a fault that is applied to both the brokerage and the model."""

    # -- customers

    @rule(
        index=customer_indexes,
        stock=stocks,
        type=st.sampled_from(["BUY", "SELL"]),
        quantity=st.integers(1, 9),
        key=keys,
        queues=st.sampled_from([False, False, True]),
    )
    def place(self, index: int, stock: int, type: str, quantity: int, key: str | None, queues: bool) -> None:
        ticker, when_closed = self.tickers[stock], WhenClosed.QUEUE if queues else WhenClosed.REJECT
        order = (self.real[index].id, ticker, type, quantity, key)
        if self.model[index].is_halted and key not in self.model[index].keys:
            with pytest.raises(TradingHalted):
                place_trade(*order, when_closed=when_closed)
            return
        number = self.model[index].place(Order(ticker, type, quantity, queues), key, self.is_open)
        if number is None:
            with pytest.raises(TradeKeyReused):
                place_trade(*order, when_closed=when_closed)
            return
        trade, replayed = place_trade(*order, when_closed=when_closed)
        assert replayed == (number < len(self.trades[index]))
        if replayed:
            assert trade.id == self.trades[index][number].id
        else:
            assert trade.sequence == number + 1
            self.trades[index].append(trade)

    @rule(index=customer_indexes, number=st.integers(0, 30))
    def cancel(self, index: int, number: int) -> None:
        """Cancel one of the newest trades, because older ones are mostly final."""
        if not self.trades[index]:
            return
        number = max(0, len(self.trades[index]) - 1 - number)
        trade = self.trades[index][number]
        if self.model[index].cancel(number):
            cancel_trade(self.real[index].id, trade.id, "test")
        else:
            with pytest.raises(NotCancellable):
                cancel_trade(self.real[index].id, trade.id, "test")

    @rule(index=customer_indexes, amount=amounts)
    def deposit(self, index: int, amount: Decimal) -> None:
        self.model[index].deposit(amount)
        deposit(self.real[index].id, amount)

    @rule(index=customer_indexes, amount=amounts)
    def withdraw(self, index: int, amount: Decimal) -> None:
        self._withdraw(index, amount)

    @rule(index=customer_indexes)
    def withdraw_all(self, index: int) -> None:
        """Withdraw all settled cash, so that the next purchase is paid for with unsettled cash."""
        if amount := self.model[index].withdrawable(self.day.today):
            self._withdraw(index, amount)

    @rule(
        index=customer_indexes,
        stock=stocks,
        type=st.sampled_from(["BUY", "SELL"]),
        quantity=st.integers(1, 9),
        price=prices,
    )
    def trade(self, index: int, stock: int, type: str, quantity: int, price: Decimal) -> None:
        """Place, claim, fill and settle a trade in one rule, so that many shares are bought and sold."""
        self.place(index, stock, type, quantity, None, False)
        self.take_turn({index})
        self.report(index, True, price, 0)
        self.take_turn({index})

    @rule(index=customer_indexes, quantity=st.integers(1, 9), price=prices)
    def sell_and_buy_and_sell(self, index: int, quantity: int, price: Decimal) -> None:
        """Trade with nothing but unsettled proceeds, which is a good-faith violation if all three trades are filled."""
        self.withdraw_all(index)
        self.trade(index, 0, "SELL", quantity, price)
        self.trade(index, 1, "BUY", quantity, price / 2)
        self.trade(index, 1, "SELL", quantity, price)

    def _withdraw(self, index: int, amount: Decimal) -> None:
        refused = self.model[index].withdraw(amount, self.day.today)
        if refused:
            with pytest.raises(UnsettledFunds if refused == "unsettled" else InsufficientFunds):
                withdraw(self.real[index].id, amount)
        else:
            withdraw(self.real[index].id, amount)

    @rule(index=customer_indexes, method=st.sampled_from(LotMethod.values))
    def choose_lots(self, index: int, method: str) -> None:
        self.model[index].method = method
        Balance.objects.filter(customer=self.real[index]).update(lot_method=method)

    # -- staff and companies

    @rule(index=customer_indexes, is_on=st.booleans())
    def halt(self, index: int, is_on: bool) -> None:
        kind = TradingControl.Kind.HALT_CUSTOMER
        controls.set_control(kind, is_on, reason="test", by=self.staff[0], customer=self.real[index])
        self.model[index].is_halted = is_on

    @rule(index=customer_indexes, stock=stocks, change=st.integers(-5, 5).filter(bool), price=prices)
    def adjust_shares(self, index: int, stock: int, change: int, price: Decimal) -> None:
        self.adjust(index, stock, change, price)

    @rule(stock=stocks, per_share=prices, batch=st.integers(1, 3))
    def dividend(self, stock: int, per_share: Decimal, batch: int) -> None:
        """Pay a dividend on the current holdings: by the database's clock, the ex-date is still to come."""
        days = {"ex_date": date.today() + timedelta(days=2), "pay_date": self.day.today}
        self._apply(batch, kind="CASH_DIVIDEND", ticker=self.tickers[stock], amount_per_share=per_share, **days)
        for model in self.model:
            model.dividend(self.tickers[stock], per_share)

    @rule(stock=stocks, ratio=st.sampled_from(SPLITS), price=prices, batch=st.integers(1, 3))
    def split(self, stock: int, ratio: tuple[int, int], price: Decimal, batch: int) -> None:
        """Apply a split, which would wait for trades in flight; the rule therefore needs a stock without any."""
        ticker, (numerator, denominator) = self.tickers[stock], ratio
        if not self._is_in_flight(ticker):
            terms = {"numerator": numerator, "denominator": denominator, "reference_price": price}
            self._apply(batch, kind="SPLIT", ticker=ticker, ex_date=a_week_ago(), **terms)
            for model in self.model:
                model.split(ticker, numerator, denominator, price)

    @rule(stock=stocks, batch=st.integers(1, 3))
    def rename(self, stock: int, batch: int) -> None:
        """Apply a ticker change, which waits for trades in flight like a split."""
        ticker = self.tickers[stock]
        new = f"{ticker.partition('R')[0]}R{len(CorporateAction.objects.filter(kind='TICKER_CHANGE'))}"
        if not self._is_in_flight(ticker):
            self._apply(batch, kind="TICKER_CHANGE", ticker=ticker, new_ticker=new, ex_date=a_week_ago())
            self.tickers[stock] = new
            for model in self.model:
                model.rename(ticker, new)

    def _is_in_flight(self, ticker: str) -> bool:
        return any(model.in_flight and model.in_flight.ticker == ticker for model in self.model)

    def _apply(self, batch: int, **terms: Any) -> None:
        action = corporate_actions.enter(CorporateAction(**terms), "test")
        with (
            mock.patch.object(corporate_actions, "HALT_SECONDS", 0),
            mock.patch.object(corporate_actions, "CUSTOMERS_PER_BATCH", batch),
        ):
            corporate_actions.apply_due()
        controls.forget()
        action.refresh_from_db()
        assert action.state == CorporateAction.State.DONE

    # -- lanes

    @rule(indexes=customer_index_sets)
    def take_turn(self, indexes: set[int]) -> None:
        turn.take_turn([self.real[n].id for n in indexes], by="test")
        self._turn(indexes)

    @rule(indexes=customer_index_sets)
    def answer_rings(self, indexes: set[int]) -> None:
        """Let the lanes of these customers take turns for all customers that have rung, and for no others."""
        rung = {id for lane in {lane_of(self.real[n].id) for n in indexes} for id in take_rung_customers(lane)}
        turn.take_turn(sorted(rung), by="test")
        self._turn({n for n, customer in enumerate(self.real) if customer.id in rung})

    @rule(indexes=customer_index_sets, at=st.integers(1, 20), commits=st.booleans())
    def crash_in_a_turn(self, indexes: set[int], at: int, commits: bool) -> None:
        """Crash at the n-th statement, so that nothing has happened, or after the commit, so that everything has."""
        ids = [self.real[n].id for n in indexes]
        if commits:
            with mock.patch.object(turn, "execute", side_effect=Crash):
                assert crashes(lambda: turn.execute(turn.settle_and_claim(ids, "test")))
            self._turn(indexes, is_sent=False)
        elif not crashes(lambda: turn.settle_and_claim(ids, "test"), at):
            self._turn(indexes, is_sent=False)

    def _turn(self, indexes: set[int], *, is_sent: bool = True) -> None:
        for model in (self.model[n] for n in indexes):
            before = model.in_flight
            model.turn(self.day)
            if model.in_flight and model.in_flight is not before:
                model.in_flight.is_sent = is_sent

    @rule(index=customer_indexes, at=st.integers(1, 3))
    def crash_while_placing(self, index: int, at: int) -> None:
        ticker = self.tickers[0]
        if self.model[index].is_halted:
            return
        if not crashes(lambda: place_trade(self.real[index].id, ticker, "BUY", 1), at):
            self.model[index].place(Order(ticker, "BUY", 1), None, self.is_open)
            self.trades[index].append(Trade.objects.filter(customer=self.real[index]).latest("sequence"))

    @rule(index=customer_indexes, amount=amounts, at=st.integers(1, 6))
    def crash_while_depositing(self, index: int, amount: Decimal, at: int) -> None:
        if not crashes(lambda: deposit(self.real[index].id, amount, f"{random.random()}"), at) or self._was_committed(
            index
        ):
            self.model[index].deposit(amount)

    def _was_committed(self, index: int) -> bool:
        """Return whether the crash came after the commit."""
        return Balance.objects.get(customer=self.real[index]).amount != self.model[index].cash

    # -- time

    @rule(days=st.integers(1, 3))
    def days_pass(self, days: int) -> None:
        self.set_clock(Clock.days + days)

    @rule(is_open=st.booleans())
    def open_or_close(self, is_open: bool) -> None:
        self.set_hours(is_open=is_open)

    @rule()
    def opening_bell(self) -> None:
        """Ring for customers with queued trades, if the market is open, and let the lanes take their turns."""
        due = {n for n, model in enumerate(self.model) if self.is_open and model.is_due_at_opening()}
        OpeningBell(100_000, 100_000).ring("test")
        rung: set[int] = set()
        for lane in {lane_of(customer.id) for customer in self.real}:
            while more := take_rung_customers(lane):
                rung |= set(more)
        turn.take_turn(sorted(rung), by="test")
        indexes = {n for n, customer in enumerate(self.real) if customer.id in rung}
        assert due <= indexes
        self._turn(indexes)

    @rule(index=customer_indexes)
    def ask_the_exchange(self, index: int) -> None:
        """Let the sweep ask about the trade in flight: if it never arrived, it is sent again or has expired."""
        model, order = self.model[index], self.model[index].in_flight
        if order is None:
            return
        number = model.line.index(order)
        sweep.ask_now(self.trades[index][number].id)
        if order.is_sent:
            return
        if order.claimed_on == self.day.today:
            order.is_sent = not model.is_halted
        elif not order.is_expired:
            order.is_expired = True
            model.reports.append(ModelReport(number, order.ticker, None, self.day, reason="expired"))

    @rule(
        index=customer_indexes,
        stock=stocks,
        type=st.sampled_from(["BUY", "SELL"]),
        quantity=st.integers(1, 9),
        price=prices,
    )
    def queue_overnight(self, index: int, stock: int, type: str, quantity: int, price: Decimal) -> None:
        """A trade placed after the close is filled after the opening bell, not before it."""
        self.open_or_close(False)
        self.place(index, stock, type, quantity, None, True)
        self.take_turn({index})
        self.days_pass(1)
        self.open_or_close(True)
        self.opening_bell()
        self.report(index, True, price, 0)
        self.take_turn({index})

    @rule(index=customer_indexes, type=st.sampled_from(["BUY", "SELL"]))
    def expire(self, index: int, type: str) -> None:
        """A trade that was never sent to the exchange expires, even if the sweep asks about it later."""
        self.place(index, 0, type, 1, None, False)
        self.crash_in_a_turn({index}, 1, True)
        self.days_pass(1)
        self.ask_the_exchange(index)
        self.take_turn({index})

    # -- the exchange

    @rule(index=customer_indexes, fills=st.booleans(), price=prices, number=st.integers(0, 30))
    def report(self, index: int, fills: bool, price: Decimal, number: int) -> None:
        """Send a true, repeated or contradicting report about a trade that is in flight, final or not even sent."""
        if not self.trades[index]:
            return
        number = self._in_flight(index, number)
        body = self._body(index, number, Status.FILLED if fills else Status.REJECTED, price if fills else None)
        if body not in self.bodies:
            self.bodies.append(body)
            model_report = ModelReport(number, body["stockTicker"], price if fills else None, self.day)
            self.model[index].reports.append(model_report)
        store_reports([body], Report.Source.CALLBACK)

    @rule(index=customer_indexes, price=prices, quantity=st.integers(1, 9), number=st.integers(0, 30))
    def report_wrong_terms(self, index: int, price: Decimal, quantity: int, number: int) -> None:
        if not self.trades[index]:
            return
        number = self._in_flight(index, number)
        wrong_quantity = self.trades[index][number].quantity + quantity
        body = self._body(index, number, Status.FILLED, price, quantity=wrong_quantity)
        store_reports([body], Report.Source.CALLBACK)
        self.model[index].reports.append(ModelReport(number, body["stockTicker"], price, self.day, keeps_terms=False))

    @rule(number=st.integers(0, 100))
    def repeat_report(self, number: int) -> None:
        if self.bodies:
            store_reports([self.bodies[number % len(self.bodies)]] * 2, Report.Source.SWEEP)

    def _in_flight(self, index: int, number: int) -> int:
        """Prefer the trade in flight, because reports about others change nothing."""
        statuses = [order.status for order in self.model[index].line]
        if number < 22 and "IN PROGRESS" in statuses:
            return statuses.index("IN PROGRESS")
        return number % len(statuses)

    def _body(self, index: int, number: int, status: Status, price: Decimal | None, **more: Any) -> dict[str, Any]:
        trade = self.trades[index][number]
        trade.ticker = self.model[index].line[number].ticker
        return report_body(trade, status, price, **more) | (
            {"executedAt": f"{self.day.today}T17:00:00.000000Z"} if status == Status.FILLED else {}
        )


def a_week_ago() -> date:
    """Return a date since which the market has opened."""
    return date.today() - timedelta(days=7)
