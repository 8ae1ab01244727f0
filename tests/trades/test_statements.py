"""A single trade needs few database statements from placing to settling."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Customer
from exchange import market, prices
from tests.conftest import StandInExchange
from tests.people import claim, open_account, send_report
from tests.responses import post
from trades import checks, queries
from trades.models import Status, Trade
from trades.place import place_trade
from trades.turn import take_turn

BUY = {"stockTicker": "AAPL", "type": "BUY", "quantity": 1}


@pytest.mark.django_db(transaction=True)
def test_a_single_trade_needs_few_statements(alice: Customer, api_of: Any, exchange: StandInExchange) -> None:
    market.refresh()
    prices.refresh()
    client: Client = api_of(alice)
    post(client, "/api/v1/trades", BUY)
    take_turn([alice.id], by="test")
    send_report(Trade.objects.latest("sequence"), Status.FILLED, Decimal(50))
    take_turn([alice.id], by="test")
    checks.rules(), checks.load()  # read once a second, not for every trade
    with CaptureQueriesContext(connection) as placing:
        post(client, "/api/v1/trades", BUY, idempotency_key="k")
    with CaptureQueriesContext(connection) as claiming:
        take_turn([alice.id], by="test")
    with CaptureQueriesContext(connection) as reporting:
        send_report(Trade.objects.latest("sequence"), Status.FILLED, Decimal(50))
    with CaptureQueriesContext(connection) as settling:
        take_turn([alice.id], by="test")
    assert Trade.objects.latest("sequence").status == Status.FILLED
    # BEGIN and COMMIT count, since each is a round trip. Placing may read controls and load again if a second has
    # passed; reporting includes the query with which this test finds the trade.
    for phase, statements_max in ((placing, 5), (claiming, 6), (reporting, 2), (settling, 6)):
        assert len(phase) <= statements_max, [query["sql"][:200] for query in phase.captured_queries]


@pytest.mark.django_db(transaction=True)
def test_a_turn_compares_no_customer_with_all_trades_in_flight(alice: Customer) -> None:
    """PostgreSQL expects hardly any open trades, because nearly all are final when it collects statistics."""
    connection.cursor().execute("ANALYZE trades_trade; SET enable_seqscan = off")  # as for a larger table
    in_flight, in_line = ([open_account(f"{name}{n}@example.com", Decimal(900)) for n in range(25)] for name in "fl")
    for customer in (*in_flight, *in_line):
        place_trade(customer.id, "AAPL", "BUY", 1)
    claim(*in_flight)
    passed_over: list[float] = []

    def explain(execute: Any, statement: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
        ((plans,),) = execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters, many, context).fetchall()
        passed_over.append(rows_passed_over(plans[0]["Plan"]))
        return execute(statement, parameters, many, context)

    with connection.execute_wrapper(explain):
        work = queries.read_work([customer.id for customer in (*in_flight, *in_line)], 4)
    connection.close()
    assert {trade.customer_id for trade in work.placed} == {customer.id for customer in in_line}
    assert max(passed_over) <= len(in_flight), passed_over


def rows_passed_over(node: dict[str, Any]) -> float:
    """Return how many rows a plan compared or read without a match."""
    own = node.get("Rows Removed by Join Filter", 0) + node.get("Rows Removed by Filter", 0)
    return own * node["Actual Loops"] + sum(map(rows_passed_over, node.get("Plans", ())))
