"""Set-up that is done once, when Django has started."""

from django.apps import AppConfig
from django.db.models import Field, ForeignObject


class BrokerageConfig(AppConfig):
    name = "brokerage"

    def ready(self) -> None:
        """Register the lookup `any_of` and the checks, and settle Celery's settings.

        Celery reads its settings when they are first used; of several threads that use them at once, all but one would
        publish with its defaults.
        """
        from brokerage import checks  # noqa: F401 - registers them
        from brokerage.celery import app
        from brokerage.database.lookups import AnyOf

        Field.register_lookup(AnyOf)
        ForeignObject.register_lookup(AnyOf)
        app.conf.broker_url  # noqa: B018
