"""A customer's first day, in a browser."""

import re
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.conf import settings
from django.core import mail
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions

from accounts.customers import create_customer
from accounts.funding import deposit
from accounts.models import Customer
from tests.browser.conftest import PASSWORD, PHONE, Browser
from tests.conftest import StandInExchange
from tests.people import totp_code
from trades.models import Trade
from trades.place import place_trade

pytestmark = pytest.mark.browser

OpenBrowser = Callable[..., Browser]


def code_from_mail() -> str:
    found = re.search(r"^\s*([A-Z0-9]{3,4}-?[A-Z0-9]{3,4})\s*$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found, mail.outbox[-1].body
    return found[1]


def with_cash(email: str, amount: int) -> Customer:
    customer = create_customer(email, PASSWORD, name="Carol Danvers")
    deposit(customer.id, Decimal(amount))
    return customer


def test_sign_up_deposit_find_buy_see_it_fill_sell_and_take_the_statement(open_browser: OpenBrowser) -> None:
    browser = open_browser()
    browser.go("/")
    browser.until_text("Invest in what you know.")
    browser.press("Open an account")
    browser.fill("#id_name", "Grace Hopper")
    browser.fill("#id_email", "grace@example.com")
    browser.fill("#id_password1", PASSWORD)
    browser.press("Open account")
    browser.until_text("code")
    browser.fill("#id_code", code_from_mail())
    browser.press("Confirm")
    browser.until_text("No positions yet.")

    browser.press("Deposit cash")
    browser.until_text("No transactions yet.")
    browser.fill("#deposit_amount", "$5,000")
    browser.find("form[action$=deposit] button").click()
    browser.until_text("$5,000.00 arrived from the stand-in bank.")

    browser.until(lambda: browser.driver.execute_script("return document.readyState") == "complete")
    browser.find("body").send_keys("/")
    assert browser.driver.switch_to.active_element.get_attribute("id") == "finder"
    browser.driver.switch_to.active_element.send_keys("walt dis")
    browser.until_text("The Walt Disney Company")
    browser.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.until(lambda: browser.path == "/stocks/DIS")

    browser.fill("#id_quantity", "3")
    browser.until_text("Leaves $4,9")
    browser.press("Review")
    browser.until_text("Buy 3 shares of DIS")
    browser.press("Confirm: buy 3 shares")
    browser.until(lambda: browser.path.startswith("/trades/"))
    status = browser.find("#live .status").text
    assert status in {"PLACED", "IN PROGRESS"}
    browser.driver.execute_script("window.notReloaded = true")
    browser.until_text("FILLED", 5)
    assert browser.driver.execute_script("return window.notReloaded"), "it was seen without a reload"
    trade = Trade.objects.get()
    assert f"{trade.price:.2f}" in browser.text
    seen_at = time.time()
    assert trade.settled_at
    assert seen_at - trade.settled_at.timestamp() < 1.5

    browser.go("/stocks/DIS/trade?type=SELL")
    browser.fill("#id_quantity", "4")
    browser.press("Review")
    browser.until_text("You own 3 DIS.")
    browser.fill("#id_quantity", "2")
    browser.press("Review")
    browser.press("Confirm: sell 2 shares")
    browser.until_text("You sold 2 shares")

    browser.go("/statements")
    links = browser.all("a[href$='.pdf']")
    assert len(links) == 1
    paper = browser.driver.execute_async_script(
        "fetch(arguments[0]).then(a => a.text()).then(t => arguments[1](t.slice(0, 5)))", links[0].get_attribute("href")
    )
    assert paper == "%PDF-"
    browser.all("main li a")[0].click()
    browser.until_text("Sold 2 DIS")
    assert [line for line in browser.console() if "422" not in line] == []


def test_a_rejected_trade_shows_the_reason(open_browser: OpenBrowser, exchange: StandInExchange) -> None:
    exchange.faults(latencyMs=200, randomErrorRate=1)
    with_cash("carol@example.com", 1_000)
    browser = open_browser()
    browser.sign_in("carol@example.com")
    browser.go("/stocks/AAPL/trade?type=BUY&quantity=1")
    browser.press("Confirm")
    browser.until_text("REJECTED", 5)
    assert "The exchange could not execute it." in browser.text
    assert "Nothing was bought or sold." in browser.text


def test_a_double_click_and_a_reloaded_page_place_one_trade(open_browser: OpenBrowser) -> None:
    with_cash("carol@example.com", 1_000)
    browser = open_browser()
    browser.sign_in("carol@example.com")
    browser.go("/stocks/AAPL/trade?type=BUY&quantity=1")
    browser.driver.execute_script(
        # Past the guard in the page, so that it is the key that is tried.
        "const f = document.querySelector('form[data-once]'); const d = new FormData(f);"
        "for (let n = 0; n < 4; n++) fetch(f.action, {method: 'POST', body: new URLSearchParams(d)});"
    )
    button = browser.find("form[data-once] button")
    browser.driver.execute_script("arguments[0].click(); arguments[0].click()", button)
    browser.until(lambda: browser.path.startswith("/trades/"))
    browser.driver.refresh()
    browser.until_text("FILLED")
    assert Trade.objects.count() == 1


def test_home_shows_open_trades_that_end_by_themselves(open_browser: OpenBrowser, exchange: StandInExchange) -> None:
    exchange.faults(latencyMs=5000)
    with_cash("carol@example.com", 1_000)
    browser = open_browser()
    browser.sign_in("carol@example.com")
    browser.go("/stocks/KO/trade?type=BUY&quantity=2")
    browser.press("Confirm")
    browser.until_text("What happened")  # it is placed: a browser that is sent elsewhere before may come here after all
    browser.go("/")
    browser.until_text("Open trades")
    browser.until_text("2 shares", 20)
    assert "Open trades" not in browser.text
    assert "Coca" in browser.text


def test_second_factor(open_browser: OpenBrowser) -> None:
    with_cash("carol@example.com", 1_000)
    browser = open_browser()
    browser.sign_in("carol@example.com")
    browser.go("/account")
    browser.press("Passkeys and two-factor")
    browser.press("Turn it on")
    browser.confirm_password()
    secret = browser.find("#authenticator_secret").get_attribute("value")
    assert secret
    browser.fill("#id_code", "000000")
    browser.press("Activate")
    browser.until_text("Incorrect code")
    secret = browser.find("#authenticator_secret").get_attribute("value") or ""
    browser.fill("#id_code", totp_code(secret))
    browser.press("Activate")
    browser.until_text("of 10 are left")
    code = browser.all("ul.codes code")[0].text
    browser.press("Sign out")
    browser.sign_in("carol@example.com")
    browser.until_text("authenticator")
    browser.fill("#id_code", code)
    browser.press("Sign in")
    browser.until_text("Your portfolio")


def test_a_passkey_signs_in_without_a_password(open_browser: OpenBrowser) -> None:
    with_cash("carol@example.com", 1_000)
    browser = open_browser()
    browser.driver.add_virtual_authenticator(
        VirtualAuthenticatorOptions(
            protocol="ctap2", transport="internal", has_resident_key=True, has_user_verification=True,
            is_user_consenting=True, is_user_verified=True,
        )
    )  # fmt: skip
    browser.sign_in("carol@example.com")
    browser.go("/account/second-factor/")
    browser.press("Add a passkey")
    browser.confirm_password()
    browser.fill("#id_name", "laptop")
    browser.press("Add it")
    browser.until_text("of 10 are left")
    browser.go("/account/second-factor/webauthn/")
    browser.until_text("laptop")
    assert browser.violations() == []
    browser.screenshot("passkeys")
    browser.press("Sign out")
    browser.go("/account/login/")
    browser.press("Sign in with a passkey")
    browser.until_text("Your portfolio")

    browser.press("Sign out")
    browser.go("/account/login/")
    browser.driver.remove_virtual_authenticator()
    browser.driver.add_virtual_authenticator(
        VirtualAuthenticatorOptions(protocol="ctap2", transport="internal", has_resident_key=True)
    )
    browser.press("Sign in with a passkey")
    browser.until_text("The passkey wasn't used.")


def test_everything_works_without_scripts(open_browser: OpenBrowser) -> None:
    with_cash("carol@example.com", 1_000)
    browser = open_browser(scripts=False)
    browser.sign_in("carol@example.com")
    browser.find("#finder").send_keys("coca" + Keys.ENTER)
    browser.until_text("Find a stock")
    browser.driver.find_element(By.PARTIAL_LINK_TEXT, "Coca").click()
    browser.fill("#id_quantity", "2")
    browser.press("Review")
    browser.press("Confirm")
    browser.until_text("You bought 2 shares", 8)  # the page asks again by itself
    browser.go("/cash")
    browser.fill("#withdraw_amount", "100000")
    browser.press("Withdraw")
    browser.until_text("You can withdraw up to $")
    browser.fill("#withdraw_amount", "10.50")
    browser.press("Withdraw")
    browser.until_text("$10.50 went to the stand-in bank.")


def test_by_keyboard_alone(open_browser: OpenBrowser) -> None:
    with_cash("carol@example.com", 1_000)
    browser = open_browser()
    browser.go("/account/login/")

    def key(*keys: str) -> None:
        for pressed in keys:
            browser.driver.switch_to.active_element.send_keys(pressed)

    browser.find("#id_login").send_keys("carol@example.com", Keys.TAB)
    key(PASSWORD, Keys.ENTER)
    browser.until_text("Your portfolio")
    browser.driver.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "Skip to content"
    key("/")
    key("aapl", Keys.ENTER)
    browser.until(lambda: browser.path == "/stocks/AAPL")
    browser.find("#id_type_0").send_keys(Keys.TAB)
    assert browser.driver.switch_to.active_element.get_attribute("name") == "quantity"
    key("1", Keys.ENTER)
    browser.until_text("Review your trade")
    browser.find("#main").send_keys(Keys.TAB)
    for _ in range(10):
        if "Confirm" in browser.driver.switch_to.active_element.text:
            break
        key(Keys.TAB)
    key(Keys.ENTER)
    browser.until_text("FILLED", 6)


def test_a_phone_has_everything_within_its_width(open_browser: OpenBrowser) -> None:
    with_cash("carol@example.com", 1_000)
    browser = open_browser(size=PHONE)
    browser.sign_in("carol@example.com")
    for path in ("/", "/stocks/AAPL", "/stocks/AAPL/trade?type=BUY&quantity=1", "/trades", "/cash", "/account"):
        browser.go(path)
        assert not browser.is_too_wide(), path


def test_pages_update_by_themselves(open_browser: OpenBrowser) -> None:
    carol = with_cash("carol@example.com", 5_000)
    browser = open_browser()
    browser.sign_in("carol@example.com")
    browser.go("/cash")
    browser.until(lambda: browser.find("html").get_attribute("data-kept") == "stream")
    browser.driver.execute_script("window.notReloaded = true")
    deposit(carol.id, Decimal(111))
    browser.until_text("$5,111.00", 5)
    place_trade(carol.id, "KO", "BUY", 2)  # as a program does
    browser.until_text("Bought 2 KO", 10)
    assert browser.driver.execute_script("return window.notReloaded")
    browser.go("/")
    browser.until(lambda: browser.find("html").get_attribute("data-kept") == "stream")
    status = browser.find("[data-figure]").text
    browser.until(lambda: browser.find("[data-figure]").text != status, 30)
    position, total = browser.driver.execute_script(
        "return ['[data-counts]', '[data-total]'].map(row => ['value', 'day', 'gain', 'gain-ratio'].map("
        "name => document.querySelector(`${row} [data-${name}]`).textContent))"
    )
    assert total == position, "the total of a single position"
    tone, chart_tone = browser.driver.execute_script(
        "return ['[data-delta] .change', 'figure[data-points]'].map("
        "place => document.querySelector(place).className.match(/gain|loss|flat/)[0])"
    )
    assert chart_tone == tone, "the chart has the color of the change"
    browser.screenshot("live-home")
    browser.driver.execute_script("arguments[0].focus()", browser.find(".chart-reader"))
    browser.find(".chart-reader").send_keys(Keys.ARROW_LEFT)
    assert "%" in browser.find("[data-at]").text


def test_without_a_stream_pages_poll(open_browser: OpenBrowser, monkeypatch: pytest.MonkeyPatch) -> None:
    carol = with_cash("carol@example.com", 5_000)
    browser = open_browser()
    browser.sign_in("carol@example.com")
    with monkeypatch.context() as patch:
        patch.setattr(settings, "STREAM_URL", "http://127.0.0.1:1")  # nobody answers there
        browser.go("/cash")
        browser.until(lambda: browser.find("html").get_attribute("data-kept") == "poll")
        deposit(carol.id, Decimal(111))
        browser.until_text("$5,111.00", 10)


def test_after_signing_in_again_the_review_is_shown_again(open_browser: OpenBrowser) -> None:
    with_cash("carol@example.com", 1_000)
    browser = open_browser()
    browser.sign_in("carol@example.com")
    browser.go("/stocks/AAPL/trade?type=BUY&quantity=2")
    browser.until_text("Review your trade")
    browser.driver.delete_cookie("sessionid")
    browser.press("Confirm")
    browser.until_text("You were signed out.")
    browser.fill("#id_login", "carol@example.com")
    browser.fill("#id_password", PASSWORD)
    browser.press("Sign in")
    browser.until_text("Not placed yet.")
    browser.screenshot("review-after-sign-in")
    browser.press("Confirm")
    browser.until_text("FILLED")
    assert Trade.objects.get().quantity == 2


def test_nothing_overflows_a_small_phone(open_browser: OpenBrowser) -> None:
    email = "a-customer-with-a-remarkably-long-address@a-subdomain.of-a-long-domain.example.com"
    rich = create_customer(email, PASSWORD, name="Wolfeschlegelsteinhausenbergerdorff The Elder")
    deposit(rich.id, Decimal("123456789.01"))
    browser = open_browser(size=(360, 740))
    browser.sign_in(email)
    browser.go("/stocks/AAPL/trade?type=BUY&quantity=105030")
    browser.find("form[data-once] button").click()
    browser.until_text("FILLED")
    for path in (
        "/",
        "/?show=deposits",
        "/stocks/AAPL",
        "/trades",
        "/cash",
        "/account",
        "/account/email/",
        "/watchlist",
    ):
        browser.go(path)
        browser.screenshot(f"small-{path.strip('/').replace('/', '-') or 'home'}")
        assert not browser.is_too_wide(), path
        clipped = browser.driver.execute_script(
            "return [...document.querySelectorAll('main :is(.num, dd, .figure)')]"
            ".filter(e => !e.closest('.watched, .table-scroll') && e.getBoundingClientRect().right > innerWidth + 1)"
            ".map(e => e.textContent)"
        )
        assert clipped == [], path


def test_the_ticket_takes_dollars_and_fills_in_the_maximum(open_browser: OpenBrowser) -> None:
    with_cash("carol@example.com", 1_000)
    browser = open_browser()
    browser.sign_in("carol@example.com")
    browser.go("/stocks/KO")
    browser.press("Buy max")
    assert int(browser.find("#id_quantity").get_attribute("value") or 0) > 10
    browser.until_text("Leaves $")
    browser.find("#id_unit").send_keys("Dollars")
    browser.fill("#id_quantity", "300")
    browser.until_text("Whole shares")
    browser.screenshot("ticket-dollars")
