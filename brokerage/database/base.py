"""PostgreSQL as Django's backend has it, except for three things.

Checking whether a kept connection is alive costs no round trip. Django sends `SELECT 1` before each request. A server
that has died, restarted or ended the session has closed the connection, which shows on the socket: an idle connection
with something to read is not to be used any more.

A session that can no longer work is given up at the first error that shows it (see `failures`), so that nothing ever
has to be restarted to recover from what its database went through. A statement that was refused before it did anything
is tried once more in a new session, unless a transaction is open: its earlier statements are lost with the session, so
there the error is raised as OperationalError, and the owner of the transaction may try again.

A list as a parameter is written as the text of an array, whose type the statement says (`%s::bigint[]`). psycopg's own
way asks every member for its type, and takes up to three times as long.
"""

import select
from contextlib import suppress
from types import TracebackType
from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from django.db.utils import DatabaseErrorWrapper, Error, OperationalError
from django.utils.functional import cached_property
from psycopg import DataError, IsolationLevel, ServerCursor
from psycopg.adapt import Dumper
from psycopg.pq import ConnStatus, TransactionStatus

from brokerage.database import hosts
from brokerage.database.failures import changes_plans, did_nothing, ends_session


class ArrayDumper(Dumper):
    """Writes lists of None, text, bytes, or of what PostgreSQL reads as `str` writes it: numbers, UUIDs, times."""

    def dump(self, obj: list[Any]) -> bytes:
        """Return the array's text.

        Raises:
            DataError: A text contains a NUL, which PostgreSQL does not take.
        """
        text = "{" + ",".join([_member(value) for value in obj]) + "}"
        if "\0" in text:
            raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return text.encode()


def _member(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Plans:
    """Counts how often this process has learned that its prepared statements no longer fit."""

    generation = 0


class ErrorWrapper(DatabaseErrorWrapper):
    """Translates psycopg's errors into Django's, and closes a session that must be given up."""

    wrapper: "DatabaseWrapper"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.wrapper.give_up_after(error):
            raise OperationalError(*error.args).with_traceback(traceback) from error
        super().__exit__(kind, error, traceback)


class Cursor(CursorWrapper):
    """Tries a statement once more in a new session, where that can't do anything twice."""

    def _execute(self, sql: Any, params: Any, *ignored: Any) -> Any:
        execute = super()._execute  # type: ignore[misc] # unknown to django-stubs
        try:
            return execute(sql, params, *ignored)
        except OperationalError as error:
            if not (self._can_start_anew and error.__cause__ and did_nothing(error.__cause__)):
                raise
        self.db.ensure_connection()
        self.cursor = self.db.create_cursor()
        return execute(sql, params, *ignored)

    @property
    def _can_start_anew(self) -> bool:
        return self.db.connection is None and self.db.autocommit and not isinstance(self.cursor, ServerCursor)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    _plans = Plans.generation

    def get_connection_params(self) -> dict[str, Any]:
        """Return what psycopg takes, without our own limits."""
        parameters: dict[str, Any] = super().get_connection_params()
        self._limits = {name: parameters.pop(name, None) for name in ("answer_seconds_max", "commit_seconds_max")}
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Open a connection to the host that can be written, which writes lists in our way."""
        self.isolation_level = IsolationLevel.READ_COMMITTED
        connection = hosts.connect(conn_params)
        for name, seconds in self._limits.items():
            setattr(connection, name, seconds)
        connection.adapters.register_dumper(list, ArrayDumper)
        self._plans = Plans.generation
        return connection

    def ensure_connection(self) -> None:
        """Open a connection where there is none, or where its prepared statements no longer fit."""
        if self._plans != Plans.generation and self.is_usable() and not (self.in_atomic_block or self.run_on_commit):
            self.close()
        super().ensure_connection()

    def is_usable(self) -> bool:
        """Return whether the server still has this idle connection open, as far as this host has been told."""
        if self.connection is None:
            return False
        session = self.connection.pgconn
        if session.status != ConnStatus.OK or session.transaction_status != TransactionStatus.IDLE:
            return False
        readable = select.poll()
        readable.register(session.socket, select.POLLIN)
        return not readable.poll(0)

    @cached_property
    def wrap_database_errors(self) -> ErrorWrapper:
        """Translate errors, and give up the session after those that say that it is of no more use."""
        return ErrorWrapper(self)

    def make_cursor(self, cursor: Any) -> Cursor:
        """Wrap a cursor in one that can start over."""
        return Cursor(cursor, self)

    def give_up_after(self, error: BaseException) -> bool:
        """Close the connection if this error means that it can no longer work; return whether it does."""
        if self.connection is None or not ends_session(error, self.connection.pgconn):
            return False
        if changes_plans(error) and self._plans == Plans.generation:
            Plans.generation += 1
        with suppress(Error):
            self.close()
        return True
