"""`manage.py migrate`: migrate the database while trading goes on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.backends.signals import connection_created
from psycopg.errors import LockNotAvailable

from brokerage.database import schema
from brokerage.database.limits import set_limits
from brokerage.database.privileges import grant, protect

TRIES = 60
PAUSE_SECONDS = 1.0
# While a migration waits for a table's lock, everybody else who needs the table waits behind it. So it waits only
# briefly, and then tries again.
LOCK_TIMEOUT_MS = 2_000


class Command(migrate.Command):
    """Django's command, run as the owner of the tables, with a limit on how long others wait for its locks."""

    help = migrate.Command.help + (
        " Signs in with MIGRATE_DATABASE_URL if it is set, and lets the role of DATABASE_URL use the tables."
        " Waits at most two seconds for a lock, and then tries again, for up to a minute."
        " A new database gets its tables from brokerage/database/schema.sql."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--one-by-one", action="store_true", help="Run every migration, in a new database too, which takes longer."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with _as_owner(options["database"]) as role:
            for tries_left in reversed(range(TRIES)):
                try:
                    if self._makes_all_tables(options) and schema.is_new():
                        schema.create()
                    super().handle(*args, **options)
                    if options["plan"] or options["check_unapplied"]:
                        return
                    protect()
                    if role is not None:
                        grant(role)
                    break
                except OperationalError as error:
                    if not isinstance(error.__cause__, LockNotAvailable) or not tries_left:
                        raise
                self.stderr.write("A table is in use; trying again.")
                time.sleep(PAUSE_SECONDS)
        set_limits()

    def _makes_all_tables(self, options: dict[str, Any]) -> bool:
        """Return whether the options ask for every migration, and to run them."""
        others = ("app_label", "one_by_one", "plan", "check_unapplied", "fake", "prune")
        return not any(options[name] for name in others)


@contextmanager
def _as_owner(database: str) -> Iterator[str | None]:
    """Sign in as the owner, without time limits, while the context is open; yield the processes' role if it differs."""
    connection = connections[database]
    process_settings = connection.settings_dict
    connection.close()
    connection_created.connect(_lift_time_limits)
    role = None
    if owner := settings.MIGRATE_DATABASE:
        role = process_settings["USER"] if process_settings["USER"] != owner["USER"] else None
        connection.settings_dict = {
            **process_settings,
            **owner,
            "OPTIONS": {**process_settings["OPTIONS"], **owner.get("OPTIONS", {})},
        }
    try:
        yield role
    finally:
        connection_created.disconnect(_lift_time_limits)
        connection.close()
        connection.settings_dict = process_settings


def _lift_time_limits(connection: Any, **_: Any) -> None:
    """Remove the time limits of statements, but limit waits for locks, because others wait behind this process."""
    connection.connection.answer_seconds_max = connection.connection.commit_seconds_max = None
    with connection.cursor() as cursor:
        cursor.execute(
            f"SET statement_timeout = 0; SET transaction_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
            f"SET lock_timeout = {LOCK_TIMEOUT_MS}"
        )
