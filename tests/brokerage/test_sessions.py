"""Sessions in a database that fails: the visitor is told that it is us, and to try again."""

from collections.abc import Callable

import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from django.contrib.sessions.models import Session
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from accounts.models import Customer

View = Callable[[HttpRequest], HttpResponse]


def visit(client: Client, view: View) -> HttpResponse:
    """Return the answer to a request of a visitor with a session, as Django's own handler gives it."""
    request = RequestFactory().get("/trades")
    request.COOKIES["sessionid"] = client.cookies["sessionid"].value
    return convert_exception_to_response(SessionMiddleware(view))(request)  # type: ignore[return-value]


@pytest.fixture
def visitor(transactional_db: None, alice: Customer) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def test_a_session_that_cannot_be_stored_is_our_fault(visitor: Client, stop_database: Callable[[], None]) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        request.session["seen"] = 1
        stop_database()
        return HttpResponse("done")

    response = visit(visitor, view)
    assert response.status_code == 503
    assert "Try again" in response.text


def test_a_middleware_without_its_database_is_our_fault(visitor: Client, stop_database: Callable[[], None]) -> None:
    stop_database()
    visitor.raise_request_exception = False
    for path in ("/", "/trades", "/admin/", "/account/login/"):
        response = visitor.get(path)
        assert response.status_code == 503, path


def test_a_visitor_who_was_signed_out_meanwhile_is_told_so(visitor: Client) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        request.session["seen"] = 1
        Session.objects.all().delete()
        return HttpResponse("done")

    response = visit(visitor, view)
    assert response.status_code == 400
    assert "You were signed out while this ran" in response.text
