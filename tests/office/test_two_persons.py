"""Actions that take two members of staff: one proposes, another decides."""

from collections.abc import Callable, Iterator
from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from accounts.models import Customer
from exchange import calendar
from exchange.models import Closure, ShortList
from office import schedule
from office.models import AuditEntry, Case, Proposal
from office.roles import Role, appoint
from tests.factories import CorporateActionFactory, ShortListFactory, StockFactory
from tests.office.conftest import signed_in
from tests.people import claim, send_report
from trades.models import CorporateAction, StaffReport, Status, Trade, Type
from trades.place import place_trade

DAY = date(2031, 3, 4)  # a regular trading day in the future
CLOSURE = {"day": f"{DAY}", "closes": "11:00", "reason": "Announced today."}


@pytest.fixture
def second(db: None) -> Client:
    return signed_in(appoint("second@staff.example.com", Role.RISK))


@pytest.fixture(autouse=True)
def _no_cached_calendar() -> Iterator[Any]:
    calendar.expire()
    yield
    calendar.expire()


def test_a_market_closure_needs_a_second_member_of_staff(browser_of: Callable[[Role], Client], second: Client) -> None:
    first = browser_of(Role.OPERATIONS)
    html = first.post("/admin/do/close-market/", CLOSURE, follow=True).content.decode()
    assert "A second member of staff must approve it." in html
    proposal = Proposal.objects.get()
    assert not Closure.objects.exists()
    first.post(f"/admin/do/approve-proposal/{proposal.id}/")
    assert not Closure.objects.exists()
    assert "somebody else must decide" in first.get(f"/admin/office/proposal/{proposal.id}/change/").content.decode()

    page = second.get(f"/admin/office/proposal/{proposal.id}/change/").content.decode()
    assert "Approve and do it" in page
    for _ in range(2):
        second.post(f"/admin/do/approve-proposal/{proposal.id}/")
    closure = Closure.objects.get()
    assert (closure.day, closure.closes, closure.source) == (DAY, time(11), "staff")
    session = calendar.session(DAY)
    assert session
    assert session.closes == time(11)
    proposal.refresh_from_db()
    assert proposal.result.startswith(f"The market calendar now has {DAY}")
    outcomes = AuditEntry.objects.filter(action="approve-proposal").order_by("number").values_list("outcome", flat=True)
    assert list(outcomes) == ["asked", "refused", "asked", "done", "asked", "refused"]
    assert "closes at 11:00 AM" in second.get("/admin/controls/").content.decode()


def test_a_declined_proposal_does_nothing(browser_of: Callable[[Role], Client], second: Client) -> None:
    browser_of(Role.OPERATIONS).post("/admin/do/close-market/", CLOSURE)
    proposal = Proposal.objects.get()
    second.post(f"/admin/do/decline-proposal/{proposal.id}/", {"reason": "It was a rumor."})
    second.post(f"/admin/do/approve-proposal/{proposal.id}/")
    proposal.refresh_from_db()
    assert (proposal.approved, proposal.result) == (False, "Declined: It was a rumor.")
    assert not Closure.objects.exists()


def test_only_staff_with_the_power_decides(browser_of: Callable[[Role], Client]) -> None:
    browser_of(Role.OPERATIONS).post("/admin/do/close-market/", CLOSURE)
    browser_of(Role.SUPPORT).post(f"/admin/do/approve-proposal/{Proposal.objects.get().id}/")
    assert Proposal.objects.get().approved is None
    assert (
        AuditEntry.objects.get(action="approve-proposal", outcome="refused").reason == "Your role can't decide on this."
    )


@pytest.mark.parametrize("invalid", [{"day": "0001-01-01"}, {"day": "9999-12-31"}, {"day": "x"}, {"closes": "25:00"}])
def test_a_day_outside_the_calendar_is_refused(browser_of: Callable[[Role], Client], invalid: dict) -> None:
    assert browser_of(Role.OPERATIONS).post("/admin/do/close-market/", CLOSURE | invalid).status_code == 422
    assert not Proposal.objects.exists()


def test_a_short_list_is_an_exception_until_two_accept_it(
    browser_of: Callable[[Role], Client], second: Client, alice: Customer
) -> None:
    ShortListFactory.create()
    schedule.find_cases()
    schedule.find_cases()
    case = Case.objects.get()
    assert case.kind == Case.Kind.SHORT_LIST
    assert "4 of 100 listed stocks are missing" in case.detail
    browser_of(Role.OPERATIONS).post("/admin/do/accept-list/", {"reason": "Checked by phone."})
    assert ShortList.objects.get().ended_at is None
    second.post(f"/admin/do/approve-proposal/{Proposal.objects.get().id}/")
    assert ShortList.objects.get().accepted_by.startswith("staff ")


def create_overdue_trade(customer: Customer) -> Trade:
    """Return a trade that was sent to the exchange two hours ago."""
    trade, _ = place_trade(customer.id, "IBM", Type.BUY, 2)
    claim(customer)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE trades_trade DISABLE TRIGGER USER")
        cursor.execute("UPDATE trades_trade SET claimed_at = claimed_at - interval '2 hours' WHERE id = %s", [trade.id])
        cursor.execute("ALTER TABLE trades_trade ENABLE TRIGGER USER")
    return trade


def test_two_members_of_staff_end_an_overdue_trade(browser_of: Callable[[Role], Client], alice: Customer) -> None:
    trade = create_overdue_trade(alice)
    schedule.find_cases()
    schedule.find_cases()
    case = Case.objects.get(kind=Case.Kind.OVERDUE)
    assert (case.trade_id, case.customer_id) == (trade.id, alice.id)
    first = browser_of(Role.OPERATIONS)
    assert "Enter how it ended" in first.get(f"/admin/office/case/{case.id}/change/").content.decode()
    ending = {"status": "FILLED", "price": "10.00", "reason": "The exchange's desk, by phone."}
    first.post(f"/admin/do/end-trade/{trade.id}/", ending)
    entered = StaffReport.objects.get()
    first.post(f"/admin/do/approve-ending/{entered.id}/")
    trade.refresh_from_db()
    assert trade.status == Status.IN_PROGRESS
    second = signed_in(appoint("second@staff.example.com", Role.OPERATIONS))
    page = second.get(f"/admin/trades/trade/{trade.id}/change/").content.decode()
    assert "A second member of staff must decide." in page
    second.post(f"/admin/do/approve-ending/{entered.id}/")
    trade.refresh_from_db()
    assert (trade.status, trade.price) == (Status.FILLED, 10)
    entry = AuditEntry.objects.get(action="approve-ending", outcome="done")
    assert (entry.trade_id, (entry.after or {})["status"]) == (trade.id, "FILLED")


def test_a_trade_that_is_not_overdue_is_not_ended_by_staff(
    browser_of: Callable[[Role], Client], alice: Customer
) -> None:
    trade, _ = place_trade(alice.id, "IBM", Type.BUY, 2)
    claim(alice)
    response = browser_of(Role.OPERATIONS).post(
        f"/admin/do/end-trade/{trade.id}/", {"status": "REJECTED", "price": "", "reason": "x"}, follow=True
    )
    assert "Only a trade that has been IN PROGRESS for an hour" in response.content.decode()
    assert not StaffReport.objects.exists()


def test_a_report_is_judged_again(browser_of: Callable[[Role], Client], alice: Customer) -> None:
    trade, _ = place_trade(alice.id, "IBM", Type.BUY, 1)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(10), quantity=99)
    claim(alice)
    schedule.find_cases()
    case = Case.objects.get(kind=Case.Kind.BREAKS_TERMS)
    html = browser_of(Role.OPERATIONS).post(f"/admin/do/judge-again/{case.id}/", follow=True).content.decode()
    assert "Judged again." in html
    assert AuditEntry.objects.get(action="judge-again", outcome="done").trade_id == trade.id


def test_invalid_text_from_the_exchange_does_not_stop_the_search_for_exceptions(alice: Customer, bob: Customer) -> None:
    """A lone surrogate in a reason is valid JSON, but PostgreSQL's jsonb refuses it."""
    final = Trade.objects.get()
    send_report(final, Status.REJECTED, reason="\ud800")
    trade, _ = place_trade(alice.id, "IBM", Type.BUY, 1)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal(10), quantity=5)
    claim(alice)
    schedule.find_cases()
    kinds = set(Case.objects.values_list("kind", flat=True))
    assert {"contradicts", "breaks_terms"} <= kinds


def test_two_members_of_staff_approve_an_announced_action(
    browser_of: Callable[[Role], Client], alice: Customer
) -> None:
    action = CorporateActionFactory.create(announcement="a", sequence=1, reference_price=Decimal(50))
    first = browser_of(Role.OPERATIONS)
    page = first.get(f"/admin/trades/corporateaction/{action.id}/change/").content.decode()
    assert "1 holders of 10 shares" in page
    first.post(f"/admin/do/approve-corporate-action/{action.id}/", {"reason": "As announced."})
    action.refresh_from_db()
    assert action.state == "announced"
    other = signed_in(appoint("other@staff.example.com", Role.OPERATIONS))
    other.post(f"/admin/do/approve-proposal/{Proposal.objects.get().id}/")
    action.refresh_from_db()
    assert (action.state, action.approved_by.startswith("staff ")) == ("approved", True)
    assert "approved" in other.get("/admin/trades/corporateaction/").content.decode()


def test_staff_enter_a_dividend_that_was_not_announced(browser_of: Callable[[Role], Client], db: None) -> None:
    StockFactory.create(ticker="AAPL")
    first = browser_of(Role.OPERATIONS)
    terms = {"kind": "CASH_DIVIDEND", "ticker": "aapl", "ex_date": "2030-01-02", "reason": "By fax."}
    assert first.post("/admin/do/enter-corporate-action/", terms).status_code == 422
    first.post("/admin/do/enter-corporate-action/", terms | {"pay_date": "2030-01-09", "amount_per_share": "0.25"})
    other = signed_in(appoint("other@staff.example.com", Role.OPERATIONS))
    other.post(f"/admin/do/approve-proposal/{Proposal.objects.get().id}/")
    action = CorporateAction.objects.get()
    assert (action.ticker, action.amount_per_share, action.state) == ("AAPL", Decimal("0.25"), "approved")
    assert action.entered_by.startswith("staff ")
