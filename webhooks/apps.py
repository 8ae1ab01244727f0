"""Webhooks as a Django app."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"

    def ready(self) -> None:
        """Connect the receiver that ends webhooks when access to an account is revoked."""
        from webhooks import subscriptions

        subscriptions.connect()
