"""Every page meets WCAG 2.2 AA, fits the screen and causes no console error; screenshots are saved."""

from collections.abc import Callable, Iterable
from datetime import timedelta

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.utils import timezone

from accounts import tokens
from accounts.customers import create_customer
from accounts.models import Customer
from tests.browser.conftest import COLORS, DESKTOP, PASSWORD, PHONE, WCAG, Browser
from tests.browser.test_story import code_from_mail
from tests.conftest import StandInExchange
from tests.factories import DeliveryFactory
from tests.history import customer_with_history
from trades.checks import Kind, set_control
from trades.models import Trade
from trades.place import place_trade
from web.timezones import eastern_date
from webhooks import subscriptions
from webhooks.models import Delivery, Webhook

pytestmark = pytest.mark.browser

SIGNED_OUT = {
    "welcome": "/welcome",
    "help": "/help",
    "sign-in": "/account/login/",
    "sign-up": "/account/signup/",
    "password-reset": "/account/password/reset/",
    "account-closed": "/account/closed",
}
EMPTY = {
    "empty-home": "/",
    "empty-trades": "/trades",
    "empty-cash": "/cash",
    "empty-statements": "/statements",
    "tokens-none": "/account/tokens",
    "webhooks-none": "/account/webhooks",
}
SIGNED_IN = {
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
    "ledger-files": "/cash/ledger",
    "statements": "/statements",
    "statement": "/statements/{month}",
    "watchlist": "/watchlist?q=bank",
    "home-deposits": "/?range=1Y&show=deposits",
    "mail": "/account/mail",
    "account": "/account",
    "email": "/account/email/",
    "password": "/account/password/change/",
    "second-factor": "/account/second-factor/",
    "your-data": "/account/data",
    "close-account": "/account/close",
    "passkeys-none": "/account/second-factor/webauthn/",
    "passkey-add": "/account/second-factor/webauthn/add/",
    "sessions": "/account/sessions/",
    "sign-out": "/account/logout/",
    "tokens": "/account/tokens",
    "webhooks": "/account/webhooks",
    "webhook": "/account/webhooks/{webhook}",
    "not-found": "/nothing-here",
}
NARROWEST = (320, 700)
VARIANTS = {
    "light": (DESKTOP, "light"),
    "dark": (DESKTOP, "dark"),
    "phone": (PHONE, "light"),
    "phone-dark": (PHONE, "dark"),
}


def check_page(browser: Browser, name: str, path: str) -> list[str]:
    """Open a page and check it in every theme and size, and its cost; return its problems."""
    browser.go(path)
    problems = check_open_page(browser, name)
    axe = sum(": wider than" not in problem for problem in problems)
    return problems + browser.cost(name, axe).complaints()


def check_open_page(browser: Browser, name: str, variants: Iterable[str] = VARIANTS) -> list[str]:
    """Check the page that is open in these themes and sizes; return its problems."""
    problems, path = [], browser.path
    for variant in variants:
        size, theme = VARIANTS[variant]
        browser.resize(size)
        browser.theme(theme)
        if variant != "phone-dark":  # it shows nothing that the other three don't
            browser.screenshot(f"{name}-{variant}")
        rules = WCAG if theme == "light" else COLORS
        problems += [f"{name}, {variant}: {violation}" for violation in browser.violations(rules)]
        if browser.is_too_wide():
            problems.append(f"{name}, {variant}: wider than the screen")
    browser.resize(NARROWEST)
    if browser.is_too_wide():
        problems.append(f"{name}, {NARROWEST[0]} px: wider than the screen")
    browser.resize(DESKTOP)
    complaints = [line for line in browser.console() if path not in line]  # the page itself may be a 422 or a 404
    return problems + [f"{name}: {line}" for line in complaints]


@pytest.mark.usefixtures("exchange")
def test_pages_of_a_customer_with_a_history(open_browser: Callable[..., Browser]) -> None:
    ada = customer_with_history(password=PASSWORD)
    tokens.issue(ada, "spreadsheet at home", ["read"])
    webhook = webhook_with_a_log(ada)
    trade = Trade.objects.filter(customer=ada).latest("sequence")
    browser = open_browser()
    problems = [problem for name, path in SIGNED_OUT.items() for problem in check_page(browser, name, path)]
    browser.go("/api/docs/")
    browser.until_text("placeTrade", 30)
    # Redoc has one theme, and examining its thousands of elements takes as long as twenty pages.
    problems += check_open_page(browser, "api-docs", ["light"])
    browser.sign_in(ada.email)
    problems += check_page(browser, "prove-it", "/account/second-factor/totp/activate/")
    browser.confirm_password()
    for name, path in SIGNED_IN.items():
        path = path.format(filled=trade.id, webhook=webhook.id, month=f"{eastern_date(trade.placed_at):%Y-%m}")
        problems += check_page(browser, name, path)
    assert problems == []


def webhook_with_a_log(customer: Customer) -> Webhook:
    """Create a webhook with delivered, failing and abandoned events, and one without events."""
    subscriptions.create(customer.id, "https://93.184.216.34/quiet")
    webhook = subscriptions.create(
        customer.id, "https://93.184.216.34/brokerage/events?for=ada&with=a-rather-long-address"
    )[0]
    now = timezone.now()
    for type, state in [
        ("trade.placed", {"attempts": 1, "answer": "HTTP 204", "delivered_at": now, "next_at": None}),
        ("trade.in_progress", {"attempts": 11, "answer": "ReadTimeoutError", "next_at": None}),
        ("trade.filled", {"attempts": 4, "answer": "HTTP 503", "next_at": now + timedelta(minutes=10)}),
        ("webhook.test", {"attempts": 1, "answer": "HTTP 200", "delivered_at": now, "next_at": None}),
    ]:
        DeliveryFactory.create(webhook=webhook, event_id=f"0001a2b3c4-{type}", type=type, body="{}", **state)
    return webhook


def test_pages_that_show_a_secret_once(open_browser: Callable[..., Browser]) -> None:
    create_customer("maker@example.com", PASSWORD, name="Mia Maker")
    browser = open_browser(size=DESKTOP)
    browser.sign_in("maker@example.com")
    browser.go("/account/tokens")
    browser.press("Create a token")
    browser.until_text("Enter a name")
    problems = check_open_page(browser, "tokens-refused")
    browser.fill("#id_name", "spreadsheet at home")
    browser.press("Create a token")
    browser.until_text("Save this now")
    problems += check_open_page(browser, "tokens-made")
    browser.go("/account/webhooks")
    browser.fill("#id_url", "https://192.168.1.7/hook")
    browser.press("Add a webhook")
    browser.until_text("on a private network")
    problems += check_open_page(browser, "webhooks-refused")
    browser.fill("#id_url", "https://93.184.216.34/hook")
    browser.press("Add a webhook")
    browser.until_text("Save this now")
    problems += check_open_page(browser, "webhooks-made")
    browser.press("Send a test event")
    browser.until_text("A test event is on its way.")
    problems += check_open_page(browser, "webhook-waiting")
    Delivery.objects.update(attempts=1, answer="HTTP 200", delivered_at=timezone.now(), next_at=None)
    browser.until_text("Delivered")
    assert problems == []


def test_pages_that_ask_for_a_code_from_a_mail(open_browser: Callable[..., Browser]) -> None:
    browser = open_browser()
    browser.go("/account/signup/")
    browser.fill("#id_name", "Grace Hopper")
    browser.fill("#id_email", "grace@example.com")
    browser.fill("#id_password1", PASSWORD)
    browser.press("Open account")
    browser.until(lambda: "signup" not in browser.path)
    problems = check_open_page(browser, "sign-up-code")
    browser.fill("#id_code", "WRONG-1")
    browser.find("#id_code").submit()
    browser.until_text("Incorrect code")
    problems += check_open_page(browser, "sign-up-code-wrong")
    browser.fill("#id_code", code_from_mail())
    browser.find("#id_code").submit()
    browser.until_text("Your portfolio")
    browser.go("/account/email/")
    browser.fill("#id_email", "hopper@example.com")
    browser.press("Change email")
    browser.until(lambda: browser.all("#id_code"))
    problems += check_open_page(browser, "email-code")
    browser.driver.delete_all_cookies()
    browser.go("/account/password/reset/")
    browser.fill("#id_email", "grace@example.com")
    browser.find("#id_email").submit()
    browser.until(lambda: browser.all("#id_code"))
    problems += check_open_page(browser, "password-reset-code")
    browser.fill("#id_code", code_from_mail())
    browser.find("#id_code").submit()
    browser.until(lambda: browser.all("#id_password1"))
    problems += check_open_page(browser, "password-reset-new")
    assert problems == []


def test_pages_of_a_new_customer_and_of_trades_on_their_way(
    open_browser: Callable[..., Browser], exchange: StandInExchange
) -> None:
    exchange.faults(latencyMs=3_600_000)
    newcomer = create_customer("newcomer@example.com", PASSWORD, name="Noa New")
    browser = open_browser()
    browser.sign_in(newcomer.email)
    problems = [problem for name, path in EMPTY.items() for problem in check_page(browser, name, path)]
    browser.go("/cash")
    browser.fill("#deposit_amount", "1000")
    browser.find("form[action$=deposit] button").click()
    in_flight, _ = place_trade(newcomer.id, "AAPL", "BUY", 2)
    placed, _ = place_trade(newcomer.id, "KO", "BUY", 1)
    browser.go(f"/trades/{in_flight.id}")
    browser.until_text("IN PROGRESS")
    paths = {"trade-in-progress": f"/trades/{in_flight.id}", "trade-placed": f"/trades/{placed.id}", "home-open": "/"}
    for name, path in {**paths, "cash-held": "/cash"}.items():
        problems += check_page(browser, name, path)
    browser.go(f"/trades/{placed.id}")
    browser.press("Cancel this trade")
    browser.until_text("Cancelled before it was sent.")
    problems += check_page(browser, "trade-cancelled", f"/trades/{placed.id}")
    assert problems == []


def test_pages_of_the_second_factor(open_browser: Callable[..., Browser]) -> None:
    customer = create_customer("careful@example.com", PASSWORD, name="Cara Careful")
    TOTP.activate(customer, generate_totp_secret())
    RecoveryCodes.activate(customer)
    browser = open_browser()
    browser.sign_in(customer.email)
    problems = check_page(browser, "second-factor-asked", browser.path)
    browser.fill("#id_code", RecoveryCodes.activate(customer).get_unused_codes()[0])
    browser.press("Sign in")
    browser.until_text("Your portfolio")
    browser.go("/account/second-factor/recovery-codes/")
    browser.confirm_password()
    problems += check_page(browser, "second-factor-is-on", "/account/second-factor/")
    problems += check_page(browser, "recovery-codes", "/account/second-factor/recovery-codes/")
    assert problems == []


def test_pages_while_the_exchange_is_down(open_browser: Callable[..., Browser], exchange: StandInExchange) -> None:
    ada = customer_with_history(password=PASSWORD)
    exchange.faults(down=True)
    browser = open_browser()
    browser.sign_in(ada.email)
    browser.until_text("Price unavailable")
    problems = check_page(browser, "away-home", "/") + check_page(browser, "away-stock", "/stocks/AAPL")
    assert "Price unavailable" in browser.text
    assert problems == []


def test_pages_while_trading_is_halted(open_browser: Callable[..., Browser]) -> None:
    ada = customer_with_history(password=PASSWORD)
    sam = create_customer("sam@example.com", PASSWORD)
    browser = open_browser()
    browser.sign_in(ada.email)
    set_control(Kind.HALT_TICKER, True, reason="news pending", by=sam, ticker="AAPL")
    browser.go("/stocks/AAPL")
    browser.until_text("Trading in AAPL is halted.")
    problems = check_open_page(browser, "halted-stock")
    browser.fill("#id_quantity", "3")
    browser.press("Review")
    browser.until(lambda: browser.all(".notice.error"))
    problems += check_open_page(browser, "halted-ticket")
    set_control(Kind.HALT_CUSTOMER, True, reason="asked by the desk", by=sam, customer=ada)
    browser.go("/")
    browser.until_text("Your trading is frozen.")
    problems += check_open_page(browser, "halted-home") + check_page(browser, "halted-trades", "/trades")
    assert problems == []
