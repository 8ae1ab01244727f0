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
from tests.webhooks.conftest import Receiver, create_webhook
from trades.place import place_trade
from webhooks import queue
from webhooks.delivery import BATCH_SECONDS_MAX, WEBHOOKS_OF_A_CUSTOMER_MAX, Deliverer
from webhooks.models import Delivery, Webhook
from webhooks.post import Receiver as PostingConnection
from webhooks.queue import enter_events

pytestmark = pytest.mark.django_db(transaction=True)
DELIVERY_SECONDS_MAX = 2.0  # for a delivery to a working receiver while others hang
HANG_SECONDS = DELIVERY_SECONDS_MAX + 1  # when a post to a receiver that hangs is abandoned; 5 outside of tests


@pytest.fixture(autouse=True)
def _posts_end_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.post.POST_SECONDS_MAX", HANG_SECONDS)


@pytest.mark.parametrize("fault", ["hangs", "drips"])
def test_a_post_ends_at_its_deadline_whatever_the_receiver_does(receiver: Receiver, fault: str) -> None:
    setattr(receiver, fault, True)
    started_at = time.monotonic()
    with PostingConnection(receiver.url) as connection_to_receiver:
        response = connection_to_receiver.post({}, b"{}")
    assert (response.is_success, response.text) == (False, "No answer within 3 seconds.")
    assert time.monotonic() - started_at < HANG_SECONDS + 1


@pytest.mark.parametrize("fault", ["hangs", "drips"])
def test_other_customers_hanging_receivers_do_not_delay_a_delivery(
    bob: Customer, receivers: Callable[[], Receiver], fault: str
) -> None:
    hanging, working = receivers(), receivers()
    setattr(hanging, fault, True)
    for number in range(4):
        hostile = open_account(f"hostile{number}@example.com", Decimal(1000))
        for _ in range(10):
            create_webhook(hostile, hanging.url)
        for _ in range(5):
            place_trade(hostile.id, "AAPL", "BUY", 1)
    create_webhook(bob, working.url)
    deliverer = Deliverer()
    enter_events()
    deliverer.work(1)
    started_at = time.monotonic()
    place_trade(bob.id, "AAPL", "BUY", 1)
    while not working.requests:
        enter_events()
        deliverer.work(0.1)
        assert time.monotonic() - started_at < DELIVERY_SECONDS_MAX
    assert hanging.open_connections_max <= 4 * WEBHOOKS_OF_A_CUSTOMER_MAX


def test_a_hanging_receiver_gets_one_attempt_for_all_waiting_deliveries(
    alice: Customer, receivers: Callable[[], Receiver]
) -> None:
    hanging = receivers()
    hanging.hangs = True
    create_webhook(alice, hanging.url)
    for _ in range(10):
        place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()
    started_at = time.monotonic()
    Deliverer().work(HANG_SECONDS + 1)
    assert sum(Delivery.objects.values_list("attempts", flat=True)) == 1
    assert time.monotonic() - started_at < HANG_SECONDS + BATCH_SECONDS_MAX
    assert len(hanging.requests) == 1


def test_due_deliveries_are_posted_at_once_while_other_receivers_hang(
    alice: Customer, bob: Customer, receivers: Callable[[], Receiver]
) -> None:
    hanging, working = receivers(), receivers()
    hanging.hangs = True
    create_webhook(alice, hanging.url)
    create_webhook(bob, working.url)
    place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()

    def work() -> None:
        Deliverer().work(HANG_SECONDS + 1)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    while not hanging.requests:
        time.sleep(0.01)
    place_trade(bob.id, "AAPL", "BUY", 1)
    enter_events()
    started_at = time.monotonic()
    while not working.requests:
        assert time.monotonic() - started_at < DELIVERY_SECONDS_MAX
        time.sleep(0.01)
    worker.join()


def test_a_result_that_cannot_be_recorded_is_recorded_in_the_next_round(
    alice: Customer, receivers: Callable[[], Receiver]
) -> None:
    """The webhook's row stays locked for longer than a statement waits, as it can while many events are entered."""
    receiver = receivers()
    receiver.hangs = True
    webhook = create_webhook(alice, receiver.url)
    place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()
    may_unlock = threading.Event()

    def hold_lock() -> None:
        while not receiver.requests:
            time.sleep(0.01)
        with transaction.atomic():
            Webhook.objects.select_for_update().get(pk=webhook.pk)
            while not may_unlock.wait(0.5):
                webhook.refresh_from_db()  # PostgreSQL ends an idle transaction
        connection.close()

    locker = threading.Thread(target=hold_lock)
    locker.start()
    deliverer = Deliverer()
    with pytest.raises(OperationalError):
        deliverer.work(2 * HANG_SECONDS)
    may_unlock.set()
    locker.join()
    assert deliverer.work(1) == 1
    webhook.refresh_from_db()
    assert (webhook.leased_until, webhook.failures) == (None, 1)
    assert Delivery.objects.get().attempts == 1
    assert len(receiver.requests) == 1


def test_an_event_entered_while_a_post_is_recorded_is_posted_at_once(alice: Customer, receiver: Receiver) -> None:
    """Recording the post waits for the transaction that enters the event, and must then see the event."""
    create_webhook(alice, receiver.url)
    place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()
    place_trade(alice.id, "AAPL", "BUY", 1)
    receiver.may_answer.clear()

    def work() -> None:
        Deliverer().work(10)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    while not receiver.requests:
        time.sleep(0.01)
    with transaction.atomic():
        assert enter_events() == 1
        receiver.may_answer.set()
        while not count_waiting_for_locks():
            time.sleep(0.01)
    worker.join()
    assert len(receiver.requests) == 2


def count_waiting_for_locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


def test_simultaneous_deliverers_post_no_event_twice(alice: Customer, receiver: Receiver) -> None:
    create_webhook(alice, receiver.url)
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
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert len(ids) == len(set(ids)) == 30


def test_a_large_backlog_is_entered_by_short_statements(
    bob: Customer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a writing transaction is open, no later event can be served to any customer."""
    monkeypatch.setattr(queue, "WEBHOOKS_AT_ONCE_MAX", 2)
    monkeypatch.setattr(queue, "EVENTS_OF_A_CUSTOMER_MAX", 3)
    for _ in range(3):
        create_webhook(bob, receiver.url)
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
