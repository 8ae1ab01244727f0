"""Sign-in for pages: ask visitors to sign in, and bring them back to the page that they wanted.

After the sign-in the browser loads a page with GET. So a form that is sent after the session has ended can't be
processed: its sender returns to the page of the form, which says that nothing was done.
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
NOT_DONE = "not_done"  # query parameter of a page whose form was sent but not processed


def signed_in(view: View) -> View:
    """Decorate a page for signed-in customers whose form, if any, is posted to the page itself."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        was_sent = request.method not in ("GET", "HEAD")
        return ask_to_sign_in(request, not_done(request.path) if was_sent else request.get_full_path())

    return guarded


def form_of(page: Callable[..., str]) -> Callable[[View], View]:
    """Decorate a view that processes a form of signed-in customers. Anyone else is sent to the page of the form.

    Args:
        page: Returns the URL of that page, with what was entered, from the request and the view's arguments.
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
    """Return the argument of `form_of` for the page with this URL name and these arguments of the view."""

    def page(request: HttpRequest, **kwargs: Any) -> str:
        return resolve_url(name, *(kwargs[argument] for argument in arguments))

    return page


def not_done(address: str) -> str:
    """Return the URL of a page with the message that its form was not processed."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode({NOT_DONE: 1})}"


def ask_to_sign_in(request: HttpRequest, address: str) -> HttpResponse:
    """Redirect to the sign-in page, and from there to this address.

    If htmx refreshes only a part of a page, the whole page is redirected.
    """
    if "HX-Request" not in request.headers:
        return redirect_to_login(address)
    current_url = request.headers.get("HX-Current-URL", "")
    if url_has_allowed_host_and_scheme(current_url, request.get_host()):
        address = urlsplit(current_url)._replace(scheme="", netloc="").geturl()
    response = HttpResponse(status=204)
    response["HX-Redirect"] = redirect_to_login(address).url
    return response
