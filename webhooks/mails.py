"""Mails to the owner of a webhook: it fails, works again, or has ended."""

from django.core.mail import send_mail
from django.template.loader import render_to_string

from accounts.mail import as_html
from webhooks.models import Webhook


def tell_failing(webhook: Webhook, answer: str) -> None:
    """Tell the owner that every delivery has failed for a while, and that we keep trying."""
    _tell(webhook, "Your webhook is failing", "failing", answer)


def tell_working(webhook: Webhook) -> None:
    """Tell the owner that the failing webhook works again."""
    _tell(webhook, "Your webhook works again", "working")


def tell_ended(webhook: Webhook) -> None:
    """Tell the owner that the webhook has ended, and why."""
    _tell(webhook, "Your webhook has ended", "ended", webhook.status_reason)


def _tell(webhook: Webhook, subject: str, template: str, answer: str = "") -> None:
    text = render_to_string(
        f"webhooks/mails/{template}.txt", {"webhook": webhook, "answer": answer, "user": webhook.customer}
    )
    send_mail(subject, text, None, [webhook.customer.email], html_message=as_html(text))
