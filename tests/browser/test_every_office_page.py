"""Every page of the back office meets WCAG 2.2 AA, fits a phone and stays within its cost limits."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from accounts.adjustments import ask_for_adjustment
from accounts.models import Customer
from office import cases, proofs
from office.cases import Finding, Kind
from office.models import Case
from office.roles import Role
from tests.browser.conftest import COLORS, DESKTOP, PHONE, WCAG, Browser
from tests.browser.test_office import sign_in
from tests.conftest import StandInExchange
from tests.history import customer_with_history
from tests.people import open_account
from trades.models import Trade, Type
from trades.place import place_trade

pytestmark = pytest.mark.browser

BYTES_MAX, QUERIES_MAX = 350_000, 40  # a list has a hundred rows, each 2.5 KB in this theme
PAGES = {
    "desk": "",
    "search": "find/?q=ada",
    "search-nothing": "find/?q=zzzz",
    "controls": "controls/",
    "daily-report": "report/",
    "trial-balance": "trial-balance/",
    "staff": "staff/",
    "trades": "trades/trade/",
    "reports": "trades/report/",
    "calls": "exchange/call/",
    "stocks": "exchange/stock/",
    "corporate-actions": "trades/corporateaction/",
    "customers": "accounts/customer/",
    "sign-ins": "accounts/signin/",
    "postings": "accounts/posting/",
    "lots": "accounts/lot/",
    "adjustments": "accounts/adjustment/",
    "proofs": "office/proof/",
    "reconciliations": "office/reconciliation/",
    "exceptions": "office/case/?state=open",
    "approvals": "office/proposal/",
    "audit-log": "office/auditentry/",
    "trade": "trades/trade/{trade}/change/",
    "trade-open": "trades/trade/{open}/change/",
    "customer": "accounts/customer/{customer}/change/",
    "customer-trades": "accounts/customer/{customer}/change/?tab=trades",
    "customer-ledger": "accounts/customer/{customer}/change/?tab=ledger",
    "customer-access": "accounts/customer/{customer}/change/?tab=access",
    "customer-history": "accounts/customer/{customer}/change/?tab=history",
    "customer-view": "view-as/{customer}/",
    "exception": "office/case/{case}/change/",
    "adjustment": "accounts/adjustment/{adjustment}/change/",
    "do-adjust": "do/adjust/{customer}/",
    "do-note": "do/note/{customer}/",
    "do-freeze": "do/freeze-trading/{customer}/",
    "do-halt-all": "do/halt-all/",
    "do-halt-stock": "do/halt-stock/",
    "do-limit": "do/limit/",
    "do-close-market": "do/close-market/",
}


def test_every_page_of_the_office(open_browser: Callable[..., Browser], exchange: StandInExchange) -> None:
    exchange.faults(latencyMs=3_600_000)
    ada, colleague = customer_with_history(), open_account("colleague@example.com", Decimal(1))
    adjustment = ask_for_adjustment(ada.id, Decimal("25.50"), "error", "A fee that was taken twice.", colleague)
    trade = Trade.objects.filter(customer=ada).latest("sequence")
    open_trade = place_trade(ada.id, "AAPL", Type.BUY, 1)[0]
    proofs.prove("sam@example.com")
    cases.open_cases([Finding(Kind.BOOKS, "rule", "the balance is 5 USD, its postings add up to 4", ada.id)])
    browser = open_browser()
    staff = sign_in(browser, Role.OPERATIONS)
    Customer.objects.filter(id=staff.id).update(is_superuser=True)
    ids = {
        "customer": ada.id,
        "trade": trade.id,
        "open": open_trade.id,
        "case": Case.objects.latest("id").id,
        "adjustment": adjustment.id,
    }
    problems: list[str] = []
    for name, path in PAGES.items():
        problems += _check_page(browser, f"office-{name}", "/admin/" + path.format(**ids))
    assert problems == []


def _check_page(browser: Browser, name: str, path: str) -> list[str]:
    """Open a page and check it in both themes and sizes, and its cost; return its problems."""
    problems: list[str] = []
    browser.go(path)
    for theme in ("light", "dark"):
        browser.driver.execute_script(
            "document.documentElement.classList.toggle('dark', arguments[0])", theme == "dark"
        )
        browser.screenshot(f"{name}-{theme}")
        rules = WCAG if theme == "light" else COLORS
        problems += [f"{name}, {theme}: {violation}" for violation in browser.violations(rules)]
        browser.resize(PHONE)
        if theme == "light":
            browser.screenshot(f"{name}-phone")
        if browser.is_too_wide():
            problems.append(f"{name}, {theme}: wider than a phone")
        browser.resize(DESKTOP)
    problems += [f"{name}: {line}" for line in browser.console()]
    return problems + browser.cost(name, len(problems)).complaints(BYTES_MAX, QUERIES_MAX)
