"""What is done once, when Django has started."""

from django.apps import AppConfig


class BrokerageConfig(AppConfig):
    name = "brokerage"

    def ready(self) -> None:
        """Settle Celery's settings now. It reads them when first looked at, and of several threads that look at
        once all but one would publish with its defaults."""
        from brokerage.celery import app

        app.conf.broker_url  # noqa: B018
