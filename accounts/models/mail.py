"""Messages that wait for the mail server."""

from django.db import models
from django.db.models.functions import Now


class Mail(models.Model):
    """A mail that has not been delivered yet; delivery deletes it. The content is encrypted: it may contain a code.

    Urgent mails, which are about signing in and security, are delivered first.
    """

    content = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())
    tries = models.SmallIntegerField(default=0, db_default=0)
    is_urgent = models.BooleanField(default=False, db_default=False)

    class Meta:
        indexes = [models.Index(name="mails_due", fields=["-is_urgent", "due_at"])]

    def __str__(self) -> str:
        return f"mail {self.pk}"
