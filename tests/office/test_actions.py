"""Staff actions: every action with every role, its effect, and its entry in the audit log."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from accounts import tokens
from accounts.account import InsufficientFunds
from accounts.adjustments import decide_on_adjustment
from accounts.freezes import WithdrawalsFrozen, is_frozen
from accounts.funding import deposit, withdraw
from accounts.models import Adjustment, Balance, Customer, Limits, Position, Posting
from office import cases
from office.actions import ACTIONS
from office.actions.targets import (
    ADJUSTMENT,
    CASE,
    CORPORATE_ACTION,
    CUSTOMER,
    PROPOSAL,
    STAFF_MEMBER,
    TRADE,
    WEBHOOK,
    Target,
)
from office.cases import Finding, Kind
from office.models import AuditEntry, Case, Job
from office.roles import POWERS, Power, Role, appoint
from tests.conftest import StandInExchange
from tests.factories import (
    AdjustmentFactory,
    CorporateActionFactory,
    CustomerFactory,
    ProposalFactory,
    StockFactory,
    UserSessionFactory,
)
from tests.office.conftest import signed_in
from tests.people import claim, take_rung_customers
from trades import checks, lane
from trades.models import Status, Trade, TradingControl, Type
from trades.place import place_trade
from webhooks import subscriptions

# Actions whose targets need several steps to prepare; test_two_persons and test_revocation test them.
TESTED_ELSEWHERE = ("-proposal", "-ending", "end-trade", "judge-again", "reactivate")
KINDS: dict[Target[Any], str] = {
    TRADE: "trade",
    CUSTOMER: "customer",
    CASE: "case",
    ADJUSTMENT: "adjustment",
    STAFF_MEMBER: "staff",
    WEBHOOK: "webhook",
    PROPOSAL: "proposal",
    CORPORATE_ACTION: "corporate action",
}
# Valid input for the form of each action.
FORMS: dict[str, dict[str, str]] = {
    "enter-fee-rate": {
        "kind": "sec",
        "first_day": "2030-01-02",
        "per_usd": "0.0000278",
        "per_share": "0",
        "reason": "A notice.",
    },
    "note": {"text": "Called about a fee."},
    "adjust": {"change": "12.50", "kind": "goodwill", "reason": "Waited long."},
    "api-limits": {"reads_a_minute": "30", "orders_a_minute": "", "reason": "A loop gone wild."},
    "halt-stock": {"ticker": "aapl", "reason": "News."},
    "resume-stock": {"ticker": "AAPL", "reason": "News is out."},
    "restrict-stock": {"ticker": "AAPL", "reason": "Sanctioned."},
    "unrestrict-stock": {"ticker": "AAPL", "reason": "No more."},
    "close-market": {"day": "2031-03-04", "closes": "", "reason": "Announced."},
    "reopen-market": {"day": "2031-03-04", "reason": "Taken back."},
    "appoint": {"email": "new@staff.example.com", "name": "", "role": "risk", "reason": "Hired."},
    "set-roles": {"roles": "risk", "reason": "Moved."},
    "end-trade": {"status": "REJECTED", "price": "", "reason": "By phone."},
    "close-many": {"ids": "1", "reason": "All of them."},
    "halt-all": {"reason": "The exchange is on fire.", "confirm": "HALT"},
    "enter-corporate-action": {"kind": "DELISTING", "ticker": "AAPL", "ex_date": "2030-01-02", "reason": "By fax."},
    "limit": {"kind": "shares_max", "customer": "", "value": "500", "reason": "Careful."},
}


@pytest.fixture
def targets(alice: Customer, bob: Customer) -> dict[str, Any]:
    return make_targets(alice, bob)


def make_targets(alice: Customer, bob: Customer) -> dict[str, Any]:
    """Create one target of every kind."""
    StockFactory.create()
    trade, _ = place_trade(alice.id, "AAPL", Type.BUY, 1)
    cases.open_cases([Finding(Kind.BOOKS, "rule 1", "does not balance", alice.id)])
    adjustment = AdjustmentFactory.create(customer=alice, asked_by=bob)
    proposal = ProposalFactory.create(asked_by=bob)
    sam = appoint("sam@staff.example.com", Role.SUPPORT)
    return {
        "trade": trade,
        "customer": alice,
        "case": Case.objects.get(),
        "adjustment": adjustment,
        "proposal": proposal,
        "corporate action": CorporateActionFactory.create(announcement="a", sequence=1, reference_price=50),
        "staff": sam,
        "webhook": subscriptions.create(alice.id, "https://hooks.example.com/in")[0],
    }


def url_of(name: str, targets: dict[str, Any]) -> str:
    target = targets.get(KINDS.get(ACTIONS[name].target, ""))
    return f"/admin/do/{name}/{target.pk}/" if target else f"/admin/do/{name}/"


def test_roles_have_their_powers() -> None:
    """Important rows of the permissions table, repeated here so that no change to it goes unnoticed."""
    powers = {role: {power for power, roles in POWERS.items() if role in roles} for role in Role}
    assert powers[Role.SUPPORT] == {Power.READ, Power.NOTE, Power.RING}
    assert {Power.RING, Power.EXCEPTIONS, Power.HALT} <= powers[Role.OPERATIONS]
    assert powers[Role.RISK] >= {Power.READ, Power.LIMIT, Power.HALT}
    assert powers[Role.COMPLIANCE] >= {Power.READ, Power.EXPORT, Power.AUDIT}
    assert [role for role in Role if Power.AUDIT in powers[role]] == [Role.COMPLIANCE]
    assert [role for role in Role if Power.LIMIT in powers[role]] == [Role.RISK]


PAGES = [
    "", "desk/", "find/?q=x", "controls/", "trades/trade/", "accounts/customer/", "accounts/posting/", "office/case/",
    "office/auditentry/", "trades/trade/export/", "office/auditentry/export/", "accounts/posting/export/",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_each_role_sees_its_pages(browser_of: Callable[[Role], Client], alice: Customer, page: str) -> None:
    roles_of = {"office/auditentry/": {Role.COMPLIANCE}} | {
        path: {Role.COMPLIANCE} for path in PAGES if path.endswith("export/")
    }
    for role in Role:
        allowed = role in roles_of.get(page, set(Role))
        assert browser_of(role).get(f"/admin/{page}").status_code == (200 if allowed else 403), role
    assert signed_in(alice).get(f"/admin/{page}").status_code == 302
    assert Client().get(f"/admin/{page}").status_code == 302


@pytest.mark.parametrize("method", ["get", "post"])
def test_opening_an_action_changes_nothing(
    browser_of: Callable[[Role], Client], targets: dict[str, Any], method: str
) -> None:
    """GET shows only the form, and without a reason nothing is done."""
    browser = browser_of(Role.OPERATIONS)
    for name, action in ACTIONS.items():
        if not name.endswith(TESTED_ELSEWHERE) and action.form.base_fields and Role.OPERATIONS in POWERS[action.power]:  # type: ignore[attr-defined]
            response = getattr(browser, method)(url_of(name, targets), {})
            assert response.status_code == (200 if method == "get" else 422), name
    assert not AuditEntry.objects.filter(outcome__in=["asked", "done"]).exclude(action="sign in").exists()


def test_no_action_without_csrf_token(staff: Callable[[Role], Customer], targets: dict[str, Any]) -> None:
    browser = signed_in(staff(Role.OPERATIONS))
    browser.handler.enforce_csrf_checks = True
    assert browser.post(url_of("cancel", targets), {"reason": "x"}).status_code == 403
    assert Trade.objects.filter(status=Status.PLACED).count() == 1


def test_cancel_ends_placed_trades_only(
    browser_of: Callable[[Role], Client], targets: dict[str, Any], alice: Customer
) -> None:
    browser, trade = browser_of(Role.OPERATIONS), targets["trade"]
    browser.post(url_of("cancel", targets), {"reason": "The customer called."})
    trade.refresh_from_db()
    assert (trade.status, trade.reason_code) == (Status.REJECTED, "cancelled")
    entry = AuditEntry.objects.get(action="cancel", outcome="done")
    assert entry.before
    assert entry.after
    assert (entry.before["status"], entry.after["status"]) == ("PLACED", "REJECTED")
    assert entry.reason == "The customer called."
    assert (entry.staff, entry.address, entry.trade_id) == ("operations@staff.example.com", "192.0.2.7", trade.id)

    other, _ = place_trade(alice.id, "AAPL", Type.BUY, 1)
    claim(alice)
    browser.post(f"/admin/do/cancel/{other.id}/", {"reason": "Again."})
    other.refresh_from_db()
    assert other.status == Status.IN_PROGRESS
    assert AuditEntry.objects.get(action="cancel", outcome="refused").trade_id == other.id


def test_ring_rings_the_customers_lane(
    browser_of: Callable[[Role], Client], targets: dict[str, Any], alice: Customer
) -> None:
    lane.broker().flushdb()
    browser_of(Role.SUPPORT).post(url_of("ring", targets))
    assert take_rung_customers(lane.lane_of(alice.id)) == [alice.id]


def test_ask_calls_the_exchange_and_records_the_call(
    browser_of: Callable[[Role], Client], targets: dict[str, Any], alice: Customer, exchange: StandInExchange
) -> None:
    browser, trade = browser_of(Role.OPERATIONS), targets["trade"]
    claim(alice)
    response = browser.post(url_of("ask", targets), follow=True).content.decode()
    assert "The exchange says: not known." in response
    assert "TradeExists" in response
    # The exchange did not know the trade, which is live, so it was sent again.
    assert [entry["tradeId"] for entry in exchange.record()][-1] == str(trade.id)
    assert "The exchange says: ACCEPTED." in browser.post(url_of("ask", targets), follow=True).content.decode()
    exchange.faults(down=True)
    assert "gave no answer" in browser.post(url_of("ask", targets), follow=True).content.decode()


def test_freezing_stops_trading_and_withdrawals(
    browser_of: Callable[[Role], Client], targets: dict[str, Any], alice: Customer
) -> None:
    browser = browser_of(Role.RISK)
    browser.post(url_of("freeze-withdrawals", targets), {"reason": "Odd sign-in."})
    assert is_frozen(alice.id)
    with pytest.raises(WithdrawalsFrozen):
        withdraw(alice.id, Decimal(1))
    deposit(alice.id, Decimal(1))
    browser.post(url_of("freeze-trading", targets), {"reason": "Odd sign-in."})
    with pytest.raises(checks.TradingHalted):
        place_trade(alice.id, "AAPL", Type.BUY, 1)
    page = browser.get(f"/admin/accounts/customer/{alice.id}/change/").content.decode()
    assert "Trading has been frozen since" in page
    assert "Withdrawals have been frozen since" in page
    for name in ("unfreeze-withdrawals", "unfreeze-trading"):
        browser.post(url_of(name, targets), {"reason": "It was her."})
    withdraw(alice.id, Decimal(1))
    place_trade(alice.id, "AAPL", Type.BUY, 1)
    entry = AuditEntry.objects.get(action="freeze-withdrawals", outcome="done")
    assert entry.before
    assert entry.after
    assert (entry.before["withdrawalsFrozen"], entry.after["withdrawalsFrozen"]) == (False, True)


def test_a_customers_own_api_limits(
    browser_of: Callable[[Role], Client], api_of: Callable[[Customer], Client], targets: dict[str, Any], alice: Customer
) -> None:
    risk, api = browser_of(Role.RISK), api_of(alice)
    page = f"/admin/accounts/customer/{alice.id}/change/"
    assert "60,000 (standard) reads, 30,000 (standard) orders a minute" in risk.get(page).content.decode()
    risk.post(url_of("api-limits", targets), {"reads_a_minute": "1", "orders_a_minute": "7", "reason": "A loop."})
    assert [api.get("/api/v1/balance").status_code for _ in range(2)] == [200, 429]
    assert 'value="7"' in risk.get(url_of("api-limits", targets)).content.decode()
    risk.post(url_of("api-limits", targets), {"reads_a_minute": "", "orders_a_minute": "7", "reason": "It was fixed."})
    assert api.get("/api/v1/balance").status_code == 200
    assert "60,000" in risk.get(page).content.decode()
    first, second = AuditEntry.objects.filter(action="api-limits", outcome="done").order_by("number")
    limits = [
        [(state or {})[name] for name in ("readsAMinute", "ordersAMinute")] for state in (first.before, first.after)
    ]
    assert limits == [[None, None], [1, 7]]
    assert (second.after or {})["readsAMinute"] is None
    assert (second.reason, second.staff) == ("It was fixed.", "risk@staff.example.com")
    for invalid in ("0", "-1", "1.5", "many", "10000000"):
        form = {"reads_a_minute": invalid, "reason": "x"}
        assert risk.post(url_of("api-limits", targets), form).status_code == 422
    assert Limits.objects.get().orders_a_minute == 7


def test_a_frozen_customer_sees_the_freeze(
    api_of: Callable[[Customer], Client], browser_of: Callable[[Role], Client], targets: dict[str, Any], alice: Customer
) -> None:
    browser_of(Role.RISK).post(url_of("freeze-withdrawals", targets), {"reason": "Odd sign-in."})
    response = api_of(alice).post("/api/v1/withdrawals", {"amount": "1.00"}, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (403, "withdrawals_frozen")


def test_tokens_and_sessions_end(
    browser_of: Callable[[Role], Client], api_of: Callable[[Customer], Client], targets: dict[str, Any], alice: Customer
) -> None:
    program, her_browser = api_of(alice), signed_in(alice)
    UserSessionFactory.create(user=alice, session_key=her_browser.session.session_key, ip="192.0.2.1", user_agent="x")
    assert program.get("/api/v1/balance").status_code == 200
    browser = browser_of(Role.OPERATIONS)
    for name in ("end-tokens", "end-sessions"):
        browser.post(url_of(name, targets), {"reason": "A lost phone."})
    assert program.get("/api/v1/balance").status_code == 401
    assert not Session.objects.filter(session_key=her_browser.cookies["sessionid"].value).exists()
    assert tokens.end_all(alice.id) == 0


def test_an_adjustment_needs_a_second_member_of_staff(
    browser_of: Callable[[Role], Client], staff: Callable[[Role], Customer], targets: dict[str, Any], alice: Customer
) -> None:
    Adjustment.objects.filter(id=targets["adjustment"].id).update(
        approved=False, decided_by=alice, decided_at="2026-01-01T00:00Z"
    )
    before = Balance.objects.get(customer=alice).amount
    asker = browser_of(Role.OPERATIONS)
    asker.post(url_of("adjust", targets), FORMS["adjust"])
    adjustment = Adjustment.objects.get(approved=None)
    assert Balance.objects.get(customer=alice).amount == before

    asker.post(f"/admin/do/approve/{adjustment.id}/")
    adjustment.refresh_from_db()
    assert adjustment.approved is None
    assert (
        AuditEntry.objects.get(action="approve", outcome="refused").reason
        == "You can't decide on an adjustment of your own."
    )

    second = signed_in(appoint("second@staff.example.com", Role.OPERATIONS))
    second.post(f"/admin/do/approve/{adjustment.id}/")
    second.post(f"/admin/do/approve/{adjustment.id}/")
    adjustment.refresh_from_db()
    assert adjustment.approved is True
    posting = Posting.objects.get(cause=adjustment.id)
    assert (posting.kind, posting.change, posting.total) == ("adjustment", Decimal("12.5"), before + Decimal("12.5"))
    assert Balance.objects.get(customer=alice).amount == before + Decimal("12.5")


def test_an_adjustment_takes_no_more_than_is_available(
    browser_of: Callable[[Role], Client], targets: dict[str, Any], alice: Customer, bob: Customer
) -> None:
    adjustment = AdjustmentFactory.create(customer=alice, change=-10_000, asked_by=bob)
    staff = CustomerFactory.create(email="x@example.com")
    with pytest.raises(InsufficientFunds):
        decide_on_adjustment(adjustment.id, True, staff)
    adjustment.refresh_from_db()
    assert adjustment.approved is None
    assert decide_on_adjustment(adjustment.id, False, staff).approved is False
    assert not Posting.objects.filter(cause=adjustment.id).exists()


def test_an_adjustment_of_shares(
    browser_of: Callable[[Role], Client], targets: dict[str, Any], alice: Customer
) -> None:
    asker = browser_of(Role.OPERATIONS)
    form = {"ticker": "aapl", "change": "4", "price": "12.5", "kind": "dividend", "reason": "A split."}
    response = asker.post(url_of("adjust", targets), form, follow=True).content.decode()
    assert "+4 AAPL at 12.5000 USD was requested. A second member of staff must approve it." in response
    adjustment = Adjustment.objects.get(ticker="AAPL")
    page = f"/admin/accounts/adjustment/{adjustment.id}/change/"
    assert "+4 AAPL at 12.5000 USD" in asker.get(page).content.decode()
    asker.post(f"/admin/do/approve/{adjustment.id}/")
    assert Position.objects.get(customer=alice).quantity == 10
    second = signed_in(appoint("second@staff.example.com", Role.OPERATIONS))
    second.post(f"/admin/do/approve/{adjustment.id}/")
    assert Position.objects.get(customer=alice).quantity == 14
    assert "4 AAPL, leaving 14" in asker.get(page).content.decode()
    entry = AuditEntry.objects.get(action="approve", outcome="done")
    assert entry.after == {"moves": "+4 AAPL at 12.5000 USD", "approved": True}

    too_much = AdjustmentFactory.create(customer=alice, ticker="AAPL", change=-15, asked_by=adjustment.asked_by)
    second.post(f"/admin/do/approve/{too_much.id}/")
    refused = AuditEntry.objects.filter(action="approve", outcome="refused").latest("number")
    assert refused.reason == "The account doesn't have that much available."
    assert Position.objects.get(customer=alice).quantity == 14


@pytest.mark.parametrize(
    "invalid",
    [
        {"ticker": "NONE"}, {"change": "1.5"}, {"change": "0"}, {"price": ""}, {"price": "-1"}, {"change": "-1"},
        {"ticker": ""}, {"change": "9999999999999"}, {"change": "x"}, {"price": "NaN"}, {"kind": "gift"},
    ],
)  # fmt: skip
def test_an_invalid_adjustment_of_shares_is_refused(
    browser_of: Callable[[Role], Client], targets: dict[str, Any], invalid: dict
) -> None:
    form = {"ticker": "AAPL", "change": "4", "price": "12.5", "kind": "dividend", "reason": "A split."}
    assert browser_of(Role.OPERATIONS).post(url_of("adjust", targets), form | invalid).status_code == 422
    assert Adjustment.objects.count() == 1


def test_trading_controls_halt_and_limit(
    browser_of: Callable[[Role], Client], targets: dict[str, Any], alice: Customer
) -> None:
    risk = browser_of(Role.RISK)
    risk.post("/admin/do/halt-stock/", FORMS["halt-stock"])
    with pytest.raises(checks.TradingHalted):
        place_trade(alice.id, "AAPL", Type.BUY, 1)
    risk.post("/admin/do/resume-stock/", FORMS["resume-stock"])
    risk.post("/admin/do/limit/", FORMS["limit"] | {"value": "3", "customer": str(alice.id)})
    with pytest.raises(checks.TooManyShares):
        place_trade(alice.id, "AAPL", Type.BUY, 4)
    risk.post("/admin/do/limit/", FORMS["limit"] | {"value": "", "customer": str(alice.id)})
    place_trade(alice.id, "AAPL", Type.BUY, 4)
    risk.post("/admin/do/halt-all/", {"reason": "The exchange is on fire.", "confirm": "HALT"})
    with pytest.raises(checks.TradingHalted):
        place_trade(alice.id, "AAPL", Type.BUY, 1)
    page = risk.get("/admin/controls/").content.decode()
    for text in ("Halt all trading", "The exchange is on fire.", "risk@staff.example.com"):
        assert text in page
    newest = TradingControl.objects.order_by("-id").first()
    assert newest
    assert (newest.by.email, newest.reason) == ("risk@staff.example.com", "The exchange is on fire.")
    assert risk.post("/admin/do/halt-stock/", {"ticker": "NONE", "reason": "x"}).status_code == 422


def test_exceptions_are_taken_and_closed(browser_of: Callable[[Role], Client], targets: dict[str, Any]) -> None:
    operations, case = browser_of(Role.OPERATIONS), targets["case"]
    assert "Halt trading if it spreads" in operations.get(f"/admin/office/case/{case.id}/change/").content.decode()
    operations.post(url_of("take", targets))
    case.refresh_from_db()
    assert case.owner.email == "operations@staff.example.com"
    operations.post(url_of("close", targets), {"reason": "Corrected by adjustment."})
    case.refresh_from_db()
    assert case.closed_at
    assert case.resolution == "Corrected by adjustment."
    assert "0 exceptions" in operations.get("/admin/office/case/?state=open").content.decode()


def test_proof_and_reconciliation_can_be_asked_for(
    browser_of: Callable[[Role], Client], targets: dict[str, Any]
) -> None:
    for name in ("prove", "reconcile"):
        browser_of(Role.COMPLIANCE).post(url_of(name, targets))
        assert Job.objects.get(name=name).asked_by == "compliance@staff.example.com"


def test_an_unknown_action_or_target_is_not_found(browser_of: Callable[[Role], Client], alice: Customer) -> None:
    browser: Callable[..., Any] = browser_of(Role.OPERATIONS).post
    for url in ("nonsense/", "cancel/", "cancel/123/", "freeze-trading/999999/", "freeze-trading/x/", "halt-all/5/"):
        assert browser(f"/admin/do/{url}", {"reason": "x"}).status_code == 404, url
