"""Printed pages are black on white in every theme and have no controls; PDF documents have bold headings."""

import base64
import re
from collections.abc import Callable

import pytest
from django.test import Client
from pypdfium2 import PdfDocument, PdfPage
from pypdfium2.raw import FPDF_PAGEOBJ_TEXT

from accounts.models import Customer
from tests.browser.conftest import PASSWORD, SCREENSHOTS, Browser
from tests.history import customer_with_history
from trades.models import Trade, Type
from web.timezones import eastern_date

pytestmark = pytest.mark.browser

PAPER = (720, 1000)  # about the printable area of A4 and Letter, in CSS pixels


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_confirmation_and_a_statement_print_without_controls(
    open_browser: Callable[..., Browser], theme: str
) -> None:
    ada = customer_with_history(password=PASSWORD)
    Customer.objects.filter(id=ada.id).update(theme=theme)
    trade = Trade.objects.filter(customer=ada).latest("sequence")
    browser = open_browser()
    browser.sign_in(ada.email)
    for name, path, expected in [
        ("trade", f"/trades/{trade.id}", "You bought"),
        ("statement", f"/statements/{eastern_date(trade.placed_at):%Y-%m}", "Cash at the beginning"),
    ]:
        browser.go(path)
        browser.until_text(expected)
        assert visible(browser, "nav, header, button, footer, .button"), "on screen the controls are visible"
        browser.resize(PAPER)
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        browser.screenshot(f"print-{name}-{theme}")
        assert visible(browser, "nav, header, button, footer, .button, input, .back, .notices") == []
        assert expected in browser.text
        colors = browser.driver.execute_script(
            "return ['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name])"
        )
        assert colors == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert not browser.is_too_wide()
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        if name == "trade":
            assert pages_of(browser) == 1


def visible(browser: Browser, selector: str) -> list[str]:
    """Return the visible elements of a selector."""
    return [element.tag_name for element in browser.all(selector) if element.is_displayed()]


def pages_of(browser: Browser) -> int:
    """Return the number of sheets that the open page prints on."""
    return len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(browser.driver.print_page())))


@pytest.mark.usefixtures("exchange", "site")
def test_documents_have_their_headings_and_sums_in_bold() -> None:
    ada = customer_with_history()
    sale = Trade.objects.filter(customer=ada, type=Type.SELL).latest("sequence")
    day = eastern_date(sale.placed_at)
    client = Client()
    client.force_login(ada)
    for name, path, expected in [
        ("confirmation", f"/trades/{sale.id}/confirmation.pdf", {"Trade confirmation", "Net amount you received"}),
        ("statement", f"/statements/{day:%Y-%m}.pdf", {"Shares", "Realized gains"}),
        ("gains", f"/gains.pdf?year={day.year}", {"Sold lots"}),
    ]:
        page = PdfDocument(client.get(path).content)[0]
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.render(scale=2).to_pil().save(SCREENSHOTS / f"pdf-{name}.png")
        assert {"Brokerage", *expected} <= bold_words(page), name


def bold_words(page: PdfPage) -> set[str]:
    """Return the texts of a page that are set in an embedded bold font."""
    texts = page.get_textpage()
    words = set()
    for item in page.get_objects([FPDF_PAGEOBJ_TEXT], textpage=texts):
        font = item.get_font()
        if font.is_embedded and font.get_weight() >= 600:
            words.add(item.extract().strip())
    return words
