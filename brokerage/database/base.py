"""Django's PostgreSQL backend with four changes.

The check whether a persistent connection is alive costs no round trip, whereas Django sends `SELECT 1` before each
request. If the server has died, restarted or ended the session, it has closed the connection, and that shows on the
socket: an idle connection with something to read must not be used anymore.

A session that can no longer work is given up at the first error that shows it (see `failures`), so no process has to be
restarted after its database had a problem. A statement that was refused before it did anything is tried once more in a
new session. If a transaction is open, its earlier statements are lost with the session, so the error is raised as
OperationalError instead, and the owner of the transaction may try again.

A session ends with the thread that opened it. Django's own way leaves that to Python's garbage collector, which hardly
ever runs in `web`, while its server ends threads that were idle for half a minute and starts others: their sessions
would add up until the database has no room for more.

A list parameter is sent as the text of an array, whose type the statement gives (`%s::bigint[]`). psycopg's own way
examines the type of every member, and takes up to three times as long.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import NoneType, TracebackType
from typing import Any
from uuid import UUID

from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from django.db.utils import DatabaseErrorWrapper, Error, OperationalError
from django.utils.functional import cached_property
from psycopg import DataError, IsolationLevel, ServerCursor
from psycopg.adapt import Dumper
from psycopg.pq import ConnStatus, TransactionStatus

from brokerage.database import hosts
from brokerage.database.failures import changes_plans, ends_session, had_no_effect
from web import patience

MARGIN_SECONDS = 2.0  # how much longer than the server we wait, so that its own error comes first


class ArrayDumper(Dumper):
    """Writes lists of None, text, bytes, or values whose `str` PostgreSQL can read: numbers, UUIDs, times."""

    def dump(self, obj: list[Any]) -> bytes:
        """Return the array's text.

        Raises:
            DataError: A text contains a NUL character, which PostgreSQL rejects.
        """
        text = "{" + ",".join([_WRITERS.get(type(value), _quoted)(value) for value in obj]) + "}"
        if "\0" in text:
            raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return text.encode()


def _quoted(value: Any) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


# How members of these types are written; all others are written as quoted text.
_WRITERS: dict[type, Callable[[Any], str]] = {
    NoneType: lambda value: "NULL",
    int: str,
    UUID: str,
    bytes: lambda value: f'"\\\\x{value.hex()}"',
}


class EndsWithThread:
    """Closes a session when it is dropped: a thread's own storage is emptied when the thread ends."""

    def __init__(self, session: hosts.Connection) -> None:
        self._opened, self._opened_in = session, os.getpid()

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be ending, too
            if self._opened_in == os.getpid():  # a forked process has a copy, and the session goes on in its parent
                self._opened.close()


class Sessions(threading.local):
    """The sessions that this thread has opened last, by the id of their wrapper."""

    def __init__(self) -> None:
        self.open: dict[int, EndsWithThread] = {}


_sessions = Sessions()


class Plans:
    """Counts how often this process has learned that its prepared statements are outdated."""

    generation = 0


class ErrorWrapper(DatabaseErrorWrapper):
    """Translates psycopg's errors into Django's, and closes sessions that must be given up."""

    wrapper: "DatabaseWrapper"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.wrapper.give_up_after(error):
            raise OperationalError(*error.args).with_traceback(traceback) from error
        super().__exit__(kind, error, traceback)


class Cursor(CursorWrapper):
    """Tries a statement once more in a new session, if that can't do anything twice."""

    def _execute(self, sql: Any, params: Any, *ignored: Any) -> Any:
        execute = super()._execute  # type: ignore[misc] # unknown to django-stubs
        began = time.monotonic()
        try:
            return execute(sql, params, *ignored)
        except OperationalError as error:
            patience.deduct(time.monotonic() - began)
            if not (self._can_start_anew and error.__cause__ and had_no_effect(error.__cause__)):
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
        """Return the connection parameters for psycopg, without our own limits."""
        parameters: dict[str, Any] = super().get_connection_params()
        self._limits = {name: parameters.pop(name, None) for name in ("answer_seconds_max", "commit_seconds_max")}
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Open a connection to the host that can be written to, with our way of sending lists."""
        self.isolation_level = IsolationLevel.READ_COMMITTED
        connection = hosts.connect(conn_params)
        _sessions.open[id(self)] = EndsWithThread(connection)
        for name, seconds in self._limits.items():
            setattr(connection, name, seconds)
        connection.adapters.register_dumper(list, ArrayDumper)
        self._plans = Plans.generation
        return connection

    def ensure_connection(self) -> None:
        """Open a connection if there is none, or if its prepared statements are outdated."""
        if self._plans != Plans.generation and self.is_usable() and not (self.in_atomic_block or self.run_on_commit):
            self.close()
        super().ensure_connection()

    def is_usable(self) -> bool:
        """Return whether the server still has this idle connection open, as far as this host knows."""
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
        """Translate errors, and give up the session after errors that show that it no longer works."""
        return ErrorWrapper(self)

    @contextmanager
    def commit_limit(self) -> Iterator[None]:
        """Wait no longer for the statements inside than for a COMMIT.

        For statements that commit by themselves, and so may wait for a standby. With a single host there is none.
        """
        self.ensure_connection()
        session = self.connection
        if "," not in (self.settings_dict["HOST"] or ""):
            yield
            return
        usual = session.answer_seconds_max
        session.answer_seconds_max = session.commit_seconds_max or usual
        try:
            yield
        finally:
            session.answer_seconds_max = usual

    @contextmanager
    def answer_limit(self, seconds: float) -> Iterator[None]:
        """Wait this long for each statement inside, and a little longer, because the server is to give up first.

        For work whose statements the server may take longer for than usual, which the caller tells it.
        """
        self.ensure_connection()
        session = self.connection
        usual = session.answer_seconds_max
        session.answer_seconds_max = None if usual is None else seconds + MARGIN_SECONDS
        try:
            yield
        finally:
            session.answer_seconds_max = usual

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
