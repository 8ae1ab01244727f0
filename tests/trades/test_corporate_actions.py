"""Approved corporate actions are applied to every holder exactly once, despite interruptions."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.audit import BOOKS, examine
from accounts.models import Balance, Customer, Lot, Position, Posting
from exchange.models import Stock
from tests.conftest import StandInExchange
from tests.factories import EntitlementFactory, StockFactory
from tests.guarantees import lift_guarantees
from tests.people import claim, open_account, receive_shares, send_report
from trades import checks, corporate_actions, equity, ticker_change, turn
from trades.audit import TRADES
from trades.checks import TradingHalted
from trades.controls import Rules
from trades.corporate_actions import CannotApply, NotWaiting, apply_due, approve, decline, enter, preview
from trades.models import CorporateAction, Entitlement, Reason, Status
from trades.place import place_trade
from web.timezones import eastern_today

pytestmark = pytest.mark.django_db
State = CorporateAction.State


@pytest.fixture(autouse=True)
def _no_halt_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply actions without waiting until other processes have read the halt."""
    monkeypatch.setattr(corporate_actions, "HALT_SECONDS", 0)
    ticker_change.forget()


def days_from_now(days: int) -> date:
    return eastern_today() + timedelta(days=days)


def dividend(amount: str = "0.25", ex: date | None = None, pay: date | None = None) -> CorporateAction:
    """Enter a dividend of AAPL; by default it is paid today and its ex-date is tomorrow."""
    dates = {"ex_date": ex or days_from_now(1), "pay_date": pay or eastern_today()}
    return enter(
        CorporateAction(kind="CASH_DIVIDEND", ticker="AAPL", amount_per_share=Decimal(amount), **dates), "staff 1"
    )


def split(numerator: int, denominator: int, price: str | None = "50", ex: date | None = None) -> CorporateAction:
    """Enter a split of AAPL; by default its ex-date was before the last weekend."""
    terms = {"numerator": numerator, "denominator": denominator, "reference_price": price and Decimal(price)}
    return enter(CorporateAction(kind="SPLIT", ticker="AAPL", ex_date=ex or days_from_now(-4), **terms), "staff 1")


def books_are_correct() -> bool:
    findings = examine(BOOKS + TRADES)
    assert findings.violations == []
    return findings.ok


def cash(customer: Customer) -> Decimal:
    return Balance.objects.get(customer=customer).amount


def position(customer: Customer, ticker: str = "AAPL") -> tuple[int, Decimal]:
    row = Position.objects.get(customer=customer, ticker=ticker)
    return row.quantity, row.cost


def test_a_dividend_is_paid_once_to_holders_before_the_ex_date(alice: Customer, bob: Customer) -> None:
    action = dividend("0.3333")
    assert preview(action).holders == 1
    assert apply_due() == 1
    assert apply_due() == 0
    action.refresh_from_db()
    assert (action.state, action.holders, action.shares, action.cash) == (State.DONE, 1, 10, Decimal("3.333"))
    assert (cash(alice), cash(bob)) == (Decimal("1003.333"), 500)
    (posting,) = Posting.objects.filter(kind="dividend")
    assert (posting.customer_id, posting.change, posting.cause) == (
        alice.id,
        Decimal("3.333"),
        Entitlement.objects.get().id,
    )
    assert books_are_correct()


def test_buyers_on_the_ex_date_get_no_dividend(alice: Customer) -> None:
    dividend(ex=eastern_today())
    apply_due()
    assert (cash(alice), Entitlement.objects.count()) == (1000, 0)


def test_sellers_after_the_ex_date_still_get_the_dividend(alice: Customer) -> None:
    with connection.cursor() as cursor:  # the shares were bought two days ago
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE accounts_posting DISABLE TRIGGER USER")
        Posting.objects.update(created_at=timezone.now() - timedelta(days=2))
        cursor.execute("ALTER TABLE accounts_posting ENABLE TRIGGER USER")
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 10)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(100))
    claim(alice)
    dividend(ex=eastern_today())
    apply_due()
    assert Entitlement.objects.get().shares == 10
    assert cash(alice) == 2000 + Decimal("2.5")


def test_an_action_is_not_applied_before_its_date(alice: Customer) -> None:
    dividend(ex=eastern_today(), pay=days_from_now(3))
    split(2, 1, ex=days_from_now(7))
    assert apply_due() == 0
    assert set(CorporateAction.objects.values_list("state", flat=True)) == {State.APPROVED}


@pytest.mark.parametrize(
    ("numerator", "denominator", "shares", "in_lieu"),
    [(2, 1, 20, 0), (3, 2, 15, 0), (4, 3, 13, "16.6667"), (1, 3, 3, "16.6667"), (1, 20, 0, "25"), (1, 10, 1, 0)],
)
def test_a_split_multiplies_positions_and_lots_and_pays_fractions(
    alice: Customer, numerator: int, denominator: int, shares: int, in_lieu: Any
) -> None:
    receive_shares(alice, "AAPL", 1, Decimal("70"))
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(80))
    claim(alice)
    before, dates = cash(alice), set(Lot.objects.filter(remaining__gt=0).values_list("acquired_on", flat=True))
    cost = position(alice)[1]
    split(numerator, denominator)
    assert apply_due() == 1
    assert position(alice) == (shares, cost if shares else 0)
    assert cash(alice) == before + Decimal(in_lieu)
    lots = Lot.objects.filter(customer=alice, remaining__gt=0)
    assert sum(lot.remaining for lot in lots) == shares
    assert {lot.acquired_on for lot in lots} == (dates if shares else set())
    assert all(lot.origin for lot in lots)
    assert books_are_correct()


def test_a_split_rejects_placed_trades_and_waits_for_those_in_flight(alice: Customer, bob: Customer) -> None:
    in_flight, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    placed, _ = place_trade(alice.id, "AAPL", "SELL", 2)
    other_stocks, _ = place_trade(alice.id, "MSFT", "BUY", 1)
    bobs, _ = place_trade(bob.id, "AAPL", "BUY", 1)
    assert claim(alice) == [in_flight]
    action = split(2, 1)
    assert apply_due() == 0
    for trade in (placed, bobs):
        trade.refresh_from_db()
        assert (trade.status, trade.reason_code) == (Status.REJECTED, Reason.CORPORATE_ACTION)
    checks.forget()
    with pytest.raises(TradingHalted):
        place_trade(bob.id, "AAPL", "BUY", 1)
    assert position(alice)[0] == 10
    send_report(in_flight, Status.FILLED, Decimal(100))
    assert claim(alice) == [other_stocks]
    assert apply_due() == 1
    action.refresh_from_db()
    assert (action.state, position(alice)[0]) == (State.DONE, 18)
    checks.forget()
    place_trade(bob.id, "AAPL", "BUY", 1)
    assert books_are_correct()


def test_a_split_can_be_interrupted_after_any_batch_and_continues(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    holders = [open_account(f"h{number}@example.com", Decimal(1000)) for number in range(7)]
    for number, holder in enumerate(holders):
        receive_shares(holder, "AAPL", number + 1, Decimal(10))
    monkeypatch.setattr(corporate_actions, "CUSTOMERS_PER_BATCH", 2)
    monkeypatch.setattr(corporate_actions, "BATCHES_PER_ROUND", 1)
    action = split(3, 2)
    customers_per_round = []
    while True:
        customers_per_round.append(apply_due())
        assert books_are_correct(), "the books must be correct after every batch"
        action.refresh_from_db()
        if action.state == State.DONE:
            break
    assert sum(customers_per_round) == 7
    assert [position(holder)[0] for holder in holders] == [(n + 1) * 3 // 2 for n in range(7)]
    assert (action.holders, action.shares) == (7, 28)


def test_a_customer_is_entitled_only_once(alice: Customer) -> None:
    dividend()
    apply_due()
    entitlement = Entitlement.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        EntitlementFactory.create(action=entitlement.action, customer=alice)


def test_a_delisting_ends_trading_and_keeps_the_position(alice: Customer) -> None:
    StockFactory.create(ticker="AAPL")
    placed, _ = place_trade(alice.id, "AAPL", "SELL", 1)
    enter(CorporateAction(kind="DELISTING", ticker="AAPL", ex_date=days_from_now(-4)), "staff 1")
    apply_due()
    placed.refresh_from_db()
    assert placed.reason_code == Reason.CORPORATE_ACTION
    assert not Stock.objects.get(ticker="AAPL").listed
    assert position(alice)[0] == 10
    assert CorporateAction.objects.get().state == State.DONE
    assert books_are_correct()


def test_announcements_are_read_once_and_wait_for_staff(exchange: StandInExchange, alice: Customer) -> None:
    body = {"kind": "SPLIT", "stockTicker": "AAPL", "exDate": "2030-01-02", "numerator": 2, "denominator": 1}
    exchange.call("POST", "/v1/corporate-actions", body | {"referencePrice": "50.0000"})
    assert corporate_actions.read_announcements() >= 1
    assert corporate_actions.read_announcements() == 0
    action = CorporateAction.objects.get(ticker="AAPL", ex_date="2030-01-02")
    assert (action.state, action.numerator, action.reference_price) == (State.ANNOUNCED, 2, 50)
    assert apply_due() == 0
    assert approve(action.id, "staff 1 and 2").state == State.APPROVED
    with pytest.raises(NotWaiting):
        decline(action.id, "staff 3")


def test_actions_that_cannot_be_applied_cannot_be_approved() -> None:
    with pytest.raises(CannotApply, match="reference price"):
        split(1, 3, price=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        enter(CorporateAction(kind="CASH_DIVIDEND", ticker="AAPL", ex_date=eastern_today()), "staff 1")


PLANTED = [
    ("entitlement_follows_from_its_action", "UPDATE trades_entitlement SET shares = shares + 1 WHERE cash > 0"),
    ("entitlement_follows_from_its_action", "UPDATE trades_corporateaction SET state = 'approved'"),
    ("entitlement_has_its_postings", "DELETE FROM accounts_posting WHERE kind = 'dividend'"),
    ("entitlement_has_its_postings", "UPDATE accounts_posting SET change = change + 1 WHERE kind = 'split'"),
    ("posting_has_its_entitlement", "UPDATE accounts_posting SET cause = gen_random_uuid() WHERE kind = 'split'"),
    ("corporate_action_counts_its_entitlements", "UPDATE trades_corporateaction SET cash = cash + 1"),
    ("posting_is_of_its_kind", "UPDATE accounts_posting SET price = 1 WHERE kind = 'split'"),
    ("cost_follows_from_its_postings", "UPDATE accounts_posting SET price = 1 WHERE kind = 'split'"),
    (
        "corporate_action_keeps_lots_and_cost",
        "UPDATE accounts_lot SET quantity = quantity + 1 WHERE origin IS NOT NULL",
    ),
    ("corporate_action_keeps_lots_and_cost", "UPDATE accounts_lotclosing SET quantity = 9 WHERE proceeds IS NULL"),
    ("lots_are_the_position", "UPDATE accounts_lot SET remaining = remaining - 1 WHERE origin IS NOT NULL"),
]


@pytest.mark.parametrize(("rule", "violation"), PLANTED)
def test_each_rule_finds_its_violation(alice: Customer, rule: str, violation: str) -> None:
    dividend()
    split(2, 1)
    apply_due()
    assert books_are_correct()
    lift_guarantees()
    with connection.cursor() as cursor:
        cursor.execute(violation)
    assert examine(BOOKS + TRADES).counts[rule]


def test_holdings_before_a_split_are_shown_in_todays_shares(alice: Customer, bob: Customer) -> None:
    bought = Posting.objects.get(customer=alice, ticker="AAPL").created_at
    moments = [bought, timezone.now()]
    assert [held["AAPL"] for held in equity.held_at(alice.id, moments)] == [10, 10]
    split(3, 4)
    CorporateAction.objects.update(state=State.APPLYING, began_at=timezone.now())
    ticker_change.forget()
    during_split = equity.held_at(alice.id, [*moments, timezone.now()])
    assert [held["AAPL"] for held in during_split] == [Decimal("7.5")] * 3, "the price already reflects the split"
    apply_due()
    after = equity.held_at(alice.id, [*moments, timezone.now()])
    assert [held["AAPL"] for held in after] == [Decimal("7.5"), Decimal("7.5"), 7]
    assert (after[0][""], after[2][""]) == (1000, 1025), "half a share was paid in cash, at 50 USD per share"
    split(2, 1)
    apply_due()
    after_second_split = equity.held_at(alice.id, [*moments, timezone.now()])
    assert [held["AAPL"] for held in after_second_split] == [15, 15, 14]
    assert Posting.objects.get(customer=alice, kind="buy", ticker="AAPL").change == 10, "past postings are unchanged"


def test_shares_sold_before_a_split_are_shown_adjusted_too(bob: Customer, alice: Customer) -> None:
    receive_shares(bob, "AAPL", 2, Decimal(100))
    while_held = timezone.now()
    trade, _ = place_trade(bob.id, "AAPL", "SELL", 2)
    claim(bob)
    send_report(trade, Status.FILLED, Decimal(100))
    claim(bob)
    split(3, 1)
    apply_due()
    after_sale = timezone.now()
    receive_shares(bob, "AAPL", 1, Decimal(33))
    held = equity.held_at(bob.id, [while_held, after_sale, timezone.now()])
    assert [holdings["AAPL"] for holdings in held] == [6, 0, 1]


def test_a_split_waits_for_a_trade_that_a_stalled_lane_claimed(
    alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane read the controls before the halt, and claims after the stock was found to have no open trades."""
    trade, _ = place_trade(alice.id, "AAPL", "SELL", 4)
    action = split(2, 1)
    real_clear_trades = corporate_actions.clear_trades

    def claim_after_clearing(action: CorporateAction) -> bool:
        claim(alice)
        return True

    monkeypatch.setattr(turn, "rules", Rules)
    monkeypatch.setattr(corporate_actions, "clear_trades", claim_after_clearing)
    assert apply_due() == 0
    assert position(alice)[0] == 10
    monkeypatch.setattr(corporate_actions, "clear_trades", real_clear_trades)
    assert apply_due() == 0
    send_report(trade, Status.FILLED, Decimal(100))
    claim(alice)
    assert apply_due() == 1
    action.refresh_from_db()
    assert (action.state, position(alice)[0]) == (State.DONE, 12)
    assert books_are_correct()


def test_a_clock_that_jumps_does_not_delay_a_split(alice: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corporate_actions, "HALT_SECONDS", 2)
    split(2, 1)
    assert apply_due() == 0, "a split waits until its halt is two seconds old"
    CorporateAction.objects.update(began_at=timezone.now() + timedelta(hours=1))
    assert apply_due() == 1
