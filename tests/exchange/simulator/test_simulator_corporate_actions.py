"""Corporate actions are announced, stored, listed in order, and applied to prices and listings on their ex-dates."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.simulator.conftest import Broker, Exchange

DAY = 86_400


@pytest.fixture
def exchange(new_exchange: Callable[..., Exchange]) -> Any:
    return new_exchange().start()


def days_ahead(count: int) -> Any:
    return (datetime.now(UTC).date() + timedelta(days=count)).isoformat()


def announce(exchange: Exchange, **action: Any) -> Any:
    status, body = exchange.call("POST", "/v1/corporate-actions", action)
    assert status == 201, body
    return body


def move_days(exchange: Exchange, count: int) -> None:
    assert exchange.call("PUT", "/v1/clock", {"offsetSeconds": count * DAY})[0] == 200


def dividend(**changes: Any) -> Any:
    terms = {"kind": "CASH_DIVIDEND", "stockTicker": "IBM", "exDate": days_ahead(3), "payDate": days_ahead(20)}
    return terms | {"amountPerShare": "1.6700"} | changes


def split(**changes: Any) -> Any:
    return {"kind": "SPLIT", "stockTicker": "IBM", "exDate": days_ahead(2), "numerator": 4, "denominator": 1} | changes


def test_an_announced_dividend_has_every_documented_field(exchange: Exchange) -> None:
    action = announce(exchange, **dividend(recordDate=days_ahead(4)))
    assert action.pop("actionId")
    assert action.pop("announcedAt") <= exchange.get("/v1/clock")["at"]
    assert action == {
        "sequence": 1, "kind": "CASH_DIVIDEND", "stockTicker": "IBM", "exDate": days_ahead(3),
        "recordDate": days_ahead(4), "payDate": days_ahead(20), "amountPerShare": "1.6700", "numerator": None,
        "denominator": None, "newTicker": None, "referencePrice": None,
    }  # fmt: skip
    assert announce(exchange, **dividend())["recordDate"] == days_ahead(3)


def test_announcements_are_listed_in_order_page_by_page_and_outlive_the_process(exchange: Exchange) -> None:
    announced = [announce(exchange, **dividend(payDate=days_ahead(30 + n))) for n in range(5)]
    exchange.kill()
    exchange.start()
    page = exchange.get("/v1/corporate-actions?after=0&limit=2")
    assert page == {"results": announced[:2], "next": announced[1]["sequence"]}
    page = exchange.get(f"/v1/corporate-actions?after={page['next']}&limit=100")
    assert page == {"results": announced[2:], "next": None}
    assert exchange.get(f"/v1/corporate-actions?after={announced[-1]['sequence']}") == {"results": [], "next": None}


def test_a_repeated_announcement_is_stored_once(exchange: Exchange) -> None:
    first = announce(exchange, **split(actionId="ibm-split"))
    assert exchange.call("POST", "/v1/corporate-actions", split(actionId="ibm-split")) == (200, first)
    status, body = exchange.call("POST", "/v1/corporate-actions", split(actionId="ibm-split", numerator=5))
    assert (status, body["code"]) == (409, "conflict")
    move_days(exchange, 5)
    assert exchange.call("POST", "/v1/corporate-actions", split(actionId="ibm-split"))[0] == 200
    assert len(exchange.get("/v1/corporate-actions")["results"]) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "MERGER"}, "kind"), ({"kind": None}, "kind"), ({"stockTicker": None}, "stockTicker"),
        ({"stockTicker": "NOSUCH"}, "stockTicker"), ({"stockTicker": 5}, "stockTicker"), ({"exDate": None}, "exDate"),
        ({"exDate": "2026-02-30"}, "exDate"), ({"payDate": None}, "payDate"), ({"payDate": days_ahead(1)}, "payDate"),
        ({"recordDate": days_ahead(1)}, "recordDate"), ({"amountPerShare": None}, "amountPerShare"),
        ({"amountPerShare": "0.0000"}, "amountPerShare"), ({"amountPerShare": 1.5}, "amountPerShare"),
        ({"amountPerShare": "0.00001"}, "amountPerShare"), ({"numerator": 2}, "numerator"),
        ({"newTicker": "IBMX"}, "newTicker"), ({"actionId": "a b"}, "actionId"),
        ({"referencePrice": "-1"}, "referencePrice"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_dividends_are_refused(running: Exchange, change: Any, field: str) -> None:
    status, body = running.call("POST", "/v1/corporate-actions", dividend() | change)
    assert status == 422, body
    assert field in [error["field"] for error in body["errors"]]
    assert running.get("/v1/corporate-actions")["results"] == []


@pytest.mark.parametrize(
    ("action", "field"),
    [
        (split(numerator=None), "numerator"), (split(denominator=0), "denominator"),
        (split(numerator=2.0), "numerator"),
        (split(numerator=3, denominator=3), "numerator"), (split(exDate=days_ahead(-1)), "exDate"),
        ({"kind": "TICKER_CHANGE", "stockTicker": "IBM", "exDate": days_ahead(2)}, "newTicker"),
        ({"kind": "TICKER_CHANGE", "stockTicker": "IBM", "exDate": days_ahead(2), "newTicker": "IBM"}, "newTicker"),
        ({"kind": "TICKER_CHANGE", "stockTicker": "IBM", "exDate": days_ahead(2), "newTicker": "AAPL"}, "newTicker"),
        ({"kind": "DELISTING", "stockTicker": "IBM", "exDate": days_ahead(-3)}, "exDate"), ([], ""), ({}, "kind"),
    ],
    ids=str,
)  # fmt: skip
def test_other_bad_announcements_are_refused(running: Exchange, action: Any, field: str) -> None:
    status, body = running.call("POST", "/v1/corporate-actions", action)
    assert status == 422, body
    assert [error["field"] for error in body["errors"]] == [field]
    assert all(error["detail"] for error in body["errors"])


def closes(exchange: Exchange, ticker: str = "IBM") -> Any:
    """Return the closing prices of the ten days before today, by date."""
    today = datetime.now(UTC).date()
    start, end = today - timedelta(days=10), today
    bars = exchange.get(f"/v1/bars/{ticker}?start={start}T00:00:00Z&end={end}T00:00:00Z&step={DAY}")["results"]
    return {bar["at"][:10]: Decimal(bar["close"]) for bar in bars}


@pytest.mark.parametrize(("numerator", "denominator"), [(4, 1), (3, 2), (1, 10)])
def test_a_split_divides_price_and_history_from_its_ex_date_on(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], numerator: Any, denominator: Any
) -> None:
    ratio = Decimal(numerator) / denominator
    before = closes(exchange)
    move_days(exchange, 1)
    price_before = Decimal(exchange.get("/v1/quotes/IBM")["price"])
    move_days(exchange, 0)
    announce(exchange, **split(numerator=numerator, denominator=denominator))
    assert closes(exchange) == before
    move_days(exchange, 1)
    assert abs(Decimal(exchange.get("/v1/quotes/IBM")["price"]) / price_before - 1) < Decimal("0.05")
    move_days(exchange, 2)
    quote = exchange.get("/v1/quotes/IBM")
    after = closes(exchange)
    assert after.keys() == before.keys()
    for day, close in before.items():
        assert abs(after[day] - close / ratio) <= Decimal("0.005")
    assert abs(Decimal(quote["previousClose"]) * ratio / price_before - 1) < Decimal("0.1")
    assert Decimal(quote["low"]) <= Decimal(quote["price"]) <= Decimal(quote["high"])
    order = trade(stockTicker="IBM", expiresAt=None)
    exchange.execute(broker.url, order)
    price = Decimal(exchange.final(order["tradeId"])["price"])
    assert abs(price / Decimal(quote["price"]) - 1) < Decimal("0.02")
    assert closes(exchange, "AAPL").keys() == before.keys()


def test_splits_multiply(exchange: Exchange) -> None:
    before = closes(exchange)
    announce(exchange, **split(exDate=days_ahead(1), numerator=2))
    announce(exchange, **split(exDate=days_ahead(2), numerator=3))
    move_days(exchange, 2)
    for day, close in closes(exchange).items():
        assert abs(close - before[day] / 6) <= Decimal("0.005")


def test_a_split_has_a_reference_price_in_new_shares(exchange: Exchange) -> None:
    price = Decimal(exchange.get("/v1/quotes/IBM")["price"])
    action = announce(exchange, **split())
    assert abs(Decimal(action["referencePrice"]) * 4 / price - 1) < Decimal("0.02")
    assert announce(exchange, **split(stockTicker="AAPL", referencePrice="12.3400"))["referencePrice"] == "12.3400"


def test_a_trade_that_arrived_before_a_split_is_rejected_after_it(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    announce(exchange, **split(exDate=days_ahead(1)))
    exchange.faults(latencyMs=2000)
    order, other = trade(stockTicker="IBM", expiresAt=None), trade(expiresAt=None)
    exchange.execute(broker.url, order, other)
    move_days(exchange, 1)
    report = exchange.final(order["tradeId"])
    assert (report["status"], report["reasonCode"]) == ("REJECTED", "corporate_action")
    assert exchange.final(other["tradeId"])["status"] == "FILLED"


def test_a_ticker_change_renames_on_its_ex_date(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    history = closes(exchange)
    announce(exchange, kind="TICKER_CHANGE", stockTicker="IBM", exDate=days_ahead(1), newTicker="BLUE")
    assert exchange.call("GET", "/v1/quotes/BLUE")[0] == 404
    assert exchange.get("/v1/quotes/IBM")
    move_days(exchange, 1)
    assert exchange.call("GET", "/v1/quotes/IBM")[0] == 404
    assert exchange.get("/v1/quotes/BLUE")["stockTicker"] == "BLUE"
    assert closes(exchange, "BLUE") == history
    listed = {entry["stockTicker"]: entry["name"] for entry in exchange.get("/v1/tickers")["results"]}
    assert "IBM" not in listed
    assert listed["BLUE"]
    old, new = trade(stockTicker="IBM", expiresAt=None), trade(stockTicker="BLUE", expiresAt=None)
    exchange.execute(broker.url, old, new)
    assert exchange.final(old["tradeId"])["reasonCode"] == "unknown_ticker"
    assert exchange.final(new["tradeId"])["status"] == "FILLED"
    # From now on, its actions are announced under the new ticker. Before the ex-date it still has the old one.
    announce(exchange, **split(stockTicker="BLUE", exDate=days_ahead(3)))
    assert exchange.call("POST", "/v1/corporate-actions", split(exDate=days_ahead(3)))[0] == 422
    move_days(exchange, 0)
    assert exchange.get("/v1/quotes/IBM")


def test_a_delisting_unlists_on_its_ex_date(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    action = announce(exchange, kind="DELISTING", stockTicker="IBM", exDate=days_ahead(1))
    assert Decimal(action["referencePrice"]) > 0
    assert exchange.get("/v1/quotes/IBM")
    move_days(exchange, 1)
    assert exchange.call("GET", "/v1/quotes/IBM")[0] == 404
    assert "IBM" not in {entry["stockTicker"] for entry in exchange.get("/v1/tickers")["results"]}
    assert exchange.get("/v1/quotes?tickers=AAPL,IBM")["unknown"] == ["IBM"]
    order = trade(stockTicker="IBM", expiresAt=None)
    exchange.execute(broker.url, order)
    assert exchange.final(order["tradeId"])["reasonCode"] == "unknown_ticker"
    exchange.kill()
    exchange.start()
    assert exchange.call("GET", "/v1/quotes/IBM")[0] == 404


def test_a_delisting_before_another_announced_action_is_refused(exchange: Exchange) -> None:
    announce(exchange, **split(exDate=days_ahead(5)))
    status, body = exchange.call(
        "POST", "/v1/corporate-actions", {"kind": "DELISTING", "stockTicker": "IBM", "exDate": days_ahead(4)}
    )
    assert (status, body["code"]) == (409, "conflict")
    assert exchange.call("POST", "/v1/corporate-actions", dividend(stockTicker="AAPL"))[0] == 201


def test_a_dividend_may_be_announced_late_and_moves_no_price(exchange: Exchange) -> None:
    before = closes(exchange)
    announce(exchange, **dividend(exDate=days_ahead(-3), payDate=days_ahead(0)))
    assert closes(exchange) == before


def test_new_york_applies_a_split_at_the_opening_bell(new_exchange: Callable[..., Exchange]) -> None:
    exchange = new_exchange(EXCHANGE_HOURS="nyse").start()

    def move_to(text: str) -> None:
        seconds = (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()
        assert exchange.call("PUT", "/v1/clock", {"offsetSeconds": seconds})[0] == 200

    assert date(2031, 3, 4).weekday() == 1
    move_to("2031-03-03T18:00:00Z")
    announce(exchange, **split(exDate="2031-03-04"))
    move_to("2031-03-04T14:29:30Z")
    before = Decimal(exchange.get("/v1/quotes/IBM")["price"])
    move_to("2031-03-04T14:30:05Z")
    quote = exchange.get("/v1/quotes/IBM")
    assert abs(Decimal(quote["previousClose"]) - before / 4) <= Decimal("0.005")
    assert abs(Decimal(quote["price"]) * 4 / before - 1) < Decimal("0.1")
