"""Sessions in the database, which don't blame the visitor when the database fails. The setting SESSION_ENGINE."""

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError

from web.problems import UNAVAILABLE


class SessionStore(db.SessionStore):
    """Django's own, for which a session was deleted meanwhile whenever it can't be stored: it answers 400 then."""

    def save(self, must_create: bool = False) -> None:
        """Store the session.

        Raises:
            UpdateError: It was deleted meanwhile.
            OperationalError: The database failed. So does InterfaceError or InternalError.
        """
        try:
            super().save(must_create)
        except UpdateError as error:
            if isinstance(error.__context__, UNAVAILABLE):
                raise error.__context__ from None
            raise
