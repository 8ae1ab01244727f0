"""On paper: what was traded and nothing else, in ink, whatever theme the screen has."""

import base64
import re
from collections.abc import Callable

import pytest

from accounts.models import Customer
from tests.browser.conftest import PASSWORD, Browser
from tests.history import customer_with_history
from trades.models import Trade

pytestmark = pytest.mark.browser

PAPER = (720, 1000)  # about what A4 and Letter have between their margins, in CSS pixels


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_confirmation_and_a_statement_print_without_what_can_not_be_pressed(
    open_browser: Callable[..., Browser], theme: str
) -> None:
    ada = customer_with_history(password=PASSWORD)
    Customer.objects.filter(id=ada.id).update(theme=theme)
    filled = Trade.objects.filter(customer=ada).latest("sequence")
    browser = open_browser()
    browser.sign_in(ada.email)
    for name, path, words in [
        ("trade", f"/trades/{filled.id}", "You bought"),
        ("statement", f"/statements/{filled.placed_at:%Y-%m}", "Cash at the beginning"),
    ]:
        browser.go(path)
        browser.until_text(words)
        assert shown(browser, "nav, header, button, footer, .button"), "on a screen they are there"
        browser.resize(PAPER)
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        browser.screenshot(f"print-{name}-{theme}")
        assert shown(browser, "nav, header, button, footer, .button, input, .back, .notices") == []
        assert words in browser.text
        colors = browser.driver.execute_script(
            "return ['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name])"
        )
        assert colors == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert not browser.is_too_wide()
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        if name == "trade":
            assert pages_of(browser) == 1


def shown(browser: Browser, selector: str) -> list[str]:
    """What the selector names and can be seen."""
    return [element.tag_name for element in browser.all(selector) if element.is_displayed()]


def pages_of(browser: Browser) -> int:
    """On how many sheets the page that is open prints."""
    return len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(browser.driver.print_page())))
