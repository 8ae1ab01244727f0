"""Accounts as a Django app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Begin to record sign-ins."""
        from accounts import sign_ins

        sign_ins.connect()
