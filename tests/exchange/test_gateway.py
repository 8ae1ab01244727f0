"""The exchange's client: how it interprets every response, and that none makes it wait."""

import json
import socket
import struct
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import structlog

from exchange import exchange_time, gateway
from exchange.messages import Order, Refusal, Unknown
from tests.conftest import StandInExchange
from tests.exchange.conftest import AT, BadExchange
from tests.factories import TradeFactory
from trades.execute import send


def order(expires_at: datetime | None = None) -> Order:
    return Order(uuid4(), "AAPL", "BUY", 3, Decimal(1000), expires_at or datetime.now(UTC) + timedelta(seconds=30))


CALLS: dict[str, Callable[[], Any]] = {
    "execute": lambda: gateway.execute([order()]),
    "ask": lambda: gateway.ask(uuid4()),
    "quote": lambda: gateway.quote("AAPL"),
    "quotes": lambda: gateway.quotes(["AAPL"]),
    "tickers": gateway.tickers,
    "clock": gateway.clock,
    "closures": gateway.closures,
    "bars": lambda: gateway.bars("AAPL", datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC), 3600),
    "history": lambda: gateway.history(0),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


# -- the stand-in exchange


def test_an_order_that_is_sent_twice_is_stored_once(exchange: StandInExchange) -> None:
    this_order = order()
    assert gateway.execute([this_order]) == gateway.execute([this_order]) == []
    assert [entry["tradeId"] for entry in exchange.record()].count(str(this_order.trade_id)) == 1


def test_a_refusal_names_its_order_and_its_code(exchange: StandInExchange) -> None:
    valid, expired = order(), order(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert gateway.execute([valid, expired]) == [Refusal(expired.trade_id, "expired")]


def test_an_id_with_other_terms_is_a_conflict(exchange: StandInExchange) -> None:
    this_order = order()
    gateway.execute([this_order])
    other = Order(this_order.trade_id, "MSFT", "BUY", 3, Decimal(1000), this_order.expires_at)
    assert gateway.execute([other]) == [Refusal(this_order.trade_id, "conflict")]


def test_a_trade_is_known_once_it_is_stored(exchange: StandInExchange) -> None:
    this_order = order()
    assert gateway.ask(this_order.trade_id) is None
    gateway.execute([this_order])
    report = gateway.ask(this_order.trade_id)
    assert report is not None
    assert (report["tradeId"], report["status"]) == (str(this_order.trade_id), "ACCEPTED")


def test_quotes_are_decimals_and_times(exchange: StandInExchange) -> None:
    quote = gateway.quote("AAPL")
    assert quote["price"] > 0
    assert abs(datetime.now(UTC) - quote["at"]) < timedelta(minutes=1)
    assert set(gateway.quotes(["AAPL", "NOSUCH", "MSFT"])) == {"AAPL", "MSFT"}


def test_any_number_of_quotes_can_be_requested(exchange: StandInExchange) -> None:
    tickers = [row["stockTicker"] for row in gateway.tickers()]
    assert len(tickers) > gateway.TICKERS_A_CALL_MAX
    assert set(gateway.quotes(tickers)) == set(tickers)
    assert gateway.quotes([]) == {}


@pytest.mark.parametrize("ticker", ["NOSUCH", "", "A?B", "A#B", "..", "../clock", "\x00", "A B", "é", "x" * 2000])
def test_a_malformed_ticker_requests_nothing_but_a_quote(exchange: StandInExchange, ticker: str) -> None:
    with pytest.raises(gateway.NotListed):
        gateway.quote(ticker)


def test_the_clock_shows_whether_the_market_is_open(exchange: StandInExchange) -> None:
    clock = gateway.clock()
    assert (clock["isOpen"], clock["hours"], clock["nextOpen"]) == (True, "always", None)


@pytest.mark.parametrize("call", [call for name, call in CALLS.items() if name != "closures"])
def test_every_call_to_an_exchange_that_is_down_is_unknown(exchange: StandInExchange, call: Callable[[], Any]) -> None:
    exchange.faults(down=True)
    with pytest.raises(Unknown):
        call()


# -- an exchange that misbehaves


@every_call
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>Welcome</html>", "200 OK"),
        (b"", "200 OK"),
        (b"null", "200 OK"),
        (b"[]", "200 OK"),
        (b"{}", "202 Accepted"),
        (b'"text"', "200 OK"),
        (b'{"results": null}', "202 Accepted"),
        (b'{"results": [1, null]}', "202 Accepted"),
        (b'{"results": [{}]}', "202 Accepted"),
        (b'{"results": [{"tradeId": 5, "stockTicker": {}, "status": []}]}', "202 Accepted"),
        (b'{"isOpen": NaN}', "200 OK"),
        (b"[" * 500 + b"]" * 500, "200 OK"),
        (b"{}", "500 Internal Server Error"),
        (b"{}", "429 Too Many Requests"),
        (b"{}", "204 No Content"),
        (b"{}", "401 Unauthorized"),
        (b"{}", "999 Odd"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_nonsensical_response_is_unknown(
    bad_exchange: BadExchange, call: Callable[[], Any], body: bytes, status: str
) -> None:
    bad_exchange.respond(body, status)
    with pytest.raises(Unknown):
        call()


@every_call
@pytest.mark.parametrize("body", [b"<html>Not here</html>", b"{}", b'{"message": "no Route matched"}', b""], ids=repr)
def test_a_404_from_another_server_is_unknown(bad_exchange: BadExchange, call: Callable[[], Any], body: bytes) -> None:
    bad_exchange.respond(body, "404 Not Found")
    with pytest.raises(Unknown):
        call()


@every_call
@pytest.mark.parametrize("name", ["tradeId", "stockTicker"])
def test_a_404_about_something_else_is_unknown(bad_exchange: BadExchange, call: Callable[[], Any], name: str) -> None:
    for code in ("not_found", "unknown_ticker"):
        bad_exchange.respond(json.dumps({"status": 404, "code": code, name: str(uuid4())}).encode(), "404 Not Found")
        with pytest.raises(Unknown):
            call()


def test_only_a_404_with_the_trades_id_means_that_it_is_not_known(bad_exchange: BadExchange) -> None:
    trade_id = uuid4()
    response = json.dumps({"status": 404, "code": "not_found", "tradeId": str(trade_id)}).encode()
    bad_exchange.respond(response, "404 Not Found")
    assert gateway.ask_with_time(trade_id) == (None, datetime.fromisoformat(AT))
    bad_exchange.respond(response, "200 OK")
    with pytest.raises(Unknown):
        gateway.ask(trade_id)


@pytest.mark.parametrize("fault", ["html404", "json404", "otherTrade404"])
def test_a_proxys_response_is_not_taken_for_the_exchanges(exchange: StandInExchange, fault: str) -> None:
    this_order = order()
    gateway.execute([this_order])
    exchange.faults(latencyMs=3_600_000, proxyAnswerRate=1.0, proxyAnswerKinds=[fault])
    with pytest.raises(Unknown):
        gateway.ask(this_order.trade_id)


@every_call
def test_a_response_without_the_exchanges_time_is_unknown(bad_exchange: BadExchange, call: Callable[[], Any]) -> None:
    def respond(handler: Any) -> None:
        handler.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n" + b'{"results": []}')

    bad_exchange.handle = respond
    with pytest.raises(Unknown):
        call()


def test_a_response_has_the_exchanges_time(exchange: StandInExchange) -> None:
    report, at = gateway.ask_with_time(uuid4())
    assert report is None
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=5)
    now = exchange_time.now()
    assert now is not None
    assert timedelta() <= now - at < timedelta(seconds=5)


@every_call
def test_a_redirect_is_not_followed(bad_exchange: BadExchange, call: Callable[[], Any]) -> None:
    bad_exchange.respond(b"{}", "307 Temporary Redirect", f"Location: {bad_exchange.url}/elsewhere")
    with pytest.raises(Unknown):
        call()
    assert len(bad_exchange.requests) == 1


@every_call
def test_a_response_is_read_up_to_a_limit(bad_exchange: BadExchange, call: Callable[[], Any]) -> None:
    bad_exchange.respond(b" " * 10_000_000)
    with pytest.raises(Unknown):
        call()


@every_call
def test_an_incomplete_response_is_unknown(bad_exchange: BadExchange, call: Callable[[], Any]) -> None:
    bad_exchange.respond(b'{"results": []', length=5000)
    with pytest.raises(Unknown):
        call()


@every_call
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"\x00\x01\x02\r\n\r\n"])
def test_a_reset_is_unknown(bad_exchange: BadExchange, call: Callable[[], Any], sent: bytes) -> None:
    def reset(handler: Any) -> None:
        handler.request.sendall(sent)
        handler.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.request.close()

    bad_exchange.handle = reset
    with pytest.raises(Unknown):
        call()


@pytest.mark.parametrize("call", [CALLS[name] for name in ("ask", "clock")])
def test_a_missing_response_times_out(bad_exchange: BadExchange, call: Callable[[], Any]) -> None:
    bad_exchange.handle = lambda handler: bad_exchange.ended.wait(30)
    started_at = time.monotonic()
    with pytest.raises(Unknown):
        call()
    assert time.monotonic() - started_at < 8


@every_call
@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"], ids=["head", "body"]
)
def test_a_dripping_response_times_out(
    bad_exchange: BadExchange, call: Callable[[], Any], head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drip(handler: Any) -> None:
        handler.request.sendall(head)
        while not bad_exchange.ended.wait(0.05):
            handler.request.sendall(b" ")

    monkeypatch.setattr(gateway, "TRADING_SECONDS_MAX", 0.3)
    monkeypatch.setattr(gateway, "QUOTES_SECONDS_MAX", 0.3)
    bad_exchange.handle = drip
    started_at = time.monotonic()
    with pytest.raises(Unknown):
        call()
    assert time.monotonic() - started_at < 0.8


def test_a_call_is_never_repeated(bad_exchange: BadExchange) -> None:
    with pytest.raises(Unknown):
        gateway.execute([order()])
    assert len(bad_exchange.requests) == 1


def test_a_response_about_another_trade_is_unknown(bad_exchange: BadExchange) -> None:
    bad_exchange.respond(json.dumps({"tradeId": str(uuid4()), "status": "FILLED"}).encode())
    with pytest.raises(Unknown):
        gateway.ask(uuid4())


def test_one_unknown_order_status_makes_the_whole_response_unknown(bad_exchange: BadExchange) -> None:
    this_order = order()
    bad_exchange.respond(
        json.dumps({"results": [{"tradeId": str(this_order.trade_id), "status": "MAYBE"}]}).encode(), "202 Accepted"
    )
    with pytest.raises(Unknown):
        gateway.execute([this_order])


@pytest.mark.parametrize("change", ["other", "missing", "twice", "more"])
def test_results_must_be_those_of_the_orders_that_were_sent(bad_exchange: BadExchange, change: str) -> None:
    first, second = order(), order()
    results = [{"tradeId": str(order_sent.trade_id), "status": "ACCEPTED"} for order_sent in (first, second)]
    other = {"tradeId": str(uuid4()), "status": "REFUSED", "code": "expired"}
    bad_exchange.respond(json.dumps({"results": results}).encode(), "202 Accepted")
    assert gateway.execute([first, second]) == []
    results = {
        "other": [results[0], other],
        "missing": results[:1],
        "twice": [results[0], results[0]],
        "more": [*results, other],
    }[change]
    bad_exchange.respond(json.dumps({"results": results}).encode(), "202 Accepted")
    with pytest.raises(Unknown):
        gateway.execute([first, second])


def test_a_quote_of_another_stock_is_unknown(bad_exchange: BadExchange) -> None:
    quote = {"stockTicker": "MSFT", "price": "5.0000", "at": "2026-01-01T00:00:00Z"}
    bad_exchange.respond(json.dumps(quote).encode())
    with pytest.raises(Unknown):
        gateway.quote("AAPL")
    bad_exchange.respond(json.dumps({"results": [quote]}).encode())
    with pytest.raises(Unknown):
        gateway.quotes(["AAPL"])


def test_closures_have_a_day_and_an_early_close(bad_exchange: BadExchange) -> None:
    rows = [
        {"date": "2026-12-01", "close": None, "reason": "Day of mourning"},
        {"date": "2026-12-02", "close": "13:00", "reason": ""},
    ]
    bad_exchange.respond(json.dumps({"closures": rows}).encode())
    assert [(row["date"], row["close"]) for row in gateway.closures()] == [
        (date(2026, 12, 1), None),
        (date(2026, 12, 2), clock_time(13)),
    ]


@pytest.mark.parametrize(
    "change",
    [{"price": "NaN"}, {"price": "1e400"}, {"price": 5}, {"price": "-1"}, {"price": [1]}, {"at": "noon"}]
    + [{"at": None}, {"at": "2026-01-01T00:00:00"}, {"stockTicker": None}],
    ids=repr,
)
def test_an_invalid_quote_is_unknown(bad_exchange: BadExchange, change: dict[str, Any]) -> None:
    quote = {"stockTicker": "AAPL", "price": "5.0000", "at": "2026-01-01T00:00:00Z"}
    bad_exchange.respond(json.dumps(quote).encode())
    assert gateway.quote("AAPL")["price"] == 5
    bad_exchange.respond(json.dumps(quote | change).encode())
    with pytest.raises(Unknown):
        gateway.quote("AAPL")


@pytest.mark.parametrize("change", [{"isOpen": 1}, {"hours": None}, {"nextOpen": "soon"}, {"nextClose": 5}], ids=repr)
def test_an_invalid_clock_is_unknown(bad_exchange: BadExchange, change: dict[str, Any]) -> None:
    clock = {"isOpen": True, "hours": "nyse", "nextOpen": None, "nextClose": "2026-01-01T00:00:00Z"}
    bad_exchange.respond(json.dumps(clock).encode())
    assert gateway.clock()["nextClose"] == datetime(2026, 1, 1, tzinfo=UTC)
    bad_exchange.respond(json.dumps(clock | change).encode())
    with pytest.raises(Unknown):
        gateway.clock()


# -- the breaker


def test_calls_pause_for_a_while_after_two_missing_responses(bad_exchange: BadExchange) -> None:
    for _ in range(5):  # the exchange hangs up
        with pytest.raises(Unknown):
            gateway.execute([order()])
    assert len(bad_exchange.requests) == 2
    with pytest.raises(Unknown):
        gateway.execute([order()], is_probe=True)
    assert len(bad_exchange.requests) == 3, "a probe is always sent"


def test_error_responses_do_not_pause_calls(bad_exchange: BadExchange) -> None:
    bad_exchange.respond(b"{}", "500 Internal Server Error")
    for _ in range(5):
        with pytest.raises(Unknown):
            gateway.execute([order()])
    assert len(bad_exchange.requests) == 5


def test_asking_continues_while_executing_is_paused(bad_exchange: BadExchange) -> None:
    gateway.execute_breaker.open()
    trade_id = uuid4()
    bad_exchange.respond(json.dumps({"code": "not_found", "tradeId": str(trade_id)}).encode(), "404 Not Found")
    assert gateway.ask(trade_id) is None


# -- the request id


@every_call
def test_a_call_has_the_request_id_of_its_log_lines(bad_exchange: BadExchange, call: Callable[[], Any]) -> None:
    bad_exchange.respond(b"{}", "500 Internal Server Error")
    with structlog.contextvars.bound_contextvars(request="0123-4567"), pytest.raises(Unknown):
        call()
    assert [b"X-Request-ID: 0123-4567\r\n" in request for request in bad_exchange.requests] == [True]


def test_a_call_of_execute_is_logged_with_its_request_id(
    bad_exchange: BadExchange, caplog: pytest.LogCaptureFixture
) -> None:
    bad_exchange.respond(b"{}", "500 Internal Server Error")
    trade = TradeFactory.build(type="BUY", max_price=Decimal(10), expires_at=datetime.now(UTC))
    send([trade])
    (line,) = [record.msg for record in caplog.records if isinstance(record.msg, dict) and "seen" in record.msg]
    assert line["trades"] == [str(trade.id)]
    assert [f"X-Request-ID: {line['request']}\r\n".encode() in request for request in bad_exchange.requests] == [True]
