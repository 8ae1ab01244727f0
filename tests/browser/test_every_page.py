"""Every page: no violation of WCAG 2.2 AA, nothing wider than the screen, no complaint of the browser; and pictures."""

from collections.abc import Callable

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from accounts import tokens
from accounts.customers import create_customer
from tests.browser.conftest import DESKTOP, PASSWORD, PHONE, Browser
from tests.conftest import StandInExchange
from tests.history import customer_with_history
from trades.models import Trade
from trades.place import place_trade

OUTSIDE = {"sign-in": "/account/login/", "sign-up": "/account/signup/", "password-reset": "/account/password/reset/"}
EMPTY = {
    "empty-home": "/",
    "empty-trades": "/trades",
    "empty-cash": "/cash",
    "empty-statements": "/statements",
    "tokens-none": "/account/tokens",
}
INSIDE = {
    "second-factor-on": "/account/second-factor/totp/activate/",
    "home": "/",
    "home-1y": "/?range=1Y",
    "stock": "/stocks/AAPL",
    "stock-not-held": "/stocks/XOM?range=1M",
    "search": "/stocks/search?q=bank",
    "search-nothing": "/stocks/search?q=zzzz",
    "ticket": "/stocks/AAPL/trade?type=SELL",
    "ticket-refused": "/stocks/AAPL/trade?type=SELL&quantity=5000",
    "review": "/stocks/AAPL/trade?type=BUY&quantity=5",
    "trades": "/trades",
    "trades-filtered": "/trades?status=REJECTED",
    "trade": "/trades/{filled}",
    "cash": "/cash",
    "statements": "/statements",
    "statement": "/statements/{month}",
    "account": "/account",
    "email": "/account/email/",
    "password": "/account/password/change/",
    "second-factor": "/account/second-factor/",
    "sessions": "/account/sessions/",
    "sign-out": "/account/logout/",
    "tokens": "/account/tokens",
    "not-found": "/nothing-here",
}
LOOKS = {
    "light": (DESKTOP, "light"),
    "dark": (DESKTOP, "dark"),
    "phone": (PHONE, "light"),
    "phone-dark": (PHONE, "dark"),
}


def look_at(browser: Browser, name: str, path: str) -> list[str]:
    """Look at a page in every way; what is wrong with it."""
    wrong = []
    browser.go(path)
    for look, (size, theme) in LOOKS.items():
        browser.resize(size)
        browser.theme(theme)
        browser.screenshot(f"{name}-{look}")
        wrong += [f"{name}, {look}: {violation}" for violation in browser.violations()]
        if browser.is_too_wide():
            wrong.append(f"{name}, {look}: wider than the screen")
    complaints = [line for line in browser.console() if path not in line]  # the page itself may be a 422, or a 404
    return wrong + [f"{name}: {line}" for line in complaints]


@pytest.mark.usefixtures("exchange")
def test_pages_of_a_customer_who_has_been_here_for_a_while(open_browser: Callable[..., Browser]) -> None:
    ada = customer_with_history(password=PASSWORD)
    tokens.issue(ada, "spreadsheet at home", ["read"])
    filled = Trade.objects.filter(customer=ada).latest("sequence")
    browser = open_browser()
    wrong = [problem for name, path in OUTSIDE.items() for problem in look_at(browser, name, path)]
    browser.sign_in(ada.email)
    wrong += look_at(browser, "prove-it", "/account/second-factor/totp/activate/")
    browser.prove_it()
    for name, path in INSIDE.items():
        wrong += look_at(browser, name, path.format(filled=filled.id, month=f"{filled.placed_at:%Y-%m}"))
    assert wrong == []


def test_pages_of_a_new_customer_and_of_trades_on_their_way(
    open_browser: Callable[..., Browser], exchange: StandInExchange
) -> None:
    exchange.faults(latencyMs=3_600_000)
    newcomer = create_customer("newcomer@example.com", PASSWORD, name="Noa New")
    browser = open_browser()
    browser.sign_in(newcomer.email)
    wrong = [problem for name, path in EMPTY.items() for problem in look_at(browser, name, path)]
    browser.go("/cash")
    browser.fill("#deposit_amount", "1000")
    browser.find("form[action$=deposit] button").click()
    flying, _ = place_trade(newcomer.id, "AAPL", "BUY", 2)
    waiting, _ = place_trade(newcomer.id, "KO", "BUY", 1)
    browser.go(f"/trades/{flying.id}")
    browser.until_text("IN PROGRESS")
    places = {"trade-in-progress": f"/trades/{flying.id}", "trade-placed": f"/trades/{waiting.id}", "home-open": "/"}
    for name, path in {**places, "cash-held": "/cash"}.items():
        wrong += look_at(browser, name, path)
    browser.go(f"/trades/{waiting.id}")
    browser.press("Cancel this trade")
    browser.until_text("Cancelled before it was sent.")
    wrong += look_at(browser, "trade-cancelled", f"/trades/{waiting.id}")
    assert wrong == []


def test_pages_of_the_second_factor(open_browser: Callable[..., Browser]) -> None:
    customer = create_customer("careful@example.com", PASSWORD, name="Cara Careful")
    TOTP.activate(customer, generate_totp_secret())
    RecoveryCodes.activate(customer)
    browser = open_browser()
    browser.sign_in(customer.email)
    wrong = look_at(browser, "second-factor-asked", browser.path)
    browser.fill("#id_code", RecoveryCodes.activate(customer).get_unused_codes()[0])
    browser.press("Sign In")
    browser.until_text("Your portfolio")
    browser.go("/account/second-factor/recovery-codes/")
    browser.prove_it()
    wrong += look_at(browser, "second-factor-is-on", "/account/second-factor/")
    wrong += look_at(browser, "recovery-codes", "/account/second-factor/recovery-codes/")
    assert wrong == []


def test_pages_while_the_exchange_is_away(open_browser: Callable[..., Browser], exchange: StandInExchange) -> None:
    ada = customer_with_history(password=PASSWORD)
    exchange.faults(down=True)
    browser = open_browser()
    browser.sign_in(ada.email)
    browser.until_text("Price unavailable")
    wrong = look_at(browser, "away-home", "/") + look_at(browser, "away-stock", "/stocks/AAPL")
    assert "Price unavailable" in browser.text
    assert wrong == []
