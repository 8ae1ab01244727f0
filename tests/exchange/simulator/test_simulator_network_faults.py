"""Network faults between a broker and the exchange: slow bytes, late calls, and responses of a proxy."""

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from tests.exchange.simulator.conftest import Broker, Exchange

PAGE = b"<html>"


def raw_call(exchange: Exchange, path: str, method: str = "GET", seconds: float = 5.0) -> Any:
    """Return the pieces of a response, each with the seconds until it arrived, up to the end or the time limit."""
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=seconds) as connection:
        started_at = time.monotonic()
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: exchange\r\nConnection: close\r\n\r\n".encode())
        pieces = []
        while (seconds_left := seconds - (time.monotonic() - started_at)) > 0:
            connection.settimeout(seconds_left)
            try:
                piece = connection.recv(65536)
            except TimeoutError:
                break
            except ConnectionResetError:
                piece = b""
            if not piece:
                break
            pieces.append((time.monotonic() - started_at, piece))
        return pieces


def test_a_dripping_head_comes_byte_by_byte(exchange: Exchange) -> None:
    exchange.faults(dripHeadMs=50)
    pieces = raw_call(exchange, "/v1/clock", seconds=1.0)
    received = b"".join(piece for _, piece in pieces)
    assert 5 <= len(received) <= 21
    assert b"HTTP/1.1 200".startswith(received[:12])
    assert len(pieces) >= 5


def test_a_dripping_body_starts_immediately_and_continues_slowly(exchange: Exchange) -> None:
    exchange.faults(dripBodyMs=50)
    pieces = raw_call(exchange, "/v1/clock", seconds=1.0)
    head, _, body = b"".join(piece for _, piece in pieces).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length" in head.lower()
    assert 3 <= len(body) <= 21
    assert pieces[0][0] < 0.5


def test_a_dripping_response_is_complete_in_the_end(exchange: Exchange) -> None:
    exchange.faults(dripHeadMs=1, dripBodyMs=1)
    assert exchange.get("/healthz") == {"status": "ok"}


def test_dripping_can_hit_one_path_alone(exchange: Exchange) -> None:
    exchange.faults(dripHeadMs={"/v1/quotes": 100})
    started_at = time.monotonic()
    assert exchange.call("GET", "/v1/clock")[0] == 200
    assert time.monotonic() - started_at < 1.0
    assert len(b"".join(piece for _, piece in raw_call(exchange, "/v1/quotes/AAPL", seconds=0.7))) <= 7


def test_the_longest_path_counts_and_a_method_can_be_named(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(answerDelayMs={"/": 60_000, "/v1": 0, "POST /v1/trades": 700, "/v1/trades/": 0})
    order = trade()
    started_at = time.monotonic()
    assert exchange.execute(broker.url, order)[0] == 202
    assert 0.7 <= time.monotonic() - started_at < 5
    started_at = time.monotonic()
    assert exchange.record(order["tradeId"])[0] == 200
    assert exchange.call("GET", "/v1/trades")[0] == 200
    assert time.monotonic() - started_at < 0.7
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        exchange.call("GET", "/healthz", timeout=0.3)


def test_faults_can_always_be_shown_and_cleared(exchange: Exchange) -> None:
    exchange.faults(dripHeadMs=60_000, answerDelayMs=60_000, proxyAnswerRate=1, down=True)
    assert exchange.get("/v1/faults")["down"] is True
    assert exchange.call("PUT", "/v1/clock", {"offsetSeconds": 0})[0] == 200
    assert exchange.call("GET", "/v1/closures")[0] == 200
    assert exchange.call("DELETE", "/v1/faults")[0] == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"dripHeadMs": {"v1/quotes": 5}}, {"dripHeadMs": {"/v1/quotes": -5}}, {"dripHeadMs": {"/v1/a b": 5}},
        {"answerDelayMs": {"/": "5"}}, {"answerDelayMs": {"/": {"/": 5}}}, {"proxyAnswerRate": {"/": 2}},
        {"proxyAnswerKinds": []}, {"proxyAnswerKinds": ["nonsense"]}, {"garbleKinds": "nul"}, {"tickersMax": -1},
        {"tickersMissing": [5]}, {"poisonTickers": "AAPL"}, {"callbackTimestampSkewSeconds": 10**9},
        {"randomErrorRate": {"/": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_bad_values_are_refused(exchange: Exchange, changes: Any) -> None:
    status, body = exchange.call("PUT", "/v1/faults", changes)
    assert status == 422
    assert [error["field"] for error in body["errors"]] == list(changes)
    assert body["errors"][0]["detail"]


def test_a_late_call_is_accepted_although_its_caller_has_gone(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(arriveDelayMs={"POST /v1/trades": 1000})
    order = trade()
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        exchange.execute(broker.url, order, timeout=0.2)
    assert exchange.record(order["tradeId"])[0] == 404
    assert broker.wait(order["tradeId"])[0]["status"] == "FILLED"


def proxy_response(exchange: Exchange, path: str, kind: str, **faults: Any) -> Any:
    exchange.faults(proxyAnswerRate=1, proxyAnswerKinds=[kind], **faults)
    return b"".join(piece for _, piece in raw_call(exchange, path, seconds=2.0))


@pytest.mark.parametrize(
    ("kind", "status", "content_type"),
    [("html404", 404, "text/html"), ("html502", 502, "text/html"), ("html200", 200, "text/html")],
)
def test_a_proxy_responds_with_a_page(exchange: Exchange, kind: str, status: Any, content_type: str) -> None:
    response = proxy_response(exchange, "/v1/trades/anything", kind)
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert content_type.encode() in head
    assert b"exchange-time" not in head.lower()
    assert body.startswith(PAGE)


def test_a_proxy_responds_with_its_own_json(exchange: Exchange) -> None:
    head, _, body = proxy_response(exchange, "/v1/trades/anything", "json404").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body).keys() == {"message"}
    head, _, body = proxy_response(exchange, "/v1/trades/anything", "otherTrade404").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["code"] == "not_found"
    assert json.loads(body)["tradeId"] != "anything"


def test_a_proxy_responds_with_nothing_half_a_body_or_noise(exchange: Exchange) -> None:
    head, _, body = proxy_response(exchange, "/v1/clock", "empty200").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b""
    assert proxy_response(exchange, "/v1/clock", "hangUp") == b""
    assert not proxy_response(exchange, "/v1/clock", "notHttp").startswith(b"HTTP")
    for passed in (0, 1):
        head, _, body = proxy_response(exchange, "/v1/clock", "cutBody", proxyPassRate=passed).partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert 0 < len(body) < length


@pytest.mark.parametrize(("passed", "status"), [(0, 404), (1, 200)])
def test_a_proxy_that_responds_to_execute_may_have_passed_it_on(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], passed: Any, status: Any
) -> None:
    exchange.faults(proxyAnswerRate={"POST /v1/trades": 1}, proxyAnswerKinds=["html404"], proxyPassRate=passed)
    order = trade()
    body = json.dumps({"callbackUrl": broker.url, "trades": [order]})
    response = exchange.http.request("POST", f"http://127.0.0.1:{exchange.port}/v1/trades", body=body)
    assert response.status == 404
    assert response.data.startswith(PAGE)
    assert exchange.record(order["tradeId"])[0] == status
    if passed:
        assert broker.wait(order["tradeId"])[0]["status"] == "FILLED"


def test_connections_are_reused(exchange: Exchange) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=5) as connection:
        for _ in range(3):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: exchange\r\n\r\n")
            response = b""
            while b"ok" not in response:
                response += connection.recv(65536)
            assert response.startswith(b"HTTP/1.1 200 ")


def test_pipelined_calls_get_responses_in_order(exchange: Exchange) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=5) as connection:
        connection.sendall(b"GET /v1/quotes/AAPL HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        response = b""
        while b'"ok"' not in response:
            response += connection.recv(65536)
        assert response.index(b"AAPL") < response.index(b'"ok"')


def test_invalid_http_is_refused_and_the_exchange_continues(exchange: Exchange) -> None:
    for noise in (b"\x00\x01\x02\r\n\r\n", b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", exchange.port), timeout=5) as connection:
            try:
                connection.sendall(noise)
                response = connection.recv(65536)
                assert response[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431")
                assert b"exchange-time: " in response.lower()
                assert b'"code":"not_http"' in response
            except OSError:
                pass  # the exchange hung up before it had read everything
    assert exchange.get("/healthz") == {"status": "ok"}


def test_many_waiting_callers_do_not_hold_up_others(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(executeNoAnswerRate=1)
    waiting = [
        threading.Thread(target=lambda: raw_execute(exchange, broker.url, trade()), daemon=True) for _ in range(50)
    ]
    for caller in waiting:
        caller.start()
    started_at = time.monotonic()
    assert exchange.get("/v1/quotes/AAPL")
    assert time.monotonic() - started_at < 2
    for caller in waiting:
        caller.join()


def raw_execute(exchange: Exchange, callback_url: str, trade: dict[str, Any]) -> None:
    body = json.dumps({"callbackUrl": callback_url, "trades": [trade]}).encode()
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=5) as connection:
        head = f"POST /v1/trades HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        time.sleep(1)
