"""Webhooks: each event is posted once it happened, signed, until it is answered; and never into a private network."""

import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from standardwebhooks import Webhook as Signer

from accounts.models import Customer
from tests.people import claim, say
from trades.models import Status
from trades.place import place_trade
from webhooks import addresses, subscriptions
from webhooks.delivery import PAUSES_SECONDS, deliver, enter
from webhooks.models import Delivery, Webhook


class Receiver:
    """A customer's server that takes what is posted, and answers as it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=1"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def make_due() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE webhooks_delivery SET next_at = now() - interval '1 s' WHERE next_at IS NOT NULL")


@pytest.mark.django_db(transaction=True)
def test_each_event_is_posted_once_and_signed(alice: Customer, bob: Customer, receiver: Receiver) -> None:
    hook = subscriptions.add(alice.id, receiver.url)
    trade, _ = place_trade(alice.id, "AAPL", "BUY", 2)
    place_trade(bob.id, "AAPL", "BUY", 1)
    claim(alice)
    say(trade, Status.FILLED, Decimal("10"))
    claim(alice)
    assert enter() == 3
    assert enter() == 0
    assert deliver() == 3
    assert deliver() == 0
    bodies = []
    for headers, body in receiver.got:
        bodies.append(Signer(hook.secret).verify(body, {name.lower(): value for name, value in headers.items()}))
        assert bodies[-1]["eventId"] == headers["webhook-id"]
    assert sorted(body["type"] for body in bodies) == ["trade.filled", "trade.in_progress", "trade.placed"]
    assert {body["trade"]["tradeId"] for body in bodies} == {str(trade.id)}
    assert Delivery.objects.filter(delivered_at=None).count() == 0


@pytest.mark.django_db(transaction=True)
def test_what_is_not_taken_is_tried_again_for_a_day_and_then_given_up(alice: Customer, receiver: Receiver) -> None:
    hook = subscriptions.add(alice.id, receiver.url)
    receiver.status = 500
    delivery = subscriptions.test(hook)
    waits = []
    for _ in range(len(PAUSES_SECONDS)):
        make_due()
        assert deliver() == 1
        delivery.refresh_from_db()
        assert delivery.next_at is not None
        waits.append(PAUSES_SECONDS[delivery.attempts - 1])
    assert waits == sorted(waits)
    assert 80_000 < sum(waits) < 100_000
    make_due()
    assert deliver() == 1
    delivery.refresh_from_db()
    assert (delivery.next_at, delivery.delivered_at, delivery.answer) == (None, None, "HTTP 500")
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len(receiver.got) == len(PAUSES_SECONDS) + 1


@pytest.mark.django_db(transaction=True)
def test_a_redirect_is_not_followed_and_a_later_answer_counts(alice: Customer, receiver: Receiver) -> None:
    hook = subscriptions.add(alice.id, receiver.url)
    delivery = subscriptions.test(hook)
    receiver.status = 302
    deliver()
    delivery.refresh_from_db()
    assert (delivery.delivered_at, delivery.answer) == (None, "HTTP 302")
    receiver.status = 204
    make_due()
    deliver()
    delivery.refresh_from_db()
    assert delivery.delivered_at is not None
    assert delivery.next_at is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
        "::1", "::", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "255.255.255.255", "192.0.2.1",
    ],
)  # fmt: skip
def test_what_is_no_public_address(address: str) -> None:
    assert not addresses.is_public(address)


def test_what_is_a_public_address() -> None:
    assert addresses.is_public("8.8.8.8")
    assert addresses.is_public("2606:4700:4700::1111")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://2130706433/",
        "https://0x7f.1/", "https://user:secret@8.8.8.8/", "ftp://8.8.8.8/", "nonsense", "https://", "https://8.8.8.8:x/",
        "https://nobody.invalid/", "https://[::ffff:127.0.0.1]/",
    ],
)  # fmt: skip
def test_what_events_are_not_posted_to(alice: Customer, api_of: Callable[..., Client], url: str) -> None:
    answer = api_of(alice).post("/api/v1/webhooks", {"url": url}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "address_refused")
    assert answer.json()["errors"][0]["field"] == "url"
    assert not Webhook.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_name_that_moves_inside_is_refused_when_it_is_called(
    alice: Customer, receiver: Receiver, settings: Any
) -> None:
    hook = subscriptions.add(alice.id, receiver.url)
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = False
    Webhook.objects.filter(pk=hook.pk).update(url=f"https://localhost:{receiver.server.server_port}/")
    delivery = subscriptions.test(hook)
    deliver()
    delivery.refresh_from_db()
    assert delivery.answer == "refused: Its host is inside a private network."
    assert receiver.got == []


@pytest.mark.django_db(transaction=True)
def test_managed_by_api(alice: Customer, bob: Customer, api_of: Callable[..., Client], receiver: Receiver) -> None:
    api, other = api_of(alice), api_of(bob)
    made = api.post("/api/v1/webhooks", {"url": receiver.url}, content_type="application/json").json()
    address = f"/api/v1/webhooks/{made['webhookId']}"
    assert made["secret"].startswith("whsec_")
    assert "secret" not in api.get(address).json()
    assert [hook["url"] for hook in api.get("/api/v1/webhooks").json()["results"]] == [receiver.url]
    for refused in (other.get(address), other.delete(address), other.post(f"{address}/test")):
        assert refused.status_code == 404
    assert api.post(f"{address}/test").status_code == 202
    deliver()
    (delivery,) = api.get(f"{address}/deliveries").json()["results"]
    assert (delivery["type"], delivery["lastAnswer"], delivery["attempts"]) == ("webhook.test", "HTTP 200", 1)
    assert json.loads(receiver.got[0][1])["eventId"] == delivery["eventId"]
    for _ in range(subscriptions.WEBHOOKS_MAX - 1):
        api.post("/api/v1/webhooks", {"url": receiver.url}, content_type="application/json")
    full = api.post("/api/v1/webhooks", {"url": receiver.url}, content_type="application/json")
    assert (full.status_code, full.json()["code"]) == (409, "too_many_webhooks")
    assert api.delete(address).status_code == 204
    assert api.get(address).status_code == 404
