"""`manage.py encrypt_secrets`"""

from collections.abc import Callable
from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import BaseCommand, CommandError

from accounts.models import Mail
from web.encryption import Undecryptable, decrypt, encrypt, is_current, is_encrypted
from webhooks.models import Webhook

AT_ONCE = 500  # rows
WEBHOOK_SECRETS = ("encrypted_secret", "encrypted_previous_secret")


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret (authenticator apps, recovery codes, webhooks, waiting mails) with the newest "
        "SECRET_KEY. Run it after you replace SECRET_KEY, before you remove the old key from SECRET_KEY_FALLBACKS. It "
        "can be stopped and run again: secrets encrypted with the newest key are skipped."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = 0
        for name, rows, encrypt_row in (
            ("second factors", Authenticator.objects.order_by("pk"), _encrypt_authenticator),
            ("webhooks", Webhook.objects.order_by("pk"), _encrypt_webhook),
            ("mails", Mail.objects.order_by("pk"), _encrypt_mail),
        ):
            changed, failed = _encrypt_rows(rows, encrypt_row)
            unreadable += failed
            self.stdout.write(f"{name}: {changed} encrypted, {failed} can't be read with any of our keys")
        if unreadable:
            raise CommandError(f"{unreadable} secrets can't be read: add the key that encrypted them to the fallbacks.")


def _encrypt_rows(rows: Any, encrypt_row: Callable[[Any], bool]) -> tuple[int, int]:
    """Encrypt rows in batches; return how many changed, and how many can't be read."""
    changed = failed = 0
    after = None
    while batch := list((rows if after is None else rows.filter(pk__gt=after))[:AT_ONCE]):
        for row in batch:
            try:
                changed += encrypt_row(row)
            except Undecryptable:
                failed += 1
        after = batch[-1].pk
    return changed, failed


def _reencrypted(secret: str) -> str:
    """Return the secret encrypted with the newest key; the same text if it is already."""
    if not is_encrypted(secret):
        return encrypt(secret) if secret else secret
    return secret if is_current(secret) else encrypt(decrypt(secret))


def _encrypt_mail(row: Mail) -> bool:
    content = _reencrypted(row.content)
    # A mail that has been delivered meanwhile no longer exists.
    return content != row.content and bool(Mail.objects.filter(pk=row.pk).update(content=content))


def _encrypt_authenticator(row: Authenticator) -> bool:
    data = dict(row.data)
    for field in ("secret", "seed"):
        if field in data:
            data[field] = _reencrypted(data[field])
    if "migrated_codes" in data:
        data["migrated_codes"] = [_reencrypted(code) for code in data["migrated_codes"]]
    # Only if the row has not changed, for example because a recovery code was used, since it was read.
    return data != row.data and bool(Authenticator.objects.filter(pk=row.pk, data=row.data).update(data=data))


def _encrypt_webhook(row: Webhook) -> bool:
    before = {field: getattr(row, field) for field in WEBHOOK_SECRETS}
    after = {field: _reencrypted(secret) for field, secret in before.items()}
    return after != before and bool(Webhook.objects.filter(pk=row.pk, **before).update(**after))
