"""Pages while the exchange keeps the hours of the New York Stock Exchange."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client

from accounts.models import Customer
from exchange import market, prices
from tests.conftest import PROJECT
from tests.history import customer_with_history
from trades import valuation
from web.timezones import EASTERN


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def with_hours(
    unused_port: int, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A stand-in exchange that opens and closes."""
    monkeypatch.setattr(settings, "EXCHANGE_URL", f"http://127.0.0.1:{unused_port}")
    environment = os.environ | {
        "EXCHANGE_PORT": str(unused_port),
        "EXCHANGE_SECRET": settings.EXCHANGE_SECRET,
        "EXCHANGE_HOURS": "nyse",
        "DATA_DIR": str(tmp_path_factory.mktemp("nyse")),
    }
    process = subprocess.Popen([sys.executable, "-m", "exchange.simulator"], cwd=PROJECT, env=environment)
    try:
        for _ in range(400):
            try:
                # The first question about days takes it a while.
                urllib.request.urlopen(f"{settings.EXCHANGE_URL}/v1/calendar", timeout=20).close()  # noqa: S310
                break
            except OSError:
                time.sleep(0.05)
        market.forget()
        prices.forget()
        yield
    finally:
        process.terminate()
        process.wait(10)
        market.forget()
        prices.forget()


@pytest.mark.usefixtures("with_hours", "db")
def test_the_day_begins_at_the_last_opening_bell(page_of: Callable[[Customer], Client]) -> None:
    market.refresh()
    ada = customer_with_history()
    clock = market.clock()
    assert clock
    begins = prices.day_start().astimezone(EASTERN)
    assert (begins.hour, begins.minute) == (9, 30)
    page = page_of(ada).get("/stocks/AAPL")
    text = page.content.decode()
    assert ("Market open · closes" if clock["isOpen"] else "Market closed · opens") in text
    assert " ET" in text
    assert "today" in text
    quote = prices.quotes(["AAPL"])["AAPL"]
    assert page.context["chart"].change == quote.price - quote.previous_close
    worth = valuation.worth(ada.id, valuation.PERIODS["1W"])
    assert worth.value
    assert page_of(ada).get("/").status_code == 200


def test_the_next_bell_is_told_in_eastern_time() -> None:
    opens = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)
    closed = {"hours": "nyse", "isOpen": False, "nextOpen": opens, "nextClose": None}
    assert "Mon, Nov 30, 9:30 AM ET" in render_to_string("parts/market.html", {"market": closed})
