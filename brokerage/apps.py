"""Set-up that is done once, when Django has started."""

from typing import Any

from django.apps import AppConfig
from django.db.models import Field, ForeignObject
from django.db.models.signals import post_migrate


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
        post_migrate.connect(set_limits_after_migrating, dispatch_uid="brokerage.limits")


def set_limits_after_migrating(sender: AppConfig, **_: Any) -> None:
    """Set the limits of the role once a `migrate`: the signal is sent for every app."""
    from brokerage.database.limits import set_limits

    if sender.label == "trades":
        set_limits()
