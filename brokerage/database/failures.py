"""Classify errors: after which must a session with PostgreSQL be given up, and which statements may be tried again?

A persistent connection can become useless: after a failover it leads to a standby, after a table has changed its
prepared statements are outdated, and a pooler may give it a session without them. None of that goes away by itself, so
the session is closed, and the next statement opens another.
"""

from psycopg import Error, InterfaceError
from psycopg.pq import ConnStatus
from psycopg.pq.abc import PGconn

# SQLSTATEs, or classes of them, after which the session no longer works.
GIVE_UP = (
    "08",  # connection exceptions
    "0A000",  # a cached plan must not change its result type: a table has changed
    "25006",  # read-only: the server has become a standby, or the session was opened while it was one
    "25P03",  # idle in transaction for too long: the server has closed the session
    "25P04",  # transaction too long: likewise
    "26000",  # a prepared statement that the session does not have
    "40003",  # it is unknown whether the statement was completed
    "42P05",  # a prepared statement that the session already has
    "57P",  # shutdown, crash, cannot connect now, dropped database, idle session timeout
    "58",  # errors of the server's system
    "XX",  # internal errors
)
# Those of them with which a statement is refused before it has done anything.
WITHOUT_EFFECT = ("0A000", "25006", "26000", "42P05")
# After these, other sessions of this process have outdated plans too.
PLANS_CHANGED = ("0A000",)


def ends_session(error: BaseException, session: PGconn | None) -> bool:
    """Return whether the session must be given up after this error."""
    if not isinstance(error, Error):
        return False
    if session is None or session.status != ConnStatus.OK:
        return True
    return isinstance(error, InterfaceError) or (error.sqlstate or "").startswith(GIVE_UP)


def had_no_effect(error: BaseException) -> bool:
    """Return whether the statement that raised this error can be tried again in another session."""
    return isinstance(error, Error) and error.sqlstate in WITHOUT_EFFECT


def changes_plans(error: BaseException) -> bool:
    """Return whether every session of this process should be replaced before its next transaction."""
    return isinstance(error, Error) and error.sqlstate in PLANS_CHANGED
