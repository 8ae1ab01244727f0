"""A real Chromium, with real pages, a real lane and the stand-in exchange."""

import base64
import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from django.conf import settings
from django.db import connection
from django.test.utils import override_settings
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from brokerage.asgi import Application
from exchange import market
from tests.browser.page_table import Cost, cost_of, save
from tests.conftest import StandInExchange
from tests.people import take_rung_customers
from trades.turn import take_turn

# The shell has the same engine without windows, and takes a sixth less of the processor.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
AXE = Path(__file__).parent / "axe-4.14.1.min.js"
AXE_SECONDS_MAX = 120  # the API reference has thousands of elements, and the machine may be busy
WCAG = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
COLORS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
"""The rules of WCAG that depend on the theme. The others find the same in each."""
SCREENSHOTS = Path(os.environ.get("SCREENSHOTS") or settings.DATA_DIR / "screenshots")
DESKTOP, PHONE = (1280, 900), (390, 844)
PASSWORD = "a-long-enough-phrase-7"
LATE = "was preloaded using link preload but not used within a few seconds"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM and DRIVER:
        return
    packages = "chromium-driver chromium-headless-shell"
    skip = pytest.mark.skip(reason=f"Chromium is not installed (Debian: apt-get install {packages})")
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker(skip)


class Browser:
    """Chromium, used as a customer would use it. `site` is the brokerage's address."""

    def __init__(self, driver: webdriver.Chrome, site: str, size: tuple[int, int], dark: bool) -> None:
        self.driver = driver
        self.site = site
        self.resize(size)
        self.theme("dark" if dark else "light")

    def resize(self, size: tuple[int, int]) -> None:
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def theme(self, theme: str) -> None:
        """Set the system's color scheme to light or dark."""
        features = [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def go(self, path: str) -> None:
        self.driver.get(self.site + path)

    @property
    def path(self) -> str:
        return self.driver.current_url.removeprefix(self.site)

    @property
    def text(self) -> str:
        return self.find("body").text

    def find(self, selector: str) -> WebElement:
        """Find an element and scroll it into view, not behind a bar."""
        element = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'nearest', behavior: 'instant'})", element)
        return element

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def fill(self, selector: str, text: str) -> None:
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def press(self, text: str) -> None:
        """Wait for the button or link with this text, and press it."""

        def find_by_text() -> WebElement | None:
            elements = self.all("main button, main a, footer button")
            return next((element for element in elements if text in element.text and element.is_displayed()), None)

        try:
            self.until(find_by_text).click()
        except TimeoutException:
            raise AssertionError(f"no button or link “{text}” on {self.path}:\n{self.text}") from None

    def until(self, condition: Callable[[], Any], seconds: float = 10) -> Any:
        def try_condition(_: Any) -> Any:
            try:
                return condition()
            except Exception:  # the page is being replaced: try again
                return False

        return WebDriverWait(self.driver, seconds, poll_frequency=0.03).until(try_condition)

    def until_text(self, text: str, seconds: float = 10) -> None:
        try:
            self.until(lambda: text in self.text, seconds)
        except Exception:
            raise AssertionError(f"no “{text}” on {self.path} within {seconds} s:\n{self.text}") from None

    def sign_in(self, email: str, password: str = PASSWORD) -> None:
        self.go("/account/login/")
        self.fill("#id_login", email)
        self.fill("#id_password", password)
        self.press("Sign in")
        self.until(lambda: "login" not in self.path)

    def confirm_password(self, password: str = PASSWORD) -> None:
        """Enter the password again if a sensitive page asks for it."""
        self.until_text("Confirm it's you")
        self.fill("#id_password", password)
        self.press("Confirm")
        self.until(lambda: "reauthenticate" not in self.path)

    def violations(self, rules: dict[str, Any] = WCAG) -> list[str]:
        """Return this page's violations of WCAG 2.2 AA, or of some of its rules, as found by axe."""
        if not self.driver.execute_script("return 'axe' in window"):
            self.driver.execute_script(AXE.read_text())
        violations = self.driver.execute_async_script(
            "const done = arguments[1]; axe.run({runOnly: arguments[0]}).then(found => done(found.violations))", rules
        )
        return [
            f"{rule['id']}: {rule['help']}: {node['html'][:160]} {json.dumps(node['any'][:1])[:200]}"
            for rule in violations
            for node in rule["nodes"]
        ]

    def cost(self, name: str, axe: int) -> Cost:
        """Return the cost of the open page, and save it in the table beside the screenshots."""
        cookies = {cookie["name"]: cookie["value"] for cookie in self.driver.get_cookies()}
        cost = cost_of(name, self.path, cookies, axe)
        save(cost, SCREENSHOTS)
        return cost

    def console(self) -> list[str]:
        """Return the errors and warnings since the last call, without the one that only says how slow it was."""
        shown = [
            entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}
        ]
        return [message for message in shown if LATE not in message]

    def is_too_wide(self) -> bool:
        return self.driver.execute_script("return document.documentElement.scrollWidth > innerWidth")

    def screenshot(self, name: str) -> None:
        """Save a screenshot of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        width, height = self.driver.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, 2600), "scale": 1}
        options = {"captureBeyondViewport": True, "clip": clip, "optimizeForSpeed": True}
        capture = self.driver.execute_cdp_cmd("Page.captureScreenshot", options)
        (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(capture["data"]))


@pytest.fixture(scope="session", autouse=True)
def _hang_up(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """End database sessions at the end: a closed browser may leave a server thread with its connection behind."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def site(
    transactional_db: None,
    live_server: Any,
    exchange: StandInExchange,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """Return the brokerage's address. Trades placed there are executed in about half a second."""
    monkeypatch.setattr(settings, "CALLBACK_URL", f"{live_server.url}/exchange/callbacks")
    # Static files are not collected here, so pages must refer to them by their plain names.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    exchange.faults(latencyMs=500)
    market.refresh()
    market.forget()
    with override_settings(STORAGES=settings.STORAGES | {"staticfiles": plain}), page_streams(), Lanes():
        yield live_server.url


class Lanes(threading.Thread):
    """Serves every lane as a worker does, without the queue."""

    def __init__(self) -> None:
        super().__init__(name="lanes")
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(0.1):
            for lane in range(settings.LANES):
                if customer_ids := take_rung_customers(lane):
                    take_turn(customer_ids, "lanes.test")
        connection.close()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: Any) -> None:
        self.stopped.set()
        self.join(10)


@contextmanager
def page_streams() -> Iterator[None]:
    """Run the `stream` process's application in a thread; pages open their streams there."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    application = Application()
    server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), name="stream")
    policy: Any = settings.CONTENT_SECURITY_POLICY
    directives = policy["DIRECTIVES"] | {"connect-src": ["'self'", address]}
    # Django has no settings for an instant while it overrides some, so no thread may read one meanwhile.
    with override_settings(STREAM_URL=address, CONTENT_SECURITY_POLICY=policy | {"DIRECTIVES": directives}):
        thread.start()
        yield
        server.should_exit = server.force_exit = True
        thread.join(10)
        application.close()


class Chromiums:
    """Running Chromiums. A test borrows them, because starting one takes seconds; all forget what the test did."""

    def __init__(self) -> None:
        self._running: list[webdriver.Chrome] = []
        self._borrowed = 0

    def borrow(self) -> webdriver.Chrome:
        """Return a Chromium as after its start."""
        if self._borrowed == len(self._running):
            self._running.append(start_chromium())
        self._borrowed += 1
        return self._running[self._borrowed - 1]

    def give_back(self, site: str) -> None:
        """Close every borrowed page, and forget its cookies, storage, cached files, passkeys and messages."""
        for driver in self._running[: self._borrowed]:
            _forget_all(driver, site)
        self._borrowed = 0

    def quit(self) -> None:
        """End every Chromium."""
        for driver in self._running:
            driver.quit()


def _forget_all(driver: webdriver.Chrome, site: str) -> None:
    if driver.virtual_authenticator_id:
        driver.remove_virtual_authenticator()
    pages = driver.window_handles
    driver.switch_to.new_window("tab")  # a tab keeps what pages stored for the session
    empty = driver.current_window_handle
    for page in pages:
        driver.switch_to.window(page)
        driver.close()
    driver.switch_to.window(empty)
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": site, "storageTypes": "all"})
    driver.get_log("browser")


def start_chromium() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(AXE_SECONDS_MAX)
    return driver


@pytest.fixture(scope="session")
def chromiums() -> Iterator[Chromiums]:
    chromiums = Chromiums()
    yield chromiums
    chromiums.quit()


@pytest.fixture
def open_browser(site: str, chromiums: Chromiums) -> Iterator[Callable[..., Browser]]:
    """Return a function that opens Chromium: `open_browser(size=PHONE, dark=True, scripts=False)`."""

    def open_browser(size: tuple[int, int] = DESKTOP, dark: bool = False, scripts: bool = True) -> Browser:
        driver = chromiums.borrow()
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        return Browser(driver, site, size, dark)

    yield open_browser
    chromiums.give_back(site)
