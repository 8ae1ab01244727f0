"""Each event is signed and posted to the webhook until the receiver accepts it."""

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
from tests.webhooks.conftest import Receiver, backdate_first_failure, create_webhook, let_pauses_pass
from trades.models import Status
from trades.place import place_trade
from webhooks import subscriptions
from webhooks.delivery import PAUSES_SECONDS, bring_forward
from webhooks.models import Delivery, Webhook
from webhooks.queue import WAITING_MAX, enter_events

pytestmark = pytest.mark.django_db(transaction=True)
Deliver = Callable[[], int]


def create_delivery(customer: Customer) -> Delivery:
    place_trade(customer.id, "AAPL", "BUY", 1)
    enter_events()
    return Delivery.objects.latest("id")


def verify(webhook: Webhook, request: tuple[dict[str, str], bytes]) -> dict[str, object]:
    headers, body = request
    verified: dict[str, object] = Signer(webhook.secret).verify(body, {k.lower(): v for k, v in headers.items()})
    return verified


def test_each_event_is_posted_once_in_order_and_signed(
    alice: Customer, bob: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    webhook = create_webhook(alice, receiver.url)
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 2)
    place_trade(bob.id, "AAPL", "BUY", 1)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal("10"))
    claim(alice)
    assert enter_events() == 3
    assert enter_events() == 0
    assert deliver() == 3
    assert deliver() == 0
    bodies = [verify(webhook, request) for request in receiver.requests]
    assert [body["eventId"] for body in bodies] == [headers["webhook-id"] for headers, _ in receiver.requests]
    assert [body["type"] for body in bodies] == ["trade.placed", "trade.in_progress", "trade.filled"]
    assert {body["trade"]["tradeId"] for body in bodies} == {str(trade.id)}  # type: ignore[index]
    assert Delivery.objects.filter(delivered_at=None).count() == 0
    assert receiver.connections == 1, "deliveries to one receiver share a connection"


def test_failed_deliveries_are_retried_for_a_day_and_then_given_up(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    create_webhook(alice, receiver.url)
    receiver.status = 500
    delivery = create_delivery(alice)
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
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
    assert len(receiver.requests) == len(PAUSES_SECONDS) + 1


def test_a_redirect_is_not_followed_and_the_delivery_is_retried(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    create_webhook(alice, receiver.url)
    delivery = create_delivery(alice)
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
    create_webhook(alice, receiver.url)
    for _ in range(5):
        place_trade(alice.id, "AAPL", "BUY", 1)
    enter_events()
    receiver.status = 503
    for attempts in (1, 2, 3):
        let_pauses_pass()
        assert deliver() == 1, "one attempt shows that the receiver doesn't work; the other deliveries wait"
        assert sum(Delivery.objects.values_list("attempts", flat=True)) == attempts
        assert deliver() == 0, "the receiver gets a pause"
    receiver.status = 200
    let_pauses_pass()
    assert deliver() == 5
    assert not Delivery.objects.filter(delivered_at=None).exists()


def test_a_clock_that_was_set_back_delays_no_delivery(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    """After a failover, the times of events, leases and pauses can be hours ahead of the current clock."""
    webhook = create_webhook(alice, receiver.url)
    create_delivery(alice)
    ahead = timezone.now() + timedelta(hours=2)
    Delivery.objects.update(next_at=ahead)
    Webhook.objects.update(due_at=ahead, leased_until=ahead, retry_at=ahead)
    assert deliver() == 0
    bring_forward()
    assert deliver() == 1
    webhook.refresh_from_db()
    assert (len(receiver.requests), webhook.leased_until, webhook.retry_at) == (1, None, None)


def test_a_pause_after_a_failure_is_not_cut_short(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    create_webhook(alice, receiver.url)
    create_delivery(alice)
    receiver.status = 500
    for _ in PAUSES_SECONDS:
        assert deliver() == 1
        before = Webhook.objects.values_list("due_at", "retry_at").get(), Delivery.objects.get().next_at
        bring_forward()
        assert (Webhook.objects.values_list("due_at", "retry_at").get(), Delivery.objects.get().next_at) == before
        let_pauses_pass()


def test_an_event_that_is_never_accepted_delays_no_other(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    webhook = create_webhook(alice, receiver.url)
    create_delivery(alice)
    receiver.status = 422
    deliver()
    receiver.status = 200
    second = create_delivery(alice)
    Webhook.objects.update(retry_at=None)
    assert deliver() == 1
    second.refresh_from_db()
    webhook.refresh_from_db()
    assert second.delivered_at is not None
    assert (webhook.failures, webhook.failing_since) == (0, None)


def test_a_test_event_is_tried_once_and_only_one_can_wait(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    webhook = create_webhook(alice, receiver.url)
    receiver.status = 500
    delivery = subscriptions.send_test(webhook)
    for _ in range(50):
        with pytest.raises(subscriptions.AnotherTestWaits):
            subscriptions.send_test(webhook)
    assert deliver() == 1
    delivery.refresh_from_db()
    assert (delivery.next_at, delivery.answer, Delivery.objects.count()) == (None, "HTTP 500", 1)
    subscriptions.send_test(webhook)
    assert deliver() == 1, "a test event doesn't wait for the end of the receiver's pause"


def test_the_owner_is_notified_when_a_receiver_keeps_failing_and_when_it_works_again(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    webhook = create_webhook(alice, receiver.url)
    receiver.status = 500
    create_delivery(alice)
    for _ in range(5):
        let_pauses_pass()
        deliver()
    webhook.refresh_from_db()
    assert webhook.status == Webhook.Status.ACTIVE, "it isn't marked as failing so soon"
    backdate_first_failure(webhook, 3601)
    for _ in range(3):
        let_pauses_pass()
        deliver()
    webhook.refresh_from_db()
    assert (webhook.status, webhook.status_reason) == (Webhook.Status.FAILING, "HTTP 500")
    (message,) = mail.outbox
    assert (message.to, message.subject) == ([alice.email], "Your webhook is failing")
    assert receiver.url in message.body
    assert receiver.url in message.alternatives[0][0], "as HTML, too"  # type: ignore[attr-defined]
    receiver.status = 200
    let_pauses_pass()
    assert deliver() == 1
    webhook.refresh_from_db()
    assert (webhook.status, webhook.status_reason) == (Webhook.Status.ACTIVE, "")
    assert [message.subject for message in mail.outbox] == ["Your webhook is failing", "Your webhook works again"]


def test_a_webhook_that_answers_410_is_ended(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    webhook = create_webhook(alice, receiver.url)
    receiver.status = 410
    create_delivery(alice)
    create_delivery(alice)
    deliver()
    webhook.refresh_from_db()
    assert (webhook.status, webhook.status_reason) == (Webhook.Status.ENDED, "Your server answered 410 Gone.")
    assert mail.outbox[0].subject == "Your webhook has ended"
    place_trade(alice.id, "AAPL", "BUY", 1)
    let_pauses_pass()
    assert (enter_events(), deliver(), len(receiver.requests)) == (0, 0, 1)
    with pytest.raises(subscriptions.WebhookEnded):
        subscriptions.resume(webhook)


def test_events_wait_while_their_webhook_is_paused_and_none_is_lost(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    webhook = create_webhook(alice, receiver.url)
    waiting = create_delivery(alice)
    subscriptions.pause(webhook)
    place_trade(alice.id, "AAPL", "BUY", 1)
    assert (enter_events(), deliver()) == (0, 0)
    subscriptions.resume(webhook)
    assert (enter_events(), deliver()) == (1, 2)
    waiting.refresh_from_db()
    assert waiting.delivered_at is not None


def test_only_the_selected_event_types_are_posted(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    create_webhook(alice, receiver.url, events=["trade.filled"])
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 1)
    claim(alice)
    send_report(trade, Status.FILLED, Decimal("10"))
    claim(alice)
    assert enter_events() == 1
    assert deliver() == 1
    assert Delivery.objects.get().type == "trade.filled"


def test_a_replaced_secret_still_signs_during_the_overlap(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    old = create_webhook(alice, receiver.url)
    new = subscriptions.rotate_secret(Webhook.objects.get(pk=old.pk), overlap_seconds=600)
    assert old.secret != new.secret
    create_delivery(alice)
    deliver()
    for webhook in (old, new):
        assert verify(webhook, receiver.requests[0])["type"] == "trade.placed"
    Webhook.objects.update(previous_secret_until=timezone.now() - timedelta(seconds=1))
    create_delivery(alice)
    deliver()
    assert verify(new, receiver.requests[1])
    with pytest.raises(WebhookVerificationError):
        verify(old, receiver.requests[1])


def test_secrets_are_encrypted_in_the_database(alice: Customer, receiver: Receiver) -> None:
    webhook = subscriptions.rotate_secret(create_webhook(alice, receiver.url))
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(w)::text FROM webhooks_webhook AS w")
        row = cursor.fetchone()[0]
    assert "whsec_" not in row
    assert webhook.secret.removeprefix("whsec_") not in row


def test_one_delivery_or_a_range_can_be_resent(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    place_trade(alice.id, "AAPL", "BUY", 1)
    webhook = create_webhook(alice, receiver.url)
    first, second = create_delivery(alice), create_delivery(alice)
    assert deliver() == 2
    subscriptions.resend(webhook, first)
    assert deliver() == 1
    assert [headers["webhook-id"] for headers, _ in receiver.requests] == [
        first.event_id,
        second.event_id,
        first.event_id,
    ]
    events, next_cursor = subscriptions.find_range(webhook, Cursor.parse(first.event_id))
    subscriptions.resend_events(webhook, events)
    assert (len(events), next_cursor, deliver()) == (1, None, 1)
    events, _ = subscriptions.find_range(webhook, Cursor(0, 0), Cursor.parse(first.event_id))
    subscriptions.resend_events(webhook, events)
    count = len(events)
    assert (count, deliver()) == (1 + Delivery.objects.count() - 2, count), "including events older than the webhook"
    assert Delivery.objects.filter(delivered_at=None).count() == 0


def test_a_webhook_ends_with_the_token_that_created_it(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    ended, expired = tokens.issue(alice, "ended").grant, tokens.issue(alice, "expired").grant
    create_webhook(alice, receiver.url, token_id=ended.id)
    create_webhook(alice, receiver.url, token_id=expired.id)
    create_delivery(alice)
    ended.delete()
    type(expired).objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    place_trade(alice.id, "AAPL", "BUY", 1)
    assert (enter_events(), deliver(), receiver.requests) == (0, 0, [])
    assert Webhook.objects.get().token_id == expired.id


def test_nothing_is_posted_for_a_deactivated_customer(alice: Customer, receiver: Receiver, deliver: Deliver) -> None:
    create_webhook(alice, receiver.url)
    create_delivery(alice)
    Customer.objects.filter(pk=alice.pk).update(is_active=False)
    place_trade(alice.id, "AAPL", "BUY", 1)
    assert (enter_events(), deliver(), receiver.requests) == (0, 0, [])


def test_a_limited_number_of_deliveries_wait_and_further_events_stay_in_the_feed(
    alice: Customer, receiver: Receiver, deliver: Deliver
) -> None:
    webhook = create_webhook(alice, receiver.url)
    Delivery.objects.bulk_create(DeliveryFactory.build_batch(WAITING_MAX, webhook=webhook))
    place_trade(alice.id, "AAPL", "BUY", 1)
    assert enter_events() == 0
    Webhook.objects.update(due_at=timezone.now())
    assert deliver() == WAITING_MAX
    assert (enter_events(), deliver()) == (1, 1)
