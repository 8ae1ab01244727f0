"""Portfolio history on a fixed grid, and the equity at the previous close."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Customer, Position
from alpaca_api import history
from alpaca_api.day import Day
from exchange import market, prices
from exchange.prices import Quote
from tests.alpaca_api.conftest import Alpaca
from trades import equity, performance
from trades.day import Bought
from trades.periods import PERIODS
from web.timezones import EASTERN

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("exchange")]
AlpacaOf = Callable[[Customer], Alpaca]
HISTORY = "account/portfolio/history"


def test_a_new_account_begins_with_its_first_equity(bob: Customer, alpaca_of: AlpacaOf) -> None:
    status, body = alpaca_of(bob)("GET", f"{HISTORY}?period=1D")
    assert (status, body["timeframe"]) == (200, "1Min")
    assert body["base_value"] == 500.0
    assert (body["equity"][-1], body["profit_loss"][-1]) == (500.0, 0.0)
    assert body["cashflow"]["CSD"][-1] == 500.0


def test_the_same_request_returns_the_same_points(bob: Customer, alpaca_of: AlpacaOf) -> None:
    call = alpaca_of(bob)
    for query in ("", "period=1D", "period=1W&timeframe=15Min", "period=all", "period=1A"):
        first, second = call("GET", f"{HISTORY}?{query}")[1], call("GET", f"{HISTORY}?{query}")[1]
        assert set(first["timestamp"][1:]) <= set(second["timestamp"])
        assert all(at % 60 == 0 for at in first["timestamp"])


def test_points_lie_on_trading_days_at_whole_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "is_always_open", lambda: False)
    start, end = datetime(2026, 11, 20, tzinfo=EASTERN), datetime(2026, 12, 1, tzinfo=EASTERN)
    days = history.windows(start, end, "1D", "market_hours")
    assert [window.start.day for window in days] == [20, 23, 24, 25, 27, 30], "no weekend, and no Thanksgiving"
    assert {(window.start.hour, window.start.minute) for window in days} == {(9, 30)}
    assert [window.end.hour for window in days] == [16, 16, 16, 16, 13, 16]
    friday = datetime(2026, 11, 27, tzinfo=EASTERN)
    windows_of = {
        reporting: len(history.windows(friday, friday + timedelta(days=1), "15Min", reporting))
        for reporting in ("market_hours", "extended_hours", "continuous")
    }
    assert windows_of == {"market_hours": 14, "extended_hours": 64, "continuous": 96}
    saturday = datetime(2026, 11, 28, 12, tzinfo=EASTERN)
    assert history.period_start(saturday, timedelta(days=1)) == datetime(2026, 11, 27, 9, 30, tzinfo=EASTERN)


def test_profit_excludes_deposits_and_restarts_each_day(bob: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market, "is_always_open", lambda: False)
    values = [Decimal(n) for n in (100, 110, 120, 150, 155)]
    monkeypatch.setattr(history, "equity_at", lambda *_: values)
    monkeypatch.setattr(history, "cashflows", lambda *_: {"CSD": [Decimal(0), Decimal(0), Decimal(20), Decimal(20)]})
    monday = datetime(2026, 11, 23, 9, 30, tzinfo=EASTERN)
    moments = [monday, monday + timedelta(hours=1), monday + timedelta(days=1), monday + timedelta(days=1, hours=1)]
    grid = [history.Window(start, start + timedelta(hours=1)) for start in moments]
    daily = history.portfolio(bob.id, grid, "1H", None, resets_daily=True)
    total = history.portfolio(bob.id, grid, "1H", set(), resets_daily=False)
    assert daily["profit_loss"] == [10.0, 20.0, 10.0, 15.0]
    assert total["profit_loss"] == [10.0, 20.0, 30.0, 35.0]
    assert total["profit_loss_pct"] == [0.1, 0.2, 0.3, 0.35]
    assert (daily["base_value"], total["cashflow"], daily["cashflow"]["CSD"][-1]) == (100.0, {}, 20.0)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("timeframe=1Min&date_start=2026-01-01", "timeframe: must be 1D for more than 30 days"),
        ("period=1D&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z", "period: can't be given with both"),
        ("period=0D", "period: must be like 1D"),
        ("intraday_reporting=x", "intraday_reporting: "),
        ("pnl_reset=x", "pnl_reset: "),
        ("end=2006-01-01T00:00:00Z", "end: too long ago"),
        ("start=9999-12-31T00:00:00Z", "start must be before end"),
    ],
)
def test_unsupported_history_requests_are_refused(bob: Customer, alpaca_of: AlpacaOf, query: str, message: str) -> None:
    status, body = alpaca_of(bob)("GET", f"{HISTORY}?{query}")
    assert status == 422
    assert message in body["message"]


def test_the_equity_of_the_previous_close(alice: Customer, alpaca_of: AlpacaOf) -> None:
    with connection.cursor() as cursor:  # date everything three days back
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE accounts_posting DISABLE TRIGGER USER")
        cursor.execute("UPDATE accounts_posting SET created_at = created_at - interval '3 days'")
    call = alpaca_of(alice)
    quote = prices.quotes(["AAPL"])["AAPL"]
    account = call("GET", "account")[1]
    assert Decimal(account["last_equity"]) == 1000 + 10 * quote.previous_close
    (position,) = call("GET", "positions")[1]
    assert Decimal(position["lastday_price"]) == quote.previous_close
    change = Decimal(position["current_price"]) - Decimal(position["lastday_price"])
    assert Decimal(position["unrealized_intraday_pl"]) == 10 * change
    assert Decimal(position["change_today"]) == round(change / quote.previous_close, 6)


@pytest.mark.parametrize(("period", "timeframe"), [("1D", "15Min"), ("1W", "1H")])
def test_the_pages_chart_and_the_portfolio_history_agree(
    alice: Customer, alpaca_of: AlpacaOf, period: str, timeframe: str
) -> None:
    """Both show the same equity at the same moments, except the last, when the price may have moved between calls."""
    with connection.cursor() as cursor:  # date everything nine days back
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE accounts_posting DISABLE TRIGGER USER")
        cursor.execute("UPDATE accounts_posting SET created_at = created_at - interval '9 days'")
    chart = performance.worth(alice.id, PERIODS[period], shows_deposits=True).chart
    assert chart is not None
    query = f"{HISTORY}?period={period}&timeframe={timeframe}&intraday_reporting=continuous"
    body = alpaca_of(alice)("GET", query)[1]
    seconds = {"15Min": 900, "1H": 3600}[timeframe]
    equity_in_history = dict(zip([at + seconds for at in body["timestamp"]], body["equity"], strict=True))
    equity_in_chart = {at: float(amount) for at, amount, *_ in chart.points[:-1]}
    shared = equity_in_history.keys() & equity_in_chart.keys()
    assert len(shared) >= 20
    assert {at: equity_in_chart[at] for at in shared} == {at: equity_in_history[at] for at in shared}
    assert float(chart.points[-1][1]) == pytest.approx(body["equity"][-1], rel=0.01)


def test_todays_profit_counts_shares_bought_today_from_their_price() -> None:
    now = timezone.now().astimezone(UTC)
    day = Day(
        {"AAPL": Quote(Decimal(12), Decimal(10), now)},
        {"": Decimal(5), "AAPL": Decimal(3)},
        {"AAPL": Bought(Decimal(2), Decimal(22))},
    )
    gain = day.gain(Position(ticker="AAPL", quantity=5))
    assert gain
    assert (gain.amount, gain.ratio) == (60 - 30 - 22, Decimal(8) / 52)
    assert day.equity_before == 35
    assert Day({}, {"AAPL": Decimal(3)}, {}).equity_before is None


def test_holdings_at_given_times(alice: Customer) -> None:
    now = timezone.now()
    before, after = equity.held_at(alice.id, [now - timedelta(days=1), now + timedelta(seconds=5)])
    assert before == {}
    assert after == {"": Decimal(1000), "AAPL": Decimal(10)}
    assert equity.held_at(alice.id, []) == []


def test_an_unknown_price_gives_no_value(alice: Customer) -> None:
    holdings: list[Any] = equity.held_at(alice.id, [timezone.now() + timedelta(seconds=5)])
    assert equity.equity(holdings, lambda ticker: [None]) == [None]
    assert equity.equity(holdings, lambda ticker: [Decimal(7)]) == [Decimal(1070)]
