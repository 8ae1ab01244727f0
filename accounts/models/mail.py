"""Messages that wait for the mail server."""

from django.db import models
from django.db.models.functions import Now


class Mail(models.Model):
    """A message to deliver; delivery deletes it. The content is encrypted, because it may contain a code."""

    content = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now(), db_index=True)
    tries = models.SmallIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"mail {self.pk}"
