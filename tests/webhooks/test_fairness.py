"""A delivery never waits for another customer's receiver."""

import threading
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import Customer
from tests.people import open_account
from tests.webhooks.conftest import Receiver, webhook
from trades.place import place_trade
from webhooks import queue
from webhooks.delivery import BATCH_SECONDS_MAX, WEBHOOKS_OF_A_CUSTOMER_MAX, Deliverer
from webhooks.models import Delivery, Webhook
from webhooks.post import Receiver as Posting
from webhooks.queue import enter_events

pytestmark = pytest.mark.django_db(transaction=True)
DELIVERY_SECONDS_MAX = 2.0  # what a delivery to a receiver that works may take beside receivers that do not
HANG_SECONDS = DELIVERY_SECONDS_MAX + 1  # how long a post lasts to a receiver that hangs; 5 outside of tests


@pytest.fixture(autouse=True)
def _posts_end_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.post.POST_SECONDS_MAX", HANG_SECONDS)


@pytest.mark.parametrize("fault", ["hangs", "drips"])
def test_a_post_ends_at_its_deadline_whatever_the_receiver_does(receiver: Receiver, fault: str) -> None:
    setattr(receiver, fault, True)
    began = time.monotonic()
    with Posting(receiver.url) as posting:
        answer = posting.post({}, b"{}")
    assert (answer.is_success, answer.text) == (False, "No answer within 3 seconds.")
    assert time.monotonic() - began < HANG_SECONDS + 1


@pytest.mark.parametrize("fault", ["hangs", "drips"])
def test_others_receivers_that_do_not_answer_delay_nobody(
    bob: Customer, receivers: Callable[[], Receiver], fault: str
) -> None:
    bad, good = receivers(), receivers()
    setattr(bad, fault, True)
    for number in range(4):
        hostile = open_account(f"hostile{number}@example.com", Decimal(1000))
        for _ in range(10):
            webhook(hostile, bad.url)
        for _ in range(5):
            place_trade(hostile.id, "AAPL", "BUY", 1)
    webhook(bob, good.url)
    deliverer = Deliverer()
    enter_events()
    deliverer.work(1)
    began = time.monotonic()
    place_trade(bob.id, "AAPL", "BUY", 1)
    while not good.got:
        enter_events()
        deliverer.work(0.1)
        assert time.monotonic() - began < DELIVERY_SECONDS_MAX
    assert bad.most_under_way <= 4 * WEBHOOKS_OF_A_CUSTOMER_MAX


def test_receivers_that_hang_cost_each_delivery_no_more_than_an_attempt(
    alice: Customer, receivers: Callable[[], Receiver]
) -> None:
    bad = receivers()
    bad.hangs = True
    webhook(alice, bad.url)
    for _ in range(10):
        place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()
    began = time.monotonic()
    Deliverer().work(HANG_SECONDS + 1)
    assert sum(Delivery.objects.values_list("attempts", flat=True)) == 1
    assert time.monotonic() - began < HANG_SECONDS + BATCH_SECONDS_MAX
    assert len(bad.got) == 1


def test_due_deliveries_are_posted_at_once_while_other_receivers_hang(
    alice: Customer, bob: Customer, receivers: Callable[[], Receiver]
) -> None:
    bad, good = receivers(), receivers()
    bad.hangs = True
    webhook(alice, bad.url)
    webhook(bob, good.url)
    place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()

    def work() -> None:
        Deliverer().work(HANG_SECONDS + 1)
        connection.close()

    working = threading.Thread(target=work)
    working.start()
    while not bad.got:
        time.sleep(0.01)
    place_trade(bob.id, "AAPL", "BUY", 1)
    enter_events()
    began = time.monotonic()
    while not good.got:
        assert time.monotonic() - began < DELIVERY_SECONDS_MAX
        time.sleep(0.01)
    working.join()


def test_results_that_cannot_be_recorded_now_are_recorded_in_the_next_round(
    alice: Customer, receivers: Callable[[], Receiver]
) -> None:
    """The webhook's row is locked for longer than a statement waits, as it is while many events are entered."""
    receiver = receivers()
    receiver.hangs = True
    mine = webhook(alice, receiver.url)
    place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()
    over = threading.Event()

    def lock() -> None:
        while not receiver.got:
            time.sleep(0.01)
        with transaction.atomic():
            Webhook.objects.select_for_update().get(pk=mine.pk)
            while not over.wait(0.5):
                mine.refresh_from_db()  # a transaction that does nothing is ended
        connection.close()

    locking = threading.Thread(target=lock)
    locking.start()
    deliverer = Deliverer()
    with pytest.raises(OperationalError):
        deliverer.work(2 * HANG_SECONDS)
    over.set()
    locking.join()
    assert deliverer.work(1) == 1
    mine.refresh_from_db()
    assert (mine.leased_until, mine.failures) == (None, 1)
    assert Delivery.objects.get().attempts == 1
    assert len(receiver.got) == 1


def test_an_event_entered_while_a_post_is_recorded_is_posted_at_once(alice: Customer, receiver: Receiver) -> None:
    """The record of the post waits for the transaction that enters the event, and must see what that entered."""
    webhook(alice, receiver.url)
    place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()
    place_trade(alice.id, "AAPL", "BUY", 1)
    receiver.may_answer.clear()

    def work() -> None:
        Deliverer().work(10)
        connection.close()

    working = threading.Thread(target=work)
    working.start()
    while not receiver.got:
        time.sleep(0.01)
    with transaction.atomic():
        assert enter_events() == 1
        receiver.may_answer.set()
        while not _locks_waited_for():
            time.sleep(0.01)
    working.join()
    assert len(receiver.got) == 2


def _locks_waited_for() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


def test_two_deliverers_at_once_post_nothing_twice(alice: Customer, receiver: Receiver) -> None:
    webhook(alice, receiver.url)
    for _ in range(30):
        place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()

    def work() -> None:
        Deliverer().work(10)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [headers["webhook-id"] for headers, _ in receiver.got]
    assert len(ids) == len(set(ids)) == 30


def test_what_is_far_behind_is_entered_by_short_statements(
    bob: Customer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a transaction that writes has ended, no later event is served to anybody, however slow its process is."""
    monkeypatch.setattr(queue, "WEBHOOKS_AT_ONCE_MAX", 2)
    monkeypatch.setattr(queue, "EVENTS_OF_A_CUSTOMER_MAX", 3)
    for _ in range(3):
        webhook(bob, receiver.url)
    for _ in range(7):
        place_trade(bob.id, "AAPL", "BUY", 1)
    with CaptureQueriesContext(connection) as statements:
        assert enter_events() == 21
    assert "BEGIN" not in [statement["sql"] for statement in statements]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM webhooks_delivery GROUP BY xmin")
        entered = [count for (count,) in cursor.fetchall()]
    assert sum(entered) == 21
    assert max(entered) <= 2 * 3
    assert enter_events() == 0
