"""The exchange's protocol, from a broker's point of view."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.exchange.simulator.conftest import Broker, Exchange

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FIELDS = {
    "tradeId", "status", "stockTicker", "type", "quantity", "price",
    "amount", "reason", "reasonCode", "executionId", "executedAt",
}  # fmt: skip
MONEY = re.compile(r"\d+\.\d{4}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def headers_of(post: Any) -> Any:
    return {name.lower(): value for name, value in post[0].items()}


def test_a_trade_is_accepted_filled_and_called_back(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    order = trade(quantity=7)
    status, body = exchange.execute(broker.url, order)
    assert status == 202
    assert body == {"results": [{"tradeId": order["tradeId"], "status": "ACCEPTED", "code": None}]}
    [report] = broker.wait(order["tradeId"])
    assert report.keys() == FIELDS
    assert report == exchange.final(order["tradeId"])
    assert (report["status"], report["stockTicker"], report["type"], report["quantity"]) == ("FILLED", "AAPL", "BUY", 7)
    assert MONEY.fullmatch(report["price"])
    assert MONEY.fullmatch(report["amount"])
    assert Decimal(report["amount"]) == 7 * Decimal(report["price"])
    assert report["reason"] is report["reasonCode"] is None
    assert TIME.fullmatch(report["executedAt"])


def test_a_sell_needs_no_max_price(exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]) -> None:
    order = trade(type="SELL", maxPrice=None)
    exchange.execute(broker.url, order)
    assert exchange.final(order["tradeId"])["status"] == "FILLED"


def test_a_trade_that_has_not_executed_is_accepted(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(latencyMs=3_600_000)
    order = trade()
    exchange.execute(broker.url, order)
    status, report = exchange.record(order["tradeId"])
    assert status == 200
    assert report.keys() == FIELDS
    assert report["status"] == "ACCEPTED"
    assert [report[name] for name in ("price", "amount", "reason", "executionId", "executedAt")] == [None] * 5


def test_an_unknown_trade_is_404(exchange: Exchange) -> None:
    status, body = exchange.record("nobody-knows")
    assert (status, body["code"], body["tradeId"]) == (404, "not_found", "nobody-knows")


def test_a_repeated_trade_is_accepted_and_executed_once(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    order = trade()
    repeated = order | {"maxPrice": "100000", "expiresAt": order["expiresAt"].replace("Z", "+00:00")}
    _, body = exchange.execute(broker.url, order, repeated)
    assert [result["status"] for result in body["results"]] == ["ACCEPTED", "ACCEPTED"]
    first = exchange.final(order["tradeId"])
    _, body = exchange.execute(broker.url, order)
    assert body["results"][0]["status"] == "ACCEPTED"
    assert exchange.final(order["tradeId"]) == first
    later_order = trade()
    exchange.execute(broker.url, later_order)
    broker.wait(later_order["tradeId"])
    assert len(broker.reports(order["tradeId"])) == 1
    [entry] = [entry for entry in exchange.whole_record() if entry["tradeId"] == order["tradeId"]]
    assert entry["timesReceived"] == 3


@pytest.mark.parametrize(
    "other",
    [
        {"stockTicker": "MSFT"},
        {"type": "SELL"},
        {"quantity": 4},
        {"maxPrice": "100000.0001"},
        {"expiresAt": "2099-01-01T00:00:00Z"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_the_same_id_with_other_terms_is_a_conflict(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], other: Any
) -> None:
    order = trade()
    exchange.execute(broker.url, order)
    _, body = exchange.execute(broker.url, order | other)
    assert (body["results"][0]["status"], body["results"][0]["code"]) == ("REFUSED", "conflict")
    assert exchange.final(order["tradeId"])["quantity"] == 3


def test_an_expired_trade_is_refused_and_not_stored(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    order = trade(expiresAt="2020-01-01T00:00:00.000000Z")
    _, body = exchange.execute(broker.url, order)
    assert (body["results"][0]["status"], body["results"][0]["code"]) == ("REFUSED", "expired")
    assert exchange.record(order["tradeId"])[0] == 404


def test_each_trade_of_a_set_has_its_own_result(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    known = trade()
    exchange.execute(broker.url, known)
    trades = [trade(), trade(quantity=0), known | {"quantity": 1}, trade(expiresAt="2020-01-01T00:00:00Z"), trade()]
    status, body = exchange.execute(broker.url, *trades)
    assert status == 202
    assert [result["tradeId"] for result in body["results"]] == [order["tradeId"] for order in trades]
    assert [result["code"] for result in body["results"]] == [None, "invalid", "conflict", "expired", None]
    assert "quantity" in body["results"][1]["reason"]
    assert exchange.record(trades[1]["tradeId"])[0] == 404
    assert exchange.final(trades[4]["tradeId"])["status"] == "FILLED"


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"stockTicker": "NOSUCH"}, "unknown_ticker"),
        ({"maxPrice": "0.0001"}, "insufficient_funds"),
        ({"quantity": 1_000_000_000, "maxPrice": "999999999.0000"}, "insufficient_funds"),
    ],
)
def test_rejections(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], terms: Any, code: str
) -> None:
    order = trade(**terms)
    _, body = exchange.execute(broker.url, order)
    assert body["results"][0]["status"] == "ACCEPTED"
    [report] = broker.wait(order["tradeId"])
    assert (report["status"], report["reasonCode"]) == ("REJECTED", code)
    assert report["reason"]
    assert report["price"] is report["amount"] is None
    assert report["executionId"]


def test_a_fill_above_max_price_is_rejected_with_a_stable_code_and_text(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    order = trade(quantity=2, maxPrice="10.5")
    exchange.execute(broker.url, order)
    report = exchange.final(order["tradeId"])
    assert (report["status"], report["reasonCode"]) == ("REJECTED", "insufficient_funds")
    assert re.fullmatch(r"cost of \d+\.\d{4} is over maxPrice 10\.5000", report["reason"])


def test_a_buy_fills_only_within_its_max_price(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    filled = trade(quantity=1)
    exchange.execute(broker.url, filled)
    cost = Decimal(exchange.final(filled["tradeId"])["amount"])
    # The price moves every second, but never by this much.
    enough, too_little = trade(quantity=1, maxPrice=f"{cost * 2:.4f}"), trade(quantity=1, maxPrice=f"{cost / 10:.4f}")
    exchange.execute(broker.url, enough, too_little)
    assert exchange.final(enough["tradeId"])["status"] == "FILLED"
    assert exchange.final(too_little["tradeId"])["reasonCode"] == "insufficient_funds"


def test_a_trade_that_could_not_execute_in_time_never_does(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], wait_until: Callable[..., Any]
) -> None:
    exchange.faults(latencyMs=1500)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    order = trade(expiresAt=soon.isoformat())
    exchange.execute(broker.url, order)
    report = exchange.final(order["tradeId"])
    assert (report["status"], report["reasonCode"]) == ("REJECTED", "expired")


def test_callbacks_are_signed(exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]) -> None:
    order = trade()
    exchange.execute(broker.url, order)
    broker.wait(order["tradeId"])
    post = broker.posts[0]
    headers = headers_of(post)
    assert Webhook(SECRET).verify(post[1], headers) == json.loads(post[1])
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").verify(post[1], headers)
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("statuses", [(302, 204), (400, 500, 200)])
def test_a_callback_is_repeated_until_it_is_answered_2xx(
    exchange: Exchange,
    broker: Broker,
    trade: Callable[..., dict[str, Any]],
    statuses: Any,
    wait_until: Callable[..., Any],
) -> None:
    broker.status = statuses[0]
    order = trade()
    exchange.execute(broker.url, order)
    for n, status in enumerate(statuses[1:], 1):
        broker.wait(order["tradeId"], n)
        broker.status = status
    wait_until(lambda: any(post[2] < 300 for post in broker.posts))
    headers = [headers_of(post) for post in broker.posts]
    assert len({entry["webhook-id"] for entry in headers}) == 1
    for post, entry in zip(broker.posts, headers, strict=True):
        Webhook(SECRET).verify(post[1], entry)
    delivered = lambda: exchange.whole_record()[-1]["deliveredAt"]  # noqa: E731
    assert wait_until(delivered)


def test_reports_are_collected_into_sets_while_posts_are_in_progress(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], wait_until: Callable[..., Any]
) -> None:
    broker.gate.clear()
    trades = [trade() for _ in range(260)]
    for order in trades[:8]:
        exchange.execute(broker.url, order)
    wait_until(lambda: len(broker.posts) == 4)
    for n in range(8, 260, 63):
        exchange.execute(broker.url, *trades[n : n + 63])
    for order in trades:
        exchange.final(order["tradeId"])
    assert len(broker.posts) == 4
    broker.gate.set()
    wait_until(lambda: {report["tradeId"] for report in broker.reports()} == {order["tradeId"] for order in trades})
    sizes = [len(json.loads(post[1])["reports"]) for post in broker.posts]
    assert sum(sizes) == 260
    assert max(sizes) == 100


def test_a_quiet_exchange_sends_each_report_by_itself(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    for n in range(3):
        order = trade()
        exchange.execute(broker.url, order)
        broker.wait(order["tradeId"])
        assert len(json.loads(broker.posts[n][1])["reports"]) == 1


def test_one_broker_out_of_reach_does_not_hold_up_another(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    for _ in range(20):
        exchange.execute("http://127.0.0.1:9/callbacks", trade())
    order = trade()
    exchange.execute(broker.url, order)
    assert broker.wait(order["tradeId"])


def test_all_reports_arrive_once_a_broker_can_be_reached_again(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], wait_until: Callable[..., Any]
) -> None:
    broker.status = 503
    trades = [trade() for _ in range(30)]
    for order in trades:
        exchange.execute(broker.url, order)
        exchange.final(order["tradeId"])
    assert len(broker.posts) < 30
    broker.status = 200
    wait_until(lambda: {report["tradeId"] for report in broker.reports()} == {order["tradeId"] for order in trades})


def test_a_broker_that_moved_gets_its_reports_at_the_newest_address(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(latencyMs=1000)
    order = trade()
    exchange.execute("http://127.0.0.1:9/callbacks", order)
    exchange.execute(broker.url, order)
    assert broker.wait(order["tradeId"])


def test_the_record_is_in_order_of_arrival(
    new_exchange: Callable[..., Exchange], broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange = new_exchange().start()
    trades = [trade() for _ in range(120)]
    for n in range(0, 120, 40):
        exchange.execute(broker.url, *trades[n : n + 40])
    for order in trades:
        exchange.final(order["tradeId"])
    page = exchange.get("/v1/trades?after=0&limit=50")
    assert len(page["results"]) == 50
    assert page["next"] == page["results"][-1]["sequence"]
    first = exchange.get("/v1/trades")["results"]
    assert len(first) == 100
    # Compare only the ids, because an entry's time of delivery may be stored between the two requests.
    assert [entry["tradeId"] for entry in first[:50]] == [entry["tradeId"] for entry in page["results"]]
    entries = exchange.whole_record()
    assert [entry["tradeId"] for entry in entries] == [order["tradeId"] for order in trades]
    assert [entry["sequence"] for entry in entries] == sorted(entry["sequence"] for entry in entries)
    assert len({entry["executionId"] for entry in entries}) == 120
    for entry in entries:
        assert entry.keys() >= FIELDS | {"sequence", "receivedAt", "firstReceivedAt", "lastReceivedAt", "finalAt"}
        assert entry["receivedAt"] <= entry["finalAt"]
        assert TIME.fullmatch(entry["receivedAt"])
    last = entries[-1]["sequence"]
    assert exchange.get(f"/v1/trades?after={last}") == {"results": [], "next": None}


VALID = {"tradeId": "t", "stockTicker": "AAPL", "type": "BUY", "quantity": 1, "maxPrice": "1.0000", "expiresAt": None}


@pytest.mark.parametrize(
    "change",
    [
        {"stockTicker": None}, {"stockTicker": ""}, {"stockTicker": "A" * 17}, {"stockTicker": "A\u0000"},
        {"stockTicker": ["AAPL"]}, {"type": "buy"}, {"type": None}, {"type": {}}, {"quantity": 0}, {"quantity": -1},
        {"quantity": 1.5}, {"quantity": "1"}, {"quantity": True}, {"quantity": 10**30}, {"quantity": None},
        {"maxPrice": 1}, {"maxPrice": "-1.0000"}, {"maxPrice": "1.00000"}, {"maxPrice": "NaN"}, {"maxPrice": "1e9"},
        {"maxPrice": None}, {"maxPrice": "1" * 16}, {"maxPrice": "\u0661.0000"}, {"maxPrice": ""}, {"expiresAt": 5},
        {"expiresAt": "soon"}, {"expiresAt": "2099-01-01"}, {"expiresAt": "2099-01-01T00:00:00"},
        {"expiresAt": "2099-13-01T00:00:00Z"}, {"expiresAt": "0001-01-01T00:00:00+23:59x"}, {"expiresAt": []},
    ],
    ids=str,
)  # fmt: skip
def test_a_trade_with_bad_terms_is_refused(exchange: Exchange, broker: Broker, change: Any) -> None:
    status, body = exchange.execute(broker.url, VALID | change)
    assert status == 202
    [result] = body["results"]
    assert (result["status"], result["code"]) == ("REFUSED", "invalid")
    assert next(iter(change)) in result["reason"]
    assert exchange.record("t")[0] == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], ""), (None, ""), ("x", ""), ({}, "callbackUrl"), ({"callbackUrl": "http://x/", "trades": []}, "trades"),
        ({"callbackUrl": "http://x/", "trades": {}}, "trades"),
        ({"callbackUrl": "http://x/", "trades": [VALID] * 101}, "trades"),
        ({"callbackUrl": "http://x/", "trades": [3]}, "trades[0].tradeId"),
        ({"callbackUrl": "http://x/", "trades": [VALID, VALID | {"tradeId": ""}]}, "trades[1].tradeId"),
        ({"callbackUrl": "http://x/", "trades": [VALID | {"tradeId": "a/b"}]}, "trades[0].tradeId"),
        ({"callbackUrl": "http://x/", "trades": [VALID | {"tradeId": "a" * 129}]}, "trades[0].tradeId"),
        ({"callbackUrl": "http://x/", "trades": [VALID | {"tradeId": 7}]}, "trades[0].tradeId"),
        *(
            ({"callbackUrl": url, "trades": [VALID]}, "callbackUrl")
            for url in (
                None, 3, "", "x", "ftp://x/", "http://", "http:///p", "http://x:99999/", "http://[::1", "http://a@b/",
                "http://x/#f", "http://x/\r\nA: b", "http://x/a b", "http://\u00e4/", "http://x/" + "a" * 2048, "http://x:0/",
            )
        ),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_a_bad_execute_is_422_and_names_the_field(exchange: Exchange, body: Any, field: str) -> None:
    status, response = exchange.call("POST", "/v1/trades", raw=json.dumps(body))
    assert status == 422, response
    assert field in [error["field"] for error in response["errors"]]
    assert all(error["detail"] for error in response["errors"])
    assert exchange.record("t")[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "raw", "status"),
    [
        ("POST", "/v1/trades", b"", 400), ("POST", "/v1/trades", b"{", 400), ("POST", "/v1/trades", b"\xff", 400),
        ("POST", "/v1/trades", b"[" * 100_000, 400), ("POST", "/v1/trades", b'{"a": NaN}', 400),
        ("POST", "/v1/trades", b"9" * 5000, 400), ("POST", "/v1/trades", b" " * 300_000, 413),
        ("PUT", "/v1/trades", b"{}", 405), ("POST", "/v1/clock", b"{}", 405), ("DELETE", "/v1/quotes/AAPL", None, 405),
        ("PATCH", "/v1/faults", b"{}", 405), ("GET", "/", None, 404), ("GET", "/v1/nothing", None, 404),
        ("GET", "/v1/trades/", None, 404), ("GET", "/v1/trades/a%00b", None, 404),
        ("GET", "/v1/trades/%FF%FE", None, 404),
        ("GET", "/v1/trades?limit=0", None, 422), ("GET", "/v1/trades?limit=1001", None, 422),
        ("GET", "/v1/trades?limit=x", None, 422), ("GET", "/v1/trades?limit=", None, 422),
        ("GET", "/v1/trades?after=-1", None, 422), ("GET", "/v1/trades?after=9999999999999999999", None, 422),
        ("GET", "/v1/trades?" + "&".join(["a=1"] * 60), None, 400),
        ("GET", "/v1/quotes", None, 422), ("GET", "/v1/quotes?tickers=", None, 422),
        ("GET", "/v1/quotes?tickers=" + ",".join(map(str, range(201))), None, 422),
        ("GET", "/v1/bars", None, 422), ("GET", "/v1/bars?tickers=AAPL&step=0", None, 422),
        ("GET", "/v1/bars/NOSUCH", None, 404), ("GET", "/v1/bars/AAPL?start=x", None, 422),
        ("GET", "/v1/bars/AAPL?start=2999-01-01T00:00:00Z", None, 422),
        ("GET", "/v1/bars/AAPL?start=1900-01-01T00:00:00Z", None, 422),
        ("GET", "/v1/bars/AAPL?start=2020-01-01T00:00:00Z&step=1", None, 422),
        ("GET", "/v1/bars/AAPL?step=0", None, 422),
        ("GET", "/v1/bars/AAPL?points=1001", None, 422), ("GET", "/v1/calendar?start=x", None, 422),
        ("GET", "/v1/calendar?start=2026-02-30", None, 422),
        ("GET", "/v1/calendar?start=2026-02-03&end=2026-02-01", None, 422),
        ("GET", "/v1/calendar?start=1900-01-01&end=2100-01-01", None, 422),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_bad_calls_get_json_responses(exchange: Exchange, method: str, path: str, raw: Any, status: Any) -> None:
    actual_status, body = exchange.call(method, path, raw=raw)
    assert actual_status == status, body
    assert body["status"] == status
    assert body["code"]
    assert body["detail"]


def test_a_body_without_a_length_is_capped_too(exchange: Exchange) -> None:
    status, _ = exchange.call("POST", "/v1/trades", raw=iter([b" " * 100_000] * 4))
    assert status == 413
    status, _ = exchange.call("POST", "/v1/trades", raw=iter([b"{", b"}"]))
    assert status == 422
