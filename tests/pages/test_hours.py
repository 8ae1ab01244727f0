"""Pages while the exchange has the hours of the New York Stock Exchange."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import time_machine
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from accounts.models import Customer
from exchange import calendar, market, prices
from tests.conftest import PROJECT
from tests.history import customer_with_history
from trades import performance
from trades.models import Status, Trade, WhenClosed
from trades.periods import PERIODS, last_session
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
    """Run a stand-in exchange with the hours of the New York Stock Exchange."""
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
                # The first request for the calendar is slow.
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
def test_a_days_chart_shows_the_last_session(page_of: Callable[[Customer], Client]) -> None:
    market.refresh()
    ada = customer_with_history()
    clock = market.clock()
    assert clock
    session = last_session(timezone.now())
    assert session
    page = page_of(ada).get("/stocks/AAPL")
    text = page.content.decode()
    assert ("Market open · closes" if clock["isOpen"] else "Market closed · opens") in text
    assert " ET" in text
    is_today = session.day == calendar.today()
    assert ("today" if is_today else f"on {session.day:%a}, {session.day:%b} {session.day.day}") in text
    quote = prices.quotes(["AAPL"])["AAPL"]
    chart = page.context["chart"]
    assert chart.change == quote.price - quote.previous_close
    assert (chart.begins, chart.ends) == (session.opens_at, session.closes_at)
    assert chart.points[-1][0] <= session.closes_at.timestamp(), "no flat line after the close"
    for name in PERIODS:
        worth = performance.worth(ada.id, PERIODS[name])
        assert worth.value
        assert worth.chart
        sessions = [
            calendar.session(datetime.fromtimestamp(point[0], EASTERN).date()) for point in worth.chart.points[:-1]
        ]
        assert None not in sessions, f"{name} shows a day without a session"
    assert page_of(ada).get("/").status_code == 200


@pytest.mark.usefixtures("with_hours", "db")
def test_the_last_sessions_chart_is_still_shown_days_later(alice: Customer) -> None:
    with time_machine.travel(datetime(2026, 11, 22, 23, 0, tzinfo=UTC), tick=True):  # a Sunday evening
        quote = prices.quotes(["AAPL"])["AAPL"]
        chart, _ = performance.stock_chart("AAPL", PERIODS["1D"], quote)
    assert chart
    assert (chart.begins, chart.ends) == (
        datetime(2026, 11, 20, 14, 30, tzinfo=UTC),
        datetime(2026, 11, 20, 21, tzinfo=UTC),
    )


def test_a_trade_that_waits_for_the_opening_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "is_open", lambda: False)
    queued = Trade(status=Status.PLACED, when_closed=WhenClosed.QUEUE, queued_at=timezone.now())
    assert "Queued for the open" in render_to_string("parts/status.html", {"trade": queued})
    assert "PLACED" in render_to_string("parts/status.html", {"trade": Trade(status=Status.PLACED)})
    monkeypatch.setattr(market, "is_open", lambda: True)
    assert "PLACED" in render_to_string("parts/status.html", {"trade": queued}), (
        "once the market is open, the trade only waits for its turn"
    )


def test_the_next_opening_is_shown_in_eastern_time() -> None:
    opens = datetime(2026, 11, 30, 14, 30, tzinfo=UTC)
    closed = {"hours": "nyse", "isOpen": False, "nextOpen": opens, "nextClose": None}
    assert "Mon, Nov 30, 9:30 AM ET" in render_to_string("parts/market.html", {"market": closed})
