"""Security changes: the pages on which an owner changes how to get into the account.

The pages are django-allauth's. Each works in one transaction, so a change and what it revokes (`accounts.revocation`)
are committed together: a process that dies in between can't leave a new password and tokens that still work.
"""

from collections.abc import Sequence

from django.db import transaction
from django.urls import URLPattern, URLResolver

PAGES = {
    "account_change_password",
    "account_complete_password_reset",
    "account_confirm_email",
    "account_confirm_password_reset_code",  # the code verifies the email address, too
    "account_email",
    "account_email_verification_sent",
    "account_set_password",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_deactivate_totp",
    "mfa_generate_recovery_codes",
    "mfa_remove_webauthn",
}


def in_transactions(patterns: Sequence[URLPattern | URLResolver]) -> list[URLPattern | URLResolver]:
    """Wrap the views of PAGES in transactions; return all patterns. Idempotent."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            in_transactions(pattern.url_patterns)
        elif pattern.name in PAGES:
            pattern.callback = transaction.atomic(durable=True)(pattern.callback)
    return list(patterns)
