"""After simultaneous orders, a customer's line has no gaps or duplicates and follows the order of commits."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from itertools import pairwise, permutations
from typing import Any

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import Customer
from tests.races.concurrency import Open, Running, eventually, outcomes, rows, together, violations, waiting, watching
from trades import batch, place, transitions
from trades.batch import place_trades
from trades.models import StatusChange, Trade
from trades.place import TradeKeyReused, place_trade
from trades.search import TradeFilter, find_trades
from trades.transitions import Placing

THREADS = 8
TRADES_PER_THREAD = 6
COPIES = 12


def buy(customer: Customer, quantity: int = 1, key: str | None = None) -> tuple[Trade, bool]:
    return place_trade(customer.id, "AAPL", "BUY", quantity, key)


def insert(customer: Customer) -> None:
    """Insert a trade within the caller's transaction."""
    trade = Trade(customer_id=customer.id, ticker="AAPL", type="BUY", quantity=1)
    assert transitions.insert_trades([Placing(trade, "test")]) == [True]


def poster(client: Client, quantity: int) -> Callable[[], Any]:
    """Return a function that calls PlaceTrade over HTTP, always with the same key."""
    body = {"stockTicker": "AAPL", "type": "BUY", "quantity": quantity}
    return lambda: client.post("/api/v1/trades", body, "application/json", headers={"Idempotency-Key": "k"})


def line(customer: Customer) -> list[int]:
    return list(Trade.objects.filter(customer=customer).order_by("sequence").values_list("sequence", flat=True))


def test_the_line_never_has_a_gap_and_follows_the_order_of_responses(bob: Customer) -> None:
    def place_several() -> list[tuple[float, float, int]]:
        placed = []
        for _ in range(TRADES_PER_THREAD):
            started_at = time.monotonic()
            trade, _ = buy(bob)
            placed.append((started_at, time.monotonic(), trade.sequence))
        return placed

    with watching(violations) as watch:
        placed = [
            timed_trade for trades_of_thread in together(*[place_several] * THREADS) for timed_trade in trades_of_thread
        ]
    # If number 5 had been committed before number 4, a reader between the two would have seen a gap.
    assert watch.checks > 1
    assert watch.violations == set()
    assert line(bob) == list(range(1, THREADS * TRADES_PER_THREAD + 1))
    assert all(
        earlier < later for (_, ended, earlier), (started_at, _, later) in permutations(placed, 2) if ended < started_at
    )


def test_an_order_placed_within_a_transaction_leads_no_batch(bob: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it led a batch, other customers' trades would be committed or rolled back with its own transaction."""

    def refuse_to_lead(_: Any) -> bool:
        raise AssertionError("a batch was led inside a transaction")

    buy(bob)
    monkeypatch.setattr(place, "insert_batched", refuse_to_lead)
    order = Open(lambda: buy(bob))
    assert line(bob) == [1]
    order.commit()
    assert line(bob) == [1, 2]
    with pytest.raises(AssertionError, match="led"):
        buy(bob)


@pytest.mark.parametrize("commits", [True, False])
def test_placing_waits_only_for_the_same_customers_previous_order(
    alice: Customer, bob: Customer, commits: bool
) -> None:
    buy(bob)
    first = Open(lambda: insert(bob))
    second = Running(lambda: buy(bob)[0].sequence)
    eventually(waiting)
    buy(alice)
    assert not second.is_done
    assert line(bob) == [1]
    first.commit() if commits else first.roll_back()
    assert second.result() == (3 if commits else 2)


def test_the_checker_detects_numbers_drawn_without_the_counters_lock(
    bob: Customer, monkeypatch: pytest.MonkeyPatch, breaks_a_promise: None
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE drawn")
    try:
        begin, end = transitions.INSERT_TRADES.index("free AS"), transitions.INSERT_TRADES.index("), numbered AS")
        drawn = """counter AS (
            SELECT customer_id, drawn AS last, drawn - 1 AS before, 0::bigint AS xact, now() AS placed_at
            FROM (SELECT customer_id, nextval('drawn') AS drawn FROM new) AS new
        """
        unlocked = transitions.INSERT_TRADES[:begin] + drawn + transitions.INSERT_TRADES[end:]
        monkeypatch.setattr(transitions, "INSERT_TRADES", unlocked)
        first = Open(lambda: insert(bob))
        buy(bob)
        assert [violation.split(":")[0] for violation in violations()] == ["a line has no gap"]
        first.commit()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP SEQUENCE drawn")


def test_simultaneous_trades_are_inserted_by_one_statement(
    alice: Customer, bob: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(bob)
    batches: list[list[int]] = []
    insert_trades = transitions.insert_trades

    def record_and_insert(placings: Sequence[Placing]) -> list[bool]:
        if not batches:
            time.sleep(0.5)  # so that the other orders arrive in the meantime
        batches.append([placing.trade.quantity for placing in placings])
        return insert_trades(placings)

    monkeypatch.setattr(transitions, "insert_trades", record_and_insert)
    first = Running(lambda: buy(alice, 1))
    eventually(lambda: place.insert_batched.is_led)
    placed = together(*[partial(buy, customer, n) for n in (2, 3) for customer in (alice, bob, bob)])
    first.result()
    assert [len(quantities) for quantities in batches] == [1, 6], "the first order alone, then all the others"
    assert len({trade.id for trade, _ in placed}) == 6
    assert (line(alice), line(bob)) == ([1, 2, 3, 4], [1, 2, 3, 4, 5])
    stored = {trade.id: (trade.sequence, trade.placed_at, trade.quantity) for trade in Trade.objects.all()}
    assert all(stored[trade.id] == (trade.sequence, trade.placed_at, trade.quantity) for trade, _ in placed)
    assert StatusChange.objects.filter(trade__in=[trade.id for trade, _ in placed], to_status="PLACED").count() == 6


def test_simultaneous_batches_of_several_processes_keep_every_line_in_order(alice: Customer, bob: Customer) -> None:
    """Like processes, these threads share only the database: each inserts its own batches."""
    left_out: list[int] = []

    def process(number: int) -> None:
        customers = [alice, bob, alice, bob, bob] if number % 2 else [bob, alice, bob]
        for _ in range(TRADES_PER_THREAD):
            placings = [
                Placing(Trade(customer_id=customer.id, ticker="AAPL", type="BUY", quantity=1), "test")
                for customer in customers
            ]
            for placing, is_recorded in zip(placings, place.insert_set(placings), strict=True):
                if not is_recorded:
                    left_out.append(number)
                    place.insert_alone([placing], None)

    before = len(line(alice))
    with watching(violations) as watch:
        together(*[partial(process, number) for number in range(THREADS)])
    assert watch.violations == set()
    assert left_out, "some must have found a counter locked"
    assert len(line(alice)) == before + THREADS // 2 * TRADES_PER_THREAD * 3
    assert len(line(bob)) == THREADS // 2 * TRADES_PER_THREAD * 5
    for customer in (alice, bob):
        assert line(customer) == list(range(1, len(line(customer)) + 1))
        changes = StatusChange.objects.filter(customer_id=customer.id, to_status="PLACED").order_by("trade__sequence")
        transactions = list(changes.values_list("xact", flat=True))
        assert transactions == sorted(transactions), "the feed must show them in the order of the line"


def test_a_repeated_key_affects_no_other_order_of_the_batch(
    alice: Customer, bob: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(alice, key="k")
    monkeypatch.setattr(place, "find_replayed", lambda *_: None)  # as if neither had been placed yet
    trades = [
        Trade(customer_id=customer.id, ticker="AAPL", type="BUY", quantity=1, idempotency_key=key)
        for customer, key in ((alice, "k"), (bob, "k"))
    ]
    buy(bob)
    assert place.insert_set([Placing(trade, "test") for trade in trades]) == [False, False]
    with pytest.raises(IntegrityError):
        buy(alice, key="k")
    assert not buy(bob, key="k")[1]
    assert (line(alice), line(bob)) == ([1, 2], [1, 2])


def placing(customer: Customer, quantity: int = 1) -> Placing:
    return Placing(Trade(customer_id=customer.id, ticker="AAPL", type="BUY", quantity=quantity), "test")


def test_a_locked_customer_delays_no_other_order_of_the_batch(alice: Customer, bob: Customer) -> None:
    buy(bob)
    lock = Open(lambda: list(Customer.objects.select_for_update().filter(id=alice.id)))
    started_at = time.monotonic()
    assert place.insert_set([placing(alice), placing(bob)]) == [False, True]
    assert time.monotonic() - started_at < 1
    order = Running(lambda: buy(alice)[0].sequence)
    eventually(waiting)
    lock.commit()
    assert order.result() == 2, "the order must continue as soon as the lock is released"


def test_an_invalid_order_affects_no_other_of_the_batch(alice: Customer, bob: Customer) -> None:
    buy(bob)
    assert place.insert_set([placing(alice, 2**70), placing(bob)]) == [False, False]
    place.insert_alone([placing(bob)], None)
    assert line(bob) == [1, 2]
    with pytest.raises(DataError):
        place.insert_alone([placing(alice, 2**70)], None)
    with pytest.raises(DataError):
        place.insert_set([placing(alice, 2**70)])


def test_each_trade_of_a_customer_has_a_later_time_than_the_previous_one(bob: Customer) -> None:
    buy(bob)
    assert all(place.insert_set([placing(bob) for _ in range(50)]))
    together(*[lambda: buy(bob)] * 8)
    trades = list(Trade.objects.filter(customer=bob).order_by("sequence"))
    assert all(earlier.placed_at < later.placed_at for earlier, later in pairwise(trades))
    assert all(trade.status_changes.get().at == trade.placed_at for trade in trades)


def test_times_increase_although_the_clock_goes_back(bob: Customer) -> None:
    """The clock goes back after a failover to a database whose clock is behind."""
    buy(bob)
    ahead = timezone.now() + timedelta(hours=1)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE trades_tradecounter DISABLE TRIGGER USER")
        cursor.execute("UPDATE trades_tradecounter SET placed_at = %s", [ahead])
        cursor.execute("ALTER TABLE trades_tradecounter ENABLE TRIGGER USER")
    assert [buy(bob)[0].placed_at - ahead for _ in range(2)] == [timedelta(microseconds=n) for n in (1, 2)]


@pytest.mark.parametrize("newest_first", [True, False])
def test_paging_by_the_time_of_the_last_trade_misses_none(bob: Customer, newest_first: bool) -> None:
    buy(bob)
    assert all(place.insert_set([placing(bob) for _ in range(20)]))
    read: list[Trade] = []
    while page := find_trades(
        bob.id,
        TradeFilter(
            placed_before=read[-1].placed_at if read and newest_first else None,
            placed_after=read[-1].placed_at if read and not newest_first else None,
        ),
        3,
        newest_first=newest_first,
    ):
        read += page
    assert sorted(trade.sequence for trade in read) == list(range(1, 22))


def test_simultaneous_orders_with_one_key_are_one_trade(bob: Customer) -> None:
    results = together(*[lambda: buy(bob, key="k")] * COPIES)
    assert sorted(replayed for _, replayed in results) == [False] + [True] * (COPIES - 1)
    assert {trade.id for trade, _ in results} == {Trade.objects.get().id}
    assert StatusChange.objects.count() == 1
    # The repetitions have left no gap.
    assert buy(bob)[0].sequence == 2


def test_simultaneous_requests_with_one_key_over_http_are_one_trade(
    bob: Customer, api_of: Callable[[Customer], Client]
) -> None:
    responses = together(*[poster(api_of(bob), 3) for _ in range(COPIES)])
    assert sorted(response.status_code for response in responses) == [200] * (COPIES - 1) + [201]
    assert all(("Idempotent-Replayed" in response) == (response.status_code == 200) for response in responses)
    assert len({response.content for response in responses}) == 1
    assert line(bob) == [1]


def test_of_simultaneous_orders_with_one_key_and_different_terms_one_is_placed(bob: Customer) -> None:
    results = outcomes(*[lambda quantity=quantity: buy(bob, quantity, "k") for quantity in range(1, COPIES + 1)])
    assert sum(isinstance(outcome.error, TradeKeyReused) for outcome in results) == COPIES - 1
    ((winner, replayed),) = [outcome.value for outcome in results if outcome.error is None]
    assert not replayed
    assert Trade.objects.get().quantity == winner.quantity


def test_of_simultaneous_requests_with_one_key_and_different_terms_one_is_placed(
    bob: Customer, api_of: Callable[[Customer], Client]
) -> None:
    responses = together(*[poster(api_of(bob), quantity) for quantity in range(1, COPIES + 1)])
    assert sorted(response.status_code for response in responses) == [201] + [409] * (COPIES - 1)
    assert {response.json()["code"] for response in responses if response.status_code == 409} == {
        "idempotency_key_reused"
    }
    assert line(bob) == [1]


def test_two_customers_can_use_the_same_key_simultaneously(alice: Customer, bob: Customer) -> None:
    before = Trade.objects.count()
    together(*[lambda: buy(alice, key="k"), lambda: buy(bob, key="k")] * 4)
    assert Trade.objects.count() == before + 2
    assert rows("SELECT customer_id FROM trades_trade WHERE idempotency_key = 'k' GROUP BY 1 HAVING count(*) > 1") == []


def place_batch(customer: Customer, *quantities: int, key: str = "") -> list[tuple[int, bool]]:
    """Place a batch; return the number in line of each trade, and whether it had been placed before."""
    trades = [
        Trade(customer=customer, ticker="AAPL", type="BUY", quantity=n, idempotency_key=f"{key}{n}" if key else None)
        for n in quantities
    ]
    placed = place_trades(customer.id, trades)
    assert not any(isinstance(outcome, Exception) for outcome in placed), placed
    return [(trade.sequence, replayed) for trade, replayed in placed]  # type: ignore[misc]


def test_simultaneous_batches_are_placed_one_after_the_other(bob: Customer) -> None:
    with watching(violations) as watch:
        numbers = together(*[lambda: place_batch(bob, 1, 2, 3, 4, 5)] * THREADS)
    assert watch.violations == set()
    for batch_numbers in numbers:
        first = batch_numbers[0][0]
        assert [number for number, _ in batch_numbers] == list(range(first, first + 5)), "a batch was interrupted"
    assert line(bob) == list(range(1, THREADS * 5 + 1))


def test_simultaneous_repetitions_of_a_batch_place_it_once(bob: Customer) -> None:
    results = together(*[lambda: place_batch(bob, 1, 2, 3, key="k")] * THREADS)
    assert line(bob) == [1, 2, 3]
    assert {tuple(number for number, _ in result) for result in results} == {(1, 2, 3)}
    assert sorted(replayed for result in results for _, replayed in result) == [False] * 3 + [True] * (THREADS - 1) * 3


def test_a_key_that_another_request_uses_first_affects_no_other_trade_of_a_batch(
    bob: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(bob)
    check = place.check_order
    used_keys: list[str] = []

    def use_key_first(*args: Any) -> Placing:
        if not used_keys:
            used_keys.append("k2")
            Running(lambda: buy(bob, 2, key="k2")).result()
        return check(*args)

    monkeypatch.setattr(batch, "check_order", use_key_first)
    assert place_batch(bob, 1, 2, 3, key="k") == [(3, False), (2, True), (4, False)]
    assert line(bob) == [1, 2, 3, 4]


def test_a_batch_waits_only_for_its_own_customers_lock(alice: Customer, bob: Customer) -> None:
    buy(bob)
    lock = Open(lambda: list(Customer.objects.select_for_update().filter(id=alice.id)))
    batch = Running(lambda: place_batch(alice, 1, 2, 3))
    eventually(waiting)
    assert place_batch(bob, 1, 2, 3) == [(2, False), (3, False), (4, False)]
    assert not batch.is_done
    lock.commit()
    assert batch.result() == [(2, False), (3, False), (4, False)]


def test_a_batch_with_an_unknown_commit_is_not_placed_twice(bob: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    buy(bob)
    insert_trades = transitions.insert_trades
    lost_responses: list[int] = []

    def insert_and_lose_response(placings: Sequence[Placing]) -> list[bool]:
        inserted = insert_trades(placings)
        if not lost_responses:
            lost_responses.append(len(placings))
            raise OperationalError("the connection broke after the commit")
        return inserted

    monkeypatch.setattr(transitions, "insert_trades", insert_and_lose_response)
    assert place_batch(bob, 1, 2, 3) == [(2, False), (3, False), (4, False)]
    assert (lost_responses, line(bob)) == ([3], [1, 2, 3, 4])
