"""Email the owner of a webhook when it fails, works again, or has ended."""

from django.core.mail import send_mail
from django.template.loader import render_to_string

from accounts.mail import as_html
from webhooks.models import Webhook


def mail_failing(webhook: Webhook, answer: str) -> None:
    """Tell the owner that every delivery has failed for a while, and that we keep trying."""
    _send_mail(webhook, "Your webhook is failing", "failing", answer)


def mail_working(webhook: Webhook) -> None:
    """Tell the owner that the failing webhook works again."""
    _send_mail(webhook, "Your webhook works again", "working")


def mail_ended(webhook: Webhook) -> None:
    """Tell the owner that the webhook has ended, and why."""
    _send_mail(webhook, "Your webhook has ended", "ended", webhook.status_reason)


def _send_mail(webhook: Webhook, subject: str, template: str, answer: str = "") -> None:
    text = render_to_string(
        f"webhooks/mails/{template}.txt", {"webhook": webhook, "answer": answer, "user": webhook.customer}
    )
    send_mail(subject, text, None, [webhook.customer.email], html_message=as_html(text))
