"""PostgreSQL as Django's backend has it, with two things made cheaper.

Looking whether a kept connection lives costs no round trip. Django asks `SELECT 1` before each request. A server that
has died, restarted or ended the session has closed the connection, which shows on the socket: an idle connection with
something to read is not to be used any more.

A list as a parameter is written as the text of an array, whose type the statement says (`%s::bigint[]`). psycopg's own
way asks every member for its type, and takes up to three times as long.
"""

import select
from typing import Any

from django.db.backends.postgresql import base
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg import DataError, IsolationLevel
from psycopg.adapt import Dumper
from psycopg.pq import ConnStatus, TransactionStatus

from brokerage.database import hosts


class ArrayDumper(Dumper):
    """Lists of None, text, bytes, or of what PostgreSQL reads as `str` writes it: numbers, UUIDs, times."""

    def dump(self, obj: list[Any]) -> bytes:
        """The array's text. Raises DataError where a text has a NUL, which PostgreSQL does not take."""
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


# A primary that became a standby, a server that ends sessions, a connection that is lost.
WORTHLESS_STATES = ("25006", "57P", "08")


class _ErrorWrapper(DatabaseErrorWrapper):
    """Notes the errors after which a connection must be given up."""

    wrapper: Any

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        state = getattr(error, "sqlstate", None)
        if state and state.startswith(WORTHLESS_STATES):
            self.wrapper.is_worthless = True
        super().__exit__(kind, error, traceback)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    # Set by an error after which this connection can't serve any more, although it is open.
    is_worthless = False

    def get_connection_params(self) -> dict[str, Any]:
        """What psycopg takes, and our own limits."""
        parameters: dict[str, Any] = super().get_connection_params()
        self._limits = {name: parameters.pop(name, None) for name in ("answer_seconds_max", "commit_seconds_max")}
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection to the host that can be written, which writes lists our way."""
        self.isolation_level = IsolationLevel.READ_COMMITTED
        connection = hosts.connect(conn_params)
        for name, seconds in self._limits.items():
            setattr(connection, name, seconds)
        connection.adapters.register_dumper(list, ArrayDumper)
        self.is_worthless = False
        return connection

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        return _ErrorWrapper(self)

    def is_usable(self) -> bool:
        """Whether the server still has this idle connection open, as far as this host has been told."""
        if self.connection is None or self.is_worthless:
            return False
        session = self.connection.pgconn
        if session.status != ConnStatus.OK or session.transaction_status != TransactionStatus.IDLE:
            return False
        readable = select.poll()
        readable.register(session.socket, select.POLLIN)
        return not readable.poll(0)
