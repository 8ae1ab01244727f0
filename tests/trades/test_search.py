"""Searching trades by index finds the same rows as a full scan."""

import itertools
import json
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Customer
from trades.models import FINAL, Status, Trade, Type
from trades.search import TradeFilter, find_trades

INSERT_FINAL_TRADES = """
    INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, placed_at, status, claimed_at,
                              expires_at, ask_at, max_price, price, amount, reason_code, settled_at)
    SELECT gen_random_uuid(), %(customer)s, n, (ARRAY['AAPL', 'IBM', 'MSFT'])[1 + n %% 3],
           CASE WHEN n %% 5 = 0 THEN 'SELL' ELSE 'BUY' END, 1, now() - make_interval(secs => %(count)s::bigint - n),
           CASE WHEN n %% 7 = 0 THEN 'REJECTED' ELSE 'FILLED' END, now(), now(), now(), 1000,
           CASE WHEN n %% 7 <> 0 THEN 10 END, CASE WHEN n %% 7 <> 0 THEN 10 END,
           CASE WHEN n %% 7 = 0 THEN 'expired' ELSE '' END, now()
    FROM generate_series(1::bigint, %(count)s::bigint) AS n
"""


def insert_final_trades(customer: Customer, count: int) -> None:
    """Give a customer this many final trades, a second apart."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO trades_tradecounter VALUES (%s, %s)", [customer.id, count])
        # The triggers would allow PLACED trades only.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE trades_trade DISABLE TRIGGER USER")
        cursor.execute(INSERT_FINAL_TRADES, {"customer": customer.id, "count": count})
        cursor.execute("ALTER TABLE trades_trade ENABLE TRIGGER USER")


@pytest.fixture
def trades(bob: Customer) -> list[Trade]:
    """Return Bob's trades in line order: sixty final ones and six PLACED ones."""
    insert_final_trades(bob, 60)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE trades_tradecounter SET last = 66 WHERE customer_id = %s", [bob.id])
        cursor.execute(
            "INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, status, reason_code) "
            "SELECT gen_random_uuid(), %s, n, 'IBM', 'BUY', 1, 'PLACED', '' FROM generate_series(61, 66) AS n",
            [bob.id],
        )
    return list(Trade.objects.filter(customer=bob).order_by("sequence"))


def test_every_filter_finds_the_rows_that_a_full_scan_finds(
    bob: Customer, alice: Customer, trades: list[Trade]
) -> None:
    random_source = random.Random(7)
    moments = [None, trades[20].placed_at, trades[40].placed_at + timedelta(milliseconds=1)]
    choices = itertools.product(
        [(), ["REJECTED"], ["PLACED", "IN PROGRESS"], ["FILLED", "PLACED"], sorted(FINAL)],
        [(), ["SELL"], ["BUY", "SELL"]],
        [(), ["AAPL"], ["IBM", "MSFT"], ["NONE"], [f"T{n}" for n in range(30)] + ["IBM"]],
        moments,
        moments,
    )
    for statuses, types, tickers, after, before in choices:
        bounds = random_source.choice([(None, None), (10, None), (None, 30), (12, 40)])
        trade_filter = TradeFilter(statuses, types, tickers, after, before, *bounds)
        newest_first, limit = random_source.choice([True, False]), random_source.choice([3, 100])
        expected = [
            trade
            for trade in trades
            if (not statuses or trade.status in statuses)
            and (not types or trade.type in types)
            and (not tickers or trade.ticker in tickers)
            and (after is None or trade.placed_at > after)
            and (before is None or trade.placed_at < before)
            and (bounds[0] is None or trade.sequence > bounds[0])
            and (bounds[1] is None or trade.sequence < bounds[1])
        ]
        expected = (expected[::-1] if newest_first else expected)[:limit]
        assert find_trades(bob.id, trade_filter, limit, newest_first=newest_first) == expected, trade_filter
    assert find_trades(alice.id, TradeFilter(placed_after=trades[3].placed_at - timedelta(days=9)), 9) != []
    assert find_trades(bob.id + 1000, TradeFilter(placed_after=trades[3].placed_at), 9) == []


def test_pages_do_not_shift_while_new_trades_arrive(
    bob: Customer, trades: list[Trade], api_of: Callable[..., Client]
) -> None:
    api, listed_ids, cursor = api_of(bob), [], ""
    pages = 0
    while pages < 100:
        pages += 1
        parameters: dict[str, Any] = {"limit": 7, "stockTicker": "ibm"} | ({"cursor": cursor} if cursor else {})
        response = api.get("/api/v1/trades", parameters)
        listed_ids += [trade["tradeId"] for trade in response.json()["results"]]
        cursor = response.json()["next"]
        if not cursor:
            break
        api.post("/api/v1/trades", {"stockTicker": "IBM", "type": "BUY", "quantity": 1}, "application/json")
    assert pages == 4
    assert listed_ids == [str(trade.id) for trade in reversed(trades) if trade.ticker == "IBM"]


@pytest.mark.parametrize(
    "trade_filter",
    [
        TradeFilter(below=1_500),
        TradeFilter(statuses=[Status.REJECTED], below=9_000),
        TradeFilter(tickers=["NONE"]),
        TradeFilter(types=[Type.SELL], statuses=[Status.FILLED], tickers=["IBM"], below=4_000),
        TradeFilter(types=[Type.SELL]),
        TradeFilter(statuses=[Status.PLACED, Status.IN_PROGRESS]),
    ],
)
def test_a_page_reads_few_more_rows_than_it_shows(bob: Customer, trade_filter: TradeFilter) -> None:
    insert_final_trades(bob, 20_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE trades_trade")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            find_trades(bob.id, trade_filter, 20)
        for query in queries.captured_queries:
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS OFF, FORMAT JSON) " + query["sql"])
            (plan,) = cursor.fetchone()[0]
            assert _rows_read(plan["Plan"]) < 400, json.dumps(plan)
            assert Decimal(str(plan["Execution Time"])) < 200


def _rows_read(node: dict) -> int:
    """Return how many rows a plan's nodes read in total."""
    rows = (
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        if "Relation Name" in node
        else 0
    )
    return rows + sum(map(_rows_read, node.get("Plans", [])))
