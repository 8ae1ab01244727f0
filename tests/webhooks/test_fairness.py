"""A delivery waits for nobody else's receiver, whatever those do."""

import threading
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import connection

from accounts.models import Customer
from tests.people import open_account
from tests.webhooks.conftest import Receiver, webhook
from trades.place import place_trade
from webhooks.delivery import BATCH_SECONDS_MAX, WEBHOOKS_OF_A_CUSTOMER_MAX, Deliverer
from webhooks.models import Delivery
from webhooks.post import POST_SECONDS_MAX
from webhooks.post import Receiver as Posting
from webhooks.queue import enter_events

pytestmark = pytest.mark.django_db(transaction=True)
DELIVERY_SECONDS_MAX = 2.0  # what a delivery to a receiver that works may take beside receivers that do not


@pytest.mark.parametrize("fault", ["hangs", "drips"])
def test_a_post_ends_at_its_deadline_whatever_the_receiver_does(receiver: Receiver, fault: str) -> None:
    setattr(receiver, fault, True)
    began = time.monotonic()
    with Posting(receiver.url) as posting:
        answer = posting.post({}, b"{}")
    assert (answer.is_success, answer.text) == (False, "No answer within 5 seconds.")
    assert time.monotonic() - began < POST_SECONDS_MAX + 1


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
    Deliverer().work(POST_SECONDS_MAX + 1)
    assert sum(Delivery.objects.values_list("attempts", flat=True)) == 1
    assert time.monotonic() - began < POST_SECONDS_MAX + BATCH_SECONDS_MAX
    assert len(bad.got) == 1


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
