"""Set-up that is done once, when Django starts."""

from django.apps import AppConfig


class BrokerageConfig(AppConfig):
    name = "brokerage"

    def ready(self) -> None:
        """Register the checks, and make Celery read its settings.

        Celery reads its settings at their first use. If several threads used them first at the same time, all but one
        would publish with Celery's defaults.
        """
        from brokerage import checks  # noqa: F401 - registers them
        from brokerage.celery import app

        app.conf.broker_url  # noqa: B018
