"""Accounts as a Django app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Start to record sign-ins, and to revoke access when an account's security changes."""
        from accounts import revocation, sign_ins

        sign_ins.connect()
        revocation.connect()
