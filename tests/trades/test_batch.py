"""A batch of trades in one request: each gets the result that `POST /api/v1/trades` gives, in the order sent."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from accounts.models import Customer
from exchange import market, prices
from tests.conftest import StandInExchange
from tests.people import open_account, take_rung_customers
from tests.responses import assert_problem, post
from tests.trades.test_api import BUY, TRADE_KEYS, TRADES, WRONG_VALUES
from tests.trades.test_queue import set_hours
from trades.batch import place_trades
from trades.controls import Kind, set_control
from trades.lane import lane_of
from trades.models import StatusChange, Trade, TradeCounter
from trades.place import place_trade
from web import rate_limits

BATCH = f"{TRADES}/batch"


def send(client: Client, *trades: Any) -> list[dict[str, Any]]:
    """Place a batch and return the result of each trade."""
    response = post(client, BATCH, {"trades": list(trades)})
    assert response.status_code == 207, response.content
    assert response["Content-Type"] == "application/json"
    assert set(response.json()) == {"results"}
    results: list[dict[str, Any]] = response.json()["results"]
    assert len(results) == len(trades)
    for result in results:
        assert set(result) == {"status", "trade" if result["status"] in (200, 201) else "problem"}
        assert set(result.get("trade", TRADE_KEYS)) == TRADE_KEYS
    return results


def statuses(results: list[dict[str, Any]]) -> list[int]:
    return [result["status"] for result in results]


def line(customer: Customer) -> list[tuple[int, str, int]]:
    """Return number, ticker and quantity of the customer's trades, in line order."""
    rows = Trade.objects.filter(customer=customer).order_by("sequence")
    return list(rows.values_list("sequence", "ticker", "quantity"))


def test_a_hundred_trades_are_placed_in_order_by_few_statements(
    bob: Customer, api_of: Any, django_assert_max_num_queries: Any
) -> None:
    client = api_of(bob)
    place_trade(bob.id, "AAPL", "BUY", 500)
    with django_assert_max_num_queries(7):  # token, its last use, controls, load, keys, trades
        results = send(client, *(BUY | {"quantity": n, "idempotencyKey": f"k{n}"} for n in range(100, 0, -1)))
    assert statuses(results) == [201] * 100
    assert line(bob)[1:] == [(n, "AAPL", 102 - n) for n in range(2, 102)]
    assert [result["trade"]["quantity"] for result in results] == list(range(100, 0, -1))
    times = [result["trade"]["createdAt"] for result in results]
    assert times == sorted(set(times)), "each must be placed later than the one before it"
    changes = StatusChange.objects.filter(customer_id=bob.id).order_by("trade__sequence")
    assert len(changes) == 101
    assert {change.by for change in changes} == {"api"}


def test_a_batch_rings_once(bob: Customer, api_of: Any, django_capture_on_commit_callbacks: Any) -> None:
    client = api_of(bob)
    place_trade(bob.id, "AAPL", "BUY", 1)
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        send(client, BUY, BUY, BUY)
    assert len(callbacks) == 1
    assert take_rung_customers(lane_of(bob.id)) == [bob.id]


def test_an_invalid_trade_does_not_block_the_others(client: Client, alice: Customer) -> None:
    results = send(client, BUY, BUY | {"quantity": 0, "more": 1}, "BUY", None, [BUY], {}, BUY | {"quantity": 9})
    assert statuses(results) == [201, 400, 400, 400, 400, 400, 201]
    problem = results[1]["problem"]
    single_problem = assert_problem(post(client, TRADES, BUY | {"quantity": 0}), 400, "invalid", "quantity")
    assert [error for error in problem["errors"] if error["field"] == "quantity"] == single_problem["errors"]
    assert {error["field"] for error in problem["errors"]} == {"quantity", "more"}
    assert line(alice)[1:] == [(2, "AAPL", 3), (3, "AAPL", 9)]


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_a_wrong_value_gets_the_same_problem_as_in_a_single_request(client: Client, name: str) -> None:
    bodies = [BUY | {name: value} for value in WRONG_VALUES[name]]
    before = Trade.objects.count()
    results = send(client, *bodies)
    for body, result in zip(bodies, results, strict=True):
        assert result == {"status": 400, "problem": post(client, TRADES, body).json()}
    assert Trade.objects.count() == before


@pytest.mark.parametrize("key", ["", "x" * 129, "a\x00b", "a\tb", "clé", "\ud800", 7, True, ["k"]])
def test_a_wrong_key_is_named(client: Client, key: Any) -> None:
    wrong, right = send(client, BUY | {"idempotencyKey": key}, BUY | {"idempotencyKey": None})
    assert (wrong["status"], right["status"]) == (400, 201)
    assert [error["field"] for error in wrong["problem"]["errors"]] == ["idempotencyKey"]


def test_a_repeated_batch_places_nothing_and_returns_the_first_trades(client: Client, alice: Customer) -> None:
    batch = [BUY | {"quantity": n, "idempotencyKey": f"k{n}"} for n in (1, 2, 3)]
    first, repeated = send(client, *batch), send(client, *batch)
    assert (statuses(first), statuses(repeated)) == ([201] * 3, [200] * 3)
    assert [result["trade"] for result in first] == [result["trade"] for result in repeated]
    assert len(line(alice)) == 4
    changed = send(client, batch[0], batch[1] | {"quantity": 7}, BUY | {"quantity": 4, "idempotencyKey": "k4"})
    assert statuses(changed) == [200, 409, 201]
    assert changed[1]["problem"]["code"] == "idempotency_key_reused"
    assert line(alice)[-1] == (5, "AAPL", 4)


def test_keys_are_shared_by_batches_and_single_requests(client: Client) -> None:
    single = post(client, TRADES, BUY, idempotency_key="k1").json()
    (batched, new) = send(client, BUY | {"idempotencyKey": "k1"}, BUY | {"idempotencyKey": "k2"})
    assert (batched["status"], batched["trade"]) == (200, single)
    repeated = post(client, TRADES, BUY, idempotency_key="k2")
    assert (repeated.status_code, repeated.json()) == (200, new["trade"])


def test_a_key_repeated_within_a_batch_places_one_trade(client: Client, alice: Customer) -> None:
    results = send(
        client,
        BUY | {"idempotencyKey": "k"},
        BUY | {"quantity": 5},
        BUY | {"idempotencyKey": "k"},
        BUY | {"idempotencyKey": "k", "quantity": 4},
        BUY | {"stockTicker": "aapl", "idempotencyKey": "k"},
    )
    assert statuses(results) == [201, 201, 200, 409, 200]
    assert len({results[n]["trade"]["tradeId"] for n in (0, 2, 4)}) == 1
    assert line(alice)[1:] == [(2, "AAPL", 3), (3, "AAPL", 5)]


def test_a_refused_trade_does_not_use_up_its_key(client: Client, alice: Customer) -> None:
    first, second = send(client, BUY | {"idempotencyKey": "k", "quantity": 0}, BUY | {"idempotencyKey": "k"})
    assert (first["status"], second["status"]) == (400, 201)
    assert line(alice)[1:] == [(2, "AAPL", 3)]


def test_without_keys_identical_trades_are_all_placed(client: Client, alice: Customer) -> None:
    assert len({result["trade"]["tradeId"] for result in send(client, BUY, BUY, BUY)}) == 3
    assert len(line(alice)) == 4


@pytest.mark.parametrize("trades", [[], [BUY] * 101, {}, "x", None, 3, {"0": BUY}], ids=lambda value: repr(value)[:20])
def test_an_empty_or_too_long_batch_is_refused_as_a_whole(client: Client, trades: Any) -> None:
    before = Trade.objects.count()
    assert_problem(post(client, BATCH, {"trades": trades}), 400, "invalid", "trades")
    assert Trade.objects.count() == before


@pytest.mark.parametrize("body", [{}, {"trades": [BUY], "more": 1}, [BUY], BUY])
def test_a_body_of_the_wrong_shape_is_refused(client: Client, body: Any) -> None:
    before = Trade.objects.count()
    assert_problem(post(client, BATCH, body), 400, "invalid")
    assert Trade.objects.count() == before


def test_a_key_for_the_batch_as_a_whole_is_refused(client: Client) -> None:
    before = Trade.objects.count()
    response = post(client, BATCH, {"trades": [BUY]}, idempotency_key="k")
    assert_problem(response, 400, "invalid", "Idempotency-Key")
    assert Trade.objects.count() == before


def test_a_body_that_is_too_large_is_refused_as_a_whole(client: Client) -> None:
    long_trade = BUY | {"stockTicker": "A" * (django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 50)}
    assert_problem(post(client, BATCH, {"trades": [long_trade] * 60}), 413, "too_large")


def test_a_batch_needs_the_trade_scope(alice: Customer, api_of: Any) -> None:
    assert_problem(post(api_of(alice, ["read", "funds"]), BATCH, {"trades": [BUY]}), 403, "permission_denied")
    assert_problem(api_of(alice).get(BATCH), 405, "method_not_allowed")


def test_customers_can_use_the_same_key(bob: Customer, client: Client, api_of: Any) -> None:
    (alices,) = send(client, BUY | {"idempotencyKey": "k"})
    (bobs,) = send(api_of(bob), BUY | {"idempotencyKey": "k", "quantity": 1})
    assert (alices["status"], bobs["status"]) == (201, 201)


@pytest.mark.django_db(transaction=True)
def test_a_refused_check_affects_only_its_trade(
    client: Client, alice: Customer, api_of: Callable[..., Client], exchange: StandInExchange
) -> None:
    market.refresh()
    market.forget()
    prices.refresh()
    sam = open_account("sam@example.com", Decimal(1))
    set_control(Kind.RESTRICT_TICKER, True, reason="-", by=sam, ticker="MSFT")
    set_control(Kind.SHARES_MAX, True, reason="-", by=sam, value=Decimal(50))
    bodies = [
        BUY,
        BUY | {"stockTicker": "NOSUCH"},
        BUY | {"stockTicker": "MSFT"},
        BUY | {"quantity": 51},
        BUY | {"type": "SELL", "quantity": 50},
    ]
    results = send(client, *bodies)
    assert statuses(results) == [201, 422, 409, 422, 201]
    for body, result in zip(bodies[1:4], results[1:4], strict=True):
        assert result["problem"] == post(client, TRADES, body).json()
    assert line(alice)[1:] == [(2, "AAPL", 3), (3, "AAPL", 50)]
    market.forget()


@pytest.mark.django_db(transaction=True)
def test_the_limit_of_orders_per_minute_applies_within_a_batch(client: Client, alice: Customer, bob: Customer) -> None:
    sam = open_account("sam@example.com", Decimal(1))
    set_control(Kind.ORDERS_A_MINUTE_MAX, True, reason="-", by=sam, value=Decimal(3))  # Alice's first trade counts
    results = send(client, *(BUY | {"quantity": n, "idempotencyKey": f"k{n}"} for n in range(1, 6)))
    assert statuses(results) == [201, 201, 429, 429, 429]
    assert {result["problem"]["code"] for result in results[2:]} == {"too_many_orders"}
    assert line(alice)[1:] == [(2, "AAPL", 1), (3, "AAPL", 2)]
    bobs_results = place_trades(bob.id, [Trade(customer=bob, ticker="AAPL", type="BUY", quantity=n) for n in (1, 2, 3)])
    assert [replayed for _, replayed in bobs_results] == [False] * 3  # type: ignore[misc]
    assert len(line(bob)) == 3


def test_each_trade_of_a_batch_counts_against_the_rate_limit(
    client: Client, alice: Customer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "WINDOW_SECONDS", 86_400)  # so that no window ends during the test
    rate_limits.reset()
    settings.ORDERS_A_MINUTE = 6
    response = post(client, BATCH, {"trades": [BUY] * 4})
    assert (response.status_code, response["X-RateLimit-Remaining"]) == (207, "2")
    refused = post(client, BATCH, {"trades": [BUY] * 3})
    assert_problem(refused, 429, "throttled")
    assert refused["X-RateLimit-Remaining"] == "0"
    assert len(line(alice)) == 5


@pytest.mark.parametrize("limit", [6, 600])
def test_large_requests_are_counted_once_locally_or_in_the_cache(bob: Customer, limit: int) -> None:
    """A process counts the first hundredth of a limit locally, and adds a request that crosses it to the cache once."""
    rate_limits.reset()
    remaining = [rate_limits.count_customer(bob.id, False, limit, number).remaining for number in (1, 4, 1)]
    assert remaining == [limit - 1, limit - 5, limit - 6]
    rate_limits.reset()  # like another process, which knows only what is in the cache
    if limit == 6:
        assert rate_limits.count_customer(bob.id, False, limit).exceeded


def test_the_limit_of_queued_trades_applies_within_a_batch(alice: Customer, client: Client, settings: Any) -> None:
    set_hours(is_open=False, changes_at=datetime(2026, 11, 27, 14, 30, tzinfo=UTC))
    settings.OPEN_TRADES_OF_A_CUSTOMER_MAX = 3
    queued_trade = BUY | {"whenClosed": "queue"}
    results = send(client, queued_trade, queued_trade, queued_trade, queued_trade, BUY)
    assert statuses(results) == [201, 201, 201, 429, 201]
    assert results[3]["problem"]["code"] == "too_many_open_trades"
    queued = Trade.objects.filter(customer=alice, queued_at__isnull=False)
    assert sorted(queued.values_list("sequence", flat=True)) == [2, 3, 4]


def test_a_customers_first_trades_can_be_a_batch(bob: Customer) -> None:
    assert not TradeCounter.objects.filter(customer=bob).exists()
    outcomes = place_trades(bob.id, [Trade(customer=bob, ticker="AAPL", type="BUY", quantity=n) for n in (1, 2)])
    assert [trade.sequence for trade, _ in outcomes] == [1, 2]  # type: ignore[misc]
