"""Lists of trades: the indexed query finds the same rows as a full scan."""

import itertools
import json
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Customer
from trades.models import FINAL, Status, Trade, Type
from trades.search import TradeFilter, find_trades

MANY = """
    INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, placed_at, status, claimed_at,
                              expires_at, ask_at, max_price, price, amount, reason_code, settled_at)
    SELECT gen_random_uuid(), %(customer)s, n, (ARRAY['AAPL', 'IBM', 'MSFT'])[1 + n %% 3],
           CASE WHEN n %% 5 = 0 THEN 'SELL' ELSE 'BUY' END, 1, now() - make_interval(secs => %(count)s::bigint - n),
           CASE WHEN n %% 7 = 0 THEN 'REJECTED' ELSE 'FILLED' END, now(), now(), now(), 1000,
           CASE WHEN n %% 7 <> 0 THEN 10 END, CASE WHEN n %% 7 <> 0 THEN 10 END,
           CASE WHEN n %% 7 = 0 THEN 'expired' ELSE '' END, now()
    FROM generate_series(1::bigint, %(count)s::bigint) AS n
"""


def have_many(customer: Customer, count: int) -> None:
    """Give a customer this many final trades, a second apart."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO trades_tradecounter VALUES (%s, %s)", [customer.id, count])
        # As they are long after: the triggers let trades begin PLACED alone.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE trades_trade DISABLE TRIGGER USER")
        cursor.execute(MANY, {"customer": customer.id, "count": count})
        cursor.execute("ALTER TABLE trades_trade ENABLE TRIGGER USER")


@pytest.fixture
def trades(bob: Customer) -> list[Trade]:
    """Bob's, in order: final ones, one in flight, and placed ones."""
    have_many(bob, 60)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE trades_tradecounter SET last = 66 WHERE customer_id = %s", [bob.id])
        cursor.execute(
            "INSERT INTO trades_trade (id, customer_id, sequence, ticker, type, quantity, status, reason_code) "
            "SELECT gen_random_uuid(), %s, n, 'IBM', 'BUY', 1, 'PLACED', '' FROM generate_series(61, 66) AS n",
            [bob.id],
        )
    return list(Trade.objects.filter(customer=bob).order_by("sequence"))


def test_every_filter_agrees_with_a_look_at_every_row(bob: Customer, alice: Customer, trades: list[Trade]) -> None:
    chosen = random.Random(7)
    moments = [None, trades[20].placed_at, trades[40].placed_at + timedelta(milliseconds=1)]
    choices = itertools.product(
        [(), ["REJECTED"], ["PLACED", "IN PROGRESS"], ["FILLED", "PLACED"], sorted(FINAL)],
        [(), ["SELL"], ["BUY", "SELL"]],
        [(), ["AAPL"], ["IBM", "MSFT"], ["NONE"], [f"T{n}" for n in range(30)] + ["IBM"]],
        moments,
        moments,
    )
    for statuses, types, tickers, after, before in choices:
        bounds = chosen.choice([(None, None), (10, None), (None, 30), (12, 40)])
        wanted = TradeFilter(statuses, types, tickers, after, before, *bounds)
        newest_first, limit = chosen.choice([True, False]), chosen.choice([3, 100])
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
        assert find_trades(bob.id, wanted, limit, newest_first=newest_first) == expected, wanted
    assert find_trades(alice.id, TradeFilter(placed_after=trades[3].placed_at - timedelta(days=9)), 9) != []
    assert find_trades(bob.id + 1000, TradeFilter(placed_after=trades[3].placed_at), 9) == []


def test_pages_do_not_shift_while_new_trades_arrive(
    bob: Customer, trades: list[Trade], api_of: Callable[..., Client]
) -> None:
    api, seen, cursor = api_of(bob), [], ""
    pages = 0
    while pages < 100:
        pages += 1
        answer = api.get("/api/v1/trades", {"limit": 7, "stockTicker": "ibm"} | ({"cursor": cursor} if cursor else {}))  # type: ignore[arg-type]
        seen += [trade["tradeId"] for trade in answer.json()["results"]]
        cursor = answer.json()["next"]
        if not cursor:
            break
        api.post("/api/v1/trades", {"stockTicker": "IBM", "type": "BUY", "quantity": 1}, "application/json")
    assert pages == 4
    assert seen == [str(trade.id) for trade in reversed(trades) if trade.ticker == "IBM"]


@pytest.mark.parametrize(
    "wanted",
    [
        TradeFilter(below=1_500),
        TradeFilter(statuses=[Status.REJECTED], below=9_000),
        TradeFilter(tickers=["NONE"]),
        TradeFilter(types=[Type.SELL], statuses=[Status.FILLED], tickers=["IBM"], below=4_000),
        TradeFilter(types=[Type.SELL]),
        TradeFilter(statuses=[Status.PLACED, Status.IN_PROGRESS]),
    ],
)
def test_no_page_reads_more_than_its_rows(bob: Customer, wanted: TradeFilter) -> None:
    have_many(bob, 20_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE trades_trade")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            find_trades(bob.id, wanted, 20)
        for query in queries.captured_queries:
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS OFF, FORMAT JSON) " + query["sql"])
            (plan,) = cursor.fetchone()[0]
            assert _rows_read(plan["Plan"]) < 400, json.dumps(plan)
            assert Decimal(str(plan["Execution Time"])) < 200


def _rows_read(node: dict) -> int:
    own = (
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        if "Relation Name" in node
        else 0
    )
    return own + sum(map(_rows_read, node.get("Plans", [])))
