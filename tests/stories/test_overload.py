"""Ten times as many clients as the brokerage can serve place trades without a pause.

Accepted trades are completed in order, the others are refused with a Retry-After, and nothing grows without bound.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3

from chaos import checker
from chaos.site import open_accounts
from local.harness import FRUGAL, Brokerage
from local.plan import PROJECT
from local.ports import LOOPBACK

pytestmark = pytest.mark.story

SECONDS = float(os.environ.get("OVERLOAD_SECONDS", "15"))
CLIENTS_FEW, CLIENTS_MANY = 80, 800  # on a machine of the usual speed
CUSTOMERS = 200
OPEN_MAX, OPEN_EACH_MAX = 60, 15  # customers due in all lanes, and open trades per customer
DRAIN_SECONDS_MAX = 180.0
ANSWER_SECONDS_MAX = 10.0
MEGABYTES_MORE_MAX = 120  # per process during the load; an unbounded queue would exceed it
PROBES = 6

Json = dict[str, Any]


@pytest.fixture
def limited_brokerage() -> Iterator[Brokerage]:
    """Run a brokerage that accepts no more trades than it can complete within seconds."""
    folder = Path(tempfile.mkdtemp(prefix="brokerage-overload-"))
    # Two workers each, because a worker takes 256 connections, and CLIENTS_MANY clients keep theirs open.
    env = {
        **FRUGAL,
        "WEB_WORKERS": "2",
        "OPEN_TRADES_MAX": str(OPEN_MAX),
        "OPEN_TRADES_OF_A_CUSTOMER_MAX": str(OPEN_EACH_MAX),
    }
    try:
        with Brokerage(folder / "var", {"web": 2, "lanes": 2}, env) as brokerage:
            yield brokerage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def generate_load(brokerage: Brokerage, tokens: Path, responses: Path, clients: int, seconds: float) -> Json:
    """Run this many clients, each of which places its next trade as soon as it gets the last response.

    Args:
        responses: The file to which the clients write the responses.
    """
    job = {
        "addresses": [(LOOPBACK, brokerage.port + n) for n in range(2)],
        "path": "/api/v1/trades",
        "tokens_file": str(tokens),
        "answers_file": str(responses),
        "tickers": ["AAPL", "MSFT", "KO"],
        "start_at": time.time() + 0.5,
        "seconds": seconds,
        "connections": clients,
    }
    completed = subprocess.run(
        [sys.executable, "-m", "benchmarks.generator"],
        cwd=PROJECT,
        input=json.dumps(job) + "\n",
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    assert completed.returncode == 0, completed.stderr
    totals: Json = json.loads(completed.stdout)
    totals["statuses"] = Counter(status for *_, status, _ in json.loads(responses.read_text()))
    return totals


class Probe(threading.Thread):
    """A client that places trades for one greedy customer without a pause and records the responses."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(daemon=True)
        self.url, self.token, self.is_over = url, token, threading.Event()
        self.responses: list[tuple[float, float, int, Any, str | None]] = []

    def run(self) -> None:
        pool = urllib3.PoolManager(retries=False, timeout=ANSWER_SECONDS_MAX)
        headers = {"Authorization": f"Bearer {self.token}"}
        body = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}
        while not self.is_over.is_set():
            started_at = time.time()
            response = pool.request("POST", f"{self.url}/api/v1/trades", json=body, headers=headers)
            self.responses.append(
                (started_at, time.time(), response.status, response.json(), response.headers.get("Retry-After"))
            )


def memory(brokerage: Brokerage) -> dict[str, float]:
    """Return the memory of each process and its descendants, in megabytes."""
    megabytes = {}
    for name, pid in brokerage.processes().items():
        main = psutil.Process(pid)
        tree = [main] if name in {"supervisord", "runner"} else [main, *main.children(recursive=True)]
        megabytes[name] = sum(process.memory_full_info().uss for process in tree) / 2**20
    return megabytes


def count_final(database_url: str) -> int:
    return sum(trade["status"] in checker.FINAL for trade in checker.read_tables(database_url)["trades"])


def test_overload_is_refused_and_accepted_trades_are_completed(
    limited_brokerage: Brokerage, tmp_path: Path, report_figures: Callable[..., None]
) -> None:
    accounts = open_accounts(limited_brokerage, [Decimal(100_000)] * (CUSTOMERS + 1), "overload")
    *crowd, greedy = accounts
    tokens = tmp_path / "tokens"
    tokens.write_text("".join(f"{account['token']}\n" for account in crowd))
    database_url = limited_brokerage.environment["DATABASE_URL"]

    clients = round(CLIENTS_MANY / limited_brokerage.pace())
    seconds = SECONDS / 3
    normal = generate_load(limited_brokerage, tokens, tmp_path / "normal.json", CLIENTS_FEW, seconds)
    completed_per_second = count_final(database_url) / seconds
    checker.wait_until_final(database_url, DRAIN_SECONDS_MAX)
    before = memory(limited_brokerage)

    probes = [Probe(limited_brokerage.web_urls[n % 2], greedy["token"]) for n in range(PROBES)]
    for probe in probes:
        probe.start()
    overloaded = generate_load(limited_brokerage, tokens, tmp_path / "pressed.json", clients, SECONDS)
    for probe in probes:
        probe.is_over.set()
    for probe in probes:
        probe.join(2 * ANSWER_SECONDS_MAX)
    after = memory(limited_brokerage)
    load_ended = time.monotonic()
    drained = checker.wait_until_final(database_url, DRAIN_SECONDS_MAX) - load_ended

    # Every request got a response, and only with these statuses.
    statuses = normal["statuses"] + overloaded["statuses"]
    probe_statuses = Counter(status for probe in probes for _, _, status, _, _ in probe.responses)
    assert (overloaded["unanswered"], overloaded["broken"]) == (0, 0)
    assert set(statuses) | set(probe_statuses) <= {201, 429, 503}, (statuses, probe_statuses)
    assert overloaded["statuses"][503] > 0, "the load was not heavy enough"
    assert probe_statuses[429] > 0, "the greedy customer was not limited"
    for probe in probes:
        for started_at, answered_at, status, body, retry_after in probe.responses:
            assert answered_at - started_at < ANSWER_SECONDS_MAX
            if status != 201:
                assert (body["status"], body["code"]) in {(503, "overloaded"), (429, "too_many_open_trades")}, body
                assert int(retry_after or 0) > 0

    # Each trade that was accepted with 201 exists once, was executed in order, and is final; the books are correct.
    placed = [
        (sent, answered_at, trade_id)
        for file in ("normal.json", "pressed.json")
        for _, sent, answered_at, status, trade_id in json.loads((tmp_path / file).read_text())
        if status == 201
    ] + [
        (response[0], response[1], response[3]["tradeId"])
        for probe in probes
        for response in probe.responses
        if response[2] == 201
    ]
    tables = checker.read_tables(database_url)
    customer_ids = {account["customer"] for account in accounts}
    rows = {trade["id"]: trade for trade in tables["trades"] if trade["customer"] in customer_ids}
    assert sorted(rows) == sorted(trade_id for _, _, trade_id in placed)
    evidence = checker.Evidence(
        accounts=accounts,
        requests=[as_request(rows[trade_id], sent, answered_at) for sent, answered_at, trade_id in placed],
        exchange=checker.read_exchange(limited_brokerage.exchange_url),
        **tables,
    )
    assert checker.violations(evidence) == []

    # The number of open trades and the memory of every process are bounded.
    longest = most_open(list(rows.values()))
    per_second = (sum(statuses.values()) + sum(probe_statuses.values())) / SECONDS
    # Each customer's line and the number of due customers are limited, but the counts can be a second old.
    assert longest < (CUSTOMERS + 1) * OPEN_EACH_MAX + 2 * per_second
    growth = {name: round(after[name] - before[name]) for name in before if name in after}
    assert max(growth.values()) < MEGABYTES_MORE_MAX, growth
    report_figures(
        "overload",
        seconds=SECONDS,
        completed_per_second=round(completed_per_second),
        clients=clients,
        answered_per_second=round(sum(overloaded["statuses"].values()) / SECONDS),
        statuses=dict(statuses),
        greedy=dict(probe_statuses),
        slowest_answer=round(max(response[1] - response[0] for probe in probes for response in probe.responses), 1),
        most_open=longest,
        drained_in=round(drained, 1),
        megabytes_more=growth,
    )


def as_request(trade: Json, sent: float, answered_at: float) -> Json:
    """Return an accepted order in the form that the checker expects."""
    return {
        "customer": trade["customer"],
        "method": "POST",
        "path": "/api/v1/trades",
        "body": {"stockTicker": trade["ticker"], "type": trade["type"], "quantity": trade["quantity"]},
        "key": "",
        "began": sent,
        "ended": answered_at,
        "status": 201,
        "answer": {"tradeId": trade["id"], "status": "PLACED", "price": None, "reasonCode": None},
    }


def most_open(trades: list[Json]) -> int:
    """Return the largest number of PLACED trades at any time."""
    steps = [(trade["placed_at"], 1) for trade in trades]
    steps += [(trade["claimed_at"] or trade["settled_at"], -1) for trade in trades]
    highest = now = 0
    for _, step in sorted(steps):
        now += step
        highest = max(highest, now)
    return highest
