"""A trade's lifecycle in the test's own processes: the work of each process, completing the trades, and the check."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from django.test import Client
from standardwebhooks import Webhook

from accounts import tokens
from accounts.funding import deposit
from accounts.models import Customer
from chaos import checker
from exchange import exchange_time, gateway
from tests.conftest import StandInExchange
from tests.factories import CustomerFactory
from tests.people import claim
from trades import checks, lane, sweep
from trades.execute import execute
from trades.lane import lane_of
from trades.models import FINAL, Trade
from trades.place import insert_set
from trades.sweep import EXPIRY_MARGIN_SECONDS
from trades.tasks import turn as turn_task
from trades.transitions import Placing
from trades.turn import EXECUTE_WITHIN_SECONDS

FINAL_SECONDS_MAX = 20.0
CASH = Decimal(10_000)

Process = Callable[["Case"], Callable[[], Any]]


class Case:
    """A customer whose trades a process works on.

    `others` are further customers whose trades the process handles in the same batch.
    """

    def __init__(self, exchange: StandInExchange, number: int, others: int = 0) -> None:
        self.exchange = exchange
        self.others = [Case(exchange, 1000 * (other + 1) + number) for other in range(others)]
        self.customer: Customer = CustomerFactory(email=f"case{number}@example.com")  # type: ignore[assignment]
        self.token = tokens.issue(self.customer, "test").token
        self.requests: list[dict[str, Any]] = []
        opening, _ = deposit(self.customer.id, CASH)
        self.account = {"customer": self.customer.id, "cash": f"{CASH}", "cause": str(opening.cause)}

    def post(self, path: str, body: dict[str, Any], key: str, expected: tuple[int, ...] = (200, 201)) -> dict[str, Any]:
        """POST with a key, as a client does, and record the request."""
        started_at = time.time()
        client = Client(headers={"Authorization": f"Bearer {self.token}", "Idempotency-Key": key})
        response = client.post(path, json.dumps(body), content_type="application/json")
        self.record_request(path, body, key, started_at, response.status_code, json.loads(response.content))
        assert response.status_code in expected, response.content
        content: dict[str, Any] = json.loads(response.content)
        return content

    def record_request(self, path: str, body: Any, key: str, began: float, status: int, response: Any) -> None:
        self.requests.append(
            {"customer": self.customer.id, "method": "POST", "path": path, "body": body, "key": key}
            | {"began": began, "ended": time.time(), "status": status, "answer": response, "retryAfter": "1"}
        )

    @property
    def all_cases(self) -> list[Case]:
        return [self, *self.others]

    def place(self, key: str, *expected: int) -> None:
        body = {"stockTicker": "KO", "type": "BUY", "quantity": 2}
        self.post("/api/v1/trades", body, key, expected or (200, 201))

    def send(self) -> Trade:
        """Claim the first trade and send it to the exchange."""
        (trade,) = claim(self.customer)
        execute([trade])
        return trade

    def final_report(self, trade: Trade) -> dict[str, Any]:
        """Wait until a trade is final at the exchange; return its report."""
        deadline = time.monotonic() + FINAL_SECONDS_MAX
        while (report := gateway.ask(trade.id)) is None or report["status"] not in FINAL:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return report


# -- processes in a trade's lifecycle: each function prepares the state that the process finds, and returns its work


def prepared(process: Process, case: Case) -> Callable[[], Any]:
    """Prepare and return the process's work. Only turns need rings in the broker, so others start without any."""
    work = process(case)
    checks.forget()
    if process not in {turn_that_claims, turn_that_settles}:
        lane.broker().flushdb()
    return work


def placing(case: Case) -> Callable[[], Any]:
    body = {"stockTicker": "KO", "type": "BUY", "quantity": 2}
    case.record_request("/api/v1/trades", body, "first", time.time(), 0, None)
    client = Client(headers={"Authorization": f"Bearer {case.token}", "Idempotency-Key": "first"})
    return lambda: client.post("/api/v1/trades", json.dumps(body), content_type="application/json")


def depositing(case: Case) -> Callable[[], Any]:
    case.record_request("/api/v1/deposits", {"amount": "5.00"}, "more", time.time(), 0, None)
    client = Client(headers={"Authorization": f"Bearer {case.token}", "Idempotency-Key": "more"})
    return lambda: client.post("/api/v1/deposits", '{"amount": "5.00"}', content_type="application/json")


def placing_a_set(case: Case) -> Callable[[], Any]:
    placings = []
    for member in case.all_cases:
        member.place("before")  # only customers with a counter are placed as a batch
        body = {"stockTicker": "KO", "type": "BUY", "quantity": 2}
        member.record_request("/api/v1/trades", body, "first", time.time(), 0, None)
        trade = Trade(customer=member.customer, ticker="KO", type="BUY", quantity=2, idempotency_key="first")
        placings.append(Placing(trade, "api"))
    return lambda: insert_set(placings)


def turn_that_claims(case: Case) -> Callable[[], Any]:
    place_for_all(case, "first")
    return lambda: turn_task(lane=lane_of(case.customer.id))


def place_for_all(case: Case, key: str) -> None:
    for member in case.all_cases:
        member.place(key)


def callback(case: Case) -> Callable[[], Any]:
    place_for_all(case, "first")
    sent = [member.send() for member in case.all_cases]
    body = json.dumps({"reports": [case.final_report(trade) for trade in sent]})
    at = datetime.now(UTC)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(settings.EXCHANGE_SECRET).sign("msg_1", at, body),
    }
    return lambda: Client(headers=headers).post("/exchange/callbacks", body, content_type="application/json")


def turn_that_settles(case: Case) -> Callable[[], Any]:
    callback_ = callback(case)
    place_for_all(case, "second")
    callback_()
    return lambda: turn_task(lane=lane_of(case.customer.id))


def sweep_that_rings(case: Case) -> Callable[[], Any]:
    place_for_all(case, "first")
    return lambda: sweep.ring_for_waiting("sweep")


def sweep_that_hears_the_end(case: Case) -> Callable[[], Any]:
    place_for_all(case, "first")
    for trade in [member.send() for member in case.all_cases]:
        case.final_report(trade)
    return lambda: sweep.ask_exchange()


def sweep_that_executes_again(case: Case) -> Callable[[], Any]:
    place_for_all(case, "first")
    claim(*[member.customer for member in case.all_cases])
    return lambda: sweep.ask_exchange()


def sweep_that_expires(case: Case) -> Callable[[], Any]:
    """Sweep trades that were claimed but never sent, when the exchange's clock is past their expiry."""
    place_for_all(case, "first")
    claim(*[member.customer for member in case.all_cases])
    case.exchange.advance_clock(EXECUTE_WITHIN_SECONDS + EXPIRY_MARGIN_SECONDS + 1)
    exchange_time.forget()
    return lambda: sweep.ask_exchange()


PROCESSES: list[Process] = [
    placing,
    placing_a_set,
    depositing,
    turn_that_claims,
    callback,
    turn_that_settles,
    sweep_that_rings,
    sweep_that_hears_the_end,
    sweep_that_executes_again,
    sweep_that_expires,
]


# -- completing the trades, and checking the result


def sweep_until_final(*customers: Customer) -> None:
    """Run only sweeps until every trade is final."""
    deadline = time.monotonic() + FINAL_SECONDS_MAX
    while Trade.objects.filter(customer__in=customers).exclude(status__in=FINAL).exists():
        assert time.monotonic() < deadline, "a trade is stuck"
        sweep.ring_for_waiting("sweep")
        sweep.ask_exchange()


def violations_of(cases: list[Case]) -> list[str]:
    """Return the violations that the fault suite's checker finds for these customers."""
    database = connection.settings_dict
    url = (
        f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    )
    cases = [member for case in cases for member in case.all_cases]
    accounts = [case.account for case in cases]
    requests = [request for case in cases for request in case.requests]
    evidence = checker.Evidence(accounts=accounts, requests=requests, **checker.read_tables(url))
    trade_ids = {trade["id"] for trade in evidence.trades}
    evidence.exchange = [entry for entry in cases[0].exchange.record() if entry["tradeId"] in trade_ids]
    return checker.violations(evidence)
