"""System checks of `manage.py check --deploy`."""

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import Error as DatabaseError
from django.db import connection

from accounts.management.commands.load_demo import CUSTOMER, STAFF
from accounts.models import Customer

OWNS_POSTINGS = """
    SELECT FROM pg_class WHERE relname = 'accounts_posting' AND pg_has_role(current_user, relowner, 'USAGE')
"""


@register(Tags.security, deploy=True)
def demo_accounts(**_: Any) -> list[CheckMessage]:
    """Report demo accounts, whose passwords are public."""
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


@register(Tags.security, deploy=True)
def owner_of_tables(**_: Any) -> list[CheckMessage]:
    """Report that the processes own the tables, and so could remove the triggers that protect the books."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(OWNS_POSTINGS)
            owns = cursor.fetchone() is not None
    except DatabaseError:
        return []
    if not owns:
        return []
    return [
        Error(
            "The role of DATABASE_URL owns the tables, so it can empty them.",
            hint="Create a role with deploy/roles.sql, and put the owner's URL into MIGRATE_DATABASE_URL for migrate.",
            id="brokerage.E002",
        )
    ]
