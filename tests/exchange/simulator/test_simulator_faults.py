"""Each fault has its documented effect, and loses or duplicates nothing else."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from standardwebhooks import Webhook, WebhookVerificationError

from tests.exchange.simulator.conftest import Broker, Exchange

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

NO_FAULTS = {
    "latencyMs": 0, "latencyJitter": False, "randomErrorRate": 0, "executeErrorRate": 0, "executeNoAnswerRate": 0,
    "executeLostRate": 0, "holdAnswerMs": 0, "poisonTickers": [], "silentIdRate": 0, "silentTickers": [],
    "callbackDropRate": 0, "callbackDuplicateRate": 0, "callbackDelayMs": 0, "callbackTimestampSkewSeconds": 0,
    "contradictRate": 0, "breakTermsRate": 0, "callbackGarbleRate": 0, "recordGarbleRate": 0,
    "garbleKinds": ["surrogate", "nul", "longText", "badTime", "badPrice"], "tickersMax": None, "tickersMissing": [],
    "arriveDelayMs": 0, "answerDelayMs": 0, "dripHeadMs": 0, "dripBodyMs": 0, "proxyAnswerRate": 0, "proxyPassRate": 0,
    "proxyAnswerKinds": [
        "html404", "html502", "html200", "json404", "empty200", "otherTrade404", "cutBody", "hangUp", "notHttp",
    ],
    "down": False, "seed": None,
}  # fmt: skip


def test_faults_are_merged_shown_and_cleared(exchange: Exchange) -> None:
    assert exchange.get("/v1/faults") == NO_FAULTS
    assert exchange.faults(randomErrorRate=0.5, seed=7) == NO_FAULTS | {"randomErrorRate": 0.5, "seed": 7}
    assert exchange.faults(latencyMs=10) == NO_FAULTS | {"randomErrorRate": 0.5, "seed": 7, "latencyMs": 10}
    assert exchange.call("DELETE", "/v1/faults") == (200, NO_FAULTS)
    assert exchange.get("/v1/faults") == NO_FAULTS


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"latencyMs": -1}, "latencyMs"), ({"latencyMs": "5"}, "latencyMs"), ({"latencyMs": 10**9}, "latencyMs"),
        ({"executeErrorRate": 1.1}, "executeErrorRate"), ({"executeErrorRate": True}, "executeErrorRate"),
        ({"callbackDropRate": None}, "callbackDropRate"), ({"down": 1}, "down"), ({"down": "yes"}, "down"),
        ({"seed": 1.5}, "seed"), ({"nonsense": 1}, "nonsense"), ({"randomErrorRate": 1, "x": 1}, "x"), ([], ""),
    ],
    ids=str,
)  # fmt: skip
def test_bad_faults_change_nothing(exchange: Exchange, changes: Any, field: str) -> None:
    status, body = exchange.call("PUT", "/v1/faults", changes)
    assert status == 422
    assert [error["field"] for error in body["errors"]] == [field]
    assert exchange.get("/v1/faults") == NO_FAULTS


def test_execute_error(exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]) -> None:
    exchange.faults(executeErrorRate=1)
    order = trade()
    status, body = exchange.execute(broker.url, order)
    assert (status, body["code"]) == (500, "internal_error")
    assert exchange.record(order["tradeId"])[0] == 404


def test_execute_without_a_response_is_stored(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(executeNoAnswerRate=1)
    order = trade()
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        exchange.execute(broker.url, order, timeout=0.5)
    assert exchange.final(order["tradeId"])["status"] == "FILLED"
    assert broker.wait(order["tradeId"])


def test_execute_that_is_lost_is_not_stored(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(executeLostRate=1)
    order = trade()
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        exchange.execute(broker.url, order, timeout=0.5)
    assert exchange.record(order["tradeId"])[0] == 404
    exchange.faults(executeLostRate=0)
    exchange.execute(broker.url, order)
    assert exchange.final(order["tradeId"])["status"] == "FILLED"


def test_a_held_response_comes_after_the_trade_is_stored(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], wait_until: Callable[..., Any]
) -> None:
    exchange.faults(holdAnswerMs=1000)
    order = trade()
    responses = []
    caller = threading.Thread(target=lambda: responses.append(exchange.execute(broker.url, order)))
    caller.start()
    broker.wait(order["tradeId"])
    assert not responses
    caller.join()
    assert responses[0][0] == 202


def test_latency(exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]) -> None:
    exchange.faults(latencyMs=600_000)
    slow, fast = trade(), trade()
    exchange.execute(broker.url, slow)
    exchange.faults(latencyMs=100, latencyJitter=True)
    exchange.execute(broker.url, fast)
    exchange.final(fast["tradeId"])
    assert exchange.record(slow["tradeId"])[1]["status"] == "ACCEPTED"


def test_a_dropped_callback_never_comes_but_the_exchange_can_be_asked(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(callbackDropRate=1)
    order, later_order = trade(), trade()
    exchange.execute(broker.url, order)
    assert exchange.final(order["tradeId"])["status"] == "FILLED"
    exchange.faults(callbackDropRate=0)
    exchange.execute(broker.url, later_order)
    broker.wait(later_order["tradeId"])
    assert broker.reports(order["tradeId"]) == []


def test_a_duplicate_is_the_same_delivery(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(callbackDuplicateRate=1)
    order = trade()
    exchange.execute(broker.url, order)
    first, second = broker.wait(order["tradeId"], 2)
    assert first == second
    ids = [{name.lower(): value for name, value in post[0].items()}["webhook-id"] for post in broker.posts]
    assert ids[0] == ids[1]


def test_a_callback_may_come_late(exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]) -> None:
    exchange.faults(callbackDelayMs=1000)
    order, later_order = trade(), trade()
    exchange.execute(broker.url, order)
    exchange.final(order["tradeId"])
    assert broker.reports() == []
    exchange.faults(callbackDelayMs=0)
    exchange.execute(broker.url, later_order)
    broker.wait(later_order["tradeId"])
    broker.wait(order["tradeId"])
    assert [report["tradeId"] for report in broker.reports()] == [later_order["tradeId"], order["tradeId"]]


def test_random_errors(exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]) -> None:
    exchange.faults(randomErrorRate=1)
    order = trade()
    exchange.execute(broker.url, order)
    [report] = broker.wait(order["tradeId"])
    assert (report["status"], report["reasonCode"]) == ("REJECTED", "exchange_error")


def test_the_same_seed_gives_the_same_outcomes(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    def outcomes() -> Any:
        exchange.faults(randomErrorRate=0.5, seed=11)
        trades = [trade() for _ in range(40)]
        exchange.execute(broker.url, *trades)
        return [exchange.final(order["tradeId"])["status"] for order in trades]

    first = outcomes()
    assert first == outcomes()
    assert set(first) == {"FILLED", "REJECTED"}


def test_an_exchange_that_is_down_refuses_every_call_and_executes_nothing(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(latencyMs=300)
    order = trade()
    exchange.execute(broker.url, order)
    exchange.faults(down=True)
    for method, path in [("GET", f"/v1/trades/{order['tradeId']}"), ("POST", "/v1/trades"), ("GET", "/healthz")]:
        status, body = exchange.call(method, path)
        assert (status, body["code"]) == (503, "down")
    time.sleep(0.7)
    assert broker.posts == []
    exchange.faults(down=False)
    assert broker.wait(order["tradeId"])[0]["status"] == "FILLED"


def test_callbacks_wait_while_the_exchange_is_down(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], wait_until: Callable[..., Any]
) -> None:
    broker.status = 500
    order = trade()
    exchange.execute(broker.url, order)
    broker.wait(order["tradeId"])
    exchange.faults(down=True)
    broker.status = 200
    time.sleep(0.9)
    sent = len(broker.posts)
    time.sleep(0.3)
    assert len(broker.posts) == sent
    exchange.faults(down=False)
    wait_until(lambda: any(post[2] == 200 for post in broker.posts))


@pytest.mark.parametrize(
    ("terms", "statuses"), [({}, ["FILLED", "REJECTED"]), ({"stockTicker": "X0"}, ["REJECTED", "FILLED"])]
)
def test_a_contradiction_leaves_the_record_as_it_is(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], terms: Any, statuses: Any
) -> None:
    exchange.faults(contradictRate=1)
    order = trade(**terms)
    exchange.execute(broker.url, order)
    reports = broker.wait(order["tradeId"], 2)
    assert sorted(report["status"] for report in reports) == sorted(statuses)
    assert exchange.final(order["tradeId"])["status"] == statuses[0]
    assert len({report["executionId"] for report in reports}) == 2


def test_a_report_with_broken_terms_is_sent_besides_the_true_one(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(breakTermsRate=1)
    order = trade(quantity=5)
    exchange.execute(broker.url, order)
    reports = broker.wait(order["tradeId"], 2)
    assert sorted(report["quantity"] for report in reports) == [5, 10]
    assert exchange.final(order["tradeId"]) in reports
    assert exchange.final(order["tradeId"])["quantity"] == 5


def test_all_faults_together_lose_and_duplicate_nothing(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], wait_until: Callable[..., Any]
) -> None:
    exchange.faults(
        seed=3, latencyMs=50, latencyJitter=True, executeErrorRate=0.2, callbackDropRate=0.2,
        callbackDuplicateRate=0.3, randomErrorRate=0.2, contradictRate=0.2, breakTermsRate=0.2, holdAnswerMs=5,
    )  # fmt: skip
    trades = [trade() for _ in range(60)]
    for order in trades:
        while exchange.execute(broker.url, order)[0] != 202:
            pass
    exchange.execute(broker.url, *trades)
    finals = {order["tradeId"]: exchange.final(order["tradeId"]) for order in trades}
    assert all(finals[report["tradeId"]]["executionId"] for report in broker.reports())
    entries = [entry for entry in exchange.whole_record() if entry["tradeId"] in finals]
    assert len(entries) == 60
    assert json.loads(json.dumps(finals)) == {order["tradeId"]: exchange.final(order["tradeId"]) for order in trades}


def test_a_poisoned_ticker_fails_every_set_that_contains_it(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(poisonTickers=["IBM"])
    poison, other = trade(stockTicker="IBM"), trade()
    for trades in ([poison], [other, poison]):
        status, body = exchange.execute(broker.url, *trades)
        assert (status, body["code"]) == (500, "internal_error")
        assert all(exchange.record(order["tradeId"])[0] == 404 for order in trades)
    assert exchange.execute(broker.url, other)[0] == 202
    exchange.call("DELETE", "/v1/faults")
    assert exchange.execute(broker.url, poison)[0] == 202


def is_silent(exchange: Exchange, trade_id: str) -> Any:
    try:
        exchange.call("GET", f"/v1/trades/{trade_id}", timeout=0.2)
    except urllib3.exceptions.ReadTimeoutError:
        return True
    return False


def test_a_silent_ticker_gets_no_response_and_no_report(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(silentTickers=["IBM"])
    silent, other = trade(stockTicker="IBM"), trade()
    assert exchange.execute(broker.url, silent, other)[0] == 202
    assert broker.wait(other["tradeId"])
    assert is_silent(exchange, silent["tradeId"])
    assert not is_silent(exchange, other["tradeId"])
    assert broker.reports(silent["tradeId"]) == []
    exchange.call("DELETE", "/v1/faults")
    assert exchange.final(silent["tradeId"])["status"] == "FILLED"


def test_a_share_of_the_ids_is_always_silent(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(silentIdRate=0.3, seed=5)
    ids = [f"id-{n}" for n in range(12)]
    silent = [trade_id for trade_id in ids if is_silent(exchange, trade_id)]
    assert 0 < len(silent) < 12
    exchange.faults(silentIdRate=0.3, seed=5)
    assert silent == [trade_id for trade_id in ids if is_silent(exchange, trade_id)]


def test_a_short_list_of_tickers(exchange: Exchange) -> None:
    tickers = [entry["stockTicker"] for entry in exchange.get("/v1/tickers")["results"]]
    exchange.faults(tickersMax=1)
    assert len(exchange.get("/v1/tickers")["results"]) == 1
    exchange.faults(tickersMax=0)
    assert exchange.get("/v1/tickers")["results"] == []
    exchange.faults(tickersMax=None, tickersMissing=["AAPL", "IBM"])
    listed = [entry["stockTicker"] for entry in exchange.get("/v1/tickers")["results"]]
    assert listed == [ticker for ticker in tickers if ticker not in ("AAPL", "IBM")]
    assert exchange.get("/v1/quotes/AAPL")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("surrogate", "reason", "half a character: \ud800"), ("nul", "reason", "a NUL: \x00"),
        ("longText", "reason", "x" * 20_000), ("badTime", "executedAt", "2026-02-30T25:61:00Z"),
        ("badPrice", "price", "1e400"),
    ],
)  # fmt: skip
def test_a_garbled_report_comes_before_the_true_one(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]], kind: str, field: str, value: Any
) -> None:
    exchange.faults(callbackGarbleRate=1, garbleKinds=[kind])
    order = trade()
    exchange.execute(broker.url, order)
    first, second = broker.wait(order["tradeId"], 2)
    assert first[field] == value
    assert second == exchange.final(order["tradeId"])


def test_a_record_may_be_garbled(exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]) -> None:
    order = trade()
    exchange.execute(broker.url, order)
    exchange.final(order["tradeId"])
    exchange.faults(recordGarbleRate=1, garbleKinds=["badTime"])
    [entry] = [entry for entry in exchange.whole_record() if entry["tradeId"] == order["tradeId"]]
    assert entry["executedAt"] == "2026-02-30T25:61:00Z"
    exchange.call("DELETE", "/v1/faults")
    [entry] = [entry for entry in exchange.whole_record() if entry["tradeId"] == order["tradeId"]]
    assert entry["executedAt"] == exchange.final(order["tradeId"])["executedAt"]


def test_callbacks_may_be_signed_with_a_wrong_time(
    exchange: Exchange, broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange.faults(callbackTimestampSkewSeconds=-600)
    order = trade()
    exchange.execute(broker.url, order)
    broker.wait(order["tradeId"])
    headers = {name.lower(): value for name, value in broker.posts[0][0].items()}
    assert 590 < time.time() - int(headers["webhook-timestamp"]) < 620
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(broker.posts[0][1], headers)
