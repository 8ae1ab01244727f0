"""The pages of webhooks."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Customer
from tests.factories import DeliveryFactory
from tests.webhooks.conftest import create_webhook
from webhooks import subscriptions
from webhooks.models import Delivery, Webhook

PageOf = Callable[[Customer], Client]
URL = "https://93.184.216.34/brokerage"


def test_a_new_webhook_shows_its_secret_once(bob: Customer, page_of: PageOf) -> None:
    client = page_of(bob)
    assert "No webhooks." in client.get("/account/webhooks").content.decode()
    response = client.post("/account/webhooks", {"url": f" {URL} "})
    webhook = Webhook.objects.get(customer=bob)
    assert (response.status_code, webhook.url) == (200, URL)
    assert webhook.secret in response.content.decode()
    assert "no-store" in response.headers["Cache-Control"]
    for path in ("/account/webhooks", f"/account/webhooks/{webhook.id}"):
        html = client.get(path).content.decode()
        assert URL in html
        assert webhook.secret not in html


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "Enter an address that starts with https://."),
        ("https://127.0.0.1/", "The host is on a private network."),
        ("https://10.0.0.7/hook", "The host is on a private network."),
        ("https://[::1]/", "The host is on a private network."),
        ("http://93.184.216.34/", "It must start with https:// and a host name."),
        ("nonsense", "It must start with https:// and a host name."),
        ("https://me:secret@93.184.216.34/", "contain a user name"),
        ("https://93.184.216.34/" + "x" * 500, "at most 500 characters"),
        ("https://93.184.216.34/\x00", "Null characters are not allowed."),
    ],
)
def test_a_refused_address_is_explained_beside_the_field(
    url: str, sentence: str, bob: Customer, page_of: PageOf
) -> None:
    response = page_of(bob).post("/account/webhooks", {"url": url})
    text = response.content.decode()
    assert response.status_code == 422
    assert sentence in text.split('id="id_url_error"')[1].split("</p>")[0]
    assert not Webhook.objects.exists()


def test_the_number_of_webhooks_is_limited(bob: Customer, page_of: PageOf) -> None:
    for _ in range(subscriptions.WEBHOOKS_MAX):
        create_webhook(bob, URL)
    response = page_of(bob).post("/account/webhooks", {"url": URL})
    assert response.status_code == 422
    assert "You have 10 webhooks, which is the maximum." in response.content.decode()
    assert Webhook.objects.count() == subscriptions.WEBHOOKS_MAX


def test_a_test_event_is_queued_and_its_page_refreshes_until_it_was_tried(bob: Customer, page_of: PageOf) -> None:
    client, webhook = page_of(bob), create_webhook(bob, URL)
    path = f"/account/webhooks/{webhook.id}"
    assert "No deliveries yet." in client.get(path).content.decode()
    text = client.post(f"{path}/test", follow=True).content.decode()
    assert "A test event is on its way." in text
    assert "Waiting" in text
    assert 'hx-trigger="every 1s"' in text
    assert '<meta http-equiv="refresh"' in text, "the page also refreshes without scripts"
    Delivery.objects.update(attempts=1, answer="HTTP 503", next_at=timezone.now())
    text = client.get(path).content.decode()
    assert "Not accepted yet" in text
    assert "Your server answered HTTP 503." in text
    assert "Next try" in text
    assert "every 1s" not in text
    assert "Not accepted yet" in client.get("/account/webhooks").content.decode()


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ("No answer within 5 seconds.", "No answer within 5 seconds."),
        ("HTTP 500", "Your server answered HTTP 500."),
    ],
)
def test_a_failed_delivery_shows_the_reason(response: str, words: str, bob: Customer, page_of: PageOf) -> None:
    webhook = create_webhook(bob, URL)
    subscriptions.send_test(webhook)
    Delivery.objects.update(attempts=11, answer=response, next_at=None)
    text = page_of(bob).get(f"/account/webhooks/{webhook.id}").content.decode()
    assert "Given up" in text
    assert words in text
    assert "Next try" not in text


def test_the_delivery_log_has_pages(bob: Customer, page_of: PageOf) -> None:
    client, webhook = page_of(bob), create_webhook(bob, URL)
    delivery_ids = [delivery.id for delivery in DeliveryFactory.create_batch(30, webhook=webhook)]
    first = client.get(f"/account/webhooks/{webhook.id}")
    older = client.get(f"/account/webhooks/{webhook.id}?before={first.context['next']}")
    shown_ids = [line["delivery"].id for page in (first, older) for line in page.context["log"]]
    assert shown_ids == delivery_ids[::-1]
    assert older.context["next"] is None


def test_a_webhook_is_deleted_with_its_log(bob: Customer, page_of: PageOf) -> None:
    client, webhook = page_of(bob), create_webhook(bob, URL)
    subscriptions.send_test(webhook)
    assert "is deleted" in client.post(f"/account/webhooks/{webhook.id}/delete", follow=True).content.decode()
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()
    assert client.post(f"/account/webhooks/{webhook.id}/delete").status_code == 404


def test_a_webhook_can_be_paused_resumed_given_a_new_secret_and_sent_again(bob: Customer, page_of: PageOf) -> None:
    client, webhook = page_of(bob), create_webhook(bob, URL)
    path = f"/account/webhooks/{webhook.id}"
    assert "Events wait until you resume it." in client.post(f"{path}/pause", follow=True).content.decode()
    assert "Paused since" in client.get(path).content.decode()
    assert "active again" in client.post(f"{path}/pause", {"resume": "1"}, follow=True).content.decode()
    text = client.post(f"{path}/secret").content.decode()
    assert Webhook.objects.get().secret in text
    assert webhook.secret not in text
    delivery = DeliveryFactory.create(webhook=webhook, attempts=11, next_at=None)
    assert "on its way again" in client.post(f"{path}/again", {"delivery": delivery.id}, follow=True).content.decode()
    delivery.refresh_from_db()
    assert (delivery.attempts, delivery.next_at is not None) == (0, True)
    assert client.post(f"{path}/again", {"delivery": "x"}).status_code == 404


@pytest.mark.parametrize(
    ("status", "words"),
    [("failing", "Your server has accepted nothing since"), ("ended", "Your server answered 410 Gone.")],
)
def test_the_page_explains_the_webhooks_problem(status: str, words: str, bob: Customer, page_of: PageOf) -> None:
    webhook = create_webhook(bob, URL)
    Webhook.objects.update(status=status, status_reason="Your server answered 410 Gone.", failing_since=timezone.now())
    client = page_of(bob)
    assert words in client.get(f"/account/webhooks/{webhook.id}").content.decode()
    assert f"{status.capitalize()} since" in client.get("/account/webhooks").content.decode()
    if status == "ended":
        response = client.post(f"/account/webhooks/{webhook.id}/test", follow=True)
        assert "This webhook has ended." in response.content.decode()


@pytest.mark.parametrize("verb", ["", "/test", "/pause", "/secret", "/again", "/delete"])
def test_customers_cannot_reach_anothers_webhooks(verb: str, alice: Customer, bob: Customer, page_of: PageOf) -> None:
    alices_webhook = create_webhook(alice, URL)
    client = page_of(bob)
    for webhook_id in (alices_webhook.id, uuid4()):
        path = f"/account/webhooks/{webhook_id}{verb}"
        assert (client.post(path) if verb else client.get(path)).status_code == 404
        assert client.get(path).status_code == (302 if verb else 404)
    assert URL not in client.get("/account/webhooks").content.decode()
    assert Webhook.objects.get() == alices_webhook
    assert not Delivery.objects.exists()
    stranger = Client().get(f"/account/webhooks/{alices_webhook.id}")
    assert stranger.headers["Location"].startswith("/account/login/")
