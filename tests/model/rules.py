"""What customers, staff, companies, lanes, the exchange, time and bad luck do to the brokerage and to its model."""

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
from tests.model.book import Order, Said
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

whose = st.integers(0, CUSTOMERS - 1)
some = st.sets(whose, min_size=1)
prices = st.decimals("0.01", "90", places=2).map(lambda price: price.quantize(Decimal("0.0001")))
amounts = st.decimals("0.0001", "3000", places=4)
stocks = st.sampled_from(STOCKS)
keys = st.none() | st.sampled_from(["a", "b", "c"])


class AgainstTheModel(Compared):
    """Rules are what customers, lanes, the exchange, time and bad luck do; each is done to both."""

    # -- customers

    @rule(
        who=whose,
        stock=stocks,
        type=st.sampled_from(["BUY", "SELL"]),
        quantity=st.integers(1, 9),
        key=keys,
        queues=st.sampled_from([False, False, True]),
    )
    def place(self, who: int, stock: int, type: str, quantity: int, key: str | None, queues: bool) -> None:
        ticker, when_closed = self.tickers[stock], WhenClosed.QUEUE if queues else WhenClosed.REJECT
        order = (self.real[who].id, ticker, type, quantity, key)
        if self.model[who].is_halted and key not in self.model[who].keys:
            with pytest.raises(TradingHalted):
                place_trade(*order, when_closed=when_closed)
            return
        number = self.model[who].place(Order(ticker, type, quantity, queues), key, self.is_open)
        if number is None:
            with pytest.raises(TradeKeyReused):
                place_trade(*order, when_closed=when_closed)
            return
        trade, replayed = place_trade(*order, when_closed=when_closed)
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
        self._withdraw(who, amount)

    @rule(who=whose)
    def withdraw_all(self, who: int) -> None:
        """So that what is bought next is bought with what has not settled."""
        if amount := self.model[who].withdrawable(self.day.today):
            self._withdraw(who, amount)

    @rule(who=whose, stock=stocks, type=st.sampled_from(["BUY", "SELL"]), quantity=st.integers(1, 9), price=prices)
    def trade(self, who: int, stock: int, type: str, quantity: int, price: Decimal) -> None:
        """All of it at once, so that much is bought and sold."""
        self.place(who, stock, type, quantity, None, False)
        self.take_turn({who})
        self.report(who, True, price, 0)
        self.take_turn({who})

    @rule(who=whose, quantity=st.integers(1, 9), price=prices)
    def sell_and_buy_and_sell(self, who: int, quantity: int, price: Decimal) -> None:
        """With nothing but the proceeds, so that it is a violation of good faith, where it comes to that."""
        self.withdraw_all(who)
        self.trade(who, 0, "SELL", quantity, price)
        self.trade(who, 1, "BUY", quantity, price / 2)
        self.trade(who, 1, "SELL", quantity, price)

    def _withdraw(self, who: int, amount: Decimal) -> None:
        refused = self.model[who].withdraw(amount, self.day.today)
        if refused:
            with pytest.raises(UnsettledFunds if refused == "unsettled" else InsufficientFunds):
                withdraw(self.real[who].id, amount)
        else:
            withdraw(self.real[who].id, amount)

    @rule(who=whose, method=st.sampled_from(LotMethod.values))
    def choose_lots(self, who: int, method: str) -> None:
        self.model[who].method = method
        Balance.objects.filter(customer=self.real[who]).update(lot_method=method)

    # -- staff and companies

    @rule(who=whose, is_on=st.booleans())
    def halt(self, who: int, is_on: bool) -> None:
        kind = TradingControl.Kind.HALT_CUSTOMER
        controls.set_control(kind, is_on, reason="test", by=self.staff[0], customer=self.real[who])
        self.model[who].is_halted = is_on

    @rule(who=whose, stock=stocks, change=st.integers(-5, 5).filter(bool), price=prices)
    def adjust_shares(self, who: int, stock: int, change: int, price: Decimal) -> None:
        self.adjust(who, stock, change, price)

    @rule(stock=stocks, per_share=prices, batch=st.integers(1, 3))
    def dividend(self, stock: int, per_share: Decimal, batch: int) -> None:
        """It counts what is held now: the day from which it counts no more comes later, by the database's clock."""
        days = {"ex_date": date.today() + timedelta(days=2), "pay_date": self.day.today}
        self._apply(batch, kind="CASH_DIVIDEND", ticker=self.tickers[stock], amount_per_share=per_share, **days)
        for model in self.model:
            model.dividend(self.tickers[stock], per_share)

    @rule(stock=stocks, ratio=st.sampled_from(SPLITS), price=prices, batch=st.integers(1, 3))
    def split(self, stock: int, ratio: tuple[int, int], price: Decimal, batch: int) -> None:
        """It waits for what is in progress: here it comes when nothing is."""
        ticker, (numerator, denominator) = self.tickers[stock], ratio
        if not self._is_in_flight(ticker):
            terms = {"numerator": numerator, "denominator": denominator, "reference_price": price}
            self._apply(batch, kind="SPLIT", ticker=ticker, ex_date=a_week_ago(), **terms)
            for model in self.model:
                model.split(ticker, numerator, denominator, price)

    @rule(stock=stocks, batch=st.integers(1, 3))
    def rename(self, stock: int, batch: int) -> None:
        """A ticker change, which waits like a split."""
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

    @rule(who=some)
    def take_turn(self, who: set[int]) -> None:
        turn.take_turn([self.real[n].id for n in who], by="test")
        self._turn(who)

    @rule(who=some)
    def answer_rings(self, who: set[int]) -> None:
        """The lanes of these customers answer whoever has rung; a customer who has not gets no turn."""
        rang = {id for lane in {lane_of(self.real[n].id) for n in who} for id in take_rung_customers(lane)}
        turn.take_turn(sorted(rang), by="test")
        self._turn({n for n, customer in enumerate(self.real) if customer.id in rang})

    @rule(who=some, at=st.integers(1, 20), commits=st.booleans())
    def crash_in_a_turn(self, who: set[int], at: int, commits: bool) -> None:
        """At its n-th statement, or right after its commit; then nothing, or all, has happened."""
        ids = [self.real[n].id for n in who]
        if commits:
            with mock.patch.object(turn, "execute", side_effect=Crash):
                assert crashes(lambda: turn.execute(turn.settle_and_claim(ids, "test")))
            self._turn(who, is_sent=False)
        elif not crashes(lambda: turn.settle_and_claim(ids, "test"), at):
            self._turn(who, is_sent=False)

    def _turn(self, who: set[int], *, is_sent: bool = True) -> None:
        for model in (self.model[n] for n in who):
            before = model.in_flight
            model.turn(self.day)
            if model.in_flight and model.in_flight is not before:
                model.in_flight.is_sent = is_sent

    @rule(who=whose, at=st.integers(1, 3))
    def crash_while_placing(self, who: int, at: int) -> None:
        ticker = self.tickers[0]
        if self.model[who].is_halted:
            return
        if not crashes(lambda: place_trade(self.real[who].id, ticker, "BUY", 1), at):
            self.model[who].place(Order(ticker, "BUY", 1), None, self.is_open)
            self.trades[who].append(Trade.objects.filter(customer=self.real[who]).latest("sequence"))

    @rule(who=whose, amount=amounts, at=st.integers(1, 6))
    def crash_while_depositing(self, who: int, amount: Decimal, at: int) -> None:
        if not crashes(lambda: deposit(self.real[who].id, amount, f"{random.random()}"), at) or self._moved(who):
            self.model[who].deposit(amount)

    def _moved(self, who: int) -> bool:
        """The crash came after the commit."""
        return Balance.objects.get(customer=self.real[who]).amount != self.model[who].cash

    # -- time

    @rule(days=st.integers(1, 3))
    def days_pass(self, days: int) -> None:
        self.set_clock(Clock.days + days)

    @rule(is_open=st.booleans())
    def open_or_close(self, is_open: bool) -> None:
        self.set_hours(is_open=is_open)

    @rule()
    def opening_bell(self) -> None:
        """It rings for whoever has queued, if the market is open, and the lanes answer."""
        due = {n for n, model in enumerate(self.model) if self.is_open and model.is_due_at_the_opening()}
        OpeningBell(customers_per_batch=100_000).ring("test")
        rang: set[int] = set()
        for lane in {lane_of(customer.id) for customer in self.real}:
            while more := take_rung_customers(lane):
                rang |= set(more)
        turn.take_turn(sorted(rang), by="test")
        who = {n for n, customer in enumerate(self.real) if customer.id in rang}
        assert due <= who
        self._turn(who)

    @rule(who=whose)
    def ask_the_exchange(self, who: int) -> None:
        """The sweep asks about the trade in flight: it is sent again if it never arrived, or has expired since."""
        model, order = self.model[who], self.model[who].in_flight
        if order is None:
            return
        number = model.line.index(order)
        sweep.ask_now(self.trades[who][number].id)
        if order.is_sent:
            return
        if order.claimed_on == self.day.today:
            order.is_sent = not model.is_halted
        elif not order.is_expired:
            order.is_expired = True
            model.said.append(Said(number, order.ticker, None, self.day, reason="expired"))

    @rule(who=whose, stock=stocks, type=st.sampled_from(["BUY", "SELL"]), quantity=st.integers(1, 9), price=prices)
    def queue_overnight(self, who: int, stock: int, type: str, quantity: int, price: Decimal) -> None:
        """A trade placed after the close is filled after the opening bell, not before it."""
        self.open_or_close(False)
        self.place(who, stock, type, quantity, None, True)
        self.take_turn({who})
        self.days_pass(1)
        self.open_or_close(True)
        self.opening_bell()
        self.report(who, True, price, 0)
        self.take_turn({who})

    @rule(who=whose, type=st.sampled_from(["BUY", "SELL"]))
    def expire(self, who: int, type: str) -> None:
        """A trade that was never sent to the exchange expires, even if the sweep asks about it later."""
        self.place(who, 0, type, 1, None, False)
        self.crash_in_a_turn({who}, 1, True)
        self.days_pass(1)
        self.ask_the_exchange(who)
        self.take_turn({who})

    # -- the exchange

    @rule(who=whose, fills=st.booleans(), price=prices, number=st.integers(0, 30))
    def report(self, who: int, fills: bool, price: Decimal, number: int) -> None:
        """True, again, or contradicting what it said before; about a trade in flight, final, or not even sent."""
        if not self.trades[who]:
            return
        number = self._in_flight(who, number)
        body = self._body(who, number, Status.FILLED if fills else Status.REJECTED, price if fills else None)
        if body not in self.bodies:
            self.bodies.append(body)
            said = Said(number, body["stockTicker"], price if fills else None, self.day)
            self.model[who].said.append(said)
        store_reports([body], Report.Source.CALLBACK)

    @rule(who=whose, price=prices, quantity=st.integers(1, 9), number=st.integers(0, 30))
    def report_what_was_not_ordered(self, who: int, price: Decimal, quantity: int, number: int) -> None:
        if not self.trades[who]:
            return
        number = self._in_flight(who, number)
        more = self.trades[who][number].quantity + quantity
        body = self._body(who, number, Status.FILLED, price, quantity=more)
        store_reports([body], Report.Source.CALLBACK)
        self.model[who].said.append(Said(number, body["stockTicker"], price, self.day, keeps_terms=False))

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

    def _body(self, who: int, number: int, status: Status, price: Decimal | None, **other: Any) -> dict[str, Any]:
        trade = self.trades[who][number]
        trade.ticker = self.model[who].line[number].ticker
        return report_body(trade, status, price, **other) | (
            {"executedAt": f"{self.day.today}T17:00:00.000000Z"} if status == Status.FILLED else {}
        )


def a_week_ago() -> date:
    """A day after which a session has opened."""
    return date.today() - timedelta(days=7)
