"""Webhooks: each event is posted, signed, until it is accepted."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook as Signer
from standardwebhooks.webhooks import WebhookVerificationError

from accounts import tokens
from accounts.models import Customer
from feed.reader import Cursor
from tests.factories import DeliveryFactory
from tests.people import claim, send_report
from tests.webhooks.conftest import Receiver, age, let_pauses_pass, webhook
from trades.models import Status
from trades.place import place_trade
from webhooks import subscriptions
from webhooks.delivery import PAUSES_SECONDS, bring_forward
from webhooks.models import Delivery, Webhook
from webhooks.queue import WAITING_MAX, enter_events

pytestmark = pytest.mark.django_db(transaction=True)
Deliver = Callable[[], int]


def one_event(customer: Customer) -> Delivery:
    place_trade(customer.id, "AAPL", "BUY", 1)
    enter_events()
    return Delivery.objects.latest("id")


def checked(hook: Webhook, got: tuple[dict[str, str], bytes]) -> dict[str, object]:
    headers, body = got
    verified: dict[str, object] = Signer(hook.secret).verify(body, {k.lower(): v for k, v in headers.items()})
    return verified


def test_each_event_is_posted_once_in_order_and_signed(
    alice: Customer, bob: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    hook = webhook(alice, receiver.url)
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 2)
    place_trade(bob.id, "AAPL", "BUY", 1)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal("10"))
    claim(alice)
    assert enter_events() == 3
    assert enter_events() == 0
    assert deliver() == 3
    assert deliver() == 0
    bodies = [checked(hook, got) for got in receiver.got]
    assert [body["eventId"] for body in bodies] == [headers["webhook-id"] for headers, _ in receiver.got]
    assert [body["type"] for body in bodies] == ["trade.placed", "trade.in_progress", "trade.filled"]
    assert {body["trade"]["tradeId"] for body in bodies} == {str(trade.id)}  # type: ignore[index]
    assert Delivery.objects.filter(delivered_at=None).count() == 0
    assert receiver.connections == 1, "what goes to one receiver shares a connection"


def test_failed_deliveries_are_retried_for_a_day_and_then_given_up(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    webhook(alice, receiver.url)
    receiver.status = 500
    delivery = one_event(alice)
    waits = []
    for _ in range(len(PAUSES_SECONDS)):
        let_pauses_pass()
        assert deliver() == 1
        delivery.refresh_from_db()
        assert delivery.next_at is not None
        waits.append(PAUSES_SECONDS[delivery.attempts - 1])
    assert waits == sorted(waits)
    assert 80_000 < sum(waits) < 100_000
    let_pauses_pass()
    assert deliver() == 1
    delivery.refresh_from_db()
    assert (delivery.next_at, delivery.delivered_at, delivery.answer) == (None, None, "HTTP 500")
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len(receiver.got) == len(PAUSES_SECONDS) + 1


def test_a_redirect_is_not_followed_and_a_later_answer_counts(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    webhook(alice, receiver.url)
    delivery = one_event(alice)
    receiver.status = 302
    deliver()
    delivery.refresh_from_db()
    assert (delivery.delivered_at, delivery.answer) == (None, "HTTP 302")
    receiver.status = 204
    let_pauses_pass()
    deliver()
    delivery.refresh_from_db()
    assert delivery.delivered_at is not None
    assert delivery.next_at is None


def test_deliveries_waiting_for_a_failed_receiver_use_no_attempt(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    webhook(alice, receiver.url)
    for _ in range(5):
        place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()
    receiver.status = 503
    for attempts in (1, 2, 3):
        let_pauses_pass()
        assert deliver() == 1, "one tells that the receiver does not work; the others wait"
        assert sum(Delivery.objects.values_list("attempts", flat=True)) == attempts
        assert deliver() == 0, "and it is left alone for a while"
    receiver.status = 200
    let_pauses_pass()
    assert deliver() == 5
    assert not Delivery.objects.filter(delivered_at=None).exists()


def test_a_clock_that_was_set_back_delays_no_delivery(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    """As after a failover: an hour ahead of the clock that counts now are an event, a lease, and a receiver's pause."""
    hook = webhook(alice, receiver.url)
    one_event(alice)
    ahead = timezone.now() + timedelta(hours=2)
    Delivery.objects.update(next_at=ahead)
    Webhook.objects.update(due_at=ahead, leased_until=ahead, retry_at=ahead)
    assert deliver() == 0
    bring_forward()
    assert deliver() == 1
    hook.refresh_from_db()
    assert (len(receiver.got), hook.leased_until, hook.retry_at) == (1, None, None)


def test_a_pause_that_is_due_to_failures_is_not_cut_short(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    webhook(alice, receiver.url)
    one_event(alice)
    receiver.status = 500
    for _ in PAUSES_SECONDS:
        assert deliver() == 1
        before = Webhook.objects.values_list("due_at", "retry_at").get(), Delivery.objects.get().next_at
        bring_forward()
        assert (Webhook.objects.values_list("due_at", "retry_at").get(), Delivery.objects.get().next_at) == before
        let_pauses_pass()


def test_one_event_that_is_never_taken_holds_no_other_up(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    hook = webhook(alice, receiver.url)
    one_event(alice)
    receiver.status = 422
    deliver()
    receiver.status = 200
    second = one_event(alice)
    Webhook.objects.update(retry_at=None)
    assert deliver() == 1
    second.refresh_from_db()
    hook.refresh_from_db()
    assert second.delivered_at is not None
    assert (hook.failures, hook.failing_since) == (0, None)


def test_a_test_is_tried_once_and_there_is_one_at_a_time(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    hook = webhook(alice, receiver.url)
    receiver.status = 500
    delivery = subscriptions.send_test(hook)
    for _ in range(50):
        with pytest.raises(subscriptions.AnotherTestWaits):
            subscriptions.send_test(hook)
    assert deliver() == 1
    delivery.refresh_from_db()
    assert (delivery.next_at, delivery.answer, Delivery.objects.count()) == (None, "HTTP 500", 1)
    subscriptions.send_test(hook)
    assert deliver() == 1, "it does not wait until the receiver's pause is over"


def test_a_receiver_that_only_fails_is_failing_its_owner_is_told_and_it_is_tried_again(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    hook = webhook(alice, receiver.url)
    receiver.status = 500
    one_event(alice)
    for _ in range(5):
        let_pauses_pass()
        deliver()
    hook.refresh_from_db()
    assert hook.status == Webhook.Status.ACTIVE, "not for a short while"
    age(hook, 3601)
    for _ in range(3):
        let_pauses_pass()
        deliver()
    hook.refresh_from_db()
    assert (hook.status, hook.status_reason) == (Webhook.Status.FAILING, "HTTP 500")
    (told,) = mail.outbox
    assert (told.to, told.subject) == ([alice.email], "Your webhook is failing")
    assert receiver.url in told.body
    assert receiver.url in told.alternatives[0][0], "as HTML, too"  # type: ignore[attr-defined]
    receiver.status = 200
    let_pauses_pass()
    assert deliver() == 1
    hook.refresh_from_db()
    assert (hook.status, hook.status_reason) == (Webhook.Status.ACTIVE, "")
    assert [message.subject for message in mail.outbox] == ["Your webhook is failing", "Your webhook works again"]


def test_410_ends_a_webhook(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    hook = webhook(alice, receiver.url)
    receiver.status = 410
    one_event(alice)
    one_event(alice)
    deliver()
    hook.refresh_from_db()
    assert (hook.status, hook.status_reason) == (Webhook.Status.ENDED, "Your server answered 410 Gone.")
    assert mail.outbox[0].subject == "Your webhook has ended"
    place_trade(alice.id, "AAPL", "BUY", 1)
    let_pauses_pass()
    assert (enter_events(), deliver(), len(receiver.got)) == (0, 0, 1)
    with pytest.raises(subscriptions.WebhookEnded):
        subscriptions.resume(hook)


def test_events_wait_while_it_is_paused_and_none_is_lost(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    hook = webhook(alice, receiver.url)
    waiting = one_event(alice)
    subscriptions.pause(hook)
    place_trade(alice.id, "AAPL", "BUY", 1)
    assert (enter_events(), deliver()) == (0, 0)
    subscriptions.resume(hook)
    assert (enter_events(), deliver()) == (1, 2)
    waiting.refresh_from_db()
    assert waiting.delivered_at is not None


def test_only_the_events_asked_for_are_posted(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    webhook(alice, receiver.url, events=["trade.filled"])
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal("10"))
    claim(alice)
    assert enter_events() == 1
    assert deliver() == 1
    assert Delivery.objects.get().type == "trade.filled"


def test_a_secret_that_was_replaced_signs_for_a_while(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    old = webhook(alice, receiver.url)
    new = subscriptions.rotate_secret(Webhook.objects.get(pk=old.pk), overlap_seconds=600)
    assert old.secret != new.secret
    one_event(alice)
    deliver()
    for hook in (old, new):
        assert checked(hook, receiver.got[0])["type"] == "trade.placed"
    Webhook.objects.update(previous_secret_until=timezone.now() - timedelta(seconds=1))
    one_event(alice)
    deliver()
    assert checked(new, receiver.got[1])
    with pytest.raises(WebhookVerificationError):
        checked(old, receiver.got[1])


def test_no_secret_can_be_read_in_the_database(alice: Customer, receiver: Receiver) -> None:
    hook = subscriptions.rotate_secret(webhook(alice, receiver.url))
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(w)::text FROM webhooks_webhook AS w")
        kept = cursor.fetchone()[0]
    assert "whsec_" not in kept
    assert hook.secret.removeprefix("whsec_") not in kept


def test_sent_again_one_or_a_range(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    place_trade(alice.id, "AAPL", "BUY", 1)
    hook = webhook(alice, receiver.url)
    first, second = one_event(alice), one_event(alice)
    assert deliver() == 2
    subscriptions.resend(hook, first)
    assert deliver() == 1
    assert [headers["webhook-id"] for headers, _ in receiver.got] == [first.event_id, second.event_id, first.event_id]
    events, following = subscriptions.find_range(hook, Cursor.parse(first.event_id))
    subscriptions.resend_events(hook, events)
    assert (len(events), following, deliver()) == (1, None, 1)
    events, _ = subscriptions.find_range(hook, Cursor(0, 0), Cursor.parse(first.event_id))
    subscriptions.resend_events(hook, events)
    count = len(events)
    assert (count, deliver()) == (1 + Delivery.objects.count() - 2, count), "also what came before the webhook"
    assert Delivery.objects.filter(delivered_at=None).count() == 0


def test_a_webhook_ends_with_the_token_that_made_it(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    ended, expired = tokens.issue(alice, "ended").grant, tokens.issue(alice, "expired").grant
    webhook(alice, receiver.url, token_id=ended.id)
    webhook(alice, receiver.url, token_id=expired.id)
    one_event(alice)
    ended.delete()
    type(expired).objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    place_trade(alice.id, "AAPL", "BUY", 1)
    assert (enter_events(), deliver(), receiver.got) == (0, 0, [])
    assert Webhook.objects.get().token_id == expired.id


def test_nothing_is_posted_for_a_deactivated_customer(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    webhook(alice, receiver.url)
    one_event(alice)
    Customer.objects.filter(pk=alice.pk).update(is_active=False)
    place_trade(alice.id, "AAPL", "BUY", 1)
    assert (enter_events(), deliver(), receiver.got) == (0, 0, [])


def test_a_webhook_has_a_bound_on_what_waits_and_the_rest_stays_in_the_feed(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    hook = webhook(alice, receiver.url)
    Delivery.objects.bulk_create(DeliveryFactory.build_batch(WAITING_MAX, webhook=hook))
    place_trade(alice.id, "AAPL", "BUY", 1)
    assert enter_events() == 0
    Webhook.objects.update(due_at=timezone.now())
    assert deliver() == WAITING_MAX
    assert (enter_events(), deliver()) == (1, 1)
