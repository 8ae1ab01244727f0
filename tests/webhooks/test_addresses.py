"""Webhook addresses may not be in a private network, and only the deliverer resolves host names."""

import socket
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Customer
from tests.webhooks.conftest import Receiver, create_webhook
from webhooks import addresses, subscriptions
from webhooks.models import Webhook


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
        "::1", "::", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "255.255.255.255", "192.0.2.1", "fec0::1", "feff::1", "::7f00:1", "::ffff:0:7f00:1",
    ],
)  # fmt: skip
def test_private_addresses_are_recognized(address: str) -> None:
    assert not addresses.is_public(address)


def test_public_addresses_are_recognized() -> None:
    assert addresses.is_public("8.8.8.8")
    assert addresses.is_public("2606:4700:4700::1111")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://2130706433/",
        "https://0x7f.1/", "https://user:secret@8.8.8.8/", "ftp://8.8.8.8/", "nonsense", "https://", "https://8.8.8.8:x/",
        "https://nobody.invalid/", "https://[::ffff:127.0.0.1]/", "https://[fec0::1]/", "https://intranet/",
        "https://db.internal./", "https://printer.local/", "https://8.8.8.8:99999/",
    ],
)  # fmt: skip
def test_a_url_that_may_not_receive_events_is_refused(alice: Customer, api_of: Callable[..., Client], url: str) -> None:
    response = api_of(alice).post("/api/v1/webhooks", {"url": url}, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (422, "address_refused")
    assert response.json()["errors"][0]["field"] == "url"
    assert not Webhook.objects.exists()


@pytest.mark.usefixtures("static_files")
def test_requests_never_resolve_host_names(
    alice: Customer, api_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that never answers would block a web thread for as long as the lookup takes."""
    resolved: list[Any] = []
    real_getaddrinfo = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
        if not flags & socket.AI_NUMERICHOST:
            resolved.append(host)
        return real_getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = "https://webhooks.slow-name-server.example/brokerage"
    created = api_of(alice).post("/api/v1/webhooks", {"url": url}, content_type="application/json")
    assert created.status_code == 201
    changed = api_of(alice).patch(
        f"/api/v1/webhooks/{created.json()['webhookId']}", {"url": url + "/2"}, content_type="application/json"
    )
    assert changed.status_code == 200
    page = Client()
    page.force_login(alice, "allauth.account.auth_backends.AuthenticationBackend")
    assert page.post("/account/webhooks", {"url": url}).status_code == 200
    assert set(resolved) <= {"127.0.0.1"}, "only Valkey's host is looked up, never a customer's"


@pytest.mark.django_db(transaction=True)
def test_a_host_that_now_resolves_to_a_private_address_is_refused_at_delivery(
    alice: Customer, receiver: Receiver, settings: Any, deliver: Callable[[], int]
) -> None:
    webhook = create_webhook(alice, receiver.url)
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = False
    for host in ("127.0.0.1", "localhost.localdomain.example"):
        Webhook.objects.filter(pk=webhook.pk).update(url=f"https://{host}:{receiver.port}/")
        delivery = subscriptions.send_test(webhook)
        deliver()
        delivery.refresh_from_db()
        assert delivery.answer in {"The host is on a private network.", "The host can't be found."}
    assert receiver.requests == []
