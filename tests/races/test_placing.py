"""Simultaneous orders of one customer: the line has no gaps or duplicates, and follows the order of commits."""

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
from tests.races.at_once import Open, Running, eventually, outcomes, rows, together, violations, waiting, watching
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


def record(customer: Customer) -> None:
    """Insert a trade within the caller's transaction."""
    trade = Trade(customer_id=customer.id, ticker="AAPL", type="BUY", quantity=1)
    assert transitions.insert_trades([Placing(trade, "test")]) == [True]


def poster(client: Client, quantity: int) -> Callable[[], Any]:
    """Return a function that calls PlaceTrade over HTTP, always with the same key."""
    body = {"stockTicker": "AAPL", "type": "BUY", "quantity": quantity}
    return lambda: client.post("/api/v1/trades", body, "application/json", headers={"Idempotency-Key": "k"})


def line(customer: Customer) -> list[int]:
    return list(Trade.objects.filter(customer=customer).order_by("sequence").values_list("sequence", flat=True))


def test_the_line_has_no_gap_at_any_instant_and_follows_the_order_of_answers(bob: Customer) -> None:
    def place_several() -> list[tuple[float, float, int]]:
        placed = []
        for _ in range(TRADES_PER_THREAD):
            began = time.monotonic()
            trade, _ = buy(bob)
            placed.append((began, time.monotonic(), trade.sequence))
        return placed

    with watching(violations) as watch:
        placed = [timed for of_thread in together(*[place_several] * THREADS) for timed in of_thread]
    # If number 5 had been committed before number 4, a reader between the two would have seen a gap.
    assert watch.checks > 1
    assert watch.seen == set()
    assert line(bob) == list(range(1, THREADS * TRADES_PER_THREAD + 1))
    assert all(a < b for (_, ended, a), (began, _, b) in permutations(placed, 2) if ended < began)


def test_a_placing_within_a_transaction_is_of_no_set(bob: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it led a set, the trades of others would be committed or undone with its own transaction."""

    def lead(_: Any) -> bool:
        raise AssertionError("a set was led inside a transaction")

    buy(bob)
    monkeypatch.setattr(place, "insert_batched", lead)
    inside = Open(lambda: buy(bob))
    assert line(bob) == [1]
    inside.commit()
    assert line(bob) == [1, 2]
    with pytest.raises(AssertionError, match="led"):
        buy(bob)


@pytest.mark.parametrize("commits", [True, False])
def test_a_placing_waits_for_the_customers_one_before_it_and_for_nobody_elses(
    alice: Customer, bob: Customer, commits: bool
) -> None:
    buy(bob)
    first = Open(lambda: record(bob))
    second = Running(lambda: buy(bob)[0].sequence)
    eventually(waiting)
    buy(alice)
    assert not second.is_done
    assert line(bob) == [1]
    first.commit() if commits else first.roll_back()
    assert second.result() == (3 if commits else 2)


def test_the_checker_sees_a_line_whose_numbers_are_drawn_without_the_counters_lock(
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
        first = Open(lambda: record(bob))
        buy(bob)
        assert [seen.split(":")[0] for seen in violations()] == ["a line has no gap"]
        first.commit()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP SEQUENCE drawn")


def test_simultaneous_trades_are_inserted_by_one_statement(
    alice: Customer, bob: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(bob)
    sets: list[list[int]] = []
    record_set = transitions.insert_trades

    def watched(placings: Sequence[Placing]) -> list[bool]:
        if not sets:
            time.sleep(0.5)  # so that the others arrive in the meantime
        sets.append([placing.trade.quantity for placing in placings])
        return record_set(placings)

    monkeypatch.setattr(transitions, "insert_trades", watched)
    first = Running(lambda: buy(alice, 1))
    eventually(lambda: place.insert_batched.is_led)
    placed = together(*[partial(buy, customer, n) for n in (2, 3) for customer in (alice, bob, bob)])
    first.result()
    assert [len(quantities) for quantities in sets] == [1, 6], "one alone, and then all that arrived in the meantime"
    assert len({trade.id for trade, _ in placed}) == 6
    assert (line(alice), line(bob)) == ([1, 2, 3, 4], [1, 2, 3, 4, 5])
    stored = {trade.id: (trade.sequence, trade.placed_at, trade.quantity) for trade in Trade.objects.all()}
    assert all(stored[trade.id] == (trade.sequence, trade.placed_at, trade.quantity) for trade, _ in placed)
    assert StatusChange.objects.filter(trade__in=[trade.id for trade, _ in placed], to_status="PLACED").count() == 6


def test_sets_of_several_processes_at_once_keep_every_line(alice: Customer, bob: Customer) -> None:
    """Processes share only the database, and so do these threads: each inserts its own sets."""
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
    assert watch.seen == set()
    assert left_out, "some must have found a counter locked"
    assert len(line(alice)) == before + THREADS // 2 * TRADES_PER_THREAD * 3
    assert len(line(bob)) == THREADS // 2 * TRADES_PER_THREAD * 5
    for customer in (alice, bob):
        assert line(customer) == list(range(1, len(line(customer)) + 1))
        changes = StatusChange.objects.filter(customer_id=customer.id, to_status="PLACED").order_by("trade__sequence")
        transactions = list(changes.values_list("xact", flat=True))
        assert transactions == sorted(transactions), "the feed must show them in the order of the line"


def test_a_repeated_key_affects_no_other_of_the_set(
    alice: Customer, bob: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(alice, key="k")
    monkeypatch.setattr(place, "find_replayed", lambda *_: None)  # as if both had looked before either was placed
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


def test_a_customer_who_is_locked_holds_up_no_other_of_the_set(alice: Customer, bob: Customer) -> None:
    buy(bob)
    lock = Open(lambda: list(Customer.objects.select_for_update().filter(id=alice.id)))
    began = time.monotonic()
    assert place.insert_set([placing(alice), placing(bob)]) == [False, True]
    assert time.monotonic() - began < 1
    alone = Running(lambda: buy(alice)[0].sequence)
    eventually(waiting)
    lock.commit()
    assert alone.result() == 2, "it must go on as soon as the lock is gone"


def test_an_error_of_one_in_a_set_affects_no_other(alice: Customer, bob: Customer) -> None:
    buy(bob)
    assert place.insert_set([placing(alice, 2**70), placing(bob)]) == [False, False]
    place.insert_alone([placing(bob)], None)
    assert line(bob) == [1, 2]
    with pytest.raises(DataError):
        place.insert_alone([placing(alice, 2**70)], None)
    with pytest.raises(DataError):
        place.insert_set([placing(alice, 2**70)])


def test_trades_of_one_customer_have_times_that_grow_strictly(bob: Customer) -> None:
    buy(bob)
    assert all(place.insert_set([placing(bob) for _ in range(50)]))
    together(*[lambda: buy(bob)] * 8)
    trades = list(Trade.objects.filter(customer=bob).order_by("sequence"))
    assert all(earlier.placed_at < later.placed_at for earlier, later in pairwise(trades))
    assert all(trade.status_changes.get().at == trade.placed_at for trade in trades)


def test_times_grow_although_the_clock_goes_back(bob: Customer) -> None:
    """Simulates a failover to a database whose clock is behind."""
    buy(bob)
    ahead = timezone.now() + timedelta(hours=1)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE trades_tradecounter DISABLE TRIGGER USER")
        cursor.execute("UPDATE trades_tradecounter SET placed_at = %s", [ahead])
        cursor.execute("ALTER TABLE trades_tradecounter ENABLE TRIGGER USER")
    assert [buy(bob)[0].placed_at - ahead for _ in range(2)] == [timedelta(microseconds=n) for n in (1, 2)]


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_list_read_on_from_the_last_ones_time_loses_nothing(bob: Customer, newest_first: bool) -> None:
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


def test_one_key_many_times_at_once_is_one_trade(bob: Customer) -> None:
    answers = together(*[lambda: buy(bob, key="k")] * COPIES)
    assert sorted(replayed for _, replayed in answers) == [False] + [True] * (COPIES - 1)
    assert {trade.id for trade, _ in answers} == {Trade.objects.get().id}
    assert StatusChange.objects.count() == 1
    # The losers have left no gap.
    assert buy(bob)[0].sequence == 2


def test_one_key_many_times_at_once_over_http_is_one_trade(bob: Customer, api_of: Callable[[Customer], Client]) -> None:
    answers = together(*[poster(api_of(bob), 3) for _ in range(COPIES)])
    assert sorted(answer.status_code for answer in answers) == [200] * (COPIES - 1) + [201]
    assert all(("Idempotent-Replayed" in answer) == (answer.status_code == 200) for answer in answers)
    assert len({answer.content for answer in answers}) == 1
    assert line(bob) == [1]


def test_different_terms_under_one_key_at_once_are_one_trade_and_refusals(bob: Customer) -> None:
    results = outcomes(*[lambda quantity=quantity: buy(bob, quantity, "k") for quantity in range(1, COPIES + 1)])
    assert sum(isinstance(outcome.error, TradeKeyReused) for outcome in results) == COPIES - 1
    ((winner, replayed),) = [outcome.value for outcome in results if outcome.error is None]
    assert not replayed
    assert Trade.objects.get().quantity == winner.quantity


def test_different_terms_under_one_key_at_once_over_http(bob: Customer, api_of: Callable[[Customer], Client]) -> None:
    answers = together(*[poster(api_of(bob), quantity) for quantity in range(1, COPIES + 1)])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (COPIES - 1)
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"idempotency_key_reused"}
    assert line(bob) == [1]


def test_one_key_of_many_customers_at_once_is_a_trade_of_each(alice: Customer, bob: Customer) -> None:
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


def test_batches_at_once_stand_in_line_one_after_the_other(bob: Customer) -> None:
    with watching(violations) as watch:
        numbers = together(*[lambda: place_batch(bob, 1, 2, 3, 4, 5)] * THREADS)
    assert watch.seen == set()
    for batch_numbers in numbers:
        first = batch_numbers[0][0]
        assert [number for number, _ in batch_numbers] == list(range(first, first + 5)), "a batch was interrupted"
    assert line(bob) == list(range(1, THREADS * 5 + 1))


def test_one_batch_many_times_at_once_is_placed_once(bob: Customer) -> None:
    answers = together(*[lambda: place_batch(bob, 1, 2, 3, key="k")] * THREADS)
    assert line(bob) == [1, 2, 3]
    assert {tuple(number for number, _ in answer) for answer in answers} == {(1, 2, 3)}
    assert sorted(replayed for answer in answers for _, replayed in answer) == [False] * 3 + [True] * (THREADS - 1) * 3


def test_a_key_that_another_request_takes_meanwhile_costs_the_rest_of_a_batch_nothing(
    bob: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(bob)
    check = place.check_order
    taken: list[str] = []

    def take(*args: Any) -> Placing:
        if not taken:
            taken.append("k2")
            Running(lambda: buy(bob, 2, key="k2")).result()
        return check(*args)

    monkeypatch.setattr(batch, "check_order", take)
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
    lost: list[int] = []

    def insert_and_lose_the_answer(placings: Sequence[Placing]) -> list[bool]:
        inserted = insert_trades(placings)
        if not lost:
            lost.append(len(placings))
            raise OperationalError("the connection broke after the commit")
        return inserted

    monkeypatch.setattr(transitions, "insert_trades", insert_and_lose_the_answer)
    assert place_batch(bob, 1, 2, 3) == [(2, False), (3, False), (4, False)]
    assert (lost, line(bob)) == ([3], [1, 2, 3, 4])
