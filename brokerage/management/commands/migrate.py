"""`manage.py migrate`, as it can run while the brokerage trades"""

import time
from typing import Any

from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.backends.signals import connection_created
from psycopg.errors import LockNotAvailable

TRIES = 60
PAUSE_SECONDS = 1.0
LOCK_TIMEOUT_MS = 2_000
"""While a migration waits for a table's lock, all who need the table wait behind it: not for long, and then again."""


class Command(migrate.Command):
    """Django's own command, with a limit on how long others wait for its locks."""

    help = migrate.Command.help + " Waits for no lock longer than two seconds; then it tries again, up to a minute."

    def handle(self, *args: Any, **options: Any) -> None:
        connection_created.connect(_unhurried)
        connections[options["database"]].close()
        try:
            for left in reversed(range(TRIES)):
                try:
                    super().handle(*args, **options)
                    return
                except OperationalError as error:
                    if not isinstance(error.__cause__, LockNotAvailable) or not left:
                        raise
                self.stderr.write("A table is in use; trying again.")
                time.sleep(PAUSE_SECONDS)
        finally:
            connection_created.disconnect(_unhurried)
            connections[options["database"]].close()


def _unhurried(connection: Any, **_: Any) -> None:
    """Give statements as long as they need, and locks no longer than others can wait."""
    connection.connection.answer_seconds_max = connection.connection.commit_seconds_max = None
    with connection.cursor() as cursor:
        cursor.execute(
            f"SET statement_timeout = 0; SET transaction_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
            f"SET lock_timeout = {LOCK_TIMEOUT_MS}"
        )
