"""Webhooks as a Django app."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        """Begin to end webhooks when access to an account is revoked."""
        from webhooks import subscriptions

        subscriptions.connect()
