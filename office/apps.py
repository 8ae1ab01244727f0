"""The back office as Django apps: `office` itself, and the admin with our site."""

from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig


class Admin(SimpleAdminConfig):
    """Django's admin, whose site is the back office."""

    default_site = "office.site.Office"

    def ready(self) -> None:
        super().ready()
        # Only ours: what other apps would register could be edited past the verbs and the audit log.
        import_module("office.admin")


class OfficeConfig(AppConfig):
    name = "office"

    def ready(self) -> None:
        from office import access

        access.connect()
