"""The back office in a browser, used by each role."""

import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.cache import cache
from django.test import Client
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from accounts.models import Adjustment, Balance, Customer, Position
from office import audit, cases, heartbeat, proofs, schedule
from office.cases import Finding, Kind
from office.models import Case
from office.roles import Role, appoint
from tests.browser.conftest import PASSWORD, PHONE, Browser
from tests.conftest import StandInExchange
from tests.people import claim, open_account, receive_shares, send_report, totp_code
from trades import checks
from trades.execute import execute
from trades.models import Status, Trade, Type
from trades.place import place_trade

pytestmark = pytest.mark.browser

OpenBrowser = Callable[..., Browser]


@pytest.fixture(autouse=True)
def _empty_caches() -> None:
    cache.clear()
    checks.forget()


@pytest.fixture
def dora(site: str) -> Customer:
    """Create a customer with cash, shares, and a settled, an in-flight and a placed trade."""
    dora = open_account("dora@example.com", Decimal(50_000), name="Dora Meyer")
    receive_shares(dora, "AAPL", 12, Decimal("187.25"))
    return dora


def sign_in(browser: Browser, role: Role, email: str = "") -> Customer:
    """Sign in as staff: with the password, then with the code of the second factor.

    Each call sets up a new factor, because a code is accepted only once: a second sign-in with the same factor within
    half a minute would be refused.
    """
    staff = appoint(email or f"{role.value}@staff.example.com", role, password=PASSWORD)
    secret = generate_totp_secret()
    Authenticator.objects.filter(user=staff).delete()
    TOTP.activate(staff, secret)
    cache.clear()
    browser.go("/admin/")
    browser.until(lambda: "/account/login/" in browser.path)
    browser.fill("#id_login", staff.email)
    browser.fill("#id_password", PASSWORD)
    browser.press("Sign in")
    browser.until(lambda: "authenticate" in browser.path)
    browser.fill("#id_code", totp_code(secret))
    entered = browser.find("#id_code")
    entered.send_keys(Keys.ENTER)
    browser.until(lambda: is_gone(entered), 20)
    browser.until(lambda: browser.path.startswith("/admin/"), 20)
    return staff


def is_gone(element: WebElement) -> bool:
    """Return whether the element's page has been replaced."""
    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    return False


def save_screenshots(browser: Browser, name: str) -> None:
    """Save screenshots in the light and the dark theme."""
    for screenshot in (name, f"{name}-dark"):
        browser.screenshot(screenshot)
        browser.driver.execute_script("document.documentElement.classList.toggle('dark')")


def press(browser: Browser, text: str) -> None:
    """Press a button or a link on the page."""
    elements = [
        element for element in browser.all(".office-button, .office-tool a, .office-pages a") if text in element.text
    ]
    assert elements, f"no button or link “{text}” on {browser.path}:\n{browser.text}"
    elements[0].click()


def give_reason(browser: Browser, reason: str, button: str) -> None:
    browser.until(lambda: browser.find("#id_reason"))
    browser.fill("#id_reason", reason)
    press(browser, button)


def test_desk_shows_the_current_state_and_refreshes_itself(open_browser: OpenBrowser, dora: Customer) -> None:
    for n in range(30):
        customer = open_account(f"c{n}@example.com", Decimal(10_000) if n % 3 else Decimal("0.01"))
        trade, _ = place_trade(customer.id, "AAPL" if n % 2 else "IBM", Type.BUY, 1)
        claim(customer)
        if n < 20:
            send_report(trade, Status.FILLED if n % 3 else Status.REJECTED, Decimal(90))
            claim(customer)
    proofs.prove("sam@example.com")
    heartbeat.ask()
    browser = open_browser()
    sign_in(browser, Role.OPERATIONS)
    for words in (
        "Trades a minute",
        "Oldest open trade",
        "no violations",
        "lanes idle",
        "Volume today",
        "exchange error",
        "answered",
    ):
        browser.until_text(words)
    assert len(browser.all(".office-chart rect.filled")) == 30
    before = browser.find("#as-of").text
    save_screenshots(browser, "office-desk")
    browser.until(lambda: browser.find("#as-of").text != before, seconds=20)
    assert browser.console() == []
    browser.resize(PHONE)
    browser.go("/admin/")
    assert not browser.is_too_wide()
    browser.screenshot("office-desk-phone")


def test_search_filter_and_a_trades_page(open_browser: OpenBrowser, dora: Customer) -> None:
    browser = open_browser()
    sign_in(browser, Role.OPERATIONS)
    trade, _ = place_trade(dora.id, "IBM", Type.BUY, 3)
    execute(claim(dora))
    place_trade(dora.id, "KO", Type.BUY, 5)

    browser.go("/admin/trades/trade/")
    browser.until_text("dora@example.com")
    save_screenshots(browser, "office-trades")
    browser.go("/admin/trades/trade/?ticker=AAPL&status=FILLED")
    assert str(trade.id) not in browser.text

    search_field = browser.find(".office-side-find input")
    search_field.send_keys(str(trade.id) + Keys.ENTER)
    browser.until_text("Reports, as received")
    for words in ("History", "Postings", "Calls to the exchange", "Execute", "dora@example.com", "Held for it"):
        assert words in browser.text, words
    browser.until(lambda: Trade.objects.get(id=trade.id).status == Status.FILLED)
    browser.go(f"/admin/trades/trade/{trade.id}/change/")
    browser.until_text("The exchange executed it")
    save_screenshots(browser, "office-trade")
    assert browser.console() == []


def test_a_placed_trade_is_rung_for_asked_about_and_cancelled(
    open_browser: OpenBrowser, dora: Customer, exchange: StandInExchange
) -> None:
    browser = open_browser()
    exchange.faults(latencyMs=3_600_000)  # trades in flight stay in flight
    sign_in(browser, Role.OPERATIONS)
    checks.set_control("halt_customer", True, reason="To look at it.", by=dora, customer=dora)  # type: ignore[arg-type]
    checks.forget()
    with pytest.raises(checks.TradingHalted):
        place_trade(dora.id, "KO", Type.BUY, 5)
    checks.set_control("halt_customer", False, reason="Looked.", by=dora, customer=dora)  # type: ignore[arg-type]
    sent, _ = place_trade(dora.id, "IBM", Type.BUY, 3)
    browser.until(lambda: Trade.objects.get(id=sent.id).status == Status.IN_PROGRESS)
    waiting, _ = place_trade(dora.id, "KO", Type.BUY, 5)
    browser.go(f"/admin/trades/trade/{waiting.id}/change/")
    browser.until_text("It waits for the customer's trade in flight")
    press(browser, "Ring the lane")
    browser.until_text("Rang lane")
    press(browser, "Ask the exchange now")
    browser.until_text("The exchange says: not known.")
    press(browser, "Cancel")
    give_reason(browser, "The customer called.", "Cancel")
    browser.until_text("The trade was cancelled.")
    browser.until_text("It was cancelled before it was sent")
    browser.screenshot("office-trade-cancelled")


def test_a_customers_page_notes_freezes_and_ends_sessions(open_browser: OpenBrowser, dora: Customer) -> None:
    dora.set_password(PASSWORD)
    dora.save()
    her_browser = Client(REMOTE_ADDR="192.0.2.33", headers={"User-Agent": "Mozilla/5.0 (iPhone) Safari/604.1"})
    for password in ("guess", PASSWORD):
        her_browser.post("/account/login/", {"login": dora.email, "password": password})
    browser = open_browser()
    sign_in(browser, Role.OPERATIONS)
    browser.find(".office-side-find input").send_keys("dora mey" + Keys.ENTER)
    browser.until_text("Unrealized gain")
    page = browser.path.split("?")[0]
    browser.go(f"{page}?tab=access")
    for words in ("wrong password", "signed in", "192.0.2.33", "Safari on iPhone"):
        assert words in browser.text, words
    save_screenshots(browser, "office-customer-access")
    browser.go(page)
    press(browser, "Add a note")
    browser.until(lambda: browser.find("#id_text"))
    browser.fill("#id_text", "Called: lost her phone.")
    save_screenshots(browser, "office-action")
    press(browser, "Add a note")
    browser.until_text("Called: lost her phone.")
    press(browser, "Freeze withdrawals")
    give_reason(browser, "Until she is known again.", "Freeze withdrawals")
    browser.until_text("Withdrawals have been frozen since")
    press(browser, "Freeze trading")
    give_reason(browser, "Until she is known again.", "Freeze trading")
    browser.until_text("Trading has been frozen since")
    press(browser, "End all tokens and webhooks")
    give_reason(browser, "Lost phone.", "End all tokens and webhooks")
    browser.until_text("Tokens ended")
    assert "API limits" in browser.text
    assert "Set API limits" not in browser.text  # only the risk role may
    save_screenshots(browser, "office-customer")
    press(browser, "Unfreeze withdrawals")
    give_reason(browser, "It was her.", "Unfreeze withdrawals")
    browser.until_text("Withdrawals are no longer frozen.")
    press(browser, "End all sessions")
    give_reason(browser, "Lost phone.", "End all sessions")
    browser.until_text("Sessions ended")
    assert browser.console() == []


def test_one_member_of_staff_requests_an_adjustment_and_another_approves_it(
    open_browser: OpenBrowser, dora: Customer
) -> None:
    before = Balance.objects.get(customer=dora).amount
    first, second = open_browser(), open_browser()
    sign_in(first, Role.OPERATIONS)
    first.go(f"/admin/do/adjust/{dora.id}/")
    first.fill("#id_change", "25.50")
    first.fill("#id_reason", "A fee that was taken twice.")
    press(first, "Request an adjustment")
    first.until_text("A second member of staff must approve it")
    adjustment = Adjustment.objects.get()
    first.go(f"/admin/accounts/adjustment/{adjustment.id}/change/")
    first.until_text("You requested it, so somebody else must decide.")
    assert "Approve and post" not in first.text

    sign_in(second, Role.OPERATIONS, "second@staff.example.com")
    second.go("/admin/accounts/adjustment/")
    second.until_text("WAITING")
    second.go(f"/admin/accounts/adjustment/{adjustment.id}/change/")
    save_screenshots(second, "office-adjustment")
    press(second, "Approve and post")
    second.until_text("Approved and posted.")
    assert Balance.objects.get(customer=dora).amount == before + Decimal("25.50")


def test_an_adjustment_of_shares(open_browser: OpenBrowser, dora: Customer) -> None:
    first, second = open_browser(), open_browser()
    sign_in(first, Role.OPERATIONS)
    first.go(f"/admin/do/adjust/{dora.id}/")
    for field, value in (("ticker", "aapl"), ("change", "12"), ("price", ""), ("reason", "A split, two for one.")):
        first.fill(f"#id_{field}", value)
    press(first, "Request an adjustment")
    first.until_text("Enter the cost per share")
    save_screenshots(first, "office-adjust")
    first.fill("#id_price", "0")
    press(first, "Request an adjustment")
    first.until_text("+12 AAPL at 0.0000 USD was requested.")

    sign_in(second, Role.OPERATIONS, "second@staff.example.com")
    second.go("/admin/accounts/adjustment/")
    second.until_text("+12 AAPL at 0.0000 USD")
    save_screenshots(second, "office-adjustments")
    second.go(f"/admin/accounts/adjustment/{Adjustment.objects.get().id}/change/")
    press(second, "Approve and post")
    second.until_text("Approved and posted.")
    second.until_text("12 AAPL, leaving 24")
    position = Position.objects.get(customer=dora, ticker="AAPL")
    assert (position.quantity, position.average_price) == (24, Decimal("93.625"))


def test_a_customers_own_api_limits(open_browser: OpenBrowser, dora: Customer) -> None:
    browser = open_browser()
    sign_in(browser, Role.RISK)
    browser.go(f"/admin/accounts/customer/{dora.id}/change/")
    press(browser, "Set API limits")
    browser.until(lambda: browser.find("#id_orders_a_minute"))
    browser.fill("#id_orders_a_minute", "120")
    give_reason(browser, "A program gone wild.", "Set API limits")
    browser.until_text("60,000 (standard) reads, 120 orders a minute")
    assert browser.console() == []


def test_exceptions_are_seen_taken_and_closed(open_browser: OpenBrowser, dora: Customer) -> None:
    trade = Trade.objects.get()
    send_report(trade, Status.REJECTED)
    claim(dora)
    schedule.find_cases()
    cases.open_cases([Finding(Kind.BOOKS, "rule", "the balance is 5 USD, its postings add up to 4", dora.id)])
    browser = open_browser()
    sign_in(browser, Role.OPERATIONS)
    browser.go("/admin/office/case/?state=open")
    browser.until_text("A report contradicts how its trade ended")
    save_screenshots(browser, "office-exceptions")
    case = Case.objects.get(kind=Kind.CONTRADICTS)
    browser.go(f"/admin/office/case/{case.id}/change/")
    browser.until_text("What to do".upper() if "WHAT TO DO" in browser.text else "What to do")
    press(browser, "Take it")
    browser.until_text("You own this exception now.")
    press(browser, "Close")
    give_reason(browser, "Cleared up with the exchange by phone.", "Close")
    browser.until_text("Closed.")
    save_screenshots(browser, "office-exception")


def test_trading_controls_halt_and_show_who_set_them_when_and_why(open_browser: OpenBrowser, dora: Customer) -> None:
    browser = open_browser()
    sign_in(browser, Role.RISK)
    browser.go("/admin/controls/")
    press(browser, "Halt a stock")
    browser.until(lambda: browser.find("#id_ticker"))
    browser.fill("#id_ticker", "AAPL")
    give_reason(browser, "News are pending.", "Halt a stock")
    browser.until_text("News are pending.")
    browser.go("/admin/do/limit/")
    browser.fill("#id_value", "500")
    give_reason(browser, "A quiet week.", "Set an order limit")
    browser.until_text("A quiet week.")
    press(browser, "Halt all trading")
    browser.until(lambda: browser.find("#id_confirm"))
    browser.fill("#id_confirm", "HALT")
    give_reason(browser, "The exchange is on fire.", "Halt all trading")
    browser.until_text("The exchange is on fire.")
    save_screenshots(browser, "office-controls")
    browser.go("/admin/")
    browser.until_text("All trading is halted.")
    # The halt applies to customers too.
    checks.forget()
    with pytest.raises(checks.TradingHalted):
        place_trade(dora.id, "AAPL", Type.BUY, 1)


def test_support_sees_only_permitted_pages_and_actions(open_browser: OpenBrowser, dora: Customer) -> None:
    browser = open_browser()
    sign_in(browser, Role.SUPPORT)
    browser.go(f"/admin/accounts/customer/{dora.id}/change/")
    browser.until_text("Unrealized gain")
    assert [e.text.split("\n")[-1] for e in browser.all(".office-actions .office-button")] == ["Add a note"]
    assert "Audit log" not in browser.text
    browser.go("/admin/do/halt-all/")
    browser.until_text("You are not allowed to do this.")
    browser.go("/admin/office/auditentry/")
    browser.until_text("You are not allowed to do this.")


def test_compliance_reads_the_audit_log_and_exports(open_browser: OpenBrowser, dora: Customer) -> None:
    browser = open_browser(dark=True)
    sign_in(browser, Role.COMPLIANCE)
    browser.go(f"/admin/accounts/customer/{dora.id}/change/")
    browser.until_text("Unrealized gain")
    browser.go(f"/admin/office/auditentry/?customer={dora.id}")
    browser.until_text("looked at a customer")
    browser.screenshot("office-audit-dark")
    link = next(e.get_attribute("href") for e in browser.all("a") if "Export CSV" in e.text)
    assert link
    assert link.endswith(f"export/?customer={dora.id}")
    exported = browser.driver.execute_async_script(
        "const done = arguments[1]; fetch(arguments[0]).then(a => a.text()).then(done)", link
    )
    assert re.search(rf"see customer,seen,{dora.id},", exported)
    assert audit.check().wrong == []
