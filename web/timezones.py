"""Time zones: the market's, and the customer's own for display."""

from collections.abc import Callable
from datetime import date, datetime
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

EASTERN = ZoneInfo("America/New_York")
COOKIE = "zone"  # the browser sets it to the name of its own time zone
NAMES = frozenset(available_timezones())


def eastern_date(moment: datetime) -> date:
    """Return the date in New York at a moment: the trade date of an execution at that time."""
    return moment.astimezone(EASTERN).date()


def eastern_today() -> date:
    """Return the current date in New York."""
    return eastern_date(timezone.now())


class LocalTime:
    """Middleware: activate the time zone that the customer has chosen, else the browser's, else Eastern time."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(settings.PROGRAM_PATHS):
            return self.get_response(request)  # programs read and write UTC
        chosen = self._chosen(request) or request.COOKIES.get(COOKIE, "")
        with timezone.override(ZoneInfo(chosen) if chosen in NAMES else EASTERN):
            return self.get_response(request)

    def _chosen(self, request: HttpRequest) -> str:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return ""  # not signed in: nothing to look up
        try:
            return getattr(request.user, "time_zone", "")
        except Error:
            return ""  # the database is unavailable; the page itself reports that
