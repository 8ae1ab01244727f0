"""Rate limits of pages. They share the limits and the counts of the customer's programs."""

from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse

from accounts.request_limits import limits_of
from web.authentication import SAFE_METHODS
from web.cached import CachedByKey
from web.client_address import client_address
from web.problems import problem_response
from web.rate_limits import Allowance, count_customer, count_stranger

OWN_LIMITS_SECONDS = 10.0
_own_limits = CachedByKey(limits_of, OWN_LIMITS_SECONDS, keys_max=10_000, stale_after=(Error,))


class PageLimits:
    """Middleware that refuses pages to a client that makes too many requests. The APIs count their own requests."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request, or 429."""
        if request.path.startswith(settings.PROGRAM_PATHS) or request.path in settings.PROBE_PATHS:
            return self._get_response(request)
        allowance = _count(request)
        if not allowance.exceeded:
            return self._get_response(request)
        detail = f"You have made too many requests. Try again in {allowance.reset_seconds} s."
        response = problem_response(request, 429, "throttled", detail)
        response.headers["Retry-After"] = str(allowance.reset_seconds)
        return response


def _count(request: HttpRequest) -> Allowance:
    if settings.SESSION_COOKIE_NAME in request.COOKIES:
        with suppress(Error):  # without the database, the page itself shows the error
            if request.user.is_authenticated:
                own = _own_limits.get(request.user.pk)
                is_read = request.method in SAFE_METHODS
                return count_customer(request.user.pk, is_read, own.reads_a_minute if is_read else own.orders_a_minute)
    return count_stranger(client_address(request))
