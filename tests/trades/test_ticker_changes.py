"""Ticker changes carry positions, open trades, watchlists and halts over to the new ticker and keep past trades."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection

from accounts import watchlists
from accounts.audit import BOOKS, examine
from accounts.models import Balance, Customer, Lot, Position, Posting
from exchange.models import Stock
from tests.conftest import StandInExchange
from tests.factories import StockFactory
from tests.guarantees import lift_guarantees, refusal
from tests.people import claim, open_account, receive_shares, send_report
from tests.people import trade as trade_at
from trades import checks, corporate_actions, equity, ticker_change
from trades.audit import TRADES
from trades.checks import TradingHalted
from trades.controls import controls_in_force, set_control
from trades.corporate_actions import CannotApply, apply_due, approve, enter, preview
from trades.models import CorporateAction, Reason, Status, Trade, TradingControl
from trades.place import TradeKeyReused, place_trade
from web.timezones import eastern_today

pytestmark = pytest.mark.django_db
State = CorporateAction.State


@pytest.fixture(autouse=True)
def _no_halt_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply changes without waiting until other processes have read the halt, and forget those of other tests."""
    monkeypatch.setattr(corporate_actions, "HALT_SECONDS", 0)
    ticker_change.forget()


def days_from_now(days: int) -> date:
    return eastern_today() + timedelta(days=days)


def change(new: str = "APL", ticker: str = "AAPL", ex: date | None = None) -> CorporateAction:
    """Enter a ticker change; by default its ex-date was before the last weekend."""
    ex = ex or days_from_now(-4)
    return enter(CorporateAction(kind="TICKER_CHANGE", ticker=ticker, new_ticker=new, ex_date=ex), "staff 1")


def split(ticker: str, ex: date | None = None) -> CorporateAction:
    terms = {"numerator": 2, "denominator": 1, "ex_date": ex or days_from_now(-4)}
    return enter(CorporateAction(kind="SPLIT", ticker=ticker, **terms), "staff 1")


def books_are_correct() -> bool:
    findings = examine(BOOKS + TRADES)
    assert findings.violations == []
    return findings.ok


def position(customer: Customer, ticker: str) -> tuple[int, Decimal]:
    row = Position.objects.get(customer=customer, ticker=ticker)
    return row.quantity, row.cost


def test_shares_lots_and_cost_move_to_the_new_ticker_and_history_stays(alice: Customer, bob: Customer) -> None:
    receive_shares(alice, "AAPL", 3, Decimal("33.3333"))
    trade_at(alice, "SELL", 1, "80", ticker="AAPL")
    before, lots = position(alice, "AAPL"), Lot.objects.filter(remaining__gt=0).order_by("acquired_on", "id")
    expected = list(lots.values_list("acquired_on", "remaining", "remaining_cost"))
    action = change()
    steps = preview(action)
    assert (steps.holders, steps.shares, steps.cash, steps.open_trades) == (1, 12, 0, 0)
    assert (apply_due(), apply_due()) == (1, 0)
    action.refresh_from_db()
    assert (action.state, action.holders, action.shares, action.cash) == (State.DONE, 1, 12, 0)
    assert (position(alice, "AAPL"), position(alice, "APL")) == ((0, 0), before)
    assert list(lots.values_list("acquired_on", "remaining", "remaining_cost")) == expected
    assert set(lots.values_list("ticker", flat=True)) == {"APL"}
    assert set(Trade.objects.filter(customer=alice).values_list("ticker", flat=True)) == {"AAPL"}
    assert books_are_correct()
    sold = trade_at(alice, "SELL", 12, "90", ticker="APL")
    assert sold.status == Status.FILLED
    assert position(alice, "APL") == (0, 0)
    assert books_are_correct()


def test_an_open_trade_in_the_old_ticker_keeps_its_place_in_line(alice: Customer, bob: Customer) -> None:
    in_flight, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    assert claim(alice) == [in_flight]
    sale, _ = place_trade(alice.id, "AAPL", "SELL", 9, key="nine")
    other_stocks, _ = place_trade(alice.id, "MSFT", "BUY", 1)
    purchase, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    action = change()
    assert preview(action).open_trades == 3
    assert apply_due() == 0, "the change waits for the trade in flight"
    for trade, old_ticker in ((sale, "AAPL"), (purchase, "AAPL"), (other_stocks, None), (in_flight, None)):
        trade.refresh_from_db()
        assert (trade.ticker, trade.placed_as) == ("APL" if old_ticker else trade.ticker, old_ticker)
    assert (sale.status, in_flight.status, in_flight.ticker) == (Status.PLACED, Status.IN_PROGRESS, "AAPL")
    checks.forget()
    for ticker in ("AAPL", "APL"):
        with pytest.raises(TradingHalted):
            place_trade(bob.id, ticker, "BUY", 1)
    send_report(in_flight, Status.FILLED, Decimal(100))
    assert claim(alice, bob) == [], "both tickers are halted, so the trades behind wait"
    assert books_are_correct()
    assert apply_due() == 1
    assert books_are_correct()
    checks.forget()
    assert {trade.id for trade in claim(alice, bob)} == {sale.id, purchase.id}
    sale.refresh_from_db()
    send_report(sale, Status.FILLED, Decimal(90))
    assert claim(alice) == [other_stocks]
    sale.refresh_from_db()
    assert (sale.status, position(alice, "APL")[0]) == (Status.FILLED, 0)
    repeated, replayed = place_trade(alice.id, "AAPL", "SELL", 9, key="nine")
    assert (repeated.id, replayed) == (sale.id, True), "the key still identifies the order as it was sent"
    with pytest.raises(TradeKeyReused):
        place_trade(alice.id, "MSFT", "SELL", 9, key="nine")
    assert books_are_correct()


def test_a_change_can_be_interrupted_after_any_batch_and_continues(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    holders = [open_account(f"h{number}@example.com", Decimal(1000)) for number in range(5)]
    for number, holder in enumerate(holders):
        receive_shares(holder, "AAPL", number + 1, Decimal(10))
        place_trade(holder.id, "AAPL", "SELL", 1)
    monkeypatch.setattr(corporate_actions, "CUSTOMERS_PER_BATCH", 2)
    monkeypatch.setattr(corporate_actions, "BATCHES_PER_ROUND", 1)
    action = change()
    customers_per_round = []
    while action.state != State.DONE:
        customers_per_round.append(apply_due())
        assert books_are_correct(), "the books must be correct after every batch"
        action.refresh_from_db()
    assert (sum(customers_per_round), action.holders, action.shares) == (5, 5, 15)
    assert [position(holder, "APL")[0] for holder in holders] == [1, 2, 3, 4, 5]


def test_the_listing_watchlists_and_controls_follow_the_change(alice: Customer, bob: Customer) -> None:
    StockFactory.create(ticker="AAPL", name="Apple")
    for ticker in ("MSFT", "AAPL", "KO"):
        watchlists.watch(alice.id, ticker)
    for ticker in ("APL", "AAPL"):
        watchlists.watch(bob.id, ticker)
    set_control(TradingControl.Kind.RESTRICT_TICKER, True, reason="news", by=bob, ticker="AAPL")
    set_control(TradingControl.Kind.HALT_TICKER, True, reason="news", by=bob, ticker="AAPL")
    set_control(TradingControl.Kind.HALT_TICKER, False, reason="over", by=bob, ticker="AAPL")
    change()
    apply_due()
    apply_due()
    stocks = {stock.ticker: (stock.name, stock.listed) for stock in Stock.objects.all()}
    assert stocks == {"AAPL": ("Apple", False), "APL": ("Apple", True)}
    assert watchlists.watched_by(alice.id) == ["MSFT", "APL", "KO"]
    assert watchlists.watched_by(bob.id) == ["APL"]
    controls = {(control.kind, control.ticker) for control in controls_in_force()}
    kind = TradingControl.Kind.RESTRICT_TICKER
    assert controls == {(kind, "AAPL"), (kind, "APL")}


def test_past_holdings_are_shown_under_todays_ticker(alice: Customer) -> None:
    split("AAPL")
    apply_due()
    change()
    apply_due()
    change("APLE", "APL", days_from_now(-3))
    apply_due()
    moments = [posting.created_at for posting in Posting.objects.filter(customer=alice, kind="buy", ticker="AAPL")]
    (held,) = equity.held_at(alice.id, moments)
    assert held == {"": 1000, "APLE": 20}
    assert (ticker_change.today("AAPL"), ticker_change.today("MSFT")) == ("APLE", "MSFT")
    StockFactory.create(ticker="AAPL")
    ticker_change.forget()
    assert ticker_change.today("AAPL") == "AAPL", "another company now uses the old ticker"


def test_a_change_back_and_forth_keeps_the_cost(alice: Customer) -> None:
    for old, new in (("AAPL", "APL"), ("APL", "AAPL"), ("AAPL", "APL")):
        StockFactory.create(ticker=old) if not Stock.objects.filter(ticker=old).exists() else None
        Stock.objects.filter(ticker=old).update(listed=True)
        change(new, old)
        apply_due()
        assert position(alice, new) == (10, 1000)
        assert books_are_correct()


def test_an_announced_change_is_applied_only_after_approval(exchange: StandInExchange, alice: Customer) -> None:
    body = {"kind": "TICKER_CHANGE", "stockTicker": "F", "exDate": "2039-01-03", "newTicker": "FORD"}
    exchange.call("POST", "/v1/corporate-actions", body)
    corporate_actions.read_announcements()
    action = CorporateAction.objects.get(ticker="F", ex_date="2039-01-03")
    assert (action.state, action.new_ticker) == (State.ANNOUNCED, "FORD")
    assert apply_due() == 0
    assert approve(action.id, "staff 1 and 2").state == State.APPROVED
    assert apply_due() == 0, "its date has not come yet"


@pytest.mark.parametrize(("new", "words"), [("AAPL", "can't be"), ("a b", "can't be"), ("MSFT", "hold shares")])
def test_an_unusable_new_ticker_is_refused(alice: Customer, new: str, words: str) -> None:
    receive_shares(alice, "MSFT", 1, Decimal(10))
    with pytest.raises(CannotApply, match=words):
        change(new)


def test_a_second_pending_action_on_the_same_stock_is_refused(alice: Customer) -> None:
    split("AAPL", days_from_now(9))
    with pytest.raises(CannotApply, match="not applied yet: Split of AAPL"):
        change()
    change("KOK", "KO", days_from_now(9))
    with pytest.raises(CannotApply, match="not applied yet: Ticker change of KO"):
        change("KOK", "PEP")
    with pytest.raises(CannotApply, match="enter this one for KOK"):
        split("KO", days_from_now(10))
    assert split("KO", days_from_now(8)).state == State.APPROVED


def test_the_database_refuses_other_changes_of_a_trades_ticker(alice: Customer) -> None:
    sent, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    waiting, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    for trade, more_changes in ((waiting, ""), (sent, ", placed_as = 'AAPL'")):
        statement = f"UPDATE trades_trade SET ticker = 'APL'{more_changes} WHERE id = %(trade)s"
        assert refusal(statement, {"trade": trade.id}) == "trade_terms_stay"


PLANTED = [
    ("new_ticker_brings_the_cost", "UPDATE trades_entitlement SET cost = cost + 1"),
    ("cost_follows_from_its_postings", "UPDATE trades_entitlement SET cost = cost + 1"),
    ("entitlement_has_its_postings", "DELETE FROM accounts_posting WHERE kind = 'new_ticker' AND change < 0"),
    (
        "entitlement_has_its_postings",
        "UPDATE accounts_posting SET ticker = 'KO' WHERE kind = 'new_ticker' AND change > 0",
    ),
    ("entitlement_follows_from_its_action", "UPDATE trades_entitlement SET shares_after = 11"),
    ("posting_has_its_entitlement", "UPDATE accounts_posting SET cause = gen_random_uuid() WHERE kind = 'new_ticker'"),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET price = 1 WHERE kind = 'new_ticker'"),
    ("corporate_action_keeps_lots_and_cost", "UPDATE accounts_lot SET cost = cost + 1 WHERE origin IS NOT NULL"),
    ("corporate_action_keeps_lots_and_cost", "UPDATE accounts_lot SET ticker = 'KO' WHERE origin IS NOT NULL"),
    (
        "corporate_action_keeps_lots_and_cost",
        "UPDATE accounts_lot SET acquired_on = '2020-01-01' WHERE origin IS NOT NULL",
    ),
    ("lots_are_the_position", "UPDATE accounts_lot SET ticker = 'AAPL'"),
    (
        "open_trade_follows_its_stock",
        "UPDATE trades_trade SET ticker = 'AAPL', placed_as = NULL WHERE status = 'PLACED'",
    ),
    ("open_trade_follows_its_stock", "UPDATE trades_trade SET ticker = 'KO' WHERE status = 'PLACED'"),
]


@pytest.mark.parametrize(("rule", "violation"), PLANTED)
def test_each_rule_finds_its_violation(alice: Customer, rule: str, violation: str) -> None:
    place_trade(alice.id, "AAPL", "SELL", 2)
    change()
    apply_due()
    assert Trade.objects.get(status="PLACED").placed_as == "AAPL"
    assert books_are_correct()
    lift_guarantees()
    with connection.cursor() as cursor:
        cursor.execute(violation)
        assert cursor.rowcount
    assert examine(BOOKS + TRADES).counts[rule]


def test_a_trade_left_in_the_old_ticker_is_rejected_by_the_exchange(alice: Customer) -> None:
    """A slow request can still record a trade in the old ticker after the change; it must end like every trade."""
    change()
    apply_due()
    late, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    assert claim(alice) == [late]
    send_report(late, Status.REJECTED, reasonCode="unknown_ticker")
    claim(alice)
    late.refresh_from_db()
    assert (late.status, late.reason_code) == (Status.REJECTED, Reason.UNKNOWN_TICKER)
    assert Balance.objects.get(customer=alice).held == 0
    assert books_are_correct()
