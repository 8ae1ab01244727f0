"""PostgreSQL as Django's backend has it, but looking whether a kept connection lives costs no round trip.

Django asks `SELECT 1` before each request. A server that has died, restarted or ended the session has closed the
connection, which shows on the socket: an idle connection with something to read is not to be used any more.
"""

import select

from django.db.backends.postgresql import base
from psycopg.pq import ConnStatus, TransactionStatus


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    def is_usable(self) -> bool:
        """Whether the server still has this idle connection open, as far as this host has been told."""
        if self.connection is None:
            return False
        session = self.connection.pgconn
        if session.status != ConnStatus.OK or session.transaction_status != TransactionStatus.IDLE:
            return False
        readable = select.poll()
        readable.register(session.socket, select.POLLIN)
        return not readable.poll(0)
