"""The back office as two Django apps: `office` itself, and Django's admin with our site."""

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig


class Admin(SimpleAdminConfig):
    """Django's admin, with the back office as its site."""

    default_site = "office.site.Office"


class OfficeConfig(AppConfig):
    """The back office's own models and pages."""

    name = "office"

    def ready(self) -> None:
        from office import access

        access.connect()
