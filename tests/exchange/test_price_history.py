"""Past prices take at most one call, whatever is cached, and are the same in parts and all together."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.utils import timezone

from exchange import gateway, price_history
from exchange.price_history import BLOCK_STEPS, histories
from tests.conftest import StandInExchange

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("exchange")]
TICKERS = ["AAPL", "IBM", "KO"]
STEP = 900


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    forget_all()
    yield
    forget_all()


def forget_all() -> None:
    cache.clear()
    price_history.forget()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], datetime, datetime]]:
    """Return the requests to the exchange: the stocks, and the start and end of the period."""
    requests: list[tuple[list[str], datetime, datetime]] = []
    original = gateway.bars_of_many

    def record(tickers: list[str], start: datetime, end: datetime, step_seconds: int) -> Any:
        requests.append((tickers, start, end))
        return original(tickers, start, end, step_seconds)

    monkeypatch.setattr(gateway, "bars_of_many", record)
    return requests


def test_a_day_of_many_stocks_is_one_call_for_little_more_than_a_day(calls: list[Any]) -> None:
    now = timezone.now()
    prices = histories(TICKERS, now - timedelta(days=1), STEP)
    ((tickers, start, end),) = calls
    assert tickers == TICKERS
    assert end - start <= timedelta(days=1) + timedelta(seconds=(BLOCK_STEPS + 1) * STEP)
    assert {ticker: len(points) >= 95 for ticker, points in prices.items()} == dict.fromkeys(TICKERS, True)
    assert histories(TICKERS, now - timedelta(days=1), STEP) == prices
    assert len(calls) == 1, "cached prices are not requested again"


def test_only_missing_prices_are_requested(calls: list[Any]) -> None:
    now = timezone.now()
    histories(["AAPL"], now - timedelta(days=1), STEP)
    histories(TICKERS, now - timedelta(days=1), STEP)
    assert calls[-1][0] == ["IBM", "KO"]
    histories(TICKERS, now - timedelta(days=2), STEP)
    assert calls[-1][2] < now - timedelta(hours=16), "the newer blocks are cached"


def test_prices_are_the_same_in_parts_and_all_together() -> None:
    end = timezone.now() - timedelta(days=2)  # all blocks have ended
    for days in (1, 2, 5):
        histories(TICKERS, end - timedelta(days=days), STEP, end)
    in_parts = histories(TICKERS, end - timedelta(days=5), STEP, end)
    forget_all()
    assert histories(TICKERS, end - timedelta(days=5), STEP, end) == in_parts
    bars = gateway.bars("IBM", end - timedelta(days=5), end, STEP)
    opens = {bar["at"]: bar["open"] for bar in bars}
    points = {point.at: point.price for point in in_parts["IBM"]}
    assert opens.items() <= points.items()


def test_a_long_chart_is_read_ahead_in_batches(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_history, "REFRESHED_TOGETHER", 2)
    start = timezone.now() - timedelta(days=365)
    for _ in range(3):
        price_history.refresh(TICKERS, start, 86_400, batches_max=1)
    assert [tickers for tickers, _, _ in calls] == [["AAPL", "IBM"], ["KO"]]
    price_history.forget()  # as in a page's process
    assert histories(TICKERS, start, 86_400).keys() == set(TICKERS)
    assert len(calls) == 2
    tomorrow = timezone.now() + timedelta(days=1)
    with time_machine.travel(tomorrow):
        price_history.refresh(TICKERS, start, 86_400)
    assert len(calls) == 4, "prices are read anew each day, because a split may have changed them"


def test_nothing_after_the_end_is_requested(calls: list[Any]) -> None:
    end = timezone.now() - timedelta(days=3)
    histories(TICKERS, end - timedelta(hours=6), STEP, end)
    ((_, _, last),) = calls
    assert last <= end + timedelta(seconds=BLOCK_STEPS * STEP)


def test_while_the_exchange_is_unavailable_cached_prices_are_shown(exchange: StandInExchange) -> None:
    now = timezone.now()
    known = histories(["IBM"], now - timedelta(days=3), STEP, now - timedelta(days=1))
    exchange.faults(down=True)
    assert histories(["IBM", "KO"], now - timedelta(days=3), STEP, now - timedelta(days=1)) == known
    assert price_history.history("KO", now - timedelta(days=3), STEP) == []


def test_pages_do_not_request_prices_that_the_sweep_has_read(calls: list[Any]) -> None:
    now = timezone.now()
    price_history.refresh(TICKERS, now - timedelta(days=1), STEP)
    calls_before = len(calls)
    assert calls_before
    price_history.refresh(TICKERS, now - timedelta(days=1), STEP)
    price_history.forget()  # as another sweep, or a page's process
    price_history.refresh(TICKERS, now - timedelta(days=1), STEP)
    assert set(histories(TICKERS, now - timedelta(days=1), STEP)) == set(TICKERS)
    assert len(calls) == calls_before


def test_the_newest_prices_are_read_again_once_a_step_has_passed(
    calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    histories(["IBM"], now - timedelta(days=1), STEP)
    until_next_step = STEP - now.timestamp() % STEP
    for seconds, calls_expected in ((until_next_step, 1), (until_next_step + price_history.HISTORY_SECONDS_MAX, 2)):
        monkeypatch.setattr(price_history.time, "time", lambda at=now.timestamp() + seconds + 1: at)
        histories(["IBM"], now - timedelta(days=1), STEP)
        assert len(calls) == calls_expected
    start, end = calls[-1][1:]
    assert end - start <= timedelta(seconds=BLOCK_STEPS * STEP), "older prices are known"


def test_charts_show_the_last_known_prices_while_the_exchange_is_down(
    exchange: StandInExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    known = histories(["IBM"], now - timedelta(days=1), STEP)
    exchange.faults(down=True)
    monkeypatch.setattr(price_history.time, "time", lambda: now.timestamp() + 2 * STEP)
    assert histories(["IBM"], now - timedelta(days=1), STEP)["IBM"][:90] == known["IBM"][:90]
