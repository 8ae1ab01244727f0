"""On a phone, the ticket opens as a sheet on a stock's page, with and without scripts."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import DESKTOP, PASSWORD, PHONE, Browser
from tests.conftest import StandInExchange
from tests.people import open_account, receive_shares

pytestmark = pytest.mark.browser
OpenBrowser = Callable[..., Browser]


def open_stock_page(browser: Browser) -> None:
    customer = open_account("sheet@example.com", Decimal(5000))
    customer.set_password(PASSWORD)
    customer.save()
    receive_shares(customer, "AAPL", 4, Decimal("98.50"))
    browser.sign_in(customer.email)
    browser.go("/stocks/AAPL")


def is_sheet(browser: Browser) -> bool:
    return bool(browser.driver.execute_script("return document.getElementById('sheet').matches(':modal')"))


@pytest.mark.parametrize("dark", [False, True])
def test_the_bar_on_a_phone_opens_the_ticket_as_a_sheet(
    open_browser: OpenBrowser, exchange: StandInExchange, dark: bool
) -> None:
    browser = open_browser(size=PHONE, dark=dark)
    open_stock_page(browser)
    bar = browser.find(".both")
    bottom = browser.driver.execute_script("return [arguments[0].getBoundingClientRect().bottom, innerHeight]", bar)
    assert 0 < bottom[0] <= bottom[1], "the bar is visible without scrolling"
    browser.screenshot(f"stock-phone-{'dark' if dark else 'light'}")
    browser.find(".both [data-sheet=SELL]").click()
    browser.until(lambda: is_sheet(browser))
    assert browser.find("#sheet [name=type][value=SELL]").is_selected()
    assert browser.driver.switch_to.active_element.get_attribute("name") == "quantity"
    browser.driver.switch_to.active_element.send_keys("3")
    browser.until_text("Estimated proceeds")
    assert browser.violations() == []
    assert not browser.is_too_wide()
    browser.screenshot(f"sheet-{'dark' if dark else 'light'}")
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    browser.until(lambda: not is_sheet(browser))
    browser.until(lambda: browser.driver.switch_to.active_element.get_attribute("data-sheet") == "SELL")
    assert browser.find("#sheet #ticket").is_displayed(), "the ticket is back in the page"
    browser.find(".both [data-sheet=BUY]").click()
    browser.until(lambda: is_sheet(browser))
    browser.find("#sheet [data-close]").click()
    browser.until(lambda: not is_sheet(browser))
    browser.find(".both [data-sheet=SELL]").click()
    browser.press("Review")
    browser.until_text("Sell 3 shares of AAPL")
    assert browser.console() == []


def test_without_scripts_the_bar_links_to_the_form(open_browser: OpenBrowser, exchange: StandInExchange) -> None:
    browser = open_browser(size=PHONE, scripts=False)
    open_stock_page(browser)
    browser.find(".both [data-sheet=SELL]").click()
    browser.until(lambda: browser.path == "/stocks/AAPL/trade?type=SELL")
    assert browser.find("#ticket [name=type][value=SELL]").is_selected()


def test_a_wide_page_has_the_ticket_beside_it_and_no_bar(open_browser: OpenBrowser, exchange: StandInExchange) -> None:
    browser = open_browser(size=DESKTOP)
    open_stock_page(browser)
    assert not browser.find(".both").is_displayed()
    assert not browser.find("#sheet [data-close]").is_displayed()
    assert browser.find("#sheet #ticket").is_displayed()
    assert browser.violations() == []
    browser.screenshot("stock-lots")
