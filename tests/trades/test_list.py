"""The REST API lists a customer's trades: pages, filters, and parameters."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from accounts.models import Customer
from tests.people import claim
from tests.responses import assert_problem
from tests.trades.test_api import TRADE_KEYS
from trades.models import Trade
from trades.place import place_trade

TRADES = "/api/v1/trades"


def ids(response: Any) -> list[str]:
    """Return the ids of the listed trades."""
    assert response.status_code == 200, response.content
    assert set(response.json()) == {"results", "next"}
    return [trade["tradeId"] for trade in response.json()["results"]]


def test_the_list_shows_a_customers_own_trades_newest_first(client: Client, alice: Customer, bob: Customer) -> None:
    place_trade(bob.id, "AAPL", "BUY", 1)
    own_ids = [str(place_trade(alice.id, "AAPL", "BUY", n)[0].id) for n in (1, 2, 3)]
    response = client.get(TRADES)
    assert ids(response)[:3] == own_ids[::-1]
    assert len(ids(response)) == Trade.objects.filter(customer=alice).count()
    assert response.json()["next"] is None
    assert all(set(trade) == TRADE_KEYS for trade in response.json()["results"])


def test_paging_shows_every_trade_once_while_new_ones_arrive(client: Client, bob: Customer, api_of: Any) -> None:
    existing_ids = [str(place_trade(bob.id, "AAPL", "BUY", n + 1)[0].id) for n in range(7)]
    client = api_of(bob)
    listed_ids: list[str] = []
    cursor = ""
    while True:
        response = client.get(TRADES, {"limit": 2} | ({"cursor": cursor} if cursor else {}))
        assert len(ids(response)) <= 2
        listed_ids += ids(response)
        place_trade(bob.id, "AAPL", "BUY", 99)
        cursor = response.json()["next"]
        if cursor is None:
            break
    assert listed_ids == existing_ids[::-1]


def test_an_exactly_full_page_is_the_last(bob: Customer, api_of: Any) -> None:
    for _ in range(2):
        place_trade(bob.id, "AAPL", "BUY", 1)
    assert api_of(bob).get(f"{TRADES}?limit=2").json()["next"] is None


def test_the_list_can_be_filtered(client: Client, alice: Customer) -> None:
    bought = str(Trade.objects.get(customer=alice).id)
    sold = place_trade(alice.id, "MSFT", "SELL", 5)[0]
    claim(alice)
    placed = str(place_trade(alice.id, "MSFT", "BUY", 5)[0].id)
    assert ids(client.get(f"{TRADES}?status=FILLED")) == [bought]
    assert ids(client.get(f"{TRADES}?status=REJECTED")) == [str(sold.id)]
    assert ids(client.get(f"{TRADES}?status=IN PROGRESS")) == []
    assert ids(client.get(f"{TRADES}?stockTicker=msft")) == [placed, str(sold.id)]
    assert ids(client.get(f"{TRADES}?type=SELL&stockTicker=MSFT")) == [str(sold.id)]
    assert ids(client.get(TRADES, {"placedAfter": sold.placed_at.isoformat()})) == [placed]
    assert ids(client.get(TRADES, {"placedBefore": sold.placed_at.isoformat()})) == [bought]
    later = sold.placed_at + timedelta(days=1)
    assert ids(client.get(TRADES, {"placedAfter": later.isoformat()})) == []


def test_returned_times_can_be_used_as_parameters(client: Client) -> None:
    created_at = client.get(TRADES).json()["results"][0]["createdAt"]
    assert ids(client.get(TRADES, {"placedBefore": created_at})) == []


@pytest.mark.parametrize("limit", [1, 500])
def test_limits_within_bounds_are_accepted(client: Client, limit: int) -> None:
    assert client.get(TRADES, {"limit": limit}).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "501", "-1", "abc", "", "1.5", "9" * 5000, "\x00", "null")),
        *(("cursor", value) for value in ("", "garbage", "====", "\x00", "é", "A" * 10_000, "GE======x", "FUYQ====")),
        ("cursor", "HE4TSOJZHE4TSOJZHE4TSOJZHE4TSOJZHE4TSOJZHE4Q===="),
        *(("status", value) for value in ("foo", "", "filled", "\x00")),
        *(("type", value) for value in ("HOLD", "buy")),
        *(("stockTicker", value) for value in ("", "\x00", "A" * 13)),
        *(
            ("placedAfter", value)
            for value in (
                "yesterday",
                "",
                "\x00",
                "2026-13-01T00:00:00Z",
                "10000-01-01T00:00:00Z",
                "0001-01-01T00:00:00+14:00",
                "9999-12-31T23:59:59-14:00",
                "1e99",
            )
        ),
        ("placedBefore", "tomorrow"),
        ("offset", "5"),
        ("customerId", "1"),
    ],
)
def test_an_invalid_query_parameter_is_named(client: Client, name: str, value: str) -> None:
    assert_problem(client.get(f"{TRADES}?{name}={quote(value)}"), 400, "invalid", name)


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-01", "2026-01-01T10:00"]
)
def test_times_at_the_edge_are_accepted(client: Client, time: str) -> None:
    assert client.get(TRADES, {"placedAfter": time}).status_code == 200
