"""Checks of `manage.py check --deploy`."""

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import Error as DatabaseError

from accounts.management.commands.load_demo import CUSTOMER, STAFF
from accounts.models import Customer


@register(Tags.security, deploy=True)
def demo_accounts(**_: Any) -> list[CheckMessage]:
    """Find accounts whose passwords everybody knows."""
    try:
        found = list(Customer.objects.filter(email__in=(CUSTOMER, STAFF)).values_list("email", flat=True))
    except DatabaseError:  # no database, or none with accounts yet
        return []
    return [
        Error(
            f"{email} is a demo account: its password is public.",
            hint="Deactivate it under another address, or use a database that has never had demo data.",
            id="brokerage.E001",
        )
        for email in found
    ]
