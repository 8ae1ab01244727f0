"""Set the time limits of statements and transactions for a role, so that they hold in every session.

Each process also sets them when it opens a session, but a pooler in between drops that, and a session opened by hand
does not do it.
"""

from django.conf import settings
from django.db import connection
from psycopg import sql


def set_limits(role: str | None = None) -> None:
    """Set the limits of `settings.DATABASE_LIMITS` for a role in this database.

    Idempotent: yes.

    Args:
        role: The role that the processes sign in as; None: the one that this process signed in as. A role may always
            set its own limits.
    """
    name = sql.SQL("CURRENT_USER") if role is None else sql.Identifier(role)
    with connection.cursor() as cursor:
        for limit, milliseconds in settings.DATABASE_LIMITS.items():
            cursor.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
                    name,
                    sql.Identifier(connection.settings_dict["NAME"]),
                    sql.Identifier(limit),
                    sql.Literal(str(milliseconds)),
                )
            )
