"""The back office as Django apps: `office` itself, and the admin with our site."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class Admin(AdminConfig):
    """Django's admin, whose site is the back office."""

    default_site = "office.site.Office"


class OfficeConfig(AppConfig):
    name = "office"

    def ready(self) -> None:
        from office import access

        access.connect()
