"""Sign-in for pages: a visitor signs in first, and comes back to where they were.

After signing in, a browser asks for addresses with GET. So a form that was sent after the session ended can't be
carried out: its sender comes back to the page of the form, which says that nothing was done.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme

View = Callable[..., HttpResponse]
NOT_DONE = "not_done"  # in the address of a page whose form was sent, and not carried out


def signed_in(view: View) -> View:
    """Show a page to signed-in customers only. A form of this page is posted to the page itself."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        was_sent = request.method not in ("GET", "HEAD")
        return ask_to_sign_in(request, not_done(request.path) if was_sent else request.get_full_path())

    return guarded


def form_of(page: Callable[..., str]) -> Callable[[View], View]:
    """Let a view take a form of signed-in customers. Anybody else is brought to the page of the form.

    Args:
        page: Returns the address of that page, from the request and the view's arguments, with what was entered.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method != "POST":
                return redirect(page(request, *args, **kwargs))
            if request.user.is_authenticated:
                return view(request, *args, **kwargs)
            return ask_to_sign_in(request, not_done(page(request, *args, **kwargs)))

        return guarded

    return decorate


def page_at(name: str, *arguments: str) -> Callable[..., str]:
    """Return, for `form_of`, the page of this name, given these arguments of the view."""

    def page(request: HttpRequest, **kwargs: Any) -> str:
        return resolve_url(name, *(kwargs[argument] for argument in arguments))

    return page


def not_done(address: str) -> str:
    """Return the address of a page that says that its form was not carried out."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode({NOT_DONE: 1})}"


def ask_to_sign_in(request: HttpRequest, address: str) -> HttpResponse:
    """Send a visitor to the sign-in page, and from there to this address.

    A part of a page that refreshes itself takes the whole page along.
    """
    if "HX-Request" not in request.headers:
        return redirect_to_login(address)
    shown = request.headers.get("HX-Current-URL", "")
    if url_has_allowed_host_and_scheme(shown, request.get_host()):
        address = urlsplit(shown)._replace(scheme="", netloc="").geturl()
    response = HttpResponse(status=204)
    response["HX-Redirect"] = redirect_to_login(address).url
    return response
