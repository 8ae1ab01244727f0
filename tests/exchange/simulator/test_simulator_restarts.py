"""The record survives the process, whenever and however it ends."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.exchange.simulator.conftest import Broker, Exchange

pytestmark = pytest.mark.process


def test_killed_between_store_and_execute(
    new_exchange: Callable[..., Exchange], broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange = new_exchange(EXCHANGE_LATENCY_MS="1500").start()
    trades = [trade() for _ in range(20)]
    assert exchange.execute(broker.url, *trades)[0] == 202
    exchange.kill()
    assert broker.posts == []
    exchange.start()
    for order in trades:
        [report] = broker.wait(order["tradeId"])
        assert report["status"] == "FILLED"
    assert len(exchange.whole_record()) == 20


def test_killed_between_execute_and_callback(
    new_exchange: Callable[..., Exchange], broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange = new_exchange().start()
    exchange.faults(callbackDelayMs=600_000)
    trades = [trade() for _ in range(150)]
    exchange.execute(broker.url, *trades[:100])
    exchange.execute(broker.url, *trades[100:])
    before = [exchange.final(order["tradeId"]) for order in trades]
    exchange.kill()
    assert broker.posts == []
    exchange.start()
    for report in before:
        assert broker.wait(report["tradeId"]) == [report]
        assert exchange.record(report["tradeId"]) == (200, report)


def test_killed_while_a_broker_does_not_answer(
    new_exchange: Callable[..., Exchange], broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange = new_exchange().start()
    broker.status = 500
    order = trade()
    exchange.execute(broker.url, order)
    broker.wait(order["tradeId"], 2)
    exchange.kill()
    broker.status = 200
    sent = len(broker.posts)
    exchange.start()
    reports = broker.wait(order["tradeId"], sent + 1)
    assert all(report == reports[0] for report in reports)


def test_delivered_callbacks_are_not_sent_again_after_a_restart(
    new_exchange: Callable[..., Exchange],
    broker: Broker,
    trade: Callable[..., dict[str, Any]],
    wait_until: Callable[..., Any],
) -> None:
    exchange = new_exchange().start()
    order, later_order = trade(), trade()
    exchange.execute(broker.url, order)
    wait_until(lambda: exchange.whole_record()[0]["deliveredAt"])
    exchange.kill()
    exchange.start()
    assert exchange.execute(broker.url, order)[1]["results"][0]["status"] == "ACCEPTED"
    assert exchange.execute(broker.url, order | {"quantity": 9})[1]["results"][0]["code"] == "conflict"
    exchange.execute(broker.url, later_order)
    broker.wait(later_order["tradeId"])
    assert len(broker.reports(order["tradeId"])) == 1


def test_a_trade_that_expires_while_the_exchange_is_dead_never_executes(
    new_exchange: Callable[..., Exchange], broker: Broker, trade: Callable[..., dict[str, Any]]
) -> None:
    exchange = new_exchange(EXCHANGE_LATENCY_MS="1200").start()
    soon = datetime.now(UTC) + timedelta(seconds=0.6)
    order = trade(expiresAt=soon.isoformat())
    assert exchange.execute(broker.url, order)[1]["results"][0]["status"] == "ACCEPTED"
    exchange.kill()
    threading.Event().wait(max(0.0, (soon - datetime.now(UTC)).total_seconds()))
    exchange.start()
    [report] = broker.wait(order["tradeId"])
    assert (report["status"], report["reasonCode"]) == ("REJECTED", "expired")


def test_killed_under_load_loses_nothing_that_was_accepted(
    new_exchange: Callable[..., Exchange],
    broker: Broker,
    trade: Callable[..., dict[str, Any]],
    wait_until: Callable[..., Any],
) -> None:
    exchange = new_exchange(EXCHANGE_LATENCY_MS="20").start()
    accepted = []

    def place() -> None:
        while True:
            order = trade()
            try:
                if exchange.execute(broker.url, order)[0] == 202:
                    accepted.append(order["tradeId"])
            except Exception:
                return

    for _ in range(3):
        callers = [threading.Thread(target=place) for _ in range(4)]
        count = len(accepted)
        for caller in callers:
            caller.start()
        wait_until(lambda count=count: len(accepted) > count + 50)
        exchange.process.kill()
        for caller in callers:
            caller.join()
        exchange.kill()
        exchange.start()
    finals = {}
    for trade_id in accepted:
        finals[trade_id] = exchange.final(trade_id)
    wait_until(lambda: {report["tradeId"] for report in broker.reports()} >= finals.keys())
    for report in broker.reports():
        if report["tradeId"] in finals:
            assert report == finals[report["tradeId"]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_exits_cleanly_on_a_signal(
    new_exchange: Callable[..., Exchange], broker: Broker, trade: Callable[..., dict[str, Any]], number: int
) -> None:
    exchange = new_exchange().start()
    exchange.faults(executeNoAnswerRate=1)
    caller = threading.Thread(target=lambda: _ignore(lambda: exchange.execute(broker.url, trade(), timeout=5)))
    caller.start()
    broker.gate.clear()
    assert exchange.stop(number) == 0
    caller.join()


def _ignore(call: Any) -> None:
    try:
        call()
    except Exception:
        return


def run(**environment: Any) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "exchange.simulator"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_busy_port_is_reported_in_one_line(new_exchange: Callable[..., Exchange], tmp_path: Path) -> None:
    exchange = new_exchange().start()
    process = run(EXCHANGE_PORT=str(exchange.port), DATA_DIR=str(tmp_path / "other"))
    assert process.returncode != 0
    assert process.stderr.count("\n") == 1
    assert str(exchange.port) in process.stderr


def test_a_record_in_use_is_reported_in_one_line(new_exchange: Callable[..., Exchange], tmp_path: Path) -> None:
    new_exchange().start()
    other = new_exchange()
    process = run(**other.environment)
    assert process.returncode != 0
    assert process.stderr.count("\n") == 1
    assert "record" in process.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EXCHANGE_PORT", "x"), ("EXCHANGE_PORT", "0"), ("EXCHANGE_HOURS", "sometimes"), ("EXCHANGE_LATENCY_MS", "-1"),
        ("EXCHANGE_SECRET", "whsec_"), ("EXCHANGE_SECRET", "a"), ("EXCHANGE_HOST", "no.such.host.invalid"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_reported_in_one_line(
    tmp_path: Path, new_exchange: Callable[..., Exchange], name: str, value: Any
) -> None:
    process = run(**(new_exchange().environment | {name: value}))
    assert process.returncode != 0
    assert process.stderr.count("\n") == 1
    assert name in process.stderr or value in process.stderr


def test_without_a_secret_it_makes_one_that_brokers_can_read(
    new_exchange: Callable[..., Exchange], broker: Broker, trade: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    exchange = new_exchange(EXCHANGE_SECRET="").start()
    order = trade()
    exchange.execute(broker.url, order)
    broker.wait(order["tradeId"])
    secret_file = tmp_path / "exchange" / "secret"
    assert secret_file.stat().st_mode & 0o777 == 0o600
    headers = {name.lower(): value for name, value in broker.posts[0][0].items()}
    Webhook(secret_file.read_text()).verify(broker.posts[0][1], headers)
