"""Webhooks on the customer's page, and that staff can end one."""

from collections.abc import Callable

from django.core import mail
from django.test import Client

from accounts import tokens
from accounts.models import Customer
from office.models import AuditEntry
from office.roles import Role
from tests.factories import DeliveryFactory
from webhooks import subscriptions
from webhooks.models import Webhook


def test_staff_see_webhooks_and_end_one_and_its_owner_is_notified(
    browser_of: Callable[[Role], Client], alice: Customer
) -> None:
    subscriptions.create(alice.id, "https://hooks.example.com/in")
    grant = tokens.issue(alice, "my robot").grant
    webhook, _ = subscriptions.create(alice.id, "https://robot.example.com/", ["trade.filled"], token_id=grant.id)
    DeliveryFactory.create(webhook=webhook, type="trade.filled", answer="HTTP 503")
    tab = f"/admin/accounts/customer/{alice.id}/change/?tab=access"
    page = browser_of(Role.OPERATIONS).get(tab).content.decode()
    for text in ("https://robot.example.com/", "trade.filled", "HTTP 503", "with the token “my robot”", "on a page"):
        assert text in page
    address = f"/admin/do/end-webhook/{webhook.id}/"
    assert page.count("/admin/do/end-webhook/") == 2
    assert "/admin/do/end-webhook/" not in browser_of(Role.SUPPORT).get(tab).content.decode()
    mail.outbox.clear()
    response = browser_of(Role.RISK).post(address, {"reason": "It leaks."})
    assert response.headers["Location"] == tab
    webhook.refresh_from_db()
    assert (webhook.status, webhook.status_reason, webhook.due_at) == (
        Webhook.Status.ENDED,
        "Our staff ended it.",
        None,
    )
    (message,) = mail.outbox
    assert (message.to, message.subject) == ([alice.email], "Your webhook has ended")
    assert "https://robot.example.com/" in message.body
    assert "leaks" not in message.body, "the reason is only in the audit log"
    entry = AuditEntry.objects.get(action="end-webhook", outcome="done")
    assert (entry.customer_id, entry.reason) == (alice.id, "It leaks.")
    assert ((entry.before or {})["status"], (entry.after or {})["status"]) == ("active", "ended")
    browser_of(Role.RISK).post(address, {"reason": "Again."})
    assert AuditEntry.objects.filter(action="end-webhook", outcome="refused").count() == 1
    assert len(mail.outbox) == 1
    page = browser_of(Role.OPERATIONS).get(tab).content.decode()
    assert "Ended: Our staff ended it." in page
    assert page.count("/admin/do/end-webhook/") == 1
